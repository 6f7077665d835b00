//! The relay between a client (front) and a server (back): what is ours is answered here, all else passes through.
//!
//! Each direction has a loop of its own and never waits for the other. Sampling requests are answered beside the loops, as many
//! at once as the config allows, in whatever order they finish.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `legacy` | the loops of the eras that have sessions |
//! | `session`, `verdict` | what these do with each message |
//! | `modern` | the loops of the era without sessions (2026-07-28) |
//! | `rounds` | its requests that take several rounds |
//! | `seal` | what a client keeps for us between two rounds |
//! | `era` | a modern client, and a server of either era |
//! | `upgrade`, `downgrade` | the bridge: a legacy server for a modern client, and the reverse |
//! | `capabilities` | declaring `sampling` for a client |
//! | `doings` | what the server is doing, for `includeContext` |
//! | `allowance` | how much the server may ask in the course of a call |
//! | `lookalike` | what could be taken for a sampling request, and is none |
//! | `refusal` | what a client's error says: that it can't, or that somebody won't |
//! | `answers` | the sampling requests that are being answered |
//! | `tasks` | those that are answered as tasks |
//! | `progress` | telling the server how far an answer has come |
//! | `outlet` | the way to one side |
//! | `max_tokens` | a request's `maxTokens`, lowered |

mod allowance;
mod answers;
mod capabilities;
mod doings;
mod downgrade;
mod era;
mod legacy;
mod lookalike;
mod max_tokens;
mod modern;
mod outlet;
mod progress;
mod refusal;
mod rounds;
mod seal;
mod session;
mod tasks;
mod upgrade;
mod verdict;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use mcp::{Envelope, Head, Kind, code, error_line, method};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Mode, Sampling};
use crate::sampling::{Sampler, SamplingRequest};
use crate::transport::back::Again;
use crate::transport::{Incoming, Side};
use outlet::Outlet;
pub use seal::{StateKey, WeakKey};
use session::Session;

/// Who answers sampling requests: the rule, and what carries it out. `None` passes everything through.
pub type Answering = Option<(Sampling, Arc<Sampler>)>;

/// What a relay keeps to, whoever is on its sides.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The longest message, in bytes (`limits.line`).
    pub line: usize,
    /// What a `requestState` of ours is sealed with; if absent, a key that only this relay has.
    pub state_key: Option<StateKey>,
    /// Whose the front is: one client's by default.
    pub clients: Clients,
    /// The right to start the server again, if it ends on the first thing that it is asked in a modern client's name.
    pub again: Option<Again>,
}

/// How many clients the front stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clients {
    /// One: what the server says without naming a call is for this client.
    #[default]
    One,
    /// Several that can't be told apart (2026-07-28 over HTTP). A client gets only what the transport, or a number of ours in the message,
    /// assigns to one of its requests; what nothing assigns is refused, or dropped if it is a notification.
    Several {
        /// Whether the server's transport assigns its requests to calls: Streamable HTTP does, by the stream of the call's POST; stdio and
        /// HTTP+SSE don't.
        told: bool,
    },
}

impl Clients {
    /// Whether there may be more than one.
    fn are_several(self) -> bool {
        matches!(self, Self::Several { .. })
    }
}

impl Terms {
    /// Lines of at most so many bytes, all else by default.
    #[must_use]
    pub fn new(line: usize) -> Self {
        Self { line, state_key: None, clients: Clients::One, again: None }
    }
}

/// A relay at work. Dropping it ends it, and whatever is being answered.
#[derive(Debug)]
pub struct Relay {
    work: AbortOnDropHandle<()>,
    /// The server has said its last.
    ended: CancellationToken,
}

impl Relay {
    /// Begins to relay.
    ///
    /// The end of the client's input ends the server's. The end of the server's output ends what the client is told.
    #[must_use]
    pub fn start(front: Side, back: Side, answering: Answering, terms: Terms) -> Self {
        let answering = answering.filter(|(rule, _)| rule.mode != Mode::Off);
        let ended = CancellationToken::new();
        let work = run(front, back, answering, terms, ended.clone());
        Self { work: AbortOnDropHandle::new(tokio::spawn(work)), ended }
    }

    /// Waits until the server has said its last, and all of that is on its way to the client.
    pub async fn ended(&mut self) {
        tokio::select! {
            () = self.ended.cancelled() => {}
            // What panicked has ended too.
            _ = &mut self.work => {}
        }
    }
}

/// Whether the server on this side speaks the era without sessions (2026-07-28).
pub(crate) async fn speaks_stateless(side: &mut Side) -> bool {
    // What else it may say is nobody's yet.
    let nobody = Outlet::new(mpsc::channel(1).0);
    era::discover(&side.outgoing, &mut side.incoming, &nobody, &era::own_meta()).await.is_some()
}

/// What a request of ours says of itself in that era.
pub(crate) fn envelope() -> Value {
    serde_json::from_str(era::own_meta().raw().get()).unwrap_or_default()
}

