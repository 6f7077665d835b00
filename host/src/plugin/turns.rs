//! CPU time: what a guest's thread spends in the turns in which it runs. Between them it waits, for a provider or for its turn, and that
//! costs it nothing; nor does it, within them, when the system lets others go first.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The turns of one call.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<Spent>>);

#[derive(Debug, Default)]
struct Spent {
    past: Duration,
    /// What the thread had spent when the turn began that is going on. Only that thread asks meanwhile.
    since: Option<Duration>,
}

/// What this thread has spent so far.
fn spent_by_thread() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

impl Turns {
    /// How long the guest has run so far.
    pub(super) fn spent(&self) -> Duration {
        let spent = self.lock();
        spent.past + spent.since.map_or(Duration::ZERO, |since| spent_by_thread().saturating_sub(since))
    }

    /// Counts the time in which the call's future is polled.
    pub(super) async fn count<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        std::future::poll_fn(|context| {
            self.lock().since = Some(spent_by_thread());
            let polled: Poll<T> = call.as_mut().poll(context);
            let mut spent = self.lock();
            let turn = spent.since.take().map_or(Duration::ZERO, |since| spent_by_thread().saturating_sub(since));
            spent.past += turn;
            polled
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works until this thread has spent so much.
    fn work(time: Duration) {
        let began = spent_by_thread();
        while spent_by_thread() < began + time {}
    }

    #[tokio::test]
    async fn waiting_costs_nothing_and_running_does() {
        let turns = Turns::default();
        let (open, closed) = tokio::sync::oneshot::channel::<()>();
        let opener = std::thread::spawn(move || {
            work(Duration::from_millis(50));
            let _ = open.send(());
        });
        turns.count(closed).await.unwrap();
        opener.join().unwrap();
        assert!(turns.spent() < Duration::from_millis(50), "{:?}", turns.spent());
        turns.count(async { work(Duration::from_millis(60)) }).await;
        assert!(turns.spent() >= Duration::from_millis(60), "{:?}", turns.spent());
    }
}
