//! Strict stand-ins for providers.
//!
//! Each module answers requests of one provider format: `answer` refuses, in the provider's own error body, what the provider's
//! documentation and public reports say that it refuses for the model that the request names; otherwise it gives an answer of the
//! provider's form, whole or as a stream. Each rule has its source beside it. The answers depend on the request alone, so a test
//! that fails once fails always.
//!
//! | module | provider |
//! | --- | --- |
//! | `anthropic` | Anthropic's Messages API |
//! | `openai_chat` | Chat Completions: OpenAI's, and the dialects of compatible servers |
//! | `openai_responses` | OpenAI's Responses API |
//! | `gemini` | Google's `generateContent` |
//! | `ollama` | Ollama's `/api/chat` |
//!
//! What the providers' own packages say about the shape of a body (`tests/peers/python/validate_*.py`) isn't said again here: a
//! stand-in knows what differs by model, and what depends on other parts of the request.
#![expect(clippy::indexing_slicing, reason = "a member that is missing reads as null")]

pub mod anthropic;
pub mod gemini;
mod media;
pub mod ollama;
pub mod openai_chat;
mod openai_models;
pub mod openai_responses;
mod plan;
mod schema;

use std::collections::BTreeMap;
use std::fmt::Write;

pub use self::plan::Said;

use serde_json::{Value, json};

/// A request to a provider.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The path, with the query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Value,
    /// Whether signatures and encrypted reasoning that no stand-in made pass: those of a fixture come from the provider itself.
    pub recorded: bool,
    /// Whether the model is to call a tool, which some models can be told in words alone.
    pub is_told_to_call: bool,
    /// Varies the answer. Without it the answer leads a loop of tool calls to its end: each tool is called once, then comes a text.
    pub seed: Option<u64>,
}

impl Request {
    /// The request of a fixture's exchange.
    #[must_use]
    pub fn of_fixture(request: &Value) -> Self {
        let headers = request["headers"].as_object().into_iter().flatten();
        Self {
            path: text(&request["path"]).to_owned(),
            headers: headers.map(|(name, value)| (name.to_lowercase(), text(value).to_owned())).collect(),
            body: request["body"].clone(),
            recorded: false,
            is_told_to_call: false,
            seed: None,
        }
    }
}

/// What a provider answers.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// What follows it.
    pub body: Body,
    /// What a client must read out of it.
    pub said: Said,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub enum Body {
    /// JSON.
    Whole(Value),
    /// Server-sent events: the name, if there is one, and the data. A text stands there as it is.
    Events(Vec<(Option<&'static str>, Value)>),
    /// Lines of JSON.
    Lines(Vec<Value>),
}

impl Response {
    fn saying(body: Body, said: Said) -> Self {
        Self { status: 200, body, said }
    }

    fn refusing(status: u16, body: Value) -> Self {
        Self { status, body: Body::Whole(body), said: Said::default() }
    }

    /// Whether the request was refused.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.status >= 400
    }

    /// The answer as a fixture has it.
    #[must_use]
    pub fn to_fixture(&self) -> Value {
        let headers = json!({ "content-type": self.content_type() });
        match &self.body {
            Body::Whole(body) => json!({ "status": self.status, "headers": headers, "body": body }),
            Body::Events(events) => {
                let events: Vec<Value> =
                    events.iter().map(|(name, data)| json!({ "event": name, "data": data })).collect();
                json!({ "status": self.status, "headers": headers, "events": events })
            }
            Body::Lines(lines) => {
                let events: Vec<Value> = lines.iter().map(|data| json!({ "data": data })).collect();
                json!({ "status": self.status, "headers": headers, "events": events })
            }
        }
    }

    /// The content type of the body.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match &self.body {
            Body::Whole(_) => "application/json",
            Body::Events(_) => "text/event-stream",
            Body::Lines(_) => "application/x-ndjson",
        }
    }

    /// The body's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = String::new();
        match &self.body {
            Body::Whole(body) => out.push_str(&body.to_string()),
            Body::Events(events) => {
                for (name, data) in events {
                    if let Some(name) = name {
                        // Writing to a string doesn't fail.
                        let _ = writeln!(out, "event: {name}");
                    }
                    let data = data.as_str().map_or_else(|| data.to_string(), str::to_owned);
                    let _ = write!(out, "data: {data}\n\n");
                }
            }
            Body::Lines(lines) => {
                for line in lines {
                    let _ = writeln!(out, "{line}");
                }
            }
        }
        out.into_bytes()
    }
}

/// A tool call in a conversation, as its provider reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// The tool's name on the wire.
    pub name: String,
    /// The arguments.
    pub input: Value,
    /// All the text of the result that belongs to it.
    pub result: Option<String>,
}

/// A text, or an empty one.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The items of a list, none for anything else.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Whether it is 1 to `most` characters of letters, digits, and these.
fn is_name(text: &str, others: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// The same number for the same JSON.
fn digest(value: &Value) -> u64 {
    // FNV-1a.
    value
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// An id that is one of its own for each request and call.
fn id_of(seed: u64, n: usize) -> String {
    format!("{seed:016x}{n}")
}
