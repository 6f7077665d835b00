//! What the loops of both eras, and the bridges between them, share.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use mcp::build::error_line_with_data;
use mcp::{Head, Kind, code, error_line};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::closable_sender::ClosableSender;
use super::lookalike;
use super::request_state::StateKey;
use crate::transport::Incoming;
use crate::transport::server::Restart;
use understudy::approval::Ask;
use understudy::config::Sampling;
use understudy::error::Error;
use understudy::sampling::{Sampler, SamplingRequest};

/// The most messages of a server that wait for its client's first one. After as many the server is taken for a stateful one.
pub(super) const MOST_EARLY: usize = 64;

/// What answers sampling requests: the rule, and the sampler that carries it out. With `None` everything is forwarded.
pub type SamplingHandler = Option<(Sampling, Arc<Sampler>)>;

/// Options of a relay.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// The longest message, in bytes (`limits.line`).
    pub line: usize,
    /// The key that a `requestState` of ours is sealed with; if absent, one that only this relay has.
    pub state_key: Option<StateKey>,
    /// How many clients the front stands for; one by default.
    pub clients: Clients,
    /// How the user is asked, if not through the client.
    pub ask: Option<Arc<dyn Ask>>,
    /// The right to start the server again, if it ends on the first request in a stateless client's name.
    pub again: Option<Restart>,
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
    pub(super) fn are_several(self) -> bool {
        matches!(self, Self::Several { .. })
    }
}

impl RelayOptions {
    /// Options with lines of at most `line` bytes; the rest are the defaults.
    #[must_use]
    pub fn new(line: usize) -> Self {
        Self { line, state_key: None, clients: Clients::One, ask: None, again: None }
    }
}

/// Logs, once, that the server wrote something that is no JSON-RPC.
pub(super) fn report_garbage(line: &Bytes, garbled: &mut bool) {
    let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_json = first.is_none_or(|byte| matches!(byte, b'{' | b'['));
    if !is_json && !std::mem::replace(garbled, true) {
        let start = String::from_utf8_lossy(line.get(..200).unwrap_or(line)).into_owned();
        tracing::warn!(
            "the server wrote something to stdout that is no JSON-RPC message: `{}`; it is passed on as it is (said once)",
            understudy::text::one_line(&start, 80)
        );
    }
}

/// Messages that were read before the relay loops start, and the token that is cancelled when the server closes its output.
#[derive(Debug, Default)]
pub(super) struct Prelude {
    pub(super) by_front: Option<Incoming>,
    pub(super) by_back: VecDeque<Incoming>,
    /// Whether a line that is no JSON-RPC has been reported already.
    pub(super) garbled: bool,
    pub(super) ended: CancellationToken,
}

/// Whether this is forwarded in every era: a notification, or no message at all.
pub(super) fn is_for_the_client(incoming: &Incoming) -> bool {
    let Incoming::Message(message) = incoming else { return false };
    let head = Head::of(&message.line);
    !matches!(head.kind(), Kind::Request | Kind::Response | Kind::Batch) && !lookalike::is_one(&message.line, &head)
}

/// Adds a message of the server to those that wait for its era. If [`MOST_EARLY`] wait already, the oldest is forwarded; `false` if it is one that
/// not every era forwards, so that no more should be read.
pub(super) async fn keep_early(early: &mut VecDeque<Incoming>, incoming: Incoming, to_front: &ClosableSender) -> bool {
    early.push_back(incoming);
    if early.len() <= MOST_EARLY {
        return true;
    }
    let oldest = early.pop_front_if(|oldest| is_for_the_client(oldest));
    let Some(Incoming::Message(oldest)) = oldest else { return false };
    // If the client has gone, its side says so.
    let _ = to_front.send(oldest).await;
    true
}

/// The next message: first those that were read before, then those to come.
pub(super) async fn next(first: &mut VecDeque<Incoming>, rest: &mut mpsc::Receiver<Incoming>) -> Option<Incoming> {
    match first.pop_front() {
        Some(first) => Some(first),
        None => rest.recv().await,
    }
}

/// A JSON-RPC error in the place of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) message: String,
    data: Option<Box<Value>>,
}

impl Failure {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The same with something in front of its message.
    pub(super) fn prefixed(self, prefix: &str) -> Self {
        Self { message: format!("{prefix}{}", self.message), ..self }
    }

    /// The response to the request with this id.
    pub(super) fn line(&self, id: &[u8]) -> Bytes {
        match &self.data {
            None => error_line(id, self.code, &self.message),
            Some(data) => error_line_with_data(id, self.code, &self.message, data),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: error.code(), message: error.to_string(), data: error.data().cloned().map(Box::new) }
    }
}

/// Answers one sampling request: the result as JSON.
pub(super) async fn create(sampler: &Sampler, asked: SamplingRequest<'_>, shown: &str) -> Result<String, Failure> {
    // A panic of ours must not leave the server waiting for ever.
    match AssertUnwindSafe(sampler.create_message_json(asked)).catch_unwind().await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => {
            tracing::warn!(request = shown, "{error}");
            Err(error.into())
        }
        Err(_) => {
            let reason = "Understudy failed to answer; please report this as a bug of it";
            Err(Failure::new(code::INTERNAL_ERROR, reason))
        }
    }
}

/// Answers a message that was too long to be relayed with an error, to the side that waits for an answer. `false` if that side can't be told.
pub(super) async fn refuse_length(
    limit: usize,
    whose: &str,
    head: &Head,
    bytes: usize,
    sender: &ClosableSender,
    receiver: &ClosableSender,
) -> bool {
    let reason = format!("a message of the {whose}'s holds {bytes} bytes, more than `limits.line` allows ({limit})");
    tracing::error!("{reason}; it is dropped");
    match (head.kind(), head.id()) {
        (Kind::Request, Some(id)) => {
            // A side that no longer listens may still send.
            sender.send(error_line(id, code::INVALID_REQUEST, &reason)).await;
            true
        }
        (Kind::Response, Some(id)) => receiver.send(error_line(id, code::INTERNAL_ERROR, &reason)).await,
        _ => true,
    }
}
