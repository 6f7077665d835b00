//! A refusal's status and body as a typed error.
//!
//! The body is `{"error": "…"}` (`docs/api/errors.mdx`); the kind is in its words, as `server/routes.go`, `server/sched.go`
//! and llama.cpp's server put them.

use serde_json::Value;
use understudy_plugin::error::{kind_of_status, provider, unsupported};
use understudy_plugin::http;
use understudy_plugin::refusal::message;
use understudy_plugin::text::one_line;
use understudy_plugin::types::{Error, HttpResponse};

/// The error that an answer with a status other than 2xx stands for.
pub(crate) fn of_response(response: &HttpResponse, model: &str) -> Error {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    of_body(&body, response, model)
}

/// The error that a body stands for, or its `error`.
pub(crate) fn of_body(body: &Value, response: &HttpResponse, model: &str) -> Error {
    let status = response.status;
    let found = message(body);
    let said = found.as_deref();
    let mut message = match (said, http::beginning(&response.body)) {
        (Some(message), _) => one_line(message),
        (None, beginning) if beginning.is_empty() => format!("status {status}, and nothing else"),
        (None, beginning) => format!("status {status}: `{beginning}`"),
    };
    let kind = kind(status, said.unwrap_or_default());
    if kind == UNSUPPORTED {
        return unsupported(message);
    }
    if let Some(remedy) = remedy(kind, said, model) {
        message = format!("{message} ({remedy})");
    }
    let waits = matches!(kind, "rate-limited" | "overloaded" | "unavailable");
    provider(kind, status, message, http::retry_after_ms(response).filter(|_| waits))
}

/// Stands for the contract's `unsupported` among the kinds.
const UNSUPPORTED: &str = "unsupported";

fn kind(status: u16, message: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    // What the setting `think` asked for: another model of the chain would be asked for it too.
    if says(&["does not support thinking"]) {
        return "invalid-request";
    }
    if says(&[
        "does not support",
        "only supports one image",
        "image input is not supported",
        "missing data required for image input",
    ]) {
        return UNSUPPORTED;
    }
    if says(&["available context size", "context length", "prompt too long"]) {
        return "context-too-long";
    }
    if says(&["server busy", "maximum pending requests exceeded"]) {
        return "overloaded";
    }
    if message.starts_with("model ") && says(&["not found"]) {
        return "not-found";
    }
    match status {
        // ollama.com: "you have reached your weekly usage limit, …".
        402 | 429 if says(&["usage limit"]) => "quota-exceeded",
        // "request canceled": the server gave up on loading the model.
        499 => "unavailable",
        // A failure reported with a status of success.
        200..=299 => "internal",
        _ => kind_of_status(status),
    }
}

/// What the user can do about it.
fn remedy(kind: &str, said: Option<&str>, model: &str) -> Option<String> {
    Some(match kind {
        "not-found" if said.is_some() => format!("`ollama pull {model}` gets it"),
        "not-found" => "check the plugin's `endpoint`".to_owned(),
        "context-too-long" => "`numCtx` in the plugin's settings asks for a larger context".to_owned(),
        "unauthorized" => "`ollama signin`, or for ollama.com itself a key in OLLAMA_API_KEY".to_owned(),
        "invalid-request" if said.is_some_and(|said| said.contains("thinking")) => {
            "leave `think` out of the plugin's settings".to_owned()
        }
        _ => return None,
    })
}
