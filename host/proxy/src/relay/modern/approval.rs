//! Asking the client's user whether a sampling request may be answered: by one more thing among the input that is required of the client. The call
//! is parked until the client makes it again with the answer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcp::{RawObject, code, ids, method};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use understudy::approval::{ApprovalReply, ApprovalRequest, ApprovalSession, Approver, Ask};

use super::{PendingCall, StatelessRelay};
use crate::relay::elicitation::{self, ALLOWED_HERE, NOT_DECLARED};
use crate::relay::multi_round::{InputRequest, InputRequired, MultiRoundRequest};
use crate::relay::request_state::RequestState;

/// How long a parked call waits for its client, which is as long as a `requestState` is good for.
const PARKED: Duration = Duration::from_mins(10);

/// So many calls are parked at most.
const MOST_PARKED: usize = 1024;

/// A call whose client is asked something.
pub(super) struct Parked {
    pub(super) resume: oneshot::Sender<Retried>,
    /// What answers it.
    pub(super) task: AbortHandle,
}

/// The call, made again.
pub(super) struct Retried {
    pub(super) call: MultiRoundRequest,
    /// What the client has answered, by the keys of what was required.
    pub(super) responses: RawObject,
}

/// A question for the client's user.
pub(super) struct PendingQuestion {
    params: Value,
    reply: oneshot::Sender<ApprovalReply>,
}

impl PendingQuestion {
    /// Whether nobody waits for the answer any more.
    pub(super) fn is_over(&self) -> bool {
        self.reply.is_closed()
    }
}

/// Asks the user of the client that made a call.
#[derive(Debug)]
struct AskByInput {
    /// Whether the client declares elicitation.
    can: bool,
    questions: mpsc::Sender<PendingQuestion>,
}

#[async_trait]
impl Ask for AskByInput {
    async fn ask(&self, request: &ApprovalRequest) -> ApprovalReply {
        if !self.can {
            return ApprovalReply::Unavailable(NOT_DECLARED.to_owned());
        }
        let (reply, answer) = oneshot::channel();
        let gone = || ApprovalReply::Unavailable("the client is gone".to_owned());
        let question = PendingQuestion { params: elicitation::params(request), reply };
        match self.questions.send(question).await {
            Ok(()) => answer.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }

    fn allowed_here(&self) -> &'static str {
        ALLOWED_HERE
    }
}

impl StatelessRelay {
    /// Who can be asked in the course of a call; `None` where nobody ever is.
    pub(super) fn approver(
        &self,
        call: &MultiRoundRequest,
        questions: mpsc::Sender<PendingQuestion>,
    ) -> Option<Approver> {
        if !self.sampler.asks_for_approval() {
            return None;
        }
        let own = || Arc::new(AskByInput { can: call.clients.elicitation, questions }) as Arc<dyn Ask>;
        // Several clients have nothing in common but the server: what one allows is for its own call.
        let session = self.approvals.as_ref().map_or_else(ApprovalSession::shared, |all| all.for_one_call());
        Some(Approver::new(self.ask.clone().unwrap_or_else(own), session))
    }

    /// Has the client asked, along with what else the server requires of it; waits until the client has made the call again, while `answering` goes on.
    /// `None` if it doesn't.
    pub(super) async fn ask_client<T>(
        &self,
        call: &MultiRoundRequest,
        required: (&InputRequired, &mut Vec<(String, InputRequest)>),
        question: PendingQuestion,
        mut answering: impl Future<Output = T> + Unpin,
    ) -> Option<(Retried, Option<T>)> {
        let (required, others) = required;
        let PendingQuestion { params, reply } = question;
        if self.calls().parked.len() >= MOST_PARKED {
            let reason = format!("{MOST_PARKED} calls wait for their client's user already; try again later");
            return self.end_unasked(call, &reason).await;
        }
        let key = free_key(others);
        let token = hex::encode(fastrand::u128(..).to_be_bytes());
        // The rest waits here.
        let mut remembered = RequestState::new(None, RawObject::default(), call.rounds);
        (remembered.spent, remembered.parked) = (call.spent, Some(token.clone()));
        let sealed = self.seal.as_ref().and_then(|seal| seal.seal(&remembered, &call.binding()));
        let Some(state) = sealed else {
            return self.end_unasked(call, "the state of this call can't be sealed").await;
        };
        let mut requests = std::mem::take(others);
        let params = RawValue::from_string(params.to_string()).ok();
        requests.push((key.clone(), InputRequest { method: method::ELICITATION_CREATE.to_owned(), params }));
        let asked = InputRequired { requests, state: None, rest: required.rest.clone() };
        let mut retried = self.park(call, &token)?;
        self.to_front.send(asked.left(&call.id, &state)).await;
        let mut outcome = None;
        let until = tokio::time::sleep(PARKED);
        tokio::pin!(until);
        let mut retried = loop {
            tokio::select! {
                retried = &mut retried => break retried.ok()?,
                // It was allowed or refused elsewhere, or too late: the client hears of it when it comes back.
                answers = &mut answering, if outcome.is_none() => outcome = Some(answers),
                () = &mut until => {
                    self.calls().parked.remove(&token);
                    return None;
                }
            }
        };
        let given = retried.responses.remove(&key);
        let given = given.map(|given| serde_json::from_str(given.get()).unwrap_or_default());
        let nothing = || ApprovalReply::Unanswered("the client has made its call again without an answer".to_owned());
        // Nobody may wait for it any more.
        let _ = reply.send(given.map_or_else(nothing, |given: Value| elicitation::reply(&given)));
        Some((retried, outcome))
    }

    /// Ends a call whose client can't be asked.
    async fn end_unasked<T>(&self, call: &MultiRoundRequest, reason: &str) -> Option<T> {
        // What ends the call must not end this task, which has still to say so.
        self.calls().answering.remove(&call.id);
        self.fail(&call.id, code::INTERNAL_ERROR, reason).await;
        None
    }

    /// Parks a call that goes back to its client; `None` if it was given up.
    fn park(&self, call: &MultiRoundRequest, token: &str) -> Option<oneshot::Receiver<Retried>> {
        let mut calls = self.calls();
        // What ends the call must not end this task.
        let task = calls.answering.remove(&call.id)?;
        let (resume, retried) = oneshot::channel();
        calls.end(&call.id);
        calls.parked.insert(token.to_owned(), Parked { resume, task });
        Some(retried)
    }

    /// The client has made a parked call again; `false` if nobody waits for it.
    pub(super) fn unpark(&self, token: &str, call: MultiRoundRequest, responses: RawObject) -> bool {
        let mut calls = self.calls();
        let Some(Parked { resume, task }) = calls.parked.remove(token) else { return false };
        let id = call.id.clone();
        let pending = PendingCall { call: Arc::new(call.clone()), back: None };
        calls.by_front.insert(ids::key(&id).into_owned(), pending);
        calls.answering.insert(id, task);
        resume.send(Retried { call, responses }).is_ok()
    }
}

/// A key that the server hasn't used.
fn free_key(others: &[(String, InputRequest)]) -> String {
    let mut key = "understudy-approval".to_owned();
    while others.iter().any(|(own, _)| *own == key) {
        key.push('-');
    }
    key
}
