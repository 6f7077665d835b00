//! The body: parameters and tools.

use serde_json::value::RawValue;
use understudy_plugin::error;
use understudy_plugin::types::{self, CreateMessageRequest, Error};

use super::wire::{Function, Request, Tool};
use super::{State, messages};
use crate::models;
use crate::settings::{MaxTokensField, Settings};

/// "Up to 4 sequences" (`types/chat/completion_create_params.py`).
const MOST_STOP_SEQUENCES: usize = 4;

/// The body of the request.
///
/// What is done about parameters that a reasoning model of OpenAI's refuses:
///
/// - reasoning itself is switched off where the model can do without and the settings don't say otherwise: it counts
///   towards `maxTokens`, which servers choose for the length of the answer;
/// - `temperature` is left out while the model reasons: it is advice, and the refusal would be of the whole request;
/// - `stop` isn't sent; instead the answer is cut where a stop sequence appears, with the same outcome.
pub(super) fn body<'a>(
    request: &'a CreateMessageRequest,
    state: &'a State,
    settings: &'a Settings,
) -> Result<Request<'a>, Error> {
    if request.stop_sequences.len() > MOST_STOP_SEQUENCES {
        return Err(error::unsupported(format!(
            "`stopSequences` holds {}; OpenAI's API takes at most {MOST_STOP_SEQUENCES}",
            request.stop_sequences.len()
        )));
    }
    let model = &state.model;
    let is_reasoner = models::reasons(model);
    let reasoning_effort = match settings.reasoning_effort.as_deref() {
        Some("") => None,
        None if models::can_do_without_reasoning(model) => Some("none"),
        effort => effort,
    };
    let reasons = is_reasoner && reasoning_effort != Some("none");
    let completion_field = match settings.max_tokens_field {
        MaxTokensField::Auto => is_reasoner,
        MaxTokensField::MaxTokens => false,
        MaxTokensField::MaxCompletionTokens => true,
    };
    let tools = tools(request, state)?;
    // `tool_choice` and `parallel_tool_calls` are refused where there are no tools, and so is an empty list of them.
    let has_tools = !tools.is_empty();
    Ok(Request {
        model,
        messages: messages::convert(request, &state.names, settings.system_role)?,
        max_tokens: (!completion_field).then_some(request.max_tokens),
        max_completion_tokens: completion_field.then_some(request.max_tokens),
        reasoning_effort,
        temperature: request.temperature.filter(|_| !reasons),
        top_p: settings.top_p,
        seed: settings.seed,
        frequency_penalty: settings.frequency_penalty,
        presence_penalty: settings.presence_penalty,
        stop: if state.cut { &[] } else { &request.stop_sequences },
        tools,
        tool_choice: request.tool_choice.as_ref().and_then(|choice| choice.mode.as_deref()).filter(|_| has_tools),
        parallel_tool_calls: settings.parallel_tool_calls.filter(|_| has_tools),
        service_tier: settings.service_tier.as_deref(),
        metadata: settings.metadata(request.metadata.as_deref()),
        extra: &settings.extra,
    })
}

fn tools<'a>(request: &'a CreateMessageRequest, state: &'a State) -> Result<Vec<Tool<'a>>, Error> {
    let tool = |tool: &'a types::Tool| {
        let parameters: &RawValue = serde_json::from_str(&tool.input_schema).map_err(|e| {
            error::invalid_request(format!("the `inputSchema` of the tool `{}` is not JSON: {e}", tool.name))
        })?;
        Ok(Tool {
            kind: "function",
            function: Function {
                name: state.names.on_the_wire(&tool.name),
                description: tool.description.as_deref().or(tool.title.as_deref()),
                parameters,
            },
        })
    };
    request.tools.iter().flatten().map(tool).collect()
}
