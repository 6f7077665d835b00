//! `gemini`: Google's Gemini API (`POST /v1beta/models/MODEL:generateContent`; for an answer as a stream
//! `…:streamGenerateContent?alt=sse`).
//!
//! | module | what it holds |
//! | --- | --- |
//! | `settings` | what the user's config can say |
//! | `models` | the catalogue, and what each model takes |
//! | `request` | the body: parameters and tools |
//! | `contents` | the conversation |
//! | `tool_result` | a tool's answer |
//! | `media` | images, audio and PDF |
//! | `thought` | what Google wants back on the next turn, in `_meta` |
//! | `response` | the answer |
//! | `stream` | an answer that comes as a stream, put together for `response` |
//! | `error` | a refusal's status and body as a typed error |
//! | `wire` | the API's own structs |
//!
//! Facts about the wire come from the `google-genai` package for Python, 3.4.0: its types, and `models.py` for which of
//! them the Gemini API knows (`tests/peers/python/validate_gemini.py` holds the fixtures against them). Other sources stand
//! at their place; "Google's docs" are those at ai.google.dev/gemini-api/docs.
//!
//! What the API can't carry is an `unsupported` error that names its place. The rest is fitted:
//!
//! | MCP's | becomes |
//! | --- | --- |
//! | `maxTokens` over what the model can write | what it can write |
//! | more than five stop sequences | five, and for the others a cut in the answer, made here |
//! | an answer that the server has begun, for models that refuse that | the same, and a user turn that asks to go on; what the model says again of the beginning is taken off |
//! | messages of one role that follow each other | one content; tool results are one of their own |
//! | a conversation that begins with the model's function call | the same after a user turn that says that something is left out |
//! | a tool's `inputSchema` of an older draft | one of 2020-12 that accepts the same |
//! | an image or audio whose label isn't what its first bytes are | the same, with the right label |
//! | a tool's name with other characters than Google's | one with `_` instead, and MCP's own again in the answer |
//! | `structuredContent` | the function's `response`; beside other text, a field of it |
//! | an image or PDF in a tool's answer | a part of the function's response, or for older models a message that follows |
//! | a resource link, a resource's text | words |
//! | a text or a message that says nothing, which the API refuses | nothing, unless it is all there is: then an `invalid-request` |
//! | an earlier tool use that comes back without Google's signature | Google's mark for such calls (`thought`) |
//! | `metadata` | nothing, unless the setting `labelFields` names keys of it |
//!
//! A stream's texts are joined, so that its answer is what the whole one would have been; only a text that Google has signed
//! stays a block of its own, because the signature is that text's. Errors in a stream are typed like those of a status. Google
//! may also write an error into the stream as bare JSON, outside of any event (`_api_client.py`, `_iter_response_stream`):
//! that the plugin doesn't get to see, and to it the stream is broken.
//!
//! Google doesn't tell a stop sequence from the end of the turn: both are `endTurn`, unless the answer was cut here.

mod contents;
mod error;
mod media;
mod models;
mod request;
mod response;
mod settings;
mod stream;
mod thought;
mod tool_result;
mod wire;

use serde::{Deserialize, Serialize};
use understudy_plugin::names::Names;
use understudy_plugin::stream::{Event, StreamingProvider, StreamingStep, assembled, next};
use understudy_plugin::types::{
    Completion, CreateMessageRequest, Description, Error, HttpResponse, Options, Step, SuggestedCredential,
    SuggestedEndpoint,
};
use understudy_plugin::{Provider, export_streaming_provider, http, state};

use crate::settings::Settings;
use crate::stream::Chunks;

/// Where the parts of the counts are in `usage.details`, for the host's ledger.
const USAGE: &str = r#"{
    "usage": {
        "cacheRead":["/cachedContentTokenCount"],
        "reasoning":["/thoughtsTokenCount"]
    }
}"#;

/// The plugin.
#[derive(Debug)]
pub struct Gemini;

export_streaming_provider!(Gemini);

/// What `start` hands to `resume`.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// The model asked, without `models/`.
    model: String,
    /// Tool names that were changed.
    names: Names,
    /// Whether the request offers tools.
    tools: bool,
    /// How many tool calls the conversation holds: the first number for an id that must be made.
    calls: usize,
    /// Stop sequences beyond those that the API takes.
    stops: Vec<String>,
    /// The beginning of the answer, which the server has given, for a model that can't be made to go on with it.
    beginning: Option<String>,
}

impl Provider for Gemini {
    fn describe() -> Description {
        Description {
            name: "gemini".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Gemini models, by Google's Gemini API".to_owned(),
            accepts: ["image", "audio", "tools"].map(str::to_owned).to_vec(),
            models: models::catalogue(),
            default_model: Some(models::DEFAULT.to_owned()),
            endpoint: Some(SuggestedEndpoint {
                url: "https://generativelanguage.googleapis.com".to_owned(),
                // `_base_url.py`
                env: Some("GOOGLE_GEMINI_BASE_URL".to_owned()),
            }),
            credential: Some(SuggestedCredential {
                scheme: "header".to_owned(),
                name: Some("x-goog-api-key".to_owned()),
                env: Some("GEMINI_API_KEY".to_owned()),
                optional: false,
            }),
            settings_schema: settings::SCHEMA.to_owned(),
            extensions: USAGE.to_owned(),
        }
    }

    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        let settings = Settings::parse(&options.settings)?;
        request::fetch(&request, &options.model, &settings).map(Step::from)
    }

    fn resume(state: Vec<u8>, mut response: HttpResponse) -> Result<Step, Error> {
        http::tidy(&mut response);
        let response = assembled::<Chunks>(&state, &response)?.unwrap_or(response);
        let state: State = state::from_bytes(&state)?;
        if !(200..=299).contains(&response.status) {
            return Err(error::of_response(&response, &state.model));
        }
        let (result, usage) = response::read(&state, &response)?;
        Ok(Step::Done(Completion { result, usage, extensions: String::new() }))
    }
}

impl StreamingProvider for Gemini {
    fn next(state: Vec<u8>, events: Vec<Event>) -> Result<StreamingStep, Error> {
        next::<Self, Chunks>(state, events)
    }
}

#[cfg(test)]
mod tests;
