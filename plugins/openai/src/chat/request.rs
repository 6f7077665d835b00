//! The body: parameters and tools.

use understudy_plugin::blocks::tool_uses_of;
use understudy_plugin::types::{CreateMessageRequest, Error};

use super::wire::{Function, Request, StreamOptions, Thinking, Tool, no_parameters};
use super::{Fitted, State, messages};
use crate::dialect::{Prefill, Seed};
use crate::settings::{MaxTokensField, Settings};
use crate::tools;

/// The body of the request.
///
/// What is done about parameters that a reasoning model of OpenAI's refuses:
///
/// - reasoning itself is switched off where the model can do without and the settings don't say otherwise: it counts
///   towards `maxTokens`, which servers choose for the length of the answer;
/// - `temperature` and `top_p` are left out while the model reasons: they are advice, and the refusal would be of the whole request;
/// - `stop` isn't sent; instead the answer is cut where a stop sequence appears, with the same outcome.
///
/// A `maxTokens` over what the model writes, and a temperature over what is taken, are lowered.
pub(super) fn body<'a>(
    request: &'a CreateMessageRequest,
    state: &'a State,
    fitted: &'a Fitted<'a>,
    settings: &'a Settings,
) -> Result<Request<'a>, Error> {
    let (dialect, facts) = (fitted.spoken.dialect, &fitted.facts);
    let reasoning_effort = settings.effort(facts);
    let stream = settings.streams(request);
    let reasons = facts.reasons && reasoning_effort != Some("none");
    let field = settings.max_tokens_field.filter(|field| *field != MaxTokensField::Auto).unwrap_or(dialect.max_tokens);
    let completion_field = match field {
        MaxTokensField::Auto => facts.reasons,
        MaxTokensField::MaxTokens => false,
        MaxTokensField::MaxCompletionTokens => true,
    };
    let max_tokens = request.max_tokens.min(facts.most_output.unwrap_or(u32::MAX));
    let continues = (fitted.prefill() == Prefill::Continue && messages::last_words(request).is_some()).then_some(true);
    let hottest = dialect.hottest.min(facts.hottest);
    let asks_to_think =
        reasoning_effort.is_some_and(|effort| effort != "none") && tools::choice(request) != Some("required");
    let stops_thinking = fitted.spoken.stops_thinking() && !asks_to_think && !settings.extra.contains_key("thinking");
    let seed = |name| settings.seed.filter(|_| dialect.seed == name);
    let tools = offered(request, state, fitted);
    Ok(Request {
        model: &state.model,
        messages: messages::convert(request, state, fitted, settings.system_role)?,
        max_tokens: (!completion_field).then_some(max_tokens),
        max_completion_tokens: completion_field.then_some(max_tokens),
        reasoning_effort,
        thinking: stops_thinking.then_some(Thinking { kind: "disabled" }),
        temperature: request.temperature.filter(|_| !reasons).map(|temperature| temperature.min(hottest)),
        top_p: settings.top_p.filter(|_| !reasons),
        seed: seed(Seed::Seed),
        random_seed: seed(Seed::RandomSeed),
        frequency_penalty: settings.frequency_penalty,
        presence_penalty: settings.presence_penalty,
        stop: fitted.stops.sent.clone(),
        tool_choice: match tools::choice(request) {
            _ if state.forced => Some("auto"),
            None if !state.tools && !tools.is_empty() => Some("none"),
            choice => choice,
        },
        tools,
        parallel_tool_calls: settings.parallel_tool_calls.filter(|_| state.tools),
        service_tier: settings.service_tier.as_deref(),
        stream,
        // Without it a stream of most servers doesn't say what was used.
        stream_options: (stream && dialect.stream_options).then_some(StreamOptions { include_usage: true }),
        continue_final_message: continues,
        add_generation_prompt: continues.map(|continues| !continues),
        metadata: settings.metadata(request.metadata.as_deref(), dialect.metadata),
        extra: &settings.extra,
    })
}

/// The tools; where the server wants those that the conversation uses, and none is offered, their names.
fn offered<'a>(request: &'a CreateMessageRequest, state: &'a State, fitted: &'a Fitted<'a>) -> Vec<Tool<'a>> {
    let tool = |function| Tool { kind: "function", function };
    if !state.tools && fitted.spoken.dialect.needs_tools {
        let mut names: Vec<&str> = Vec::new();
        for tool_use in tool_uses_of(request) {
            let name = state.names.on_the_wire(&tool_use.name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let used = |name| tool(Function { name, description: None, parameters: no_parameters() });
        return names.into_iter().map(used).collect();
    }
    let tools = request.tools.iter().flatten().zip(&fitted.schemas);
    tools
        .map(|(offered, schema)| {
            tool(Function {
                name: state.names.on_the_wire(&offered.name),
                description: tools::description(offered),
                parameters: schema,
            })
        })
        .collect()
}
