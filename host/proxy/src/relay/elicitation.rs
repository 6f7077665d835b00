//! Asking the client's user whether a request may be answered: by elicitation (`elicitation/create`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use mcp::build::{cancelled_line, request_line};
use mcp::{Head, Kind, Parts, code, ids, method};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use understudy::approval::{ApprovalReply, ApprovalRequest, ApprovalSession, Approver, Ask};

use super::closable_sender::ClosableSender;
use crate::transport::Message;

/// The name of the one field that a question may have.
const REMEMBER: &str = "remember";

/// What the ledger says of a request that the client's user allowed.
pub(super) const ALLOWED_HERE: &str = "allowed by the client's user";

/// Why a client can't ask its user.
pub(super) const NOT_DECLARED: &str = "the client does not declare `elicitation` with forms";

/// The parameters of the `elicitation/create` that asks this.
pub(super) fn params(request: &ApprovalRequest) -> Value {
    let what = if request.subject.tool.is_some() { "in the course of this tool" } else { "outside of tool calls" };
    let remember = json!({
        "type": "boolean",
        "title": "Don't ask again",
        "description": format!("Allow later requests of this server {what}, too; `understudy approvals` takes it back"),
        "default": false,
    });
    let properties = if request.can_remember { json!({ REMEMBER: remember }) } else { json!({}) };
    json!({ "message": request.message(), "requestedSchema": { "type": "object", "properties": properties } })
}

/// What an `ElicitResult` says. What isn't clearly a yes is none.
pub(super) fn reply(result: &Value) -> ApprovalReply {
    let invalid = |what: &str| ApprovalReply::Unanswered(format!("the client's answer is not valid: {what}"));
    match result.get("action").and_then(Value::as_str) {
        Some("decline") => ApprovalReply::Refused,
        Some("cancel") => ApprovalReply::Unanswered("the user has closed the question".to_owned()),
        Some("accept") => match result.get("content") {
            None | Some(Value::Null) => ApprovalReply::Allowed { remember: false },
            Some(Value::Object(content)) => match content.get(REMEMBER) {
                None | Some(Value::Null) => ApprovalReply::Allowed { remember: false },
                Some(Value::Bool(remember)) => ApprovalReply::Allowed { remember: *remember },
                Some(_) => invalid("`remember` is neither `true` nor `false`"),
            },
            Some(_) => invalid("`content` is not an object"),
        },
        _ => invalid("`action` is none of `accept`, `decline` and `cancel`"),
    }
}

/// What a client's response to such a request says.
fn reply_of_response(line: &[u8]) -> ApprovalReply {
    let unreadable = || ApprovalReply::Unanswered("the client's answer can't be read".to_owned());
    let Ok(Parts { result, error, .. }) = Parts::of(line) else { return unreadable() };
    if let Some(error) = error {
        let said = understudy::text::one_line(&error.message, 200);
        return match error.code {
            code::USER_REJECTED => ApprovalReply::Refused,
            _ => ApprovalReply::Unavailable(format!("the client can't ask its user: {said} (code {})", error.code)),
        };
    }
    result.and_then(|result| serde_json::from_str(result.get()).ok()).map_or_else(unreadable, |result| reply(&result))
}

/// Whether a client answers each question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// It does, if only by an error: one question is open at a time.
    Always,
    /// It may give its call up without a word, as one of 2026-07-28 behind a bridge may: no question waits for another one's answer.
    Perhaps,
}

/// The questions that one client is asked, in the eras that have sessions.
#[derive(Debug)]
pub(super) struct Elicitations {
    to_front: ClosableSender,
    answers: Answers,
    open: Mutex<OpenQuestions>,
    session: Arc<ApprovalSession>,
}

#[derive(Debug, Default)]
struct OpenQuestions {
    /// How our ids begin. No server can guess it, so none of its ids is taken for one of ours.
    prefix: String,
    asked: u64,
    waiting: HashMap<Vec<u8>, oneshot::Sender<ApprovalReply>>,
}

impl Elicitations {
    pub(super) fn new(to_front: ClosableSender, answers: Answers) -> Self {
        Self { to_front, answers, open: Mutex::default(), session: Arc::default() }
    }

    /// Who can be asked in the course of a call of the client's; `can`: it declares elicitation.
    pub(super) fn approver(self: &Arc<Self>, can: bool, related_request_id: Option<Bytes>) -> Approver {
        let ask = AskClient { elicitations: Arc::clone(self), can, related_request_id };
        let session = match self.answers {
            Answers::Always => Arc::clone(&self.session),
            Answers::Perhaps => self.session.for_one_call(),
        };
        Approver::new(Arc::new(ask), session)
    }

