//! Chat Completions.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `request` | the body: parameters and tools |
//! | `messages` | the conversation |
//! | `carried` | what must come back on the next turn, in `_meta` |
//! | `response` | the answer |
//! | `stream` | the pieces of a streamed answer, put together to a whole one |
//! | `wire` | the API's own structs |

mod carried;
mod messages;
mod request;
mod response;
mod stream;
mod wire;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use understudy_plugin::blocks::tool_uses_of;
use understudy_plugin::ids::Ids;
use understudy_plugin::names::Names;
use understudy_plugin::schema::{self, Shapes};
use understudy_plugin::stops::{self, Stops};
use understudy_plugin::stream::streamed;
use understudy_plugin::types::{Completion, CreateMessageRequest, Error, Framing, HttpResponse, Options, Step};
use understudy_plugin::{http, state};

use self::carried::Source;
pub(crate) use self::stream::Assembly;
use crate::dialect::{Prefill, Spoken};
use crate::models::Facts;
use crate::settings::Settings;
use crate::tools;

/// What must be remembered until the answer is there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    /// The model asked.
    model: String,
    /// The dialect that its reasoning is bound to.
    dialect: Cow<'static, str>,
    /// The request's stop sequences.
    stop: Vec<String>,
    /// Those that couldn't be sent, so that the answer must be cut here.
    cut: Vec<String>,
    /// Tool names that were changed.
    names: Names,
    /// How the arguments of tools were changed.
    shapes: Shapes,
    /// Whether the request offers tools.
    tools: bool,
    /// Whether one of them must be used, and the model was only told so.
    forced: bool,
    /// How many tool calls the conversation holds: the first number for an id that must be made.
    calls: usize,
    /// What the conversation ends with, where the user asks to go on from there: some models say it again.
    prefix: Option<String>,
    /// Whether the answer can hold thinking that a template left in it.
    thinks: bool,
}

/// A request, fitted to what the server and the model take.
struct Fitted<'a> {
    spoken: Spoken,
    facts: Facts,
    ids: Ids,
    stops: Stops<'a>,
    /// Those of the tools.
    schemas: Vec<Cow<'a, RawValue>>,
}

pub(crate) fn start(request: &CreateMessageRequest, options: &Options, settings: &Settings) -> Result<Step, Error> {
    let model = &options.model;
    let (spoken, facts) = (settings.spoken(&options.extensions, model), settings.facts(model));
    let schema::Fitted { schemas, shapes } = schema::fit(request.tools.iter().flatten(), &tools::schemas(&facts))?;
    let most_stops = if facts.takes_stop { spoken.dialect.most_stops } else { 0 };
    let stops = stops::split(request, most_stops, |_| true);
    let fitted = Fitted { spoken, facts, ids: Ids::of(request, spoken.ids()), stops, schemas };
    let state = State {
        model: model.clone(),
        dialect: spoken.origin().into(),
        stop: request.stop_sequences.clone(),
        cut: fitted.stops.cut.clone(),
        names: Names::of(request, &spoken.dialect.names),
        shapes,
        tools: tools::are_offered(request),
        forced: tools::choice(request) == Some("required") && !facts.can_be_forced,
        calls: tool_uses_of(request).count(),
        prefix: messages::last_words(request).filter(|_| fitted.prefill() == Prefill::User),
        thinks: spoken.may_leak_thinking(),
    };
    let body = request::body(request, &state, &fitted, settings)?;
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

impl State {
    /// Whose reasoning it is.
    fn source(&self) -> Source<'_> {
        Source { model: &self.model, dialect: &self.dialect }
    }

    /// Whether the answer can hold thinking that a template left in it.
    pub(crate) fn thinks(&self) -> bool {
        self.thinks
    }
}

impl Fitted<'_> {
    /// What becomes of a conversation that ends with the assistant.
    fn prefill(&self) -> Prefill {
        if self.facts.takes_prefill { self.spoken.dialect.prefill } else { Prefill::User }
    }

    /// Whether a call without its signature must say so.
    fn needs_signature(&self) -> bool {
        self.facts.signs_calls && self.spoken.dialect.name == "gemini"
    }

    /// Whether the server takes back what it added to a call.
    fn takes_extras(&self) -> bool {
        self.spoken.dialect.extras || self.spoken.origin().is_empty()
    }
}
