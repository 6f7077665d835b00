//! Why a message has no answer, in words, and the JSON-RPC error that the request gets in its place.

use bytes::Bytes;
use mcp::build::raw_error_line;
use mcp::{ErrorObject, code, error_line};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::refusal::{MOST_OF_A_REFUSAL, refusal};
use super::session_loss::{self, SessionContext};
use crate::oauth::Challenge;
use understudy::text::one_line;

/// The code of the error that a request without an answer gets.
const FAILED: i64 = code::INTERNAL_ERROR;

/// How much of a refusal is shown, in characters.
const SHOWN: usize = 200;

/// Why a message has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No connection.
    #[error("can't reach the server at {place}: {reason}")]
    Unreachable { place: String, reason: String },
    /// The connection ended before the answer.
    #[error("the server at {place} {how}; whether it did what it was asked is not known")]
    Broken { place: String, how: String },
    /// A stream ended, and there was nothing in it.
    #[error(
        "the server at {place} broke its answer off (the stream ended); whether it did what it was asked is not known"
    )]
    Ended { place: String },
    /// It wants to know who asks.
    #[error("the server at {place} lets nobody in without credentials (HTTP {status}{said}): {remedy}")]
    Unauthorized { place: String, status: StatusCode, said: String, remedy: &'static str },
    /// There is a login, and it doesn't help.
    #[error("the server at {place} lets nobody in (HTTP {status}{said}): {why}; log in again with `understudy auth`")]
    NoLogin { place: String, status: StatusCode, said: String, why: String },
    /// The login is good, and not good enough.
    #[error("the login at {place} isn't enough for that (HTTP {status}{said}): log in with `understudy auth{scopes}`")]
    NotEnough { place: String, status: StatusCode, said: String, scopes: String },
    /// It sends elsewhere.
    #[error(
        "the server at {place} sends its clients to {to} (HTTP {status}), which is not followed: write that URL instead"
    )]
    Elsewhere { place: String, to: String, status: StatusCode },
    /// It knows nothing of the session; in its own words.
    #[error("the server at {place} has forgotten the session{said}")]
    Forgotten { place: String, said: String },
    /// Any other refusal.
    #[error("the server at {place} answers HTTP {status}{said}{remedy}")]
    Refused { place: String, status: StatusCode, said: String, remedy: &'static str },
    /// It refuses in JSON-RPC: the error, as spelt.
    #[error("the server refuses: {}", one_line(.error.get(), SHOWN))]
    Answered { status: StatusCode, error: Box<RawValue> },
    /// The answer isn't what it should be.
    #[error("the server at {place} {what}")]
    Odd { place: String, what: String },
    /// It says something that is no message.
    #[error("the server at {place} says {what}")]
    Stray { place: String, what: String },
    /// The answer is too long.
    #[error("the server at {place} says something that is longer than `limits.line` allows ({limit} bytes)")]
    TooLong { place: String, limit: usize },
    /// The message can't go out.
    #[error("{0}")]
    Barred(String),
    /// A session that is there no more can't be begun again.
    #[error("the server has forgotten the session, and a new one can't be begun: {0}")]
    NotRenewed(Box<ClientError>),
}

impl ClientError {
    /// What a refusal of a login means: `why` it doesn't help.
    pub(super) fn of_login(place: &str, status: StatusCode, why: Option<String>, body: &[u8]) -> Option<Self> {
        let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let why = why.filter(|_| is_refusal)?;
        Some(Self::NoLogin { place: place.to_owned(), status, said: said(body), why })
    }

    /// The error that a server gives in JSON-RPC, made one where it isn't quite: clients wait for ever for what they can't read.
    pub(super) fn answered(status: StatusCode, error: Box<RawValue>) -> Self {
        #[derive(Deserialize)]
        struct Proper {
            #[serde(rename = "code")]
            _code: i64,
            #[serde(rename = "message")]
            _message: String,
        }
        if error.get().starts_with('{') && serde_json::from_str::<Proper>(error.get()).is_ok() {
            return Self::Answered { status, error };
        }
        let ErrorObject { code, message, .. } = serde_json::from_str(error.get()).unwrap_or_default();
        let message = if message.is_empty() { one_line(error.get(), SHOWN) } else { message };
        let code = if code == 0 { FAILED } else { code };
        let proper = serde_json::value::to_raw_value(&json!({ "code": code, "message": message, "data": &error }));
        Self::Answered { status, error: proper.unwrap_or(error) }
    }

    /// What a server says of the session, if this says that it is no more.
    pub(super) fn forgets(&self) -> Option<String> {
        match self {
            Self::Answered { error, .. } if session_loss::is_said(error.get().as_bytes()) => {
                Some(said(error.get().as_bytes()))
            }
            _ => None,
        }
    }

