//! Calls that have a server of their own each (`"clients": "apart"`), of a server whose clients can't be told apart: whatever that one says is its
//! call's. It ends with the call, and waits for the retry of one that wants input.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcp::{Head, Kind, Parts, code, field, method};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::backend::Backend;
use super::header_check::ListedTools;
use super::multiplexer::Multiplexer;
use super::request_body::PostedMessage;
use super::shared::{SessionGuard, SideOwner};
use crate::transport::{Duplex, Message};

/// How long a server waits for the retry of its call, which is as long as a `requestState` is good for.
const PARKED: Duration = Duration::from_mins(10);

/// How long a server is kept that has no call: the client has hung up.
const LEFT: Duration = Duration::from_secs(5);

/// The calls with a server of their own.
#[derive(Debug, Default)]
pub(super) struct Apart(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: HashMap<u64, Arc<Multiplexer>>,
    /// Those that wait for a retry, by the state that it brings.
    parked: HashMap<String, (u64, Instant)>,
    begun: u64,
}

/// Whether a message is a call.
pub(super) fn is_call(head: &Head) -> bool {
    method::MULTI_ROUND.iter().any(|method| head.is_request(method))
}

impl Apart {
    /// The side for a call: the one that waits for it, or a new one.
    pub(super) async fn side(
        self: &Arc<Self>,
        backend: &Backend,
        posted: &PostedMessage,
        listed_tools: &Arc<ListedTools>,
    ) -> Result<Arc<Multiplexer>, String> {
        if let Some(waiting) = field::request_state(&posted.line).and_then(|state| self.waiting(&state)) {
            return Ok(waiting);
        }
        let place = backend.sessions.place();
        let place = place.ok_or("there are as many servers as `serve.sessions` allows; try again later")?;
        let (side, peer) = Duplex::pair();
        let guard = backend.shared.begin(&backend.name, side, SideOwner::Call).await?;
        let side = Arc::new(Multiplexer::new(peer.outgoing, Arc::clone(listed_tools), true));
        let number = {
            let mut state = self.lock();
            state.begun += 1;
            let number = state.begun;
            state.open.insert(number, Arc::clone(&side));
            number
        };
        let carried = Arc::clone(self).pump(number, Arc::clone(&side), peer.incoming, (guard, place));
        backend.shared.tasks.spawn(carried);
        if backend.shared.is_ending() {
            // It came too late to be ended with the others.
            side.end("Understudy is shutting down");
            return Err("Understudy is shutting down".to_owned());
        }
        Ok(side)
    }

    /// Ends everything. Requests without an answer are answered with `reason`.
    pub(super) fn end(&self, reason: &str) {
        let open: Vec<_> = self.lock().open.drain().collect();
        for (_, side) in open {
            side.end(reason);
        }
    }

    /// Carries what the server says to the client, until the call is over.
    async fn pump(
        self: Arc<Self>,
        number: u64,
        side: Arc<Multiplexer>,
        mut from_relay: mpsc::Receiver<Message>,
        (mut guard, place): (SessionGuard, OwnedSemaphorePermit),
    ) {
        let mut look = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                message = from_relay.recv() => {
                    let Some(message) = message else { break };
                    let is_answer = Head::of(&message.line).kind() == Kind::Response;
                    let is_over = is_answer && !self.park(number, &message.line) && !is_refusal(&message.line);
                    side.route(&message);
                    if is_over {
                        break;
                    }
                }
                _ = look.tick() => {
                    if self.is_left(number, &side) {
                        break;
                    }
                }
                () = side.ended() => break,
            }
        }
        self.forget(number);
        // Who ends the side has said why; and an answered call needs no reason.
        if side.is_ended() || !side.is_awaited() {
            side.end("the call is over");
        } else {
            side.end(&guard.exit_reason().await);
        }
        drop((guard, place));
    }

    /// Takes note that a call waits for its retry, if this answer says so; whether it does.
    fn park(&self, number: u64, answer: &Bytes) -> bool {
        let Some(wanted) = field::required_state(answer) else { return false };
        let mut state = self.lock();
        state.parked.retain(|_, (of, _)| *of != number);
        state.parked.insert(wanted, (number, Instant::now()));
        true
    }

    /// The side of the call that waits for a retry with this state. Whether the retry is the right one is for its relay to say.
    fn waiting(&self, wanted: &str) -> Option<Arc<Multiplexer>> {
        let state = self.lock();
        let (number, _) = state.parked.get(wanted)?;
        let side = state.open.get(number)?;
        side.touch();
        Some(Arc::clone(side))
    }

    /// Whether nobody waits for anything of a side any more.
    fn is_left(&self, number: u64, side: &Multiplexer) -> bool {
        let state = self.lock();
        let parked = state.parked.values().find(|(of, _)| *of == number);
        side.is_idle(Instant::now(), LEFT) && parked.is_none_or(|(_, since)| since.elapsed() > PARKED)
    }

    fn forget(&self, number: u64) {
        let mut state = self.lock();
        state.open.remove(&number);
        state.parked.retain(|_, (of, _)| *of != number);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an answer refuses a retry for its state: the call goes on waiting for the right one.
fn is_refusal(answer: &[u8]) -> bool {
    let error = Parts::of(answer).ok().and_then(|parts| parts.error);
    error.is_some_and(|error| error.code == code::INVALID_PARAMS && error.message.contains("`requestState`"))
}
