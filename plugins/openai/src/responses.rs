//! The Responses API, without anything kept at the provider: the whole conversation goes out each time.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `request` | the body: parameters and tools |
//! | `input` | the conversation, as input items |
//! | `reasoning` | what must come back on the next turn, in `_meta` |
//! | `response` | the answer |
//! | `stream` | the pieces of a streamed answer, put together to a whole one |
//! | `wire` | the API's own structs |
//!
//! Where it differs from Chat Completions for MCP: the model may reason and use tools at once, and its reasoning comes back
//! encrypted; tools may answer with images and documents; there is no audio, and no parameter for stop sequences (the answer
//! is cut here instead), for a seed or for penalties.

mod input;
mod reasoning;
mod request;
mod response;
mod stream;
mod wire;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses_of;
use understudy_plugin::ids::{self, Ids};
use understudy_plugin::names::Names;
use understudy_plugin::schema::{self, Shapes};
use understudy_plugin::stream::streamed;
use understudy_plugin::types::{Completion, CreateMessageRequest, Error, Framing, HttpResponse, Options, Step};
use understudy_plugin::{http, state};

pub(crate) use self::stream::Assembly;
use crate::models::Facts;
use crate::settings::{self, Settings};
use crate::tools;

/// What must be remembered until the answer is there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The model asked.
    model: String,
    /// Where it was asked, if that is known: encrypted reasoning is an account's own.
    origin: String,
    /// The request's stop sequences.
    stop: Vec<String>,
    /// Tool names that were changed.
    names: Names,
    /// How the arguments of tools were changed.
    shapes: Shapes,
    /// How many tool calls the conversation holds: the first number for an id that must be made.
    calls: usize,
}

/// A request, fitted to what the API and the model take.
struct Fitted<'a> {
    facts: Facts,
    /// At most 64 characters (Portkey-AI/gateway#1062).
    ids: Ids,
    /// Those of the tools.
    schemas: Vec<Cow<'a, RawValue>>,
}

pub(crate) fn start(request: &CreateMessageRequest, options: &Options, settings: &Settings) -> Result<Step, Error> {
    let model = &options.model;
    let facts = settings.facts(model);
    let schema::Fitted { schemas, shapes } = schema::fit(request.tools.iter().flatten(), &tools::schemas(&facts))?;
    let state = State {
        model: model.clone(),
        origin: settings::origin(&options.extensions).unwrap_or_default(),
        stop: request.stop_sequences.clone(),
        names: Names::of(request, &tools::NAMES),
        shapes,
        calls: tool_uses_of(request).count(),
    };
    let fitted = Fitted { facts, ids: Ids::of(request, &ids::Rule::WORD), schemas };
    let body = request::body(request, &state, &fitted, settings)?;
    let path = settings.path.as_deref().unwrap_or("/responses");
    let mut fetch = http::post_json(path, &body, Vec::new())?;
    fetch.state = state::to_bytes(&crate::State::Responses(state))?;
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
