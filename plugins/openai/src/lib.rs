//! `openai`: OpenAI's Chat Completions API, and every server that speaks it (vLLM, llama.cpp, LM Studio, Groq, Mistral,
//! OpenRouter, LiteLLM, Azure, …); by the setting `api`, OpenAI's Responses API.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `settings` | what the user's config can say |
//! | `models` | the catalogue, and what a model's name tells about the parameters it takes |
//! | `dialect` | what compatible servers take and refuse |
//! | `chat` | Chat Completions: request out, answer in |
//! | `responses` | the Responses API: request out, answer in |
//! | `media` | images, audio and documents that the APIs take |
//! | `tool_result` | a tool's answer as pieces |
//! | `tools` | what both APIs want said of tools |
//! | `stream` | the pieces of a streamed answer, by their API |
//! | `answer` | what both APIs' answers have in common |
//! | `error` | a refusal's status and body as a typed error |
//!
//! Facts about the wire come from the request and response types of the `openai` package for Python, 3.52.0
//! (`tests/peers/python/validate_openai.py` holds the fixtures against them); other sources stand at their place.
//!
//! An answer that may be long, or whose progress the server wants to see, is asked for as a stream, unless the setting
//! `stream` says otherwise. Each API's `stream` puts the pieces together to the body of a whole answer, and its `response`
//! reads that.
//!
//! What has no place in either API and isn't part of the conversation is left out: `_meta`, `annotations`, a tool's
//! `outputSchema`. What is part of it is never left out: it is an `unsupported` error.

mod answer;
mod chat;
mod dialect;
mod error;
mod media;
mod models;
mod responses;
mod settings;
mod stream;
mod tool_result;
mod tools;

use serde::{Deserialize, Serialize};
use understudy_plugin::stream::{Event, StreamingProvider, StreamingStep, assembled};
use understudy_plugin::types::{
    CreateMessageRequest, Description, Error, HttpResponse, Options, Step, SuggestedCredential, SuggestedEndpoint,
};
use understudy_plugin::{Provider, error as errors, export_streaming_provider, http, state};

use crate::settings::{Api, Settings};

/// Where the parts of the counts are in `usage.details`, for the host's ledger.
const USAGE: &str = r#"{
    "usage": {
        "cacheRead":["/prompt_tokens_details/cached_tokens","/input_tokens_details/cached_tokens"],
        "cacheWrite":["/prompt_tokens_details/cache_write_tokens","/input_tokens_details/cache_write_tokens"],
        "reasoning":["/completion_tokens_details/reasoning_tokens","/output_tokens_details/reasoning_tokens"]
    }
}"#;

/// The plugin.
#[derive(Debug)]
pub struct OpenAi;

export_streaming_provider!(OpenAi);

/// What `start` hands to `resume`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Chat(chat::State),
    Responses(responses::State),
}

impl Provider for OpenAi {
    fn describe() -> Description {
        Description {
            name: "openai".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "OpenAI's Chat Completions and Responses APIs, and the servers that are compatible with them"
                .to_owned(),
            accepts: ["image", "audio", "tools"].map(str::to_owned).to_vec(),
            models: models::catalogue(),
            default_model: Some(models::DEFAULT.to_owned()),
            endpoint: Some(SuggestedEndpoint {
                url: "https://api.openai.com/v1".to_owned(),
                env: Some("OPENAI_BASE_URL".to_owned()),
            }),
            credential: Some(SuggestedCredential {
                scheme: "bearer".to_owned(),
                name: None,
                env: Some("OPENAI_API_KEY".to_owned()),
                optional: false,
            }),
            settings_schema: settings::SCHEMA.to_owned(),
            extensions: USAGE.to_owned(),
        }
    }

    fn start(request: CreateMessageRequest, options: Options) -> Result<Step, Error> {
        let settings = Settings::parse(&options.settings)?;
        if options.model.is_empty() {
            return Err(errors::invalid_request("no model is chosen; name one in the plugin's `model`"));
        }
        match settings.api {
            Api::Chat => chat::start(&request, &options, &settings),
            Api::Responses => responses::start(&request, &options, &settings),
        }
    }

    fn resume(state: Vec<u8>, mut response: HttpResponse) -> Result<Step, Error> {
        if let Some(whole) = assembled::<stream::Assembly>(&state, &response)? {
            response = whole;
        }
        http::tidy(&mut response);
        match state::from_bytes(&state)? {
            State::Chat(state) => chat::resume(state, &response),
            State::Responses(state) => responses::resume(state, &response),
        }
    }
}

impl StreamingProvider for OpenAi {
    fn next(state: Vec<u8>, events: Vec<Event>) -> Result<StreamingStep, Error> {
        understudy_plugin::stream::next::<Self, stream::Assembly>(state, events)
    }
}

#[cfg(test)]
mod tests;
