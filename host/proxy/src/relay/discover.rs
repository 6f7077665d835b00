//! `server/discover`: asking a server whether it speaks the stateless revision, and what it answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mcp::envelope::request_meta;
use mcp::{ErrorObject, Head, INPUT_REQUIRED, Kind, Parts, RawObject, build, code, method, request_line, revision};
use serde_json::Value;
use tokio::sync::mpsc;

use super::closable_sender::ClosableSender;
use super::common::keep_early;
use crate::transport::{Incoming, Message};
use understudy::text::one_line;

/// The id of our `server/discover`.
pub(super) const DISCOVER_ID: &[u8] = b"\"understudy-discover\"";

/// How long a server may take to answer it. The SDKs' clients wait as long: 10 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a server for its `DiscoverResult`; `None` if it doesn't speak the stateless revision. Its other messages wait in `early`, behind those that
/// wait there already.
pub(super) async fn discover(
    to_back: &mpsc::Sender<Message>,
    from_back: &mut mpsc::Receiver<Incoming>,
    early: &mut VecDeque<Incoming>,
    to_front: &ClosableSender,
    meta: &RawObject,
) -> Option<RawObject> {
    to_back.send(discover_request(meta).into()).await.ok()?;
    let answer = async {
        while let Some(incoming) = from_back.recv().await {
            let other = match incoming {
                Incoming::Message(message) if is_answer(&message.line) => return Some(message.line),
                other => other,
            };
            if !keep_early(early, other, to_front).await {
                break;
            }
        }
        None
    };
    let line = tokio::time::timeout(PATIENCE, answer).await.ok()??;
    parse_discover(&line)
}

/// Whether a line answers our `server/discover`.
pub(super) fn is_answer(line: &Bytes) -> bool {
    let head = Head::of(line);
    head.kind() == Kind::Response && head.id() == Some(DISCOVER_ID)
}

/// Our `server/discover`.
pub(super) fn discover_request(meta: &RawObject) -> Bytes {
    let mut params = RawObject::default();
    params.set("_meta", meta.raw());
    request_line(DISCOVER_ID, method::SERVER_DISCOVER, &params)
}

/// Reads the answer to `server/discover`: the `DiscoverResult`, empty if the server speaks the revision and refuses the request; `None` if it
/// doesn't speak it.
pub(super) fn parse_discover(line: &Bytes) -> Option<RawObject> {
    let parts = Parts::of(line).ok()?;
    if let Some(error) = parts.error {
        return is_modern(&error).then(RawObject::default);
    }
    let result = RawObject::of(parts.result?)?;
    let versions: Vec<String> = result.get("supportedVersions").and_then(|raw| serde_json::from_str(raw.get()).ok())?;
    versions.iter().any(|version| version == revision::LATEST_STATELESS).then_some(result)
}

/// Whether an error shows that its server speaks the stateless revision (2026-07-28, basic, "Error Codes"). A server that knows
/// `UnsupportedProtocolVersion` may support earlier revisions alone.
fn is_modern(error: &ErrorObject) -> bool {
    match error.code {
        code::MISSING_CLIENT_CAPABILITY | code::HEADER_MISMATCH => true,
        code::UNSUPPORTED_PROTOCOL_VERSION => {
            error.data.get("supported").and_then(Value::as_array).is_none_or(|supported| {
                supported.iter().filter_map(Value::as_str).any(|version| version >= revision::LATEST_STATELESS)
            })
        }
        _ => false,
    }
}

/// `_meta` of a request of our own.
pub(super) fn own_meta() -> RawObject {
    let client = build::implementation("understudy", env!("CARGO_PKG_VERSION"));
    let client = serde_json::value::to_raw_value(&client).ok();
    request_meta(client.as_deref(), None)
}

/// Why a server refuses `initialize`; `None` if it doesn't.
pub(super) fn initialize_refusal(answer: &Bytes) -> Option<String> {
    match Parts::of(answer) {
        Ok(parts) => parts.error.map(|error| {
            let said = one_line(&error.message, 500);
            format!("the server refused `initialize`: {said} (code {})", error.code)
        }),
        Err(error) => Some(format!("the server's answer to `initialize`: {error}")),
    }
}

/// A hint for the user, given once: an answer shows that a tool asked in the way of the other era.
#[derive(Debug)]
pub(super) struct EraHint {
    words: &'static [&'static str],
    remedy: &'static str,
    said: AtomicBool,
}

/// The longest answer that is looked at, in bytes.
const SHORT: usize = 4096;

impl EraHint {
    /// For a server that has a session.
    pub(super) fn in_a_session() -> Self {
        Self {
            words: &["InputRequired", INPUT_REQUIRED, "Handler returned an invalid result"],
            remedy: "if its tools ask by `input_required`, `--era client` (`\"era\": \"client\"` in `sampling`) lets them",
            said: AtomicBool::new(false),
        }
    }

    /// For a server that has none.
    pub(super) fn without_session() -> Self {
        Self {
            words: &["no back-channel"],
            remedy: "its tools ask by a request of a session's; if the server speaks an earlier revision, too, `--era sessions` (the default) lets them",
            said: AtomicBool::new(false),
        }
    }

    /// Logs the remedy if this answer is one of these, once.
    pub(super) fn warn_once(&self, answer: &[u8]) {
        let is_one = |words: &&str| memchr::memmem::find(answer, words.as_bytes()).is_some();
        if answer.len() <= SHORT && self.words.iter().any(is_one) && !self.said.swap(true, Ordering::Relaxed) {
            let answer = one_line(&String::from_utf8_lossy(answer), 300);
            tracing::warn!("the server answers `{answer}`: {} (said once)", self.remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_the_era() {
        let tells =
            |answer: &str| parse_discover(&Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,{answer}}}"#))).is_some();
        assert!(tells(r#""result":{"supportedVersions":["2026-07-28"],"capabilities":{}}"#));
        assert!(tells(r#""error":{"code":-32021,"message":"missing capability"}"#));
        assert!(tells(r#""error":{"code":-32022,"message":"no","data":{"supported":["2025-11-25","2026-07-28"]}}"#));
        assert!(tells(r#""error":{"code":-32022,"message":"no"}"#));
        for legacy in [
            r#""result":{"supportedVersions":["2027-01-01"]}"#,
            r#""result":{}"#,
            r#""error":{"code":-32022,"message":"no","data":{"supported":["2025-06-18","2025-11-25"]}}"#,
            r#""error":{"code":-32601,"message":"Method not found"}"#,
            r#""error":{"code":-32602,"message":"Invalid request parameters"}"#,
        ] {
            assert!(!tells(legacy), "{legacy}");
        }
    }
}
