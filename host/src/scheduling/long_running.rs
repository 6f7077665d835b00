//! Moving a guest that computes for long off its caller's thread.
//!
//! A guest starts on the worker thread of its caller, which costs nothing. After 1 ms of CPU time it is moved to a pool of threads that have a
//! lower priority and yield their core ([`super::priority`], [`super::yield_timer`]). So guests that loop until their limit leave the threads
//! free that relay, parse and answer. A function whose last calls ran long starts there: copying a large list for a guest, or clearing its
//! memory, is one piece of work that can't be moved once it has begun.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use super::cpu_time::CpuMeter;
use super::priority::{self, Niceness};
use super::{Scheduling, TICK, yield_timer};

/// The CPU time after which a guest is moved: converting a request takes a hundredth of it.
const LONG: Duration = Duration::from_millis(1);

/// The CPU time of a call after which the next calls start on the pool: others notice less than a whole millisecond, too. More than half a
/// tick, which is what a quick call may be charged when it had to wait for a core.
const EXPENSIVE: Duration = Duration::from_micros(600);
const _: () = assert!(EXPENSIVE.as_micros() > TICK.as_micros() / 2);

/// The number of cheap calls in a row after one that ran long until calls start on their caller's thread again.
const CHEAP_IN_A_ROW: u8 = 8;

/// What the last calls of one function of a plugin say about the next one: whether it will run long.
#[derive(Debug, Default)]
pub(crate) struct CostHint(AtomicU8);

impl CostHint {
    fn is_expensive(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Records a call that has ended. Of several that end in the same moment one is recorded: it is a guess in any case.
    fn record(&self, spent: Duration) {
        let left = if spent < EXPENSIVE { self.0.load(Ordering::Relaxed).saturating_sub(1) } else { CHEAP_IN_A_ROW };
        self.0.store(left, Ordering::Relaxed);
    }
}

/// The threads for guests that run long; they are started when the first guest does.
#[derive(Default)]
pub(crate) struct LongRunningPool {
    scheduling: Scheduling,
    runtime: OnceLock<Option<Runtime>>,
}

impl LongRunningPool {
    /// A pool that is used unless scheduling is off.
    pub(crate) fn new(scheduling: Scheduling) -> Self {
        Self { scheduling, runtime: OnceLock::new() }
    }

    /// Runs a guest's call to its end, metered. Dropping the future ends the guest.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        meter: CpuMeter,
        hint: Arc<CostHint>,
        call: Pin<Box<dyn Future<Output = T> + Send>>,
    ) -> T {
        if self.scheduling == Scheduling::Off {
            return meter.measure(call).await;
        }
        let starts_on_pool = hint.is_expensive();
        let mut call = Box::pin({
            let meter = meter.clone();
            async move {
                let outcome = meter.measure(call).await;
                hint.record(meter.measured());
                outcome
            }
        });
        let on_caller = std::future::poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if meter.spent() >= LONG && self.runtime().is_some() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if !starts_on_pool && let Some(outcome) = on_caller.await {
            return outcome;
        }
        meter.be_exact();
        let Some(runtime) = self.runtime() else { return call.await };
        let call = std::future::poll_fn(move |context| yield_timer::with_yield_timer(|| call.as_mut().poll(context)));
        match AbortOnDropHandle::new(runtime.spawn(call)).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The program is ending.
            Err(_) => std::future::pending().await,
        }
    }

    fn runtime(&self) -> Option<&Runtime> {
        let make = || start().map_err(|e| tracing::warn!("no threads for guests that run long: {e}")).ok();
        self.runtime.get_or_init(make).as_ref()
    }
}

fn start() -> io::Result<Runtime> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name("guests").on_thread_start(prepare_thread).enable_all();
    builder.build()
}

fn prepare_thread() {
    priority::lower(Niceness::Guests);
    yield_timer::install();
}

impl Drop for LongRunningPool {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take().flatten() {
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
    async fn run_for(time: Duration, meter: CpuMeter) -> Option<String> {
        let began = Instant::now();
        while began.elapsed() < time {
            meter.spent();
            tokio::task::yield_now().await;
        }
        name()
    }

    /// The thread that a call ends on which runs so long.
    async fn ends_on(pool: &Arc<LongRunningPool>, hint: &Arc<CostHint>, time: Duration) -> Option<String> {
        let meter = CpuMeter::default();
        pool.run(meter.clone(), Arc::clone(hint), Box::pin(run_for(time, meter))).await
    }

    #[tokio::test]
    async fn a_guest_that_runs_long_is_moved_to_the_pool() {
        let (pool, hint) = (Arc::new(LongRunningPool::default()), Arc::default());
        assert_eq!(ends_on(&pool, &hint, Duration::ZERO).await, name());
        assert!(pool.runtime.get().is_none(), "threads that nobody needed");
        assert_eq!(ends_on(&pool, &hint, Duration::from_millis(50)).await.as_deref(), Some("guests"));
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[tokio::test]
    async fn a_guest_on_the_pool_yields_its_core() {
        let (pool, hint) = (Arc::new(LongRunningPool::default()), Arc::default());
        let yields = async |time| {
            let meter = CpuMeter::default();
            let run = run_for(time, meter.clone());
            pool.run(meter, Arc::clone(&hint), Box::pin(async { run.await.map(|_| yield_timer::is_armed()) })).await
        };
        assert_eq!(yields(Duration::ZERO).await, Some(false));
        assert_eq!(yields(Duration::from_millis(50)).await, Some(true));
    }

    #[tokio::test]
    async fn the_calls_after_a_long_one_start_on_the_pool_until_some_have_been_cheap() {
        let (pool, hint) = (Arc::new(LongRunningPool::default()), Arc::default());
        ends_on(&pool, &hint, Duration::from_millis(50)).await;
        for quick in 0..CHEAP_IN_A_ROW {
            assert_eq!(ends_on(&pool, &hint, Duration::ZERO).await.as_deref(), Some("guests"), "{quick}");
        }
        assert_eq!(ends_on(&pool, &hint, Duration::ZERO).await, name());
    }

    #[tokio::test]
    async fn with_scheduling_off_a_guest_stays_however_long_it_runs_and_is_metered() {
        let (pool, meter) = (Arc::new(LongRunningPool::new(Scheduling::Off)), CpuMeter::default());
        let long = Duration::from_millis(50);
        assert_eq!(pool.run(meter.clone(), Arc::default(), Box::pin(run_for(long, meter.clone()))).await, name());
        assert!(meter.spent() > LONG && pool.runtime.get().is_none());
    }

    #[tokio::test]
    async fn a_guest_that_waits_long_stays() {
        let pool = Arc::new(LongRunningPool::default());
        let wait = async {
            tokio::time::sleep(LONG * 20).await;
            name()
        };
        assert_eq!(pool.run(CpuMeter::default(), Arc::default(), Box::pin(wait)).await, name());
    }
}
