//! Chat Completions.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `request` | the body: parameters and tools |
//! | `messages` | the conversation |
//! | `response` | the answer |
//! | `stream` | the pieces of a streamed answer, put together to a whole one |
//! | `wire` | the API's own structs |

mod messages;
mod request;
mod response;
mod stream;
mod wire;

use serde::{Deserialize, Serialize};
use understudy_plugin::blocks::tool_uses_of;
use understudy_plugin::names::Names;
use understudy_plugin::stream::streamed;
use understudy_plugin::types::{Completion, CreateMessageRequest, Error, Framing, HttpResponse, Step};
use understudy_plugin::{http, state};

pub(crate) use self::stream::Assembly;
use crate::settings::Settings;
use crate::{models, tools};

/// The key in a block's `_meta` under which a model's reasoning travels to the next turn.
const REASONING: &str = "understudy.openai/reasoning";

/// What must be remembered until the answer is there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The model asked.
    model: String,
    /// The request's stop sequences.
    stop: Vec<String>,
    /// Whether `stop` couldn't be sent, so that the answer must be cut here.
    cut: bool,
    /// Tool names that were changed.
    names: Names,
    /// Whether the request offers tools.
    tools: bool,
    /// How many tool calls the conversation holds: the first number for an id that must be made.
    calls: usize,
}

pub(crate) fn start(request: &CreateMessageRequest, model: &str, settings: &Settings) -> Result<Step, Error> {
    let state = State {
        model: model.to_owned(),
        stop: request.stop_sequences.clone(),
        cut: models::reasons(model),
        names: tools::names(request),
        tools: tools::are_offered(request),
        calls: tool_uses_of(request).count(),
    };
    let body = request::body(request, &state, settings)?;
    let path = settings.path.as_deref().unwrap_or("/chat/completions");
    let mut fetch = http::post_json(path, &body, Vec::new())?;
    fetch.state = state::to_bytes(&crate::State::Chat(state))?;
    let fetch = if settings.streams(request) { streamed(fetch, Framing::ServerSentEvents) } else { fetch };
    Ok(fetch.into())
}

pub(crate) fn resume(state: State, response: &HttpResponse) -> Result<Step, Error> {
    if !(200..=299).contains(&response.status) {
        return Err(crate::error::of_response(response));
    }
    let (result, usage) = response::read(state, response)?;
    Ok(Step::Done(Completion { result, usage, extensions: String::new() }))
}
