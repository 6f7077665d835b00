//! From Anthropic's refusals to the contract's errors.

use serde_json::Value;
use understudy_plugin::refusal::message;
use understudy_plugin::text::one_line;
use understudy_plugin::types::{Error, HttpResponse};
use understudy_plugin::{error, http};

/// The error for an answer that isn't a message: of a status that isn't 2xx, or an error in spite of it.
pub(crate) fn error(response: &HttpResponse, model: &str) -> Error {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let said = body.get(0).unwrap_or(&body).pointer("/error/type").and_then(Value::as_str).unwrap_or_default();
    let found = message(&body);
    let kind = kind(said, found.as_deref().unwrap_or_default(), response.status);
    let mut message = found.map_or_else(
        || match (said, http::beginning(&response.body).as_str()) {
            ("", "") => format!("status {} with an empty body", response.status),
            ("", beginning) => format!("status {}, and not in Anthropic's format: `{beginning}`", response.status),
            (said, _) => said.to_owned(),
        },
        |found| one_line(&found),
    );
    if let Some(remedy) = remedy(kind, said, &message, model) {
        message = format!("{message} ({remedy})");
    }
    error::provider(kind, response.status, message, http::retry_after_ms(response))
}

/// What the user can do about it, where Anthropic's message doesn't say.
fn remedy(kind: &str, said: &str, message: &str, model: &str) -> Option<String> {
    Some(match (kind, said) {
        ("unauthorized", _) => {
            "check the credential, which is usually in ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN".to_owned()
        }
        ("not-found", "not_found_error") => format!("`{model}` was asked for: choose another by the plugin's `model`"),
        ("not-found", _) => "check the plugin's `endpoint`".to_owned(),
        ("invalid-request", _) if message.contains("`temperature`") => {
            r#"`"extra": {"temperature": null}` in the plugin's settings leaves it out"#.to_owned()
        }
        ("invalid-request", _) if message.contains("prefill") => {
            r#"`"profile": {"prefill": false}` in the plugin's settings says that the model takes none"#.to_owned()
        }
        ("invalid-request", _) if message.contains("tool_choice") => {
            r#"`"profile": {"forcedTools": false}` in the plugin's settings says that the model can't be forced"#
                .to_owned()
        }
        _ => return None,
    })
}

/// The contract's kind for Anthropic's error type ("Errors"), or for the status where the type says nothing.
///
/// Some of what the contract tells apart is an `invalid_request_error` to Anthropic, and only its message says which.
fn kind(said: &str, message: &str, status: u16) -> &'static str {
    match said {
        "invalid_request_error" => kind_of_invalid_request(message),
        "authentication_error" => "unauthorized",
        "billing_error" => "quota-exceeded",
        "permission_error" => "forbidden",
        "not_found_error" => "not-found",
        "request_too_large" => "context-too-long",
        "rate_limit_error" => "rate-limited",
        "timeout_error" => "unavailable",
        "overloaded_error" => "overloaded",
        _ if (200..300).contains(&status) => "internal",
        _ => error::kind_of_status(status),
    }
}

fn kind_of_invalid_request(message: &str) -> &'static str {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    if says("prompt is too long") || says("exceed context limit") {
        "context-too-long"
    } else if says("credit balance is too low") || says("api usage limits") {
        "quota-exceeded"
    } else if says("content filtering policy") {
        "content-filtered"
    } else {
        "invalid-request"
    }
}
