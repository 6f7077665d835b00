//! `anthropic`: Anthropic's Messages API (`POST /v1/messages`, version 2023-06-01).
//!
//! | module | what it holds |
//! | --- | --- |
//! | `settings` | what the user can set beyond what MCP says |
//! | `models` | the models worth choosing among |
//! | `wire` | the API's own structs |
//! | `request` | MCP's request to Anthropic's |
//! | `content` | content blocks, MCP's to Anthropic's |
//! | `response` | Anthropic's answer to MCP's result |
//! | `stream` | the events of a streamed answer, put together to a whole one |
//! | `refusal` | Anthropic's refusals to the contract's errors |
//!
//! An answer that may be long, or whose progress the server wants to see, is asked for as a stream, unless the setting
//! `stream` says otherwise; `response` reads both kinds.
//!
//! What the API can't carry is an `unsupported` error that names its place: audio, images other than jpeg, png, gif and webp,
//! bytes that are neither an image nor a PDF, blocks of unknown types.
//! What MCP has no block for (thinking, above all) travels in the `_meta` of the block that it precedes, and goes back to
//! the API before that block on the next turn. The rest is fitted:
//!
//! | MCP's | becomes |
//! | --- | --- |
//! | `temperature` over 1 | 1; left out for models that take none, while thinking, and beside the setting `topP` |
//! | `maxTokens` over what the model can write | what it can write |
//! | a stop sequence of white space, which the API refuses | a cut in the answer, made here |
//! | what Anthropic refuses beside thinking | the same, without the setting `thinking` |
//! | a blank text, which the API refuses | nothing, unless it is all that the user says: then an `invalid-request` |
//! | an empty answer in the conversation | nothing |
//! | a tool's name with other than letters, digits, `_`, `-` | one with `_` instead, and MCP's own again in the answer |
//! | tool uses in the conversation, but no `tools` | the used tools' names, with the tool choice `none` |
//! | `structuredContent` | its JSON as a text, unless a text is that JSON already |
//! | an embedded resource | a document titled by its address; an image |
//! | a resource link, an empty resource | its JSON as a text |
//! | `metadata` | `metadata.user_id`, the one field that there is a place for |

mod content;
mod models;
mod refusal;
mod request;
mod response;
mod settings;
mod stream;
mod wire;

use serde::{Deserialize, Serialize};
use understudy_plugin::names::Names;
use understudy_plugin::stream::{Event, StreamingProvider, StreamingStep};
use understudy_plugin::types::{
    CreateMessageRequest, Description, Error, HttpResponse, Options, Step, SuggestedCredential, SuggestedEndpoint,
};
use understudy_plugin::{Provider, export_streaming_provider, state};

/// The plugin.
#[derive(Debug)]
pub struct Anthropic;

export_streaming_provider!(Anthropic);

impl Provider for Anthropic {
    fn describe() -> Description {
        Description {
            name: "anthropic".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Claude models, by Anthropic's Messages API".to_owned(),
            accepts: ["image", "tools"].map(str::to_owned).to_vec(),
            models: models::all(),
            default_model: Some(models::DEFAULT.to_owned()),
            endpoint: Some(SuggestedEndpoint {
                url: "https://api.anthropic.com".to_owned(),
                env: Some("ANTHROPIC_BASE_URL".to_owned()),
            }),
            credential: Some(SuggestedCredential {
                scheme: "header".to_owned(),
                name: Some("x-api-key".to_owned()),
                env: Some("ANTHROPIC_API_KEY".to_owned()),
                optional: false,
            }),
            settings_schema: settings::schema(),
            extensions: String::new(),
        }
    }

    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        request::fetch(&request, &options).map(Step::from)
    }

    fn resume(state: Vec<u8>, response: HttpResponse) -> Result<Step, Error> {
        let state: State = state::from_bytes(&state)?;
        response::completion(&response, &state).map(Step::Done)
    }
}

impl StreamingProvider for Anthropic {
    fn next(state: Vec<u8>, events: Vec<Event>) -> Result<StreamingStep, Error> {
        understudy_plugin::stream::next::<Self, stream::Assembly>(state, events)
    }
}

/// What `resume` has to know of the request.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// The model that was asked.
    model: String,
    /// The names of the tools that were offered.
    tools: Vec<String>,
    /// Tool names that were changed.
    names: Names,
    /// The stop sequences that the API doesn't take.
    stops: Vec<String>,
}

#[cfg(test)]
mod tests;
