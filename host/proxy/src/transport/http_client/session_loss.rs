//! How a server says that a session is no more. The specification has 404 for it; servers say it with many a status, in JSON and in plain words.

use reqwest::StatusCode;
use serde::Deserialize;

use super::refusal::{MOST_OF_A_REFUSAL, refusal};

/// What is said of a session that is no more.
const GONE: [&str; 21] = [
    "not found",
    "no valid",
    "not valid",
    "invalid",
    "unknown",
    "no such",
    "not exist",
    "n't exist",
    "find",
    "expired",
    "terminated",
    "closed",
    "ended",
    "missing",
    "recognized",
    "recognised",
    "no active",
    "inactive",
    "no longer",
    "gone",
    "required",
];

/// What a server says that nobody has initialized: it has been started anew.
const UNINITIALIZED: [&str; 4] = ["not initialized", "not been initialized", "uninitialized", "not initialised"];

/// What a message told the server of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionContext {
    /// Nothing: it has none yet, or never.
    Nothing,
    /// Nothing, and yet the server has one: it gave it no id.
    Initialized,
    /// Which one it is.
    Session,
}

/// Whether a refusal means that the session is no more.
pub(super) fn is_meant(status: StatusCode, body: &[u8], told: SessionContext) -> bool {
    // A server that fails (5xx) may have done what it was asked.
    let is_refusal = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
    match told {
        SessionContext::Nothing => false,
        SessionContext::Initialized => is_refusal && says(body, &UNINITIALIZED),
        SessionContext::Session => match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => true,
            StatusCode::BAD_REQUEST if is_about_session(body) => true,
            _ => is_refusal && is_said(body),
        },
    }
}

/// Whether a text says that a session is no more.
pub(super) fn is_said(body: &[u8]) -> bool {
    says(body, &UNINITIALIZED) || (says(body, &["session"]) && says(body, &GONE))
}

/// Whether a JSON-RPC error speaks of the session at all.
fn is_about_session(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let error = refusal(body).and_then(|error| serde_json::from_str::<Message>(error.get()).ok());
    error.is_some_and(|error| error.message.to_lowercase().contains("session"))
}

/// Whether one of these words is in the text, unless that is a page.
fn says(body: &[u8], words: &[&str]) -> bool {
    let text = String::from_utf8_lossy(body.get(..MOST_OF_A_REFUSAL).unwrap_or(body)).to_lowercase();
    !text.trim_start().starts_with('<') && words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(status: u16, body: &str, told: SessionContext) -> bool {
        is_meant(StatusCode::from_u16(status).unwrap(), body.as_bytes(), told)
    }

    #[test]
    fn a_forgotten_session_is_known_in_whatever_form_servers_say_it() {
        let invalid = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#;
        let uninitialized =
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#;
        for (status, body) in [
            (404, ""),
            (410, ""),
            (400, invalid),
            (400, uninitialized),
            (400, "invalid session id"),
            (400, r#"{"error":"Unknown session"}"#),
            (401, "Unauthorized: Session not found"),
            (403, "Session has expired"),
            (409, r#"{"detail":"No such session"}"#),
            (422, "Could not find session"),
        ] {
            assert!(meant(status, body, SessionContext::Session), "{status} {body}");
            assert!(!meant(status, body, SessionContext::Nothing), "{status} {body}");
            assert_eq!(meant(status, body, SessionContext::Initialized), body == uninitialized, "{status} {body}");
        }
        for (status, body) in [
            (400, "missing tenant header"),
            (401, "invalid token"),
            (403, "<html>Your session has expired</html>"),
            (429, "too many sessions, invalid"),
            (500, "session not found"),
        ] {
            assert!(!meant(status, body, SessionContext::Session), "{status} {body}");
        }
    }
}
