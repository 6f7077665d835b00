//! Cancelling work on another thread when nothing waits for it any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tells the thread that does the work that it is cancelled.
#[derive(Clone, Default)]
pub(crate) struct CancelFlag(Arc<Mutex<CancelState>>);

#[derive(Default)]
struct CancelState {
    is_cancelled: bool,
    callback: Option<Box<dyn FnOnce() + Send>>,
}

impl CancelFlag {
    /// Calls `callback` when the work is cancelled; at once if it has been.
    pub(super) fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.is_cancelled {
            drop(state);
            callback();
        } else {
            state.callback = Some(Box::new(callback));
        }
    }

    fn lock(&self) -> MutexGuard<'_, CancelState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cancels the work when dropped.
pub(crate) struct CancelOnDrop(pub(crate) CancelFlag);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let callback = {
            let mut state = self.0.lock();
            state.is_cancelled = true;
            state.callback.take()
        };
        if let Some(callback) = callback {
            callback();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_callback_is_called_once_whether_set_before_the_end_or_after() {
        let (cancel, (sender, receiver)) = (CancelFlag::default(), channel());
        let again = sender.clone();
        cancel.on_cancel(move || sender.send(1).unwrap());
        assert!(receiver.try_recv().is_err());
        drop(CancelOnDrop(cancel.clone()));
        assert_eq!(receiver.try_recv(), Ok(1));
        cancel.on_cancel(move || again.send(2).unwrap());
        assert_eq!(receiver.try_recv(), Ok(2));
        assert!(receiver.try_recv().is_err());
    }
}
