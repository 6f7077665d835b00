//! `anthropic`: Anthropic's Messages API (`POST /v1/messages`, version 2023-06-01).
//!
//! | module | what it holds |
//! | --- | --- |
//! | `settings` | what the user can set beyond what MCP says |
//! | `models` | the models worth choosing among, and what each takes |
//! | `wire` | the API's own structs |
//! | `request` | MCP's request to Anthropic's |
//! | `content` | content blocks, MCP's to Anthropic's |
//! | `binding` | what thinking is bound to |
//! | `response` | Anthropic's answer to MCP's result |
//! | `stream` | the events of a streamed answer, put together to a whole one |
//! | `again` | a second try, where the answer to the first shows that it is needed |
//! | `refusal` | Anthropic's refusals to the contract's errors |
//!
//! An answer that may be long, or whose progress the server wants to see, is asked for as a stream, unless the setting
//! `stream` says otherwise; `response` reads both kinds.
//!
//! What the API can't carry is an `unsupported` error that names its place: audio, images other than jpeg, png, gif and webp or
//! in an assistant's message, bytes that are neither an image nor a PDF, blocks of unknown types.
//! What MCP has no block for (thinking, above all) travels in the `_meta` of the block that it precedes, and goes back to
//! the API before that block on the next turn: to the model that it came from, and if the model binds it to what stood before it
//! only as long as that is the same. The rest is fitted:
//!
//! | MCP's | becomes |
//! | --- | --- |
//! | `temperature` over 1 | 1; left out for models that take none, while thinking, and beside the setting `topP` |
//! | `maxTokens` over what the model can write | what it can write |
//! | a stop sequence of white space, which the API refuses | a cut in the answer, made here |
//! | `toolChoice` `required`, for models that can't be forced | `auto`, and a sentence in the system prompt; an answer without a call is asked for once more |
//! | an answer that the server has begun, for models that refuse that | the same, and a user turn that asks to go on; what the model says again of the beginning is taken off |
//! | what Anthropic refuses beside thinking | the same, without the setting `thinking` |
//! | thinking that goes back and is refused all the same | the same request without it |
//! | a blank text, which the API refuses | nothing, unless it is all that the user says: then an `invalid-request` |
//! | an empty answer in the conversation | nothing |
//! | a tool's name or the id of a tool use with other than letters, digits, `_`, `-` | one with `_` instead, and MCP's own name again in the answer |
//! | a tool's `inputSchema` of a form that the API refuses | one that accepts the same |
//! | tool uses in the conversation, but no `tools` | the used tools' names, with the tool choice `none` |
//! | `structuredContent` | its JSON as a text, unless a text is that JSON already |
//! | an embedded resource | a document titled by its address; an image |
//! | a resource link, an empty resource | its JSON as a text |
//! | an image whose label isn't what its first bytes are | the image, with the right label |
//! | `metadata` | `metadata.user_id`, the one field that there is a place for |

mod again;
mod binding;
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
use understudy_plugin::schema::Shapes;
use understudy_plugin::stream::{Event, StreamingProvider, StreamingStep, assembled};
use understudy_plugin::types::{
    CreateMessageRequest, Description, Error, HttpResponse, Options, Step, SuggestedCredential, SuggestedEndpoint,
};
use understudy_plugin::{Provider, export_streaming_provider, http, state};

use crate::again::First;
use crate::binding::Digest;

/// Where the parts of the counts are in `usage.details`, for the host's ledger.
const USAGE: &str = r#"{
    "usage": {
        "cacheRead":["/cache_read_input_tokens"],
        "cacheWrite":["/cache_creation_input_tokens"]
    }
}"#;

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
            extensions: USAGE.to_owned(),
        }
    }

    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        request::fetch(&request, &options).map(Step::from)
    }

    fn resume(state: Vec<u8>, mut response: HttpResponse) -> Result<Step, Error> {
        http::tidy(&mut response);
        let response = assembled::<stream::Assembly>(&state, &response)?.unwrap_or(response);
        let mut state: State = state::from_bytes(&state)?;
        match response::completion(&response, &state) {
            Ok(answer) => again::checked(answer, state),
            Err(refusal) => match state.first.take() {
                Some(first) if first.is_refused_for_thinking(&refusal) => first.without_thinking(state),
                _ => Err(refusal),
            },
        }
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
    /// How the tools' arguments differ from MCP's.
    shapes: Shapes,
    /// The stop sequences that the API doesn't take.
    stops: Vec<String>,
    /// The beginning of the answer, which the server has given, for a model that can't be made to go on with it.
    beginning: Option<String>,
    /// The digest of all that was sent, for a model that binds its thinking to that.
    prefix: Option<Digest>,
    /// Whether a tool must be called, by a model that can't be forced to.
    must_call: bool,
    /// What a second try needs, if there may be one.
    first: Option<First>,
    /// The tokens read and written by a first try.
    spent: Option<(Option<u64>, Option<u64>)>,
}

#[cfg(test)]
mod tests;
