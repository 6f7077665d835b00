//! The loops of the era without sessions (2026-07-28), where both sides speak it.
//!
//! Each request says for itself what the client can do: `sampling` is added to that. A server that needs an answer says so in its
//! result; the request is then made again with it, and the client sees the last result alone. What is not ours to answer goes on to
//! the client, with what we have answered in a sealed `requestState`.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `approval` | asking the client's user whether a sampling request may be answered |
//! | `input_answer` | answering the sampling requests among the required input |
//! | `between_rounds` | what has been asked in the course of calls that wait for their client |

mod approval;
mod between_rounds;
mod input_answer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mcp::revision::LATEST_STATELESS;
use mcp::splice::with_request_id;
use mcp::{Envelope, Head, Kind, RawObject, cancelled_id, code, error_line, ids, notification, with_id};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::task::AbortOnDropHandle;

use super::allowance::CallLimits;
use super::capabilities::{self, Declared, SamplingParts};
use super::closable_sender::ClosableSender;
use super::common::{Failure, Prelude, RelayOptions, next, refuse_length};
use super::multi_round::{self, InputRequired, MultiRoundRequest};
use super::refused_requests::RefusedRequests;
use super::request_state::{RequestState, StateSealer};
use super::{discover, lookalike};
use crate::transport::{Duplex, Incoming, Message};
use approval::Parked;
use between_rounds::BetweenRounds;
use understudy::approval::{ApprovalSession, Ask};
use understudy::config::{Attached, Sampling};
use understudy::sampling::Sampler;

/// One relay of this era.
struct StatelessRelay {
    rule: Sampling,
    /// What may be asked in the course of one call.
    most: CallLimits,
    sampler: Arc<Sampler>,
    /// Writes down what is refused here.
    refused: RefusedRequests,
    /// How the user is asked, if not through the client.
    ask: Option<Arc<dyn Ask>>,
    /// What the user has allowed, where there is one client.
    approvals: Option<Arc<ApprovalSession>>,
    offer: SamplingParts,
    seal: Option<StateSealer>,
    to_front: ClosableSender,
    to_back: ClosableSender,
    limit: usize,
    calls: Mutex<Calls>,
    hint: discover::EraHint,
}

/// The calls that are going on.
#[derive(Default)]
struct Calls {
    /// By the keys of the client's ids.
    by_front: HashMap<Vec<u8>, PendingCall>,
    /// The client's ids by those that we made the same call again under.
    by_back: HashMap<Vec<u8>, Vec<u8>>,
    /// What is being answered, by the client's ids.
    answering: HashMap<Vec<u8>, AbortHandle>,
    made: u64,
    closed: bool,
    /// The calls whose client is asked for the user's approval, by random names.
    parked: HashMap<String, Parked>,
    /// What was asked in the course of calls that are with their client.
    kept: BetweenRounds,
}

/// A call that is going on.
struct PendingCall {
    call: Arc<MultiRoundRequest>,
    /// The id that the server knows it by, where that isn't the client's.
    back: Option<Vec<u8>>,
}

impl Calls {
    /// Forgets a call; what was being answered for it ends. The id that the server knows it by, where that isn't the client's.
    fn end(&mut self, front: &[u8]) -> Option<Vec<u8>> {
        let going = self.by_front.remove(ids::key(front).as_ref());
        let own = going.as_ref().map_or_else(|| front.to_vec(), |going| going.call.id.clone());
        let back = going.and_then(|going| going.back);
        if let Some(back) = &back {
            self.by_back.remove(back);
        }
        if let Some(answering) = self.answering.remove(&own) {
            answering.abort();
        }
        back
    }

    /// The call that the server answers, however it spells the id.
    fn answered(&mut self, id: &[u8]) -> Option<Arc<MultiRoundRequest>> {
        let made_again =
            ids::find(id, |key| self.by_back.contains_key(key)).and_then(|key| self.by_back.remove(key.as_ref()));
        let front = made_again.as_deref().unwrap_or(id);
        let key = ids::find(front, |key| self.by_front.contains_key(key))?;
        self.by_front.get(key.as_ref()).map(|going| Arc::clone(&going.call))
    }

    /// A call is made again; under this id.
    fn again(&mut self, call: &MultiRoundRequest) -> Vec<u8> {
        self.made += 1;
        let id = multi_round::new_id(self.made);
        self.by_back.insert(id.clone(), call.id.clone());
        let again = Arc::new(call.next_round());
        self.by_front.insert(ids::key(&call.id).into_owned(), PendingCall { call: again, back: Some(id.clone()) });
        id
    }
}

