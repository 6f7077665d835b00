//! CPU time: what a guest's thread spends in the turns in which it runs. Between them it waits, for a provider or for its turn, and that
//! costs it nothing; nor does it, within them, when the system lets others go first.
//!
//! The CPU's clock costs a system call, so that is read only where a guest is looked at while it runs: once for each tick of the epoch. Most
//! guests are done before. A guest that was looked at once runs long, and from then on the clock is read when each of its turns begins, too: a
//! single operation (memory that is filled, a call of the host's) can last for many ticks, and isn't looked at before its end. So only in
//! a call's first turn may the time before the first look go by uncounted, and that holds one such operation at most.

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
    /// Whether the clock is read when a turn begins: one was still going on at a tick, or it is on a thread for guests that run long.
    is_exact: bool,
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
        let is_exact = self.lock().is_exact;
        if is_exact { self.spent() } else { Duration::ZERO }
    }

    /// Has the clock read when each turn begins, from the next one on.
    pub(super) fn be_exact(&self) {
        self.lock().is_exact = true;
    }

    fn begin(&self) {
        let mut spent = self.lock();
        let since = spent.is_exact.then(spent_by_thread);
        spent.turn = Some(Turn { began: Instant::now(), since });
    }

    /// Counts the time in which the call's future is polled.
    pub(super) async fn count<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        std::future::poll_fn(|context| {
            self.begin();
            let polled: Poll<T> = call.as_mut().poll(context);
            let mut spent = self.lock();
            if let Some(turn) = spent.turn.take() {
                spent.is_exact |= turn.since.is_some();
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
    async fn what_is_looked_at_only_when_it_is_done_is_counted_but_for_the_first_time() {
        let turns = Turns::default();
        let long = Duration::from_millis(20);
        for _ in 0..5 {
            let work = async {
                work(long, None);
                turns.spent()
            };
            turns.count(work).await;
        }
        assert!(turns.spent() >= long * 4, "{:?}", turns.spent());
        let turns = Turns::default();
        turns.be_exact();
        turns.count(async { work(long, None) }).await;
        assert!(turns.spent() >= long, "{:?}", turns.spent());
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
