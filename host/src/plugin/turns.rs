//! CPU time: the turns in which a guest runs. Between them it waits, for a provider or for its turn, and that costs it nothing.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

/// The turns of one call.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<Spent>>);

#[derive(Debug, Default)]
struct Spent {
    past: Duration,
    since: Option<Instant>,
}

impl Turns {
    /// How long the guest has run so far.
    pub(super) fn spent(&self) -> Duration {
        let spent = self.lock();
        spent.past + spent.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Counts the time in which the call's future is polled.
    pub(super) async fn count<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        std::future::poll_fn(|context| {
            self.lock().since = Some(Instant::now());
            let polled: Poll<T> = call.as_mut().poll(context);
            let mut spent = self.lock();
            let turn = spent.since.take().map_or(Duration::ZERO, |since| since.elapsed());
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

    #[tokio::test]
    async fn waiting_costs_nothing_and_running_does() {
        let turns = Turns::default();
        let (open, closed) = tokio::sync::oneshot::channel::<()>();
        let opener = std::thread::spawn(move || {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(50) {
                std::thread::yield_now();
            }
            let _ = open.send(());
        });
        turns.count(closed).await.unwrap();
        opener.join().unwrap();
        assert!(turns.spent() < Duration::from_millis(50), "{:?}", turns.spent());
        turns
            .count(async {
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(60) {}
            })
            .await;
        assert!(turns.spent() >= Duration::from_millis(60), "{:?}", turns.spent());
    }
}