/// Relays until both sides have closed their output; `first` is the client's first message.
pub(super) async fn run(
    front: Duplex,
    back: Duplex,
    by: (Sampling, Arc<Sampler>),
    options: RelayOptions,
    (first, prelude): (Message, Prelude),
) {
    let Prelude { mut by_back, ended, .. } = prelude;
    let (rule, sampler) = by;
    let offer = SamplingParts {
        tools: rule.declare_tools && sampler.accepts_tools(),
        context: rule.context == Attached::ThisServer,
    };
    let exchange = Arc::new(StatelessRelay {
        most: CallLimits::of(&rule),
        rule,
        seal: StateSealer::new(options.state_key.as_ref(), sampler.server()),
        sampler,
        refused: RefusedRequests::default(),
        ask: options.ask,
        approvals: (!options.clients.are_several()).then(ApprovalSession::shared),
        offer,
        to_front: ClosableSender::new(front.outgoing),
        to_back: ClosableSender::new(back.outgoing),
        limit: options.line,
        calls: Mutex::default(),
        hint: discover::EraHint::without_session(),
    });
    let _end = CloseStateless(Arc::clone(&exchange));
    let forward = AbortOnDropHandle::new(tokio::spawn(forward(first, front.incoming, Arc::clone(&exchange))));
    let mut from_back = back.incoming;
    while let Some(incoming) = next(&mut by_back, &mut from_back).await {
        let open = match incoming {
            Incoming::TooLong { head, bytes } => exchange.too_long(head, bytes).await,
            Incoming::Message(message) => exchange.server_says(message).await,
        };
        if !open {
            break;
        }
    }
    exchange.close();
    exchange.to_front.close();
    ended.cancel();
    // A server that says no more may still listen.
    let _ = forward.await;
}

/// Cancels the requests in flight when it is dropped.
struct CloseStateless(Arc<StatelessRelay>);

impl Drop for CloseStateless {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn forward(first: Message, mut from_front: mpsc::Receiver<Incoming>, exchange: Arc<StatelessRelay>) {
    exchange.client_says(first).await;
    while let Some(incoming) = from_front.recv().await {
        let open = match incoming {
            Incoming::TooLong { head, bytes } => {
                let (to_front, to_back) = (&exchange.to_front, &exchange.to_back);
                refuse_length(exchange.limit, "client", &head, bytes, to_front, to_back).await
            }
            Incoming::Message(message) => exchange.client_says(message).await,
        };
        if !open {
            break;
        }
    }
    exchange.close();
    exchange.to_back.close();
}

impl StatelessRelay {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels all requests in flight.
    fn close(&self) {
        let mut calls = self.calls();
        calls.closed = true;
        let parked: Vec<_> = calls.parked.drain().map(|(_, parked)| parked.task).collect();
        calls.answering.drain().map(|(_, task)| task).chain(parked).for_each(|task| task.abort());
    }

    async fn client_says(&self, message: Message) -> bool {
        let head = Head::of(&message.line);
        match head.kind() {
            Kind::Request => self.request(message, &head).await,
            Kind::Notification if head.method() == Some(notification::CANCELLED) => self.cancelled(message).await,
            _ => self.to_back.send(message).await,
        }
    }

    /// A request: with `sampling` declared, and with what we have answered of an earlier round.
    async fn request(&self, message: Message, head: &Head) -> bool {
        let Some((clients, edited)) = declare(&message.line, self.offer) else {
            return self.to_back.send(message).await;
        };
        let line = edited.unwrap_or(message.line);
        let Some((mut call, brought)) = MultiRoundRequest::of(&line, head, clients) else {
            return self.to_back.send(line).await;
        };
        let state = brought.state.as_ref().and_then(|state| serde_json::from_str::<String>(state.get()).ok());
        let unsealed = state.zip(self.seal.as_ref()).and_then(|(state, seal)| seal.unseal(&state, &call.binding()));
        let line = match unsealed {
            None => {
                if (brought.state.is_some() || !brought.responses.is_empty())
                    && let Some(spent) = self.calls().kept.of(&call.binding(), brought.state.as_deref())
                {
                    call.spent = spent;
                }
                line
            }
            Some(Err(reason)) => {
                return self.to_front.send(error_line(&call.id, code::INVALID_PARAMS, &reason.to_string())).await;
            }
            Some(Ok(RequestState { parked: Some(token), rounds, spent, .. })) => {
                (call.rounds, call.spent) = (rounds, spent);
                return self.retried(&token, call, brought.responses).await;
            }
            Some(Ok(RequestState { state, mut answers, rounds, spent, .. })) => {
                call.spent = spent;
                answers.extend(brought.responses);
                call.rounds = rounds + 1;
                call.again(&call.id, &answers, state.as_deref())
            }
        };
        let id = call.id.clone();
        if self.goes_on(&id) {
            return self.refuse_id(&id).await;
        }
        self.calls().by_front.insert(ids::key(&id).into_owned(), PendingCall { call: Arc::new(call), back: None });
        self.to_back.send(line).await
    }

