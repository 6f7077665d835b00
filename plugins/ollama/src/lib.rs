//! `ollama`: Ollama's own API (`POST /api/chat`), on this machine, on another, or at ollama.com.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `settings` | what the user's config can say |
//! | `request` | the body: parameters and tools |
//! | `messages` | the conversation |
//! | `models` | what the models take |
//! | `tool_result` | a tool's answer as text, and the images of it |
//! | `forced` | a tool that must be called |
//! | `response` | the answer |
//! | `stream` | an answer that comes as a stream, put together for `response` |
//! | `error` | a refusal's status and body as a typed error |
//! | `wire` | the API's own structs |
//!
//! Facts about the wire come from the `ollama` package for Python, 0.6.3 (`tests/peers/python/validate_ollama.py` holds the
//! fixtures against its types), and where it lags behind the server from the server's own `api/types.go` and
//! `server/routes.go` (github.com/ollama/ollama at fb30760, August 2026).
//!
//! What the API can't carry is an `unsupported` error that names its place: audio, images other than png, jpeg and webp or
//! in an assistant's message, bytes that are no image, and blocks of unknown types. The rest is fitted:
//!
//! | MCP's | becomes |
//! | --- | --- |
//! | `toolChoice` `none` | no tools |
//! | `toolChoice` `required`, for which there is no field | words that describe the tools, and a `format` that lets the model say nothing but a call of one of them |
//! | several texts of a message | paragraphs of one; images stand beside them, in their order |
//! | an image in a tool's answer | a user message that follows the answers |
//! | a resource link, a resource's text, `structuredContent` | words |
//! | `metadata` | nothing: there is no place for it |
//!
//! Two of the server's habits are switched off unless the settings say otherwise: to drop the oldest messages of a
//! conversation that is too long, without a word, and to let the model think before it answers, which counts towards
//! `maxTokens`. What the model thinks nevertheless is no part of the answer; it travels in the `_meta` of the first block
//! and goes back with it on the next turn, to the same model.
//!
//! Ollama doesn't tell a stop sequence from the end of the turn: both are `endTurn`.

mod error;
mod forced;
mod messages;
mod models;
mod request;
mod response;
mod settings;
mod stream;
mod tool_result;
mod wire;

use serde::{Deserialize, Serialize};
use understudy_plugin::stream::{Event, StreamingProvider, StreamingStep, assembled, next};
use understudy_plugin::types::{
    Completion, CreateMessageRequest, Description, Error, HttpResponse, Options, Step, SuggestedCredential,
    SuggestedEndpoint,
};
use understudy_plugin::{Provider, export_streaming_provider, http, state};

use crate::settings::Settings;
use crate::stream::Lines;

/// The plugin.
#[derive(Debug)]
pub struct Ollama;

export_streaming_provider!(Ollama);

/// The key in a block's `_meta` under which what the model thought travels to the next turn.
const THINKING: &str = "understudy.ollama/thinking";

/// What `start` hands to `resume`.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// The model asked.
    model: String,
    /// Whether the request offers tools that the model may use.
    tools: bool,
    /// The names of the tools of which one must be called, if the request forces one.
    forced: Option<Vec<String>>,
    /// How many tool calls the conversation holds: the first number for an id that must be made.
    calls: usize,
}

impl Provider for Ollama {
    fn describe() -> Description {
        Description {
            name: "ollama".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Models that Ollama runs on this machine, or in its cloud".to_owned(),
            accepts: ["image", "tools"].map(str::to_owned).to_vec(),
            // The models are those that the user has pulled: the config names them.
            models: Vec::new(),
            default_model: None,
            endpoint: Some(SuggestedEndpoint {
                url: "http://127.0.0.1:11434".to_owned(),
                env: Some("OLLAMA_HOST".to_owned()),
            }),
            // For https://ollama.com only.
            credential: Some(SuggestedCredential {
                scheme: "bearer".to_owned(),
                name: None,
                env: Some("OLLAMA_API_KEY".to_owned()),
                optional: true,
            }),
            settings_schema: settings::SCHEMA.to_owned(),
            extensions: String::new(),
        }
    }

    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        let settings = Settings::parse(&options.settings)?;
        request::fetch(&request, &options.model, &settings).map(Step::from)
    }

    fn resume(state: Vec<u8>, mut response: HttpResponse) -> Result<Step, Error> {
        http::tidy(&mut response);
        let response = assembled::<Lines>(&state, &response)?.unwrap_or(response);
        let state: State = state::from_bytes(&state)?;
        if !(200..=299).contains(&response.status) {
            return Err(error::of_response(&response, &state.model));
        }
        let (result, usage) = response::read(&state, &response)?;
        Ok(Step::Done(Completion { result, usage, extensions: String::new() }))
    }
}

impl StreamingProvider for Ollama {
    fn next(state: Vec<u8>, events: Vec<Event>) -> Result<StreamingStep, Error> {
        next::<Self, Lines>(state, events)
    }
}

#[cfg(test)]
mod tests;
