//! A client of the modern era has said its first: in which era is the server spoken to?
//!
//! A server that takes `initialize` has sessions, whatever else it speaks. `server/discover` tells whether it speaks the modern era: a result, or an
//! error that only that era has (-32020 to -32022), means that it does; any other error, or silence, that it doesn't.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mcp::envelope::request_meta;
use mcp::{
    Envelope, ErrorObject, Head, INPUT_REQUIRED, Kind, Parts, RawObject, build, code, error_line, method, request_line,
    revision,
};
use serde_json::Value;
use tokio::sync::mpsc;

use super::outlet::Outlet;
use super::session::Session;
use super::{Spoken, Terms, modern, upgrade};
use crate::config::{EraChoice, Sampling};
use crate::sampling::Sampler;
use crate::text::one_line;
use crate::transport::back::Again;
use crate::transport::{Incoming, Message, Side};

/// Our id for it.
pub(super) const PROBE: &[u8] = b"\"understudy-discover\"";

/// How long a server may take to answer it. The SDKs' clients wait as long.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may be silent about `initialize` before it is asked `server/discover` as well. Servers that speak only the newest revision may
/// leave unanswered what they don't know; one that is slow to start answers the first of the two first.
const SILENCE: Duration = Duration::from_secs(2);

/// Relays for a modern client.
///
/// A server may speak both eras. It is asked for a session first, unless the rule has it otherwise: there it can ask for a completion in either way.
pub(super) async fn meet(
    (front, mut back): (Side, Side),
    by: (Sampling, Arc<Sampler>),
    terms: Terms,
    mut again: Option<Again>,
    (first, envelope, mut spoken): (Message, Envelope, Spoken),
) {
    let meta = envelope.members();
    let to_front = Outlet::new(front.outgoing.clone());
    let is_session_first = by.0.era == EraChoice::Sessions;
    if !is_session_first {
        if discover(&back.outgoing, &mut back.incoming, &to_front, &meta).await.is_some() {
            drop(again);
            return modern::run(front, back, by, terms, (first, spoken)).await;
        }
        start_again_if_ended(&mut back, &mut again, method::SERVER_DISCOVER).await;
    }
    let session = Session::new(Some(by.clone()), terms.clients);
    let initialize = upgrade::initialize(&session, terms.clients, &meta);
    let refusal = match greet(initialize, &mut back, &mut spoken.by_back, &meta, SILENCE).await {
        Greeted::Session => {
            drop(again);
            return upgrade::run(front, back, (session, by.1), terms, (first, spoken)).await;
        }
        Greeted::Stateless => None,
        Greeted::Refused(why) => Some(why),
    };
    let is_stateless = match &refusal {
        None => true,
        Some(_) if is_session_first => {
            start_again_if_ended(&mut back, &mut again, method::INITIALIZE).await;
            discover(&back.outgoing, &mut back.incoming, &to_front, &meta).await.is_some()
        }
        Some(_) => false,
    };
    drop(again);
    match refusal {
        Some(why) if !is_stateless => {
            let id = Head::of(&first.line).id().unwrap_or(b"null").to_vec();
            // If the client has gone, there is nobody to tell.
            let _ = to_front.send(error_line(&id, code::INTERNAL_ERROR, &why)).await;
            spoken.ended.cancel();
        }
        _ => modern::run(front, back, by, terms, (first, spoken)).await,
    }
}

/// Some servers end when they are asked in the way of an era that they don't speak: such a one is started again, once.
async fn start_again_if_ended(back: &mut Side, again: &mut Option<Again>, asked: &str) {
    if !(back.incoming.is_closed() && back.incoming.is_empty()) {
        return;
    }
    if let Some(again) = again.take() {
        tracing::info!("the server has ended when it was asked `{asked}`: it is started again, for the other era");
        match again.start().await {
            Ok(side) => *back = side,
            Err(error) => tracing::warn!("the server can't be started again: {error}"),
        }
    }
}

/// What a server makes of `initialize`.
enum Greeted {
    /// It has begun a session, or speaks as in one. What it has said is kept, its answer included.
    Session,
    /// It doesn't answer, and speaks the era without sessions.
    Stateless,
    /// It refuses, for this reason.
    Refused(String),
}

/// Asks a server for a session, and keeps what it says until its era is known.
async fn greet(
    initialize: Bytes,
    back: &mut Side,
    said: &mut VecDeque<Incoming>,
    meta: &RawObject,
    patience: Duration,
) -> Greeted {
    let ended = || Greeted::Refused("the server has ended".to_owned());
    if back.outgoing.send(initialize.into()).await.is_err() {
        return ended();
    }
    let mut probed = false;
    // What only a session has may have been said already.
    while !said.iter().any(is_of_session) && said.len() < super::MOST_EARLY {
        let incoming = match tokio::time::timeout(patience, back.incoming.recv()).await {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return ended(),
            // It may be slow to start, or say nothing to what it doesn't know.
            Err(_) if !std::mem::replace(&mut probed, true) => {
                tracing::info!(
                    "the server has not answered `initialize` for {patience:?}: `server/discover` is asked as well"
                );
                if back.outgoing.send(probe(meta).into()).await.is_err() {
                    return ended();
                }
                continue;
            }
            Err(_) => continue,
        };
        if let Incoming::Message(message) = &incoming {
            let head = Head::of(&message.line);
            match (head.kind(), head.id()) {
                (Kind::Response, Some(PROBE)) if spoken(&message.line).is_some() => return Greeted::Stateless,
                (Kind::Response, Some(PROBE)) => continue,
                (Kind::Response, Some(upgrade::INITIALIZE)) => {
                    if let Some(why) = refusal(&message.line) {
                        return Greeted::Refused(why);
                    }
                    said.push_back(incoming);
                    return Greeted::Session;
                }
                _ => {}
            }
        }
        said.push_back(incoming);
    }
    Greeted::Session
}

