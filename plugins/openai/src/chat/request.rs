//! The body: parameters and tools.

use understudy_plugin::error;
use understudy_plugin::types::{CreateMessageRequest, Error};

use super::wire::{Function, Request, StreamOptions, Tool};
use super::{State, messages};
use crate::settings::{MaxTokensField, Settings};
use crate::{models, tools};

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
    let reasoning_effort = settings.effort(model);
    let stream = settings.streams(request);
    let reasons = is_reasoner && reasoning_effort != Some("none");
    let completion_field = match settings.max_tokens_field {
        None | Some(MaxTokensField::Auto) => is_reasoner,
        Some(MaxTokensField::MaxTokens) => false,
        Some(MaxTokensField::MaxCompletionTokens) => true,
    };
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
        tools: offered(request, state)?,
        tool_choice: tools::choice(request),
        parallel_tool_calls: settings.parallel_tool_calls.filter(|_| state.tools),
        service_tier: settings.service_tier.as_deref(),
        stream,
        // Without it a stream doesn't say what was used.
        stream_options: stream.then_some(StreamOptions { include_usage: true }),
        metadata: settings.metadata(request.metadata.as_deref()),
        extra: &settings.extra,
    })
}

fn offered<'a>(request: &'a CreateMessageRequest, state: &'a State) -> Result<Vec<Tool<'a>>, Error> {
    let tools = request.tools.iter().flatten().map(|tool| {
        let function = Function {
            name: state.names.on_the_wire(&tool.name),
            description: tools::description(tool),
            parameters: tools::parameters(tool)?,
        };
        Ok(Tool { kind: "function", function })
    });
    tools.collect()
}
