//! The body: parameters and tools.

use understudy_plugin::json::Text;
use understudy_plugin::types::{CreateMessageRequest, Error};

use super::wire::{ReasoningConfig, Request, Tool};
use super::{State, input};
use crate::settings::Settings;
use crate::{models, tools};

/// The body of the request. What is done about parameters that a reasoning model of OpenAI's refuses is what
/// `chat::request` does.
pub(super) fn body<'a>(
    request: &'a CreateMessageRequest,
    state: &'a State,
    settings: &'a Settings,
) -> Result<Request<'a>, Error> {
    let effort = settings.effort(&state.model);
    let reasons = models::reasons(&state.model) && effort != Some("none");
    Ok(Request {
        model: &state.model,
        instructions: request.system_prompt.as_deref().map(Text),
        input: input::convert(request, state)?,
        max_output_tokens: request.max_tokens,
        reasoning: effort.map(|effort| ReasoningConfig { effort }),
        temperature: request.temperature.filter(|_| !reasons),
        top_p: settings.top_p,
        tools: offered(request, state)?,
        tool_choice: tools::choice(request),
        parallel_tool_calls: settings.parallel_tool_calls.filter(|_| tools::are_offered(request)),
        service_tier: settings.service_tier.as_deref(),
        stream: settings.streams(request),
        // Other models refuse it: "Encrypted content is not supported with this model" (NousResearch/hermes-agent#24234).
        include: if reasons { &["reasoning.encrypted_content"] } else { &[] },
        // By default the provider would keep the answer for 30 days.
        store: false,
        metadata: settings.metadata(request.metadata.as_deref()),
        extra: &settings.extra,
    })
}

/// `output_schema` stays out of it: it describes outputs that are JSON and nothing else (`function_tool_param.py`), and a
/// tool's texts stand beside its structured answer.
fn offered<'a>(request: &'a CreateMessageRequest, state: &'a State) -> Result<Vec<Tool<'a>>, Error> {
    let tools = request.tools.iter().flatten().map(|tool| {
        Ok(Tool {
            kind: "function",
            name: state.names.on_the_wire(&tool.name),
            description: tools::description(tool),
            parameters: tools::parameters(tool)?,
            strict: false,
        })
    });
    tools.collect()
}
