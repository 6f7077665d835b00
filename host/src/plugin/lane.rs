//! Who waits for whom: a guest begins on the thread that its caller is on, which costs nothing, and a guest that runs long goes on
//! elsewhere, on threads that let others go first. So however many guests loop until their time is up, the threads that
//! relay, parse and answer are free. Where the last ones ran long, the next begin there: what is copied for a guest, or cleared when it is gone,
//! can't be left in the middle.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use super::TICK;
use super::giving_way::{self, Share};
use super::turns::Turns;

/// A guest that has run this long goes on elsewhere: converting a request takes a hundredth of it.
const LONG: Duration = Duration::from_millis(1);

/// A guest whose calls run this long begins there next time: others notice less than a whole millisecond, too. More than half a tick, which
/// may be charged to who was quick and had to wait for a core (`Turns::spent_for_sure`).
const HABITUALLY_LONG: Duration = Duration::from_micros(600);
const _: () = assert!(HABITUALLY_LONG.as_micros() > TICK.as_micros() / 2);

/// How many quick calls in a row make up for one that ran long.
const AMENDS: u8 = 8;

/// What is known of the calls of one function of a plugin: whether they run long.
#[derive(Debug, Default)]
pub(super) struct Habit(AtomicU8);

impl Habit {
    fn is_long(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// A call has ended. Of several that end in the same moment one is noted: it is a guess in any case.
    fn note(&self, spent: Duration) {
        let left = if spent < HABITUALLY_LONG { self.0.load(Ordering::Relaxed).saturating_sub(1) } else { AMENDS };
        self.0.store(left, Ordering::Relaxed);
    }
}

/// The threads for guests that run long; there are none before one does.
#[derive(Default)]
pub(super) struct SlowLane(OnceLock<Option<Runtime>>);

impl SlowLane {
    /// Runs a guest's call to its end. Dropping the future ends the guest.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        turns: Turns,
        habit: Arc<Habit>,
        call: Pin<Box<dyn Future<Output = T> + Send>>,
    ) -> T {
        let began_long = habit.is_long();
        let mut call = Box::pin({
            let turns = turns.clone();
            async move {
                let outcome = turns.count(call).await;
                habit.note(turns.spent_for_sure());
                outcome
            }
        });
        let quick = std::future::poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if turns.spent() >= LONG && self.runtime().is_some() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if !began_long && let Some(outcome) = quick.await {
            return outcome;
        }
        turns.be_exact();
        let Some(runtime) = self.runtime() else { return call.await };
        let call = std::future::poll_fn(move |context| giving_way::offering(|| call.as_mut().poll(context)));
        match AbortOnDropHandle::new(runtime.spawn(call)).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The program is ending.
            Err(_) => std::future::pending().await,
        }
    }

    fn runtime(&self) -> Option<&Runtime> {
        let make = || start().map_err(|e| tracing::warn!("no threads for guests that run long: {e}")).ok();
        self.0.get_or_init(make).as_ref()
    }
}

fn start() -> io::Result<Runtime> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name("guests").on_thread_start(begin).enable_all();
    builder.build()
}

/// What such a thread begins with.
fn begin() {
    giving_way::step_back(Share::Guests);
    giving_way::prepare();
}

impl Drop for SlowLane {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn name() -> Option<String> {
        thread::current().name().map(str::to_owned)
    }

    /// Runs for a while, and is looked at and lets others have their turn now and then, as a guest does at each tick.
    async fn run_for(time: Duration, turns: Turns) -> Option<String> {
        let began = Instant::now();
        while began.elapsed() < time {
            turns.spent();
            tokio::task::yield_now().await;
        }
        name()
    }

    /// The thread that a call ends on which runs so long.
    async fn ends_on(lane: &Arc<SlowLane>, habit: &Arc<Habit>, time: Duration) -> Option<String> {
        let turns = Turns::default();
        lane.run(turns.clone(), Arc::clone(habit), Box::pin(run_for(time, turns))).await
    }

    #[tokio::test]
    async fn who_runs_long_goes_on_elsewhere() {
        let (lane, habit) = (Arc::new(SlowLane::default()), Arc::default());
        assert_eq!(ends_on(&lane, &habit, Duration::ZERO).await, name());
        assert!(lane.0.get().is_none(), "threads that nobody needed");
        assert_eq!(ends_on(&lane, &habit, Duration::from_millis(50)).await.as_deref(), Some("guests"));
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[tokio::test]
    async fn who_goes_on_elsewhere_offers_its_core() {
        let (lane, habit) = (Arc::new(SlowLane::default()), Arc::default());
        let is_offering = async |time| {
            let turns = Turns::default();
            let run = run_for(time, turns.clone());
            lane.run(turns, Arc::clone(&habit), Box::pin(async { run.await.map(|_| giving_way::is_offering()) })).await
        };
        assert_eq!(is_offering(Duration::ZERO).await, Some(false));
        assert_eq!(is_offering(Duration::from_millis(50)).await, Some(true));
    }

    #[tokio::test]
    async fn where_calls_run_long_the_next_begin_elsewhere_until_some_have_been_quick() {
        let (lane, habit) = (Arc::new(SlowLane::default()), Arc::default());
        ends_on(&lane, &habit, Duration::from_millis(50)).await;
        for quick in 0..AMENDS {
            assert_eq!(ends_on(&lane, &habit, Duration::ZERO).await.as_deref(), Some("guests"), "{quick}");
        }
        assert_eq!(ends_on(&lane, &habit, Duration::ZERO).await, name());
    }

    #[tokio::test]
    async fn who_waits_long_stays() {
        let lane = Arc::new(SlowLane::default());
        let wait = async {
            tokio::time::sleep(LONG * 20).await;
            name()
        };
        assert_eq!(lane.run(Turns::default(), Arc::default(), Box::pin(wait)).await, name());
    }
}
