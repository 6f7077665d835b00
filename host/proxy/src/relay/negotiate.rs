//! Version negotiation for a stateless client: which era is the server spoken to in?
//!
//! A server that takes `initialize` has sessions, whatever else it speaks. Otherwise `server/discover` tells: a result, or an error that only the
//! stateless era has, means that the server speaks it; any other error, or silence, means that it doesn't.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcp::{Envelope, Head, Kind, RawObject, code, error_line, method};

use super::bridge::modern_to_legacy;
use super::closable_sender::ClosableSender;
use super::common::{MOST_EARLY, Prelude, RelayOptions, is_for_the_client};
use super::discover::{DISCOVER_ID, discover, discover_request, initialize_refusal, parse_discover};
use super::modern;
use super::session::RelaySession;
use crate::transport::server::Restart;
use crate::transport::{Duplex, Incoming, Message};
use understudy::config::{EraChoice, Sampling};
use understudy::sampling::Sampler;

/// How long a server may be silent about `initialize` before it is asked `server/discover` as well. Servers that speak only the newest revision may
/// leave unanswered what they don't know; one that is slow to start answers the first of the two first.
const SILENCE: Duration = Duration::from_secs(2);

/// Negotiates the era with the server, and relays in it.
///
/// A server may speak both eras. It is asked for a session first, unless the rule says otherwise (`era: client`): in a session it can ask for a
/// completion in both ways.
pub(super) async fn negotiate(
    (front, mut back): (Duplex, Duplex),
    by: (Sampling, Arc<Sampler>),
    options: RelayOptions,
    mut again: Option<Restart>,
    (first, envelope, mut prelude): (Message, Envelope, Prelude),
) {
    let meta = envelope.members();
    let to_front = ClosableSender::new(front.outgoing.clone());
    let is_session_first = by.0.era == EraChoice::Sessions;
    if !is_session_first {
        let early = &mut prelude.by_back;
        if discover(&back.outgoing, &mut back.incoming, early, &to_front, &meta).await.is_some() {
            drop(again);
            return modern::run(front, back, by, options, (first, prelude)).await;
        }
        start_again_if_ended(&mut back, early, &mut again, method::SERVER_DISCOVER).await;
    }
    let session = RelaySession::new(Some(by.clone()), options.clients);
    let initialize = modern_to_legacy::initialize(&session, options.clients, &meta);
    let refusal = match try_initialize(initialize, &mut back, &mut prelude.by_back, &meta, SILENCE).await {
        InitializeOutcome::Session => {
            drop(again);
            return modern_to_legacy::run(front, back, (session, by.1), options, (first, prelude)).await;
        }
        InitializeOutcome::Stateless => None,
        InitializeOutcome::Refused(why) => Some(why),
    };
    let is_stateless = match &refusal {
        None => true,
        Some(_) if is_session_first => {
            let early = &mut prelude.by_back;
            start_again_if_ended(&mut back, early, &mut again, method::INITIALIZE).await;
            discover(&back.outgoing, &mut back.incoming, early, &to_front, &meta).await.is_some()
        }
        Some(_) => false,
    };
    drop(again);
    match refusal {
        Some(why) if !is_stateless => {
            let id = Head::of(&first.line).id().unwrap_or(b"null").to_vec();
            // If the client has gone, there is nobody to tell.
            let _ = to_front.send(error_line(&id, code::INTERNAL_ERROR, &why)).await;
            prelude.ended.cancel();
        }
        _ => modern::run(front, back, by, options, (first, prelude)).await,
    }
}

/// Restarts, once, a server that has ended: some end when they are asked in the way of an era that they don't speak. What it had asked or answered
/// until then is forgotten.
async fn start_again_if_ended(
    back: &mut Duplex,
    early: &mut VecDeque<Incoming>,
    again: &mut Option<Restart>,
    asked: &str,
) {
    if !(back.incoming.is_closed() && back.incoming.is_empty()) {
        return;
    }
    if let Some(again) = again.take() {
        tracing::info!("the server has ended when it was asked `{asked}`: it is started again, for the other era");
        match again.start().await {
            Ok(side) => {
                *back = side;
                early.retain(is_for_the_client);
            }
            Err(error) => tracing::warn!("the server can't be started again: {error}"),
        }
    }
}

