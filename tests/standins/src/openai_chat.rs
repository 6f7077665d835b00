//! Chat Completions: OpenAI's own, and what servers of its kind make of it.

mod dialect;
mod openai;
mod others;
mod say;

use serde_json::{Value, json};

pub use self::dialect::Dialect;
use crate::{Called, Request, Response, list, text};

/// Why a request is refused.
struct Refusal {
    status: u16,
    message: String,
    code: Option<&'static str>,
    param: Option<String>,
}

impl Refusal {
    fn of(message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into(), code: None, param: None }
    }

    fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    fn param(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }
}

/// The answer of a server that speaks this dialect.
#[must_use]
pub fn answer(request: &Request, dialect: Dialect) -> Response {
    match refusal(request, dialect) {
        Some(refusal) => refuse(&refusal, dialect),
        None => say::answer(request, dialect),
    }
}

fn refusal(request: &Request, dialect: Dialect) -> Option<Refusal> {
    let body = &request.body;
    if !body.is_object() {
        return Some(Refusal::of("We could not parse the JSON body of your request."));
    }
    let own = match dialect {
        Dialect::OpenAi | Dialect::Azure => openai::refusal(body),
        Dialect::Mistral => others::mistral(body),
        Dialect::Groq => others::groq(body),
        Dialect::Cerebras => others::cerebras(body),
        Dialect::Bedrock => others::bedrock(body),
        Dialect::DeepSeek => others::deepseek(body),
        Dialect::Xai => others::xai(body),
        Dialect::OpenRouter => others::openrouter(request),
        Dialect::Gemini => others::gemini(request),
        Dialect::Vllm => others::vllm(body),
        Dialect::LmStudio => others::lm_studio(body),
    };
    own.or_else(|| pairs(body))
}

fn refuse(refusal: &Refusal, dialect: Dialect) -> Response {
    let Refusal { status, message, code, param } = refusal;
    let body = match dialect {
        Dialect::Mistral => {
            json!({ "object": "error", "message": message, "type": "invalid_request_error", "param": null, "code": code })
        }
        Dialect::Gemini => json!([{ "error": { "code": status, "message": message, "status": "INVALID_ARGUMENT" } }]),
        Dialect::Xai => json!({ "code": "Client specified an invalid argument", "error": message }),
        Dialect::OpenRouter => json!({ "error": { "message": message, "code": status } }),
        Dialect::Vllm => {
            json!({ "error": { "message": message, "type": "BadRequestError", "param": null, "code": status } })
        }
        Dialect::LmStudio => json!({ "error": message }),
        Dialect::Cerebras => {
            json!({ "message": message, "type": "invalid_request_error", "param": "validation_error", "code": "wrong_api_format" })
        }
        _ => json!({ "error": { "message": message, "type": "invalid_request_error", "param": param, "code": code } }),
    };
    Response::refusing(*status, body)
}

/// Each tool call has its result right after it: platform.openai.com/docs/guides/function-calling, FoundationAgents/OpenManus#744.
fn pairs(body: &Value) -> Option<Refusal> {
    let mut open: Vec<&str> = Vec::new();
    for (i, message) in list(&body["messages"]).iter().enumerate() {
        if message["role"] == "tool" {
            let id = text(&message["tool_call_id"]);
            let Some(at) = open.iter().position(|known| *known == id) else {
                return Some(
                    Refusal::of("Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
                        .param(format!("messages.[{i}].role")),
                );
            };
            open.remove(at);
            continue;
        }
        if !open.is_empty() {
            return Some(unanswered(&open).param(format!("messages.[{i}].role")));
        }
        open = list(&message["tool_calls"]).iter().map(|call| text(&call["id"])).collect();
    }
    (!open.is_empty()).then(|| unanswered(&open))
}

fn unanswered(ids: &[&str]) -> Refusal {
    Refusal::of(format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following \
        tool_call_ids did not have response messages: {}",
        ids.join(", ")
    ))
}

/// The tool calls of the conversation, each with the result that has its id.
#[must_use]
pub fn calls(body: &Value) -> Vec<Called> {
    let mut found: Vec<(&str, Called)> = Vec::new();
    for message in list(&body["messages"]) {
        for call in list(&message["tool_calls"]) {
            let function = &call["function"];
            let input = serde_json::from_str(text(&function["arguments"])).unwrap_or_default();
            found.push((text(&call["id"]), Called { name: text(&function["name"]).to_owned(), input, result: None }));
        }
        if message["role"] == "tool" {
            let id = text(&message["tool_call_id"]);
            let mine = found.iter_mut().rev().find(|(known, called)| *known == id && called.result.is_none());
            if let Some((_, called)) = mine {
                called.result = Some(message["content"].to_string());
            }
        }
    }
    found.into_iter().map(|(_, called)| called).collect()
}

/// The parts of a message's content, a text being one.
fn parts(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        content => list(content).to_vec(),
    }
}
