//! Pending requests: the client's requests that have no answer yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mcp::{Head, Kind, batch, ids, with_id};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The pending requests. A response is matched by its id, however that is spelt and whichever stream carries it.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    open: Mutex<HashMap<Vec<u8>, OpenRequest>>,
    count: TaskTracker,
}

#[derive(Debug)]
struct OpenRequest {
    /// The id, as spelt.
    id: Bytes,
    is_ours: bool,
    /// Whether the answer lists tools.
    lists_tools: bool,
    tell: oneshot::Sender<Bytes>,
    _counted: TaskTrackerToken,
}

/// What an answer is to be done with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recipient {
    /// The client waits for it.
    Client {
        /// The answer, with the id as the client spells it.
        answer: Bytes,
        /// Whether it lists tools.
        lists_tools: bool,
    },
    /// We asked.
    Us,
    /// Nobody waits for it.
    Nobody,
}

/// A request, or a batch with some in it. Dropping it gives them up.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pending: Arc<PendingRequests>,
    waits: Vec<Wait>,
    /// Whether the client has sent a batch, and so may be answered by one.
    pub(super) is_batch: bool,
    /// The answer, if it is one request.
    pub(super) answer: Option<Bytes>,
}

#[derive(Debug)]
struct Wait {
    id: Bytes,
    answer: oneshot::Receiver<Bytes>,
    is_over: bool,
}

impl PendingRequests {
    /// Begins to wait for answers; `None` if an id is in use. `is_ours` if the client didn't ask.
    pub(super) fn begin(self: &Arc<Self>, ids: &[Bytes], is_ours: bool) -> Option<PendingRequest> {
        let mut open = self.lock();
        if ids.iter().any(|id| open.contains_key(ids::key(id).as_ref())) {
            return None;
        }
        let mut waits = Vec::with_capacity(ids.len());
        for id in ids {
            let (tell, answer) = oneshot::channel();
            let counted = self.count.token();
            open.insert(
                ids::key(id).into_owned(),
                OpenRequest { id: id.clone(), is_ours, lists_tools: false, tell, _counted: counted },
            );
            waits.push(Wait { id: id.clone(), answer, is_over: false });
        }
        drop(open);
        Some(PendingRequest { pending: Arc::clone(self), waits, is_batch: false, answer: None })
    }

    /// An answer has come.
    pub(super) fn answered(&self, id: &[u8], answer: &Bytes) -> Recipient {
        let open = {
            let mut open = self.lock();
            ids::find(id, |key| open.contains_key(key)).and_then(|key| open.remove(key.as_ref()))
        };
        let Some(open) = open else { return Recipient::Nobody };
        let answer = if open.id == id { answer.clone() } else { with_id(answer, &open.id) };
        // The waiting request may have been cancelled just now.
        let _ = open.tell.send(answer.clone());
        if open.is_ours { Recipient::Us } else { Recipient::Client { answer, lists_tools: open.lists_tools } }
    }

    /// Waits until none is left.
    pub(super) async fn none_left(&self) {
        self.count.close();
        self.count.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, OpenRequest>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingRequest {
    /// The answer will list tools: they are learnt before the client gets the answer, since it may call one at once.
    pub(super) fn expect_tools(&self) {
        let mut open = self.pending.lock();
        for wait in &self.waits {
            if let Some(open) = open.get_mut(ids::key(&wait.id).as_ref()) {
                open.lists_tools = true;
            }
        }
    }

    /// The request in whose course a message is said.
    pub(super) fn related_request_id(&self) -> Option<Bytes> {
        self.waits.first().map(|wait| wait.id.clone())
    }

    /// Waits until everything is answered.
    pub(super) async fn answered(&mut self) {
        for wait in &mut self.waits {
            if !wait.is_over {
                self.answer = (&mut wait.answer).await.ok();
                wait.is_over = true;
            }
        }
    }

    pub(super) fn is_answered(&mut self) -> bool {
        for wait in &mut self.waits {
            if !wait.is_over
                && let Ok(answer) = wait.answer.try_recv()
            {
                self.answer = Some(answer);
                wait.is_over = true;
            }
        }
        self.waits.iter().all(|wait| wait.is_over)
    }

    /// Gives up; the ids, as spelt, that have no answer.
    pub(super) fn give_up(&mut self) -> Vec<Bytes> {
        let mut open = self.pending.lock();
        self.waits
            .drain(..)
            .filter(|wait| !wait.is_over && open.remove(ids::key(&wait.id).as_ref()).is_some())
            .map(|wait| wait.id)
            .collect()
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// The ids of the requests in a message.
pub(super) fn requests(line: &Bytes, head: &Head) -> Vec<Bytes> {
    let of = |head: &Head| head.id().filter(|_| head.kind() == Kind::Request).map(Bytes::copy_from_slice);
    batch::messages(line, head).iter().filter_map(|(_, head)| of(head)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_is_over_when_all_its_ids_are_answered_however_they_are_spelt() {
        let pending = Arc::new(PendingRequests::default());
        let line = Bytes::from_static(br#"[{"id":1,"method":"a"},{"method":"n"},{"id":"\u00e9","method":"b"}]"#);
        let ids = requests(&line, &Head::of(&line));
        let mut call = pending.begin(&ids, false).unwrap();
        assert!(pending.begin(&ids[..1], false).is_none());
        let answer = Bytes::from_static(b"{}");
        assert_eq!(pending.answered(b"2", &answer), Recipient::Nobody);
        let respelt = Recipient::Client { answer: Bytes::from_static(br#"{"id":"\u00e9"}"#), lists_tools: false };
        assert_eq!(pending.answered("\"é\"".as_bytes(), &Bytes::from("{\"id\":\"é\"}")), respelt);
        assert_eq!(pending.answered("\"é\"".as_bytes(), &answer), Recipient::Nobody);
        assert!(!call.is_answered());
        assert_eq!(call.give_up(), ["1"]);
        assert_eq!(pending.answered(b"1", &answer), Recipient::Nobody);
        let mut call = pending.begin(&ids, true).unwrap();
        assert_eq!(pending.answered(b"\"1.0\"", &answer), Recipient::Us);
        assert_eq!(pending.answered(br#""\u00E9""#, &answer), Recipient::Us);
        call.answered().await;
        assert!(call.is_answered());
        drop(call);
        pending.none_left().await;
    }
}
