//! The sampling requests that are being answered.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::task::AbortHandle;

use super::Outlet;

/// By the id that the server gave each.
#[derive(Debug, Default)]
pub(super) struct Answers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<Vec<u8>, AbortHandle>,
    closed: bool,
}

impl Answers {
    /// Begins to answer a request; the line that comes of it goes to `to_back`. `false` if its id is in use.
    pub(super) fn begin(
        self: &Arc<Self>,
        id: Vec<u8>,
        answer: impl Future<Output = Bytes> + Send + 'static,
        to_back: Outlet,
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
            let line = answer.await;
            // The server may use the id again as soon as it has the answer.
            answers.lock().running.remove(&key);
            to_back.send(line).await;
        });
        state.running.insert(id, task.abort_handle());
        true
    }

    /// Stops answering; whether there was anything to stop.
    pub(super) fn cancel(&self, id: &[u8]) -> bool {
        let task = self.lock().running.remove(id);
        task.inspect(AbortHandle::abort).is_some()
    }

    /// Stops answering anything.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.running.drain().for_each(|(_, task)| task.abort());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