/// Whether only a server with a session says this: it asks something.
fn is_of_session(incoming: &Incoming) -> bool {
    match incoming {
        Incoming::Message(message) => matches!(Head::of(&message.line).kind(), Kind::Request | Kind::Batch),
        Incoming::TooLong { .. } => false,
    }
}

/// Why a server refuses `initialize`, if it does.
pub(super) fn refusal(answer: &Bytes) -> Option<String> {
    match Parts::of(answer) {
        Ok(parts) => parts.error.map(|error| {
            let said = one_line(&error.message, 500);
            format!("the server refused `initialize`: {said} (code {})", error.code)
        }),
        Err(error) => Some(format!("the server's answer to `initialize`: {error}")),
    }
}

/// What a server says of itself; `None` if it doesn't speak the modern era.
pub(super) async fn discover(
    to_back: &mpsc::Sender<Message>,
    from_back: &mut mpsc::Receiver<Incoming>,
    to_front: &Outlet,
    meta: &RawObject,
) -> Option<RawObject> {
    to_back.send(probe(meta).into()).await.ok()?;
    let answer = async {
        while let Some(incoming) = from_back.recv().await {
            let Incoming::Message(message) = incoming else { continue };
            let head = Head::of(&message.line);
            if head.kind() == Kind::Response && matches!(head.id(), Some(PROBE)) {
                return Some(message.line);
            }
            // Whatever else it says is the client's.
            to_front.send(message).await;
        }
        None
    };
    let line = tokio::time::timeout(PATIENCE, answer).await.ok()??;
    spoken(&line)
}

/// Our `server/discover`.
pub(super) fn probe(meta: &RawObject) -> Bytes {
    let mut params = RawObject::default();
    params.set("_meta", meta.raw());
    request_line(PROBE, method::SERVER_DISCOVER, &params)
}

/// What an answer to `server/discover` tells.
pub(super) fn spoken(line: &Bytes) -> Option<RawObject> {
    let parts = Parts::of(line).ok()?;
    if let Some(error) = parts.error {
        return is_modern(&error).then(RawObject::default);
    }
    let result = RawObject::of(parts.result?)?;
    let versions: Vec<String> = result.get("supportedVersions").and_then(|raw| serde_json::from_str(raw.get()).ok())?;
    versions.iter().any(|version| version == revision::LATEST_STATELESS).then_some(result)
}

/// Whether an error is one that only the modern era has (2026-07-28, "Errors"), and of a server that speaks it: one that knows the error for
/// unknown revisions may know earlier revisions alone.
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

/// What SDKs say whose tool asked in the way of the other era.
#[derive(Debug)]
pub(super) struct Hint {
    words: &'static [&'static str],
    remedy: &'static str,
    said: AtomicBool,
}

/// Such an answer is short.
const SHORT: usize = 4096;

impl Hint {
    /// To a server that has a session.
    pub(super) fn in_a_session() -> Self {
        Self {
            words: &["InputRequired", INPUT_REQUIRED, "Handler returned an invalid result"],
            remedy: "if its tools ask by `input_required`, `--era client` (`\"era\": \"client\"` in `sampling`) lets them",
            said: AtomicBool::new(false),
        }
    }

    /// To a server that has none.
    pub(super) fn without_session() -> Self {
        Self {
            words: &["no back-channel"],
            remedy: "its tools ask by a request of a session's; if the server speaks an earlier revision, too, `--era sessions` (the default) lets them",
            said: AtomicBool::new(false),
        }
    }

    /// Says once what may help, if this answer is one of these.
    pub(super) fn about(&self, answer: &[u8]) {
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
        let tells = |answer: &str| spoken(&Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,{answer}}}"#))).is_some();
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

    #[tokio::test]
    async fn a_server_that_is_silent_about_sessions_is_asked_for_the_other_era_as_well() {
        for (answer, is_stateless) in [
            (r#""id":"understudy-discover","result":{"supportedVersions":["2026-07-28"],"capabilities":{}}"#, true),
            (r#""id":"understudy-initialize","result":{"protocolVersion":"2025-11-25"}"#, false),
        ] {
            let (mut back, mut server) = Side::pair();
            let server = tokio::spawn(async move {
                let mut heard = Vec::new();
                for _ in 0..2 {
                    heard.push(Head::of(&server.incoming.recv().await.unwrap().line).method().unwrap().to_owned());
                }
                let line = Bytes::from(format!("{{\"jsonrpc\":\"2.0\",{answer}}}\n"));
                server.outgoing.send(Incoming::Message(line.into())).await.unwrap();
                (heard, server)
            });
            let initialize = request_line(upgrade::INITIALIZE, method::INITIALIZE, &RawObject::default());
            let mut said = VecDeque::new();
            let greeted = greet(initialize, &mut back, &mut said, &own_meta(), Duration::from_millis(1)).await;
            assert_eq!(matches!(greeted, Greeted::Stateless), is_stateless);
            assert_eq!((matches!(greeted, Greeted::Session), said.len()), (!is_stateless, usize::from(!is_stateless)));
            let (heard, _server) = server.await.unwrap();
            assert_eq!(heard, ["initialize", "server/discover"]);
        }
    }
}
