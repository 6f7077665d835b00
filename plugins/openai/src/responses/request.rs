//! The body: parameters and tools.

use understudy_plugin::json::Text;
use understudy_plugin::types::{CreateMessageRequest, Error};

use super::wire::{ReasoningConfig, Request, Tool};
use super::{Fitted, State, input};
use crate::settings::Settings;
use crate::tools;

/// Keys of a request's `metadata` that the API has a place for and that need no other setting.
const METADATA_FIELDS: [&str; 3] = ["user", "safety_identifier", "prompt_cache_key"];

/// The API refuses less ("integer below minimum value").
const LEAST_OUTPUT: u32 = 16;

/// The body of the request. What is done about parameters that a reasoning model of OpenAI's refuses is what
/// `chat::request` does.
pub(super) fn body<'a>(
    request: &'a CreateMessageRequest,
    state: &'a State,
    fitted: &'a Fitted<'a>,
    settings: &'a Settings,
) -> Result<Request<'a>, Error> {
    let facts = &fitted.facts;
    let effort = settings.effort(facts);
    let reasons = facts.reasons && effort != Some("none");
    Ok(Request {
        model: &state.model,
        instructions: request.system_prompt.as_deref().map(Text),
        input: input::convert(request, state, &fitted.ids)?,
        max_output_tokens: request.max_tokens.min(facts.most_output.unwrap_or(u32::MAX)).max(LEAST_OUTPUT),
        reasoning: effort.map(|effort| ReasoningConfig { effort }),
        temperature: request.temperature.filter(|_| !reasons).map(|temperature| temperature.min(facts.hottest)),
        top_p: settings.top_p.filter(|_| !reasons),
        tools: offered(request, state, fitted),
        tool_choice: tools::choice(request),
        parallel_tool_calls: settings.parallel_tool_calls.filter(|_| tools::are_offered(request)),
        service_tier: settings.service_tier.as_deref(),
        stream: settings.streams(request),
        // Other models refuse it: "Encrypted content is not supported with this model" (NousResearch/hermes-agent#24234).
        include: if reasons { &["reasoning.encrypted_content"] } else { &[] },
        // By default the provider would keep the answer for 30 days.
        store: false,
        metadata: settings.metadata(request.metadata.as_deref(), &METADATA_FIELDS),
        extra: &settings.extra,
    })
}

/// `output_schema` stays out of it: it describes outputs that are JSON and nothing else (`function_tool_param.py`), and a
/// tool's texts stand beside its structured answer.
fn offered<'a>(request: &'a CreateMessageRequest, state: &'a State, fitted: &'a Fitted<'a>) -> Vec<Tool<'a>> {
    let tools = request.tools.iter().flatten().zip(&fitted.schemas).map(|(tool, schema)| Tool {
        kind: "function",
        name: state.names.on_the_wire(&tool.name),
        description: tools::description(tool),
        parameters: schema,
        strict: false,
    });
    tools.collect()
}
