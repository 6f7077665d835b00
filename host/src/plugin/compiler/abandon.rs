//! Work on another thread that nobody waits for any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tells who works on something that it is not wanted any more.
#[derive(Clone, Default)]
pub(in crate::plugin) struct Abandon(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_abandoned: bool,
    tell: Option<Box<dyn FnOnce() + Send>>,
}

impl Abandon {
    /// Has this done when the work is abandoned; at once if it has been.
    pub(super) fn then(&self, tell: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.is_abandoned {
            drop(state);
            tell();
        } else {
            state.tell = Some(Box::new(tell));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Abandons the work when it is dropped.
pub(in crate::plugin) struct AbandonOnDrop(pub(in crate::plugin) Abandon);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        let tell = {
            let mut state = self.0.lock();
            state.is_abandoned = true;
            state.tell.take()
        };
        if let Some(tell) = tell {
            tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn who_works_is_told_once_whenever_it_asks() {
        let (abandon, (tell, told)) = (Abandon::default(), channel());
        let again = tell.clone();
        abandon.then(move || tell.send(1).unwrap());
        assert!(told.try_recv().is_err());
        drop(AbandonOnDrop(abandon.clone()));
        assert_eq!(told.try_recv(), Ok(1));
        abandon.then(move || again.send(2).unwrap());
        assert_eq!(told.try_recv(), Ok(2));
        assert!(told.try_recv().is_err());
    }
}
