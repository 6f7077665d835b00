//! Sampling requests in flight.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::closable_sender::ClosableSender;
use crate::transport::Message;

/// By the id that the server gave each.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    state: Mutex<InFlightState>,
}

#[derive(Debug, Default)]
struct InFlightState {
    running: HashMap<Vec<u8>, Running>,
    closed: bool,
}

#[derive(Debug)]
struct Running {
    /// The client's call in whose course it was asked, where the transport tells.
    related_request_id: Option<Bytes>,
    task: AbortHandle,
}

impl InFlight {
    /// Starts to answer a request; the answer is sent through the sender that `answer` returns. `false` if its id is in use.
    pub(super) fn begin(
        self: &Arc<Self>,
        id: Vec<u8>,
        related_request_id: Option<Bytes>,
        answer: impl Future<Output = (ClosableSender, Message)> + Send + 'static,
    ) -> bool {
        let mut state = self.lock();
        if state.closed {
            return true;
        }
        if state.running.contains_key(&id) {
            return false;
        }
        let (answers, key) = (Arc::clone(self), id.clone());
        let task = tokio::spawn(async move {
            let (outlet, message) = answer.await;
            // The server may use the id again as soon as it has the answer. One that no longer listens gets none.
            if let Some(sender) = answers.end(&key, &outlet) {
                let _ = sender.send(message).await;
            }
        });
        state.running.insert(id, Running { related_request_id, task: task.abort_handle() });
        true
    }

    /// Ends the request that this task answers; the way for the answer, if it is still wanted. Its id may be another one's by now. Who closes this
    /// afterwards closes the way behind the answer.
    fn end(&self, id: &[u8], outlet: &ClosableSender) -> Option<mpsc::Sender<Message>> {
        let mut state = self.lock();
        let is_wanted = state.running.get(id).is_some_and(|running| running.task.id() == tokio::task::id());
        if is_wanted && state.running.remove(id).is_some() { outlet.sender() } else { None }
    }

    /// Cancels the request of this id; whether there was one.
    pub(super) fn cancel(&self, id: &[u8]) -> bool {
        let running = self.lock().running.remove(id);
        running.inspect(|running| running.task.abort()).is_some()
    }

    /// Cancels the requests that were asked in the course of a call; their ids. If `alone`, also those whose originating call is unknown.
    pub(super) fn cancel_of(&self, call: &[u8], alone: bool) -> Vec<Vec<u8>> {
        let belongs = |running: &Running| {
            running.related_request_id.as_ref().map_or(alone, |related_request_id| related_request_id == call)
        };
        let stopped: Vec<_> = self.lock().running.extract_if(|_, running| belongs(running)).collect();
        let stop = |(id, running): (Vec<u8>, Running)| {
            running.task.abort();
            id
        };
        stopped.into_iter().map(stop).collect()
    }

    /// Cancels all requests, and takes no more; the ids of those without an answer.
    pub(super) fn close(&self) -> Vec<Vec<u8>> {
        let mut state = self.lock();
        state.closed = true;
        let stop = |(id, running): (Vec<u8>, Running)| {
            running.task.abort();
            id
        };
        state.running.drain().map(stop).collect()
    }

    fn lock(&self) -> MutexGuard<'_, InFlightState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_is_cancelled_in_the_last_moment_is_not_answered_and_leaves_its_id_to_the_next() {
        let (answers, (sender, mut heard)) = (Arc::new(InFlight::default()), mpsc::channel(4));
        let outlet = ClosableSender::new(sender);
        let (again, to_back) = (Arc::clone(&answers), outlet.clone());
        let answer = async move {
            // The answer is there; but before it is sent the server cancels, and asks anew under the same id.
            assert!(again.cancel(b"1"));
            let second = (to_back.clone(), Bytes::from_static(b"second").into());
            assert!(again.begin(b"1".to_vec(), None, async { second }));
            (to_back, Bytes::from_static(b"first").into())
        };
        assert!(answers.begin(b"1".to_vec(), None, answer));
        assert_eq!(heard.recv().await.unwrap().line, "second");
        outlet.close();
        drop(outlet);
        assert_eq!(heard.recv().await, None);
        assert!(!answers.cancel(b"1"));
    }
}