    /// What has been allowed in the course of this session.
    pub(super) fn session(&self) -> &Arc<ApprovalSession> {
        &self.session
    }

    /// Whether this message of the client's is an answer to a question of ours, which is given on. A second answer is dropped.
    pub(super) fn takes(&self, line: &[u8]) -> bool {
        let reply = {
            let mut open = self.lock();
            if open.prefix.is_empty() {
                return false;
            }
            let head = Head::of(line);
            let (Kind::Response, Some(id)) = (head.kind(), head.id()) else { return false };
            let key = ids::key(id);
            if !key.starts_with(open.prefix.as_bytes()) {
                return false;
            }
            open.waiting.remove(key.as_ref())
        };
        if let Some(waiting) = reply {
            // It may have been given up in this moment.
            let _ = waiting.send(reply_of_response(line));
        }
        true
    }

    /// An id for a question, and where its answer comes.
    fn begin(&self) -> (Vec<u8>, oneshot::Receiver<ApprovalReply>) {
        let (sender, receiver) = oneshot::channel();
        let mut open = self.lock();
        if open.prefix.is_empty() {
            let mut random = [0; 16];
            // Without random numbers the ids can be guessed, by a server that may confuse its own client with that.
            let _ = getrandom::fill(&mut random);
            open.prefix = format!("\"understudy-approval-{}-", hex::encode(random));
        }
        open.asked += 1;
        let id = format!("{}{}\"", open.prefix, open.asked).into_bytes();
        open.waiting.insert(ids::key(&id).into_owned(), sender);
        (id, receiver)
    }

    fn lock(&self) -> MutexGuard<'_, OpenQuestions> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the client of a session.
#[derive(Debug)]
struct AskClient {
    elicitations: Arc<Elicitations>,
    can: bool,
    related_request_id: Option<Bytes>,
}

#[async_trait]
impl Ask for AskClient {
    async fn ask(&self, request: &ApprovalRequest) -> ApprovalReply {
        if !self.can {
            return ApprovalReply::Unavailable(NOT_DECLARED.to_owned());
        }
        let (id, answer) = self.elicitations.begin();
        let line = request_line(&id, method::ELICITATION_CREATE, &params(request));
        let question =
            AskedClient { elicitations: &self.elicitations, related_request_id: &self.related_request_id, id };
        let message = Message { line, related_request_id: self.related_request_id.clone() };
        let gone = || ApprovalReply::Unavailable("the client is gone".to_owned());
        if !self.elicitations.to_front.send(message).await {
            return gone();
        }
        let reply = answer.await.unwrap_or_else(|_| gone());
        drop(question);
        reply
    }

    fn allowed_here(&self) -> &'static str {
        ALLOWED_HERE
    }
}

/// A question that the client has been asked. When it is dropped without an answer, it is taken back.
struct AskedClient<'a> {
    elicitations: &'a Elicitations,
    related_request_id: &'a Option<Bytes>,
    id: Vec<u8>,
}

impl Drop for AskedClient<'_> {
    fn drop(&mut self) {
        let was_open = self.elicitations.lock().waiting.remove(ids::key(&self.id).as_ref()).is_some();
        if let Some(sender) = self.elicitations.to_front.sender().filter(|_| was_open) {
            let line = cancelled_line(&self.id, Some("the question is settled, or nobody waits for its answer"), None);
            // A client whose queue is full has more to do than to close a window.
            let _ = sender.try_send(Message { line, related_request_id: self.related_request_id.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        let allowed = |remember| ApprovalReply::Allowed { remember };
        for (result, expected) in [
            (json!({"action": "accept"}), allowed(false)),
            (json!({"action": "accept", "content": {}}), allowed(false)),
            (json!({"action": "accept", "content": {"remember": true, "x": 1}}), allowed(true)),
            (json!({"action": "decline", "content": {"remember": true}}), ApprovalReply::Refused),
        ] {
            assert_eq!(reply(&result), expected, "{result}");
        }
        for nonsense in [
            json!({"action": "cancel"}),
            json!({"action": "ACCEPT"}),
            json!({"action": true}),
            json!({"action": "accept", "content": []}),
            json!({"action": "accept", "content": {"remember": "yes"}}),
            json!({}),
            json!("accept"),
            Value::Null,
        ] {
            assert!(matches!(reply(&nonsense), ApprovalReply::Unanswered(_)), "{nonsense}");
        }
    }
}