    fn goes_on(&self, id: &[u8]) -> bool {
        self.calls().by_front.contains_key(ids::key(id).as_ref())
    }

    async fn refuse_id(&self, id: &[u8]) -> bool {
        let reason = "a request with this id is still going on";
        self.to_front.send(error_line(id, code::INVALID_REQUEST, reason)).await
    }

    /// The client makes a call again that waits here for the user's approval.
    async fn retried(&self, token: &str, call: MultiRoundRequest, responses: RawObject) -> bool {
        let id = call.id.clone();
        if self.goes_on(&id) {
            return self.refuse_id(&id).await;
        }
        if self.unpark(token, call, responses) {
            return true;
        }
        let reason = "the approval that this `requestState` waits for was answered before, has expired, or was asked by another process; make the request again without it";
        self.fail(&id, code::INVALID_PARAMS, reason).await
    }

    /// The client wants no answer any more.
    async fn cancelled(&self, message: Message) -> bool {
        let Some(front) = cancelled_id(&message.line) else { return self.to_back.send(message).await };
        let back = self.calls().end(&front);
        match back {
            // The server knows it by another id.
            Some(back) => self.to_back.send(with_request_id(&message.line, &back)).await,
            None => self.to_back.send(message).await,
        }
    }

    async fn server_says(self: &Arc<Self>, message: Message) -> bool {
        let head = Head::of(&message.line);
        let (Kind::Response, Some(id)) = (head.kind(), head.id()) else {
            if lookalike::is_one(&message.line, &head) {
                return self.asks_as_before(&head).await;
            }
            let related_request_id = message
                .related_request_id
                .map(|related_request_id| self.fronts_id(&related_request_id).map_or(related_request_id, Bytes::from));
            return self.to_front.send(Message { line: message.line, related_request_id }).await;
        };
        let call = self.calls().answered(id);
        let Some(call) = call else {
            // The answer to a call that was made again and then cancelled is nobody's.
            return multi_round::is_ours(id) || self.to_front.send(message).await;
        };
        let front = &call.id;
        let restored = |line: &Bytes| if *front == id { line.clone() } else { with_id(line, front) };
        match InputRequired::of(&message.line) {
            Some(Ok(required)) => self.required(Arc::clone(&call), required, restored(&message.line)).await,
            Some(Err(reason)) => {
                self.fail(
                    front,
                    code::INTERNAL_ERROR,
                    &format!("the server asks for input that is not valid: {reason}"),
                )
                .await
            }
            None => {
                self.hint.warn_once(&message.line);
                self.calls().end(front);
                self.to_front.send(restored(&message.line)).await
            }
        }
    }

    /// The server asks as it would in an earlier revision, or something that could be taken for that.
    async fn asks_as_before(&self, head: &Head) -> bool {
        let reason = format!(
            "revision {LATEST_STATELESS} has no request `sampling/createMessage`: a result asks for input (`input_required`)"
        );
        tracing::debug!("not passed on: {reason}");
        if let Some(id) = head.id().filter(|_| !head.is_quoted()) {
            // A server that no longer listens may still have something to say.
            let _ = self.to_back.send(error_line(id, code::INVALID_REQUEST, &reason)).await;
        }
        true
    }

    fn fronts_id(&self, back: &[u8]) -> Option<Vec<u8>> {
        self.calls().by_back.get(back).cloned()
    }

    async fn too_long(&self, head: Head, bytes: usize) -> bool {
        let front = head.id().and_then(|id| self.calls().by_back.remove(id).or_else(|| Some(id.to_vec())));
        if let (Kind::Response, Some(front)) = (head.kind(), front) {
            let limit = self.limit;
            let reason = format!("the server's answer holds {bytes} bytes, more than `limits.line` allows ({limit})");
            tracing::error!("{reason}; it is dropped");
            return self.fail(&front, code::INTERNAL_ERROR, &reason).await;
        }
        refuse_length(self.limit, "server", &head, bytes, &self.to_back, &self.to_front).await
    }

    /// Ends a call with an error.
    async fn fail(&self, front: &[u8], code: i64, reason: &str) -> bool {
        self.fail_with(front, &Failure::new(code, reason)).await
    }

    async fn fail_with(&self, front: &[u8], failure: &Failure) -> bool {
        self.calls().end(front);
        self.to_front.send(failure.line(front)).await
    }
}

/// What the client declared in a request, and the request with `sampling` declared; `None` if the request is malformed, which the server
/// will say.
fn declare(line: &Bytes, offer: SamplingParts) -> Option<(Declared, Option<Bytes>)> {
    let envelope = Envelope::of(line)?;
    let (clients, _, edited) = capabilities::declare_in(line, envelope.raw_capabilities()?, offer)?;
    Some((clients, edited))
}
