//! CPU time: what a guest's thread spends in the turns in which it runs. Between them it waits, for a provider or for its turn, and that
//! costs it nothing; nor does it, within them, when the system lets others go first.
//!
//! The CPU's clock costs a system call, so that is read only where a guest is looked at while it runs: once for each tick of the epoch. Most
//! guests are done before.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use super::TICK;

/// The turns of one call.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Mutex<Spent>>);

#[derive(Debug, Default)]
struct Spent {
    past: Duration,
    /// Whether a turn was still going on at a tick.
    was_looked_at: bool,
    /// The turn that is going on. Only its thread asks meanwhile.
    turn: Option<Turn>,
}

#[derive(Debug)]
struct Turn {
    began: Instant,
    /// What the thread had spent when the turn began, as far as that can be told later.
    since: Option<Duration>,
}

/// What this thread has spent so far.
fn spent_by_thread() -> Duration {
    ThreadTime::try_now().map(|time| time.as_duration()).unwrap_or_default()
}

impl Turn {
    /// What the thread has spent in it so far. Whoever runs is looked at with the next tick, so where more time than that has passed
    /// until the first look, others went first.
    fn look(&mut self) -> Duration {
        let now = spent_by_thread();
        let since = *self.since.get_or_insert_with(|| now.saturating_sub(self.began.elapsed().min(TICK / 2)));
        now.saturating_sub(since)
    }

    fn end(mut self) -> Duration {
        if self.since.is_some() { self.look() } else { self.began.elapsed().min(TICK) }
    }
}

impl Turns {
    /// How long the guest has run so far.
    pub(super) fn spent(&self) -> Duration {
        let mut spent = self.lock();
        spent.past + spent.turn.as_mut().map_or(Duration::ZERO, Turn::look)
    }

    /// How long it has run as far as the CPU's clock knows. Who was quick but had to wait for a core has run for no time.
    pub(super) fn spent_for_sure(&self) -> Duration {
        let was_looked_at = self.lock().was_looked_at;
        if was_looked_at { self.spent() } else { Duration::ZERO }
    }

    /// Counts the time in which the call's future is polled.
    pub(super) async fn count<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        std::future::poll_fn(|context| {
            self.lock().turn = Some(Turn { began: Instant::now(), since: None });
            let polled: Poll<T> = call.as_mut().poll(context);
            let mut spent = self.lock();
            if let Some(turn) = spent.turn.take() {
                spent.was_looked_at |= turn.since.is_some();
                spent.past += turn.end();
            }
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

    /// Works until this thread has spent so much, and is looked at meanwhile, as a guest is.
    fn work(time: Duration, turns: Option<&Turns>) {
        let began = spent_by_thread();
        while spent_by_thread() < began + time {
            turns.map(Turns::spent);
        }
    }

    #[tokio::test]
    async fn waiting_costs_nothing_and_running_does() {
        let turns = Turns::default();
        let (open, closed) = tokio::sync::oneshot::channel::<()>();
        let opener = std::thread::spawn(move || {
            work(Duration::from_millis(50), None);
            let _ = open.send(());
        });
        turns.count(closed).await.unwrap();
        opener.join().unwrap();
        assert!(turns.spent() < Duration::from_millis(50), "{:?}", turns.spent());
        turns.count(async { work(Duration::from_millis(60), Some(&turns)) }).await;
        assert!(turns.spent() >= Duration::from_millis(60), "{:?}", turns.spent());
    }

    #[tokio::test]
    async fn a_thread_that_waits_within_a_turn_counts_little() {
        let turns = Turns::default();
        let wait = async {
            std::thread::sleep(Duration::from_millis(30));
            turns.spent()
        };
        let seen = turns.count(wait).await;
        assert!(seen <= TICK, "{seen:?}");
        turns.count(async { std::thread::sleep(Duration::from_millis(30)) }).await;
        assert!(turns.spent() <= TICK * 3, "{:?}", turns.spent());
    }

    #[tokio::test]
    async fn who_was_never_looked_at_has_not_run_for_sure() {
        let turns = Turns::default();
        turns.count(async { std::thread::sleep(Duration::from_millis(30)) }).await;
        assert_eq!(turns.spent_for_sure(), Duration::ZERO);
        turns.count(async { work(Duration::from_millis(10), Some(&turns)) }).await;
        assert!(turns.spent_for_sure() >= Duration::from_millis(9), "{:?}", turns.spent_for_sure());
    }

    #[tokio::test]
    async fn what_is_quick_is_counted_too() {
        let turns = Turns::default();
        for _ in 0..100 {
            turns.count(async { work(Duration::from_micros(100), None) }).await;
        }
        assert!(turns.spent() >= Duration::from_millis(10), "{:?}", turns.spent());
    }
}