    /// What a refusal means; `authorizes` if a header of the config's says who asks.
    pub(super) fn refused(
        place: String,
        status: StatusCode,
        body: &[u8],
        told: SessionContext,
        authorizes: bool,
    ) -> Self {
        if session_loss::is_meant(status, body, told) {
            return Self::Forgotten { place, said: said(body) };
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let remedy = if authorizes {
                "the `Authorization` that it was given doesn't do"
            } else {
                "give it a header (`headers` in the config, `--header 'Authorization: Bearer …'`), or log in with `understudy auth`"
            };
            return Self::Unauthorized { place, status, said: said(body), remedy };
        }
        if let Some(error) = refusal(body) {
            return Self::answered(status, error);
        }
        let remedy = match status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                "; is it the URL of an MCP endpoint, path included?"
            }
            _ => "",
        };
        Self::Refused { place, status, said: said(body), remedy }
    }

    /// A refusal for want of scopes, if the server's challenge (`WWW-Authenticate`) says that it is one.
    pub(super) fn of_scopes(
        place: &str,
        status: StatusCode,
        challenge: Option<&Challenge>,
        body: &[u8],
    ) -> Option<Self> {
        let challenge = challenge?;
        if status != StatusCode::FORBIDDEN || !challenge.is_insufficient_scope() {
            return None;
        }
        let mut scopes = String::new();
        // It is for the user to copy into a shell: nothing goes in that could mean something there.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ":./_-".contains(c);
        for scope in &challenge.scopes {
            if scope.len() < SHOWN && scope.chars().all(is_plain) {
                scopes.push_str(" --scope ");
                scopes.push_str(scope);
            }
        }
        Some(Self::NotEnough { place: place.to_owned(), status, said: said(body), scopes })
    }

    /// The error for a request.
    pub(super) fn line(&self, id: &[u8]) -> Bytes {
        match self {
            Self::Answered { error, .. } => raw_error_line(id, error),
            other => error_line(id, FAILED, &other.to_string()),
        }
    }

    /// Whether the message surely did nothing, or does no harm if it comes twice: whether it may be sent again.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::Ended { .. })
    }

    /// The status that it refuses with.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } | Self::Answered { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The server's own code.
    pub(super) fn code(&self) -> Option<i64> {
        #[derive(Deserialize)]
        struct Code {
            code: i64,
        }
        let Self::Answered { error, .. } = self else { return None };
        serde_json::from_str::<Code>(error.get()).ok().map(|error| error.code)
    }

    /// Whether a server of the old HTTP+SSE transport could have said this to an `initialize`.
    pub(super) fn may_be_old(&self) -> bool {
        // What only the newest servers say.
        let is_modern = self.code().is_some_and(code::is_of_stateless_era);
        let old = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        !is_modern && self.status().is_some_and(|status| old.contains(&status))
    }
}

/// A body's first line with anything in it.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..MOST_OF_A_REFUSAL).unwrap_or(body)).into_owned();
    let line = text.lines().map(|line| one_line(line, SHOWN)).find(|line| !line.is_empty());
    line.map(|line| format!(": `{line}`")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> ClientError {
        let status = StatusCode::from_u16(status).unwrap();
        ClientError::refused("http://s/mcp".to_owned(), status, body.as_bytes(), SessionContext::Nothing, false)
    }

    #[test]
    fn a_login_that_is_not_enough_is_told_apart_and_only_plain_scopes_are_shown() {
        let of = |status: u16, challenge: &'static str| {
            let status = StatusCode::from_u16(status).unwrap();
            let challenge = Challenge::parse(challenge).unwrap();
            ClientError::of_scopes("`http://s/mcp`", status, Some(&challenge), b"").map(|trouble| trouble.to_string())
        };
        let challenge = r#"Bearer error="insufficient_scope", scope="files:write $(reboot) a/b""#;
        let said = of(403, challenge).unwrap();
        assert!(said.ends_with("log in with `understudy auth --scope files:write --scope a/b`"), "{said}");
        assert_eq!(of(401, challenge), None);
        assert_eq!(of(403, r#"Bearer error="invalid_token""#), None);
    }

    #[test]
    fn the_servers_own_error_is_the_answer_whatever_its_id() {
        for id in ["7", "null", "\"server-error\""] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32020,"message":"m","data":{{"x":1.0}}}}}}"#);
            let trouble = refused(400, &body);
            assert_eq!(trouble.code(), Some(-32020));
            assert!(!trouble.may_be_old());
            let line = trouble.line(b"\"a\"");
            assert_eq!(
                line,
                &br#"{"jsonrpc":"2.0","id":"a","error":{"code":-32020,"message":"m","data":{"x":1.0}}}
"#[..]
            );
        }
        let body = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"m"}}"#;
        assert!(refused(400, body).may_be_old());
    }

    #[test]
    fn an_error_that_is_not_quite_one_becomes_one() {
        let line = |error: &str| {
            let error = RawValue::from_string(error.to_owned()).unwrap();
            let line = ClientError::answered(StatusCode::OK, error).line(b"1");
            serde_json::from_slice::<serde_json::Value>(&line).unwrap()["error"].clone()
        };
        assert_eq!(
            line(r#"{"code":1.0,"message":"m"}"#),
            json!({ "code": 1, "message": "m", "data": { "code": 1.0, "message": "m" } })
        );
        assert_eq!(
            line(r#""quota exceeded""#),
            json!({ "code": FAILED, "message": "quota exceeded", "data": "quota exceeded" })
        );
        assert_eq!(line(r#"{"type":"x","message":"m"}"#)["code"], FAILED);
        let gone = RawValue::from_string(r#"{"code":-32000,"message":"Session expired"}"#.to_owned()).unwrap();
        assert_eq!(
            ClientError::answered(StatusCode::OK, gone).forgets().unwrap(),
            r#": `{"code":-32000,"message":"Session expired"}`"#
        );
        assert_eq!(line("[1]"), json!({ "code": FAILED, "message": "[1]", "data": [1] }));
        assert_eq!(line(r#"{"code":-1,"message":"m","x":1}"#), json!({ "code": -1, "message": "m", "x": 1 }));
    }

    #[test]
    fn other_refusals_show_their_first_line_and_the_remedy() {
        let text = refused(500, "\n <h1>Oops\x1b[31m</h1> \nmore").to_string();
        assert_eq!(text, "the server at http://s/mcp answers HTTP 500 Internal Server Error: `<h1>Oops [31m</h1>`");
        let text = refused(401, "").to_string();
        assert!(text.contains("--header"), "{text}");
        assert!(refused(404, "").to_string().contains("path included?"));
    }
}
