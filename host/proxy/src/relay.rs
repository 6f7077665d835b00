//! The relay between a client (front) and a server (back): sampling requests are answered here, other messages are forwarded.
//!
//! Each direction has a loop of its own and never waits for the other. Sampling requests are answered beside the loops, as many
//! at once as the config allows, in whatever order they finish.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `common` | what the loops and the bridges share |
//! | `legacy` | the loops of the eras that have sessions |
//! | `session`, `action` | what these do with each message |
//! | `request_needs` | what a sampling request needs of who answers it |
//! | `modern` | the loops of the era without sessions (2026-07-28) |
//! | `multi_round` | multi round-trip requests (`input_required`) |
//! | `request_state` | a `requestState` of ours, sealed |
//! | `discover` | `server/discover` |
//! | `negotiate` | a stateless client, and a server of either era |
//! | `bridge` | a legacy server for a modern client, and the reverse |
//! | `capabilities` | declaring `sampling` for a client |
//! | `activity` | what the server is doing, for `includeContext` |
//! | `allowance` | how much the server may ask in the course of a call |
//! | `elicitation` | asking the client's user whether a request may be answered |
//! | `lookalike` | messages that a lenient reader could take for a sampling request |
//! | `refusal` | what a client's error says: that it can't, or that somebody won't |
//! | `refused_requests` | writing down what the relay refuses by itself |
//! | `in_flight` | sampling requests that are being answered |
//! | `tasks` | those that are answered as tasks |
//! | `progress` | telling the server how far an answer has come |
//! | `closable_sender` | the way to one side |
//! | `max_tokens` | a request's `maxTokens`, lowered |

mod action;
mod activity;
mod allowance;
mod bridge;
mod capabilities;
mod closable_sender;
mod common;
mod discover;
mod elicitation;
mod in_flight;
mod legacy;
mod lookalike;
mod max_tokens;
mod modern;
mod multi_round;
mod negotiate;
mod progress;
mod refusal;
mod refused_requests;
mod request_needs;
mod request_state;
mod session;
mod tasks;

use std::collections::VecDeque;

use bytes::Bytes;
use mcp::{Envelope, Head, Kind, method};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::transport::{Duplex, Incoming};
use closable_sender::ClosableSender;
pub use common::{Clients, RelayOptions, SamplingHandler};
use common::{MOST_EARLY, Prelude, is_for_the_client, refuse_length, report_garbage};
use elicitation::Answers;
pub use request_state::{StateKey, WeakKeyError};
use session::RelaySession;
use understudy::config::Mode;

/// A running relay. Dropping it ends it, and cancels the sampling requests that are being answered.
#[derive(Debug)]
pub struct Relay {
    work: AbortOnDropHandle<()>,
    /// Cancelled when the server has closed its output.
    ended: CancellationToken,
}

impl Relay {
    /// Starts to relay, on a task of its own.
    ///
    /// Client EOF closes the server's input; the end of the server's output closes the client's.
    #[must_use]
    pub fn start(front: Duplex, back: Duplex, answering: SamplingHandler, options: RelayOptions) -> Self {
        let answering = answering.filter(|(rule, _)| rule.mode != Mode::Off);
        let ended = CancellationToken::new();
        let work = run(front, back, answering, options, ended.clone());
        Self { work: AbortOnDropHandle::new(tokio::spawn(work)), ended }
    }

    /// Waits until the server has closed its output, and all of it is on its way to the client.
    pub async fn ended(&mut self) {
        tokio::select! {
            () = self.ended.cancelled() => {}
            // A task that panicked has ended, too.
            _ = &mut self.work => {}
        }
    }
}

/// Whether the server on this side speaks the stateless era (2026-07-28).
pub async fn speaks_stateless(side: &mut Duplex) -> bool {
    // No client is there yet to get its other messages.
    let nobody = ClosableSender::new(mpsc::channel(1).0);
    let early = &mut VecDeque::new();
    discover::discover(&side.outgoing, &mut side.incoming, early, &nobody, &discover::own_meta()).await.is_some()
}

/// `_meta` of a stateless request of our own client.
#[must_use]
pub fn envelope() -> Value {
    serde_json::from_str(discover::own_meta().raw().get()).unwrap_or_default()
}

/// Relays in the client's era, which its first message tells.
async fn run(
    mut front: Duplex,
    mut back: Duplex,
    answering: SamplingHandler,
    mut options: RelayOptions,
    ended: CancellationToken,
) {
    // The server's end is reported only when this has been dropped.
    let again = options.again.take();
    let Some((rule, sampler)) = answering else {
        drop(again);
        let prelude = Prelude { ended, ..Prelude::default() };
        return legacy::run(front, back, RelaySession::new(None, options.clients), (options, Answers::Always), prelude)
            .await;
    };
    let prelude = first_message(&mut front, &mut back, options.line, ended).await;
    let first = match &prelude.by_front {
        Some(Incoming::Message(first)) => Envelope::of(&first.line).map(|envelope| (first.clone(), envelope)),
        _ => None,
    };
    if let Some((first, envelope)) = first {
        negotiate::negotiate((front, back), (rule, sampler), options, again, (first, envelope, prelude)).await;
    } else {
        drop(again);
        let session = RelaySession::new(Some((rule, sampler)), options.clients);
        legacy::run(front, back, session, (options, Answers::Always), prelude).await;
    }
}

/// Waits for the client's first message, or the end of the server's output.
///
/// A server may write something before that: a banner, a line of its log, a notification. These are forwarded at once. Requests and responses, and
/// what comes after them, wait until the era is known; a sampling request tells it.
async fn first_message(front: &mut Duplex, back: &mut Duplex, limit: usize, ended: CancellationToken) -> Prelude {
    let mut prelude = Prelude { ended, ..Prelude::default() };
    loop {
        let said = tokio::select! {
            biased;
            first = front.incoming.recv() => {
                prelude.by_front = first;
                return prelude;
            }
            said = back.incoming.recv() => said,
        };
        let Some(said) = said else { return prelude };
        let passes = prelude.by_back.is_empty() && is_for_the_client(&said);
        match said {
            Incoming::Message(message) if passes => {
                report_garbage(&message.line, &mut prelude.garbled);
                // If the client has gone, its side says so.
                let _ = front.outgoing.send(message).await;
            }
            // A message that is dropped is reported alike in every era.
            Incoming::TooLong { head, bytes } => {
                let (to_back, to_front) =
                    (ClosableSender::new(back.outgoing.clone()), ClosableSender::new(front.outgoing.clone()));
                refuse_length(limit, "server", &head, bytes, &to_back, &to_front).await;
            }
            other @ Incoming::Message(_) => {
                // Only a stateful server sends one, and it is answered here.
                let asks = matches!(&other, Incoming::Message(message) if asks_for_sampling(&message.line));
                prelude.by_back.push_back(other);
                if asks || prelude.by_back.len() == MOST_EARLY {
                    return prelude;
                }
            }
        }
    }
}

/// Whether a line is a sampling request, or a batch that may hold one.
fn asks_for_sampling(line: &Bytes) -> bool {
    let head = Head::of(line);
    head.is_request(method::SAMPLING_CREATE_MESSAGE) || head.kind() == Kind::Batch
}