/// The outcome of `initialize`.
enum InitializeOutcome {
    /// The server has begun a session, or speaks as in one. Its messages so far are kept, its answer included.
    Session,
    /// The server doesn't answer, and speaks the stateless era.
    Stateless,
    /// The server refuses, for this reason.
    Refused(String),
}

/// Asks a server for a session, and keeps its messages until its era is known.
async fn try_initialize(
    initialize: Bytes,
    back: &mut Duplex,
    early: &mut VecDeque<Incoming>,
    meta: &RawObject,
    patience: Duration,
) -> InitializeOutcome {
    let ended = || InitializeOutcome::Refused("the server has ended".to_owned());
    if back.outgoing.send(initialize.into()).await.is_err() {
        return ended();
    }
    let mut probed = false;
    // What only a session has may have been said already.
    while !early.iter().any(is_of_session) && early.len() < MOST_EARLY {
        let incoming = match tokio::time::timeout(patience, back.incoming.recv()).await {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return ended(),
            // It may be slow to start, or say nothing to what it doesn't know.
            Err(_) if !std::mem::replace(&mut probed, true) => {
                tracing::info!(
                    "the server has not answered `initialize` for {patience:?}: `server/discover` is asked as well"
                );
                if back.outgoing.send(discover_request(meta).into()).await.is_err() {
                    return ended();
                }
                continue;
            }
            Err(_) => continue,
        };
        if let Incoming::Message(message) = &incoming {
            let head = Head::of(&message.line);
            match (head.kind(), head.id()) {
                (Kind::Response, Some(DISCOVER_ID)) if parse_discover(&message.line).is_some() => {
                    return InitializeOutcome::Stateless;
                }
                (Kind::Response, Some(DISCOVER_ID)) => continue,
                (Kind::Response, Some(modern_to_legacy::INITIALIZE)) => {
                    if let Some(why) = initialize_refusal(&message.line) {
                        return InitializeOutcome::Refused(why);
                    }
                    early.push_back(incoming);
                    return InitializeOutcome::Session;
                }
                _ => {}
            }
        }
        early.push_back(incoming);
    }
    InitializeOutcome::Session
}

/// Whether only a stateful server says this: it is a request of its own.
fn is_of_session(incoming: &Incoming) -> bool {
    match incoming {
        Incoming::Message(message) => matches!(Head::of(&message.line).kind(), Kind::Request | Kind::Batch),
        Incoming::TooLong { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use mcp::request_line;

    use super::*;

    #[tokio::test]
    async fn a_server_that_is_silent_about_sessions_is_asked_for_the_other_era_as_well() {
        for (answer, is_stateless) in [
            (r#""id":"understudy-discover","result":{"supportedVersions":["2026-07-28"],"capabilities":{}}"#, true),
            (r#""id":"understudy-initialize","result":{"protocolVersion":"2025-11-25"}"#, false),
        ] {
            let (mut back, mut server) = Duplex::pair();
            let server = tokio::spawn(async move {
                let mut heard = Vec::new();
                for _ in 0..2 {
                    heard.push(Head::of(&server.incoming.recv().await.unwrap().line).method().unwrap().to_owned());
                }
                let line = Bytes::from(format!("{{\"jsonrpc\":\"2.0\",{answer}}}\n"));
                server.outgoing.send(Incoming::Message(line.into())).await.unwrap();
                (heard, server)
            });
            let initialize = request_line(modern_to_legacy::INITIALIZE, method::INITIALIZE, &RawObject::default());
            let mut said = VecDeque::new();
            let outcome = try_initialize(
                initialize,
                &mut back,
                &mut said,
                &super::super::discover::own_meta(),
                Duration::from_millis(1),
            )
            .await;
            assert_eq!(matches!(outcome, InitializeOutcome::Stateless), is_stateless);
            assert_eq!(
                (matches!(outcome, InitializeOutcome::Session), said.len()),
                (!is_stateless, usize::from(!is_stateless))
            );
            let (heard, _server) = server.await.unwrap();
            assert_eq!(heard, ["initialize", "server/discover"]);
        }
    }
}