/// Relays as the client's era wants it, which its first message tells.
async fn run(mut front: Side, mut back: Side, answering: Answering, mut terms: Terms, ended: CancellationToken) {
    // The server's end is told only when this has been dropped.
    let again = terms.again.take();
    let Some((rule, sampler)) = answering else {
        drop(again);
        let spoken = Spoken { ended, ..Spoken::default() };
        return legacy::run(front, back, Session::new(None, terms.clients), terms.line, spoken).await;
    };
    let spoken = first_message(&mut front, &mut back, terms.line, ended).await;
    let first = match &spoken.by_front {
        Some(Incoming::Message(first)) => Envelope::of(&first.line).map(|envelope| (first.clone(), envelope)),
        _ => None,
    };
    match first {
        Some((first, envelope)) => {
            era::meet((front, back), (rule, sampler), terms, again, (first, envelope, spoken)).await;
        }
        None => {
            drop(again);
            let session = Session::new(Some((rule, sampler)), terms.clients);
            legacy::run(front, back, session, terms.line, spoken).await;
        }
    }
}

/// The most messages of the server's that wait for the client's first. After as many the server is taken for one with sessions.
const MOST_EARLY: usize = 64;

/// Waits for the client's first message, or the end of the server's output.
///
/// A server may say something before that: a banner, a line of its log, a notification. These are passed on at once. What wants an answer, or is one,
/// waits until the era is known; a request for a completion tells it.
async fn first_message(front: &mut Side, back: &mut Side, limit: usize, ended: CancellationToken) -> Spoken {
    let mut spoken = Spoken { ended, ..Spoken::default() };
    loop {
        let said = tokio::select! {
            biased;
            first = front.incoming.recv() => {
                spoken.by_front = first;
                return spoken;
            }
            said = back.incoming.recv() => said,
        };
        match said {
            None => return spoken,
            Some(Incoming::Message(message)) if is_for_the_client(&message.line) => {
                report_garbage(&message.line, &mut spoken.garbled);
                // If the client has gone, its side says so.
                let _ = front.outgoing.send(message).await;
            }
            // A message that is dropped is reported alike in every era.
            Some(Incoming::TooLong { head, bytes }) => {
                let (to_back, to_front) = (Outlet::new(back.outgoing.clone()), Outlet::new(front.outgoing.clone()));
                refuse_length(limit, "server", &head, bytes, &to_back, &to_front).await;
            }
            Some(other) => {
                // Only in a session is this asked, and it is ours to answer.
                let asks = matches!(&other, Incoming::Message(message) if asks_for_sampling(&message.line));
                spoken.by_back.push_back(other);
                if asks || spoken.by_back.len() == MOST_EARLY {
                    return spoken;
                }
            }
        }
    }
}

/// Whether a line is a request for a completion, or may hold one.
fn asks_for_sampling(line: &Bytes) -> bool {
    let head = Head::of(line);
    head.is_request(method::SAMPLING_CREATE_MESSAGE) || head.kind() == Kind::Batch
}

/// Whether a line is the client's in every era: a notification, or no message at all.
fn is_for_the_client(line: &Bytes) -> bool {
    let head = Head::of(line);
    !matches!(head.kind(), Kind::Request | Kind::Response | Kind::Batch) && !lookalike::is_one(line, &head)
}

/// Says once that the server wrote something that is no JSON-RPC.
fn report_garbage(line: &Bytes, garbled: &mut bool) {
    let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_json = first.is_none_or(|byte| matches!(byte, b'{' | b'['));
    if !is_json && !std::mem::replace(garbled, true) {
        let start = String::from_utf8_lossy(line.get(..200).unwrap_or(line)).into_owned();
        tracing::warn!(
            "the server wrote something to stdout that is no JSON-RPC message: `{}`; it is passed on as it is (said once)",
            crate::text::one_line(&start, 80)
        );
    }
}

/// What has been said already when the loops begin, and who is to be told when the server has said its last.
#[derive(Debug, Default)]
struct Spoken {
    by_front: Option<Incoming>,
    by_back: VecDeque<Incoming>,
    /// Whether a line that is no JSON-RPC has been reported already.
    garbled: bool,
    ended: CancellationToken,
}

/// The next message: of those that have been said already, then of those to come.
async fn next(first: &mut VecDeque<Incoming>, rest: &mut mpsc::Receiver<Incoming>) -> Option<Incoming> {
    match first.pop_front() {
        Some(first) => Some(first),
        None => rest.recv().await,
    }
}

/// Answers one sampling request: the result as JSON, or the code and the message of an error.
async fn create(sampler: &Sampler, asked: SamplingRequest<'_>, shown: &str) -> Result<String, (i64, String)> {
    // A bug of ours must not leave the server waiting for ever.
    match AssertUnwindSafe(sampler.create_message(asked)).catch_unwind().await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => {
            tracing::warn!(request = shown, "{error}");
            Err((error.code(), error.to_string()))
        }
        Err(_) => {
            Err((code::INTERNAL_ERROR, "Understudy failed to answer; please report this as a bug of it".to_owned()))
        }
    }
}

/// Tells whoever waits for an answer that a message was too long to be relayed.
async fn refuse_length(
    limit: usize,
    whose: &str,
    head: &Head,
    bytes: usize,
    sender: &Outlet,
    receiver: &Outlet,
) -> bool {
    let reason = format!("a message of the {whose}'s holds {bytes} bytes, more than `limits.line` allows ({limit})");
    tracing::error!("{reason}; it is dropped");
    match (head.kind(), head.id()) {
        (Kind::Request, Some(id)) => {
            // Whoever no longer listens may still have something to say.
            sender.send(error_line(id, code::INVALID_REQUEST, &reason)).await;
            true
        }
        (Kind::Response, Some(id)) => receiver.send(error_line(id, code::INTERNAL_ERROR, &reason)).await,
        _ => true,
    }
}
