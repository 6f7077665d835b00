//! Chat Completions.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `request` | the body: parameters and tools |
//! | `messages` | the conversation |
//! | `tool_result` | a tool's answer as text, and what of it isn't text |
//! | `media` | images, audio and files |
//! | `names` | tool names that the API doesn't allow |
//! | `response` | the answer |
//! | `wire` | the API's own structs |

mod media;
mod messages;
mod names;
mod request;
mod response;
mod tool_result;
mod wire;

use serde::{Deserialize, Serialize};
use understudy_plugin::types::{Completion, ContentBlock, CreateMessageRequest, Error, HttpResponse, Step};
use understudy_plugin::{error, http};

use self::names::Names;
use crate::models;
use crate::settings::Settings;

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
    let calls = request.messages.iter().flat_map(|message| &message.content);
    let state = State {
        model: model.to_owned(),
        stop: request.stop_sequences.clone(),
        cut: models::reasons(model),
        names: Names::of(request),
        tools: request.tools.as_ref().is_some_and(|tools| !tools.is_empty()),
        calls: calls.filter(|block| matches!(block, ContentBlock::ToolUse(_))).count(),
    };
    let body = request::body(request, &state, settings)?;
    let path = settings.path.as_deref().unwrap_or("/chat/completions");
    let mut fetch = http::post_json(path, &body, Vec::new())?;
    fetch.state = serde_json::to_vec(&crate::State::Chat(state))
        .map_err(|e| error::other(format!("the state can't be written as JSON: {e}")))?;
    Ok(fetch.into())
}

pub(crate) fn resume(state: State, response: &HttpResponse) -> Result<Step, Error> {
    if !(200..=299).contains(&response.status) {
        return Err(crate::error::of_response(response));
    }
    let (result, usage) = response::read(state, response)?;
    Ok(Step::Done(Completion { result, usage, extensions: String::new() }))
}
