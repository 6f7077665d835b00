//! The CPU time of a guest's call: what its thread spends while the call's future is polled. Between polls the guest waits, for a provider or
//! for a core, and that costs it nothing; nor does the time within a poll in which the kernel runs other threads.
//!
//! Reading the CPU clock is a system call. So it is read only for a guest that is still running at a tick of the epoch; most guests have
//! ended before. From then on the clock is read at the beginning of each poll as well, because a single operation (a bulk memory
//! instruction, a host call) may last for many ticks and is looked at only when it ends. Only what precedes the first reading may go
//! uncounted, and that is one such operation at most.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

use super::TICK;

/// Measures the CPU time of one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct CpuMeter(Arc<Mutex<Reading>>);

#[derive(Debug, Default)]
struct Reading {
    /// The time of the polls that have ended.
    past: Duration,
    /// Whether the clock is read when a poll begins: the call was still running at a tick, or runs on the threads for long-running guests.
    is_exact: bool,
    /// The poll in progress. Only its own thread asks meanwhile.
    current: Option<Slice>,
}

/// One poll of the call's future.
#[derive(Debug)]
struct Slice {
    began: Instant,
    /// The thread's CPU time when the poll began; estimated at the first reading if the clock wasn't read then.
    since: Option<Duration>,
}

/// The CPU time of this thread so far.
fn thread_cpu_time() -> Duration {
    ThreadTime::try_now().map(|time| time.as_duration()).unwrap_or_default()
}

impl Slice {
    /// The CPU time of this poll so far. A running guest is looked at by the next tick; where more time has passed before the first reading,
    /// other threads had the core, so no more than half a tick is charged for what precedes it.
    fn read(&mut self) -> Duration {
        let now = thread_cpu_time();
        let since = *self.since.get_or_insert_with(|| now.saturating_sub(self.began.elapsed().min(TICK / 2)));
        now.saturating_sub(since)
    }

    fn end(mut self) -> Duration {
        if self.since.is_some() { self.read() } else { self.began.elapsed().min(TICK) }
    }
}

impl CpuMeter {
    /// The CPU time of the call so far, estimated where the clock wasn't read.
    pub(crate) fn spent(&self) -> Duration {
        let mut reading = self.lock();
        reading.past + reading.current.as_mut().map_or(Duration::ZERO, Slice::read)
    }

    /// The CPU time as the clock has measured it; zero if no tick found the call running, however long it waited for a core.
    pub(crate) fn measured(&self) -> Duration {
        let is_exact = self.lock().is_exact;
        if is_exact { self.spent() } else { Duration::ZERO }
    }

    /// Reads the clock at the beginning of each poll, from the next one on.
    pub(crate) fn be_exact(&self) {
        self.lock().is_exact = true;
    }

    fn begin(&self) {
        let mut reading = self.lock();
        let since = reading.is_exact.then(thread_cpu_time);
        reading.current = Some(Slice { began: Instant::now(), since });
    }

    /// Runs the call, and measures each poll of its future.
    pub(crate) async fn measure<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        std::future::poll_fn(|context| {
            self.begin();
            let polled: Poll<T> = call.as_mut().poll(context);
            let mut reading = self.lock();
            if let Some(slice) = reading.current.take() {
                reading.is_exact |= slice.since.is_some();
                reading.past += slice.end();
            }
            polled
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works until this thread has spent so much, and is looked at meanwhile, as a guest is.
    fn work(time: Duration, meter: Option<&CpuMeter>) {
        let began = thread_cpu_time();
        while thread_cpu_time() < began + time {
            meter.map(CpuMeter::spent);
        }
    }

    #[tokio::test]
    async fn waiting_costs_nothing_and_running_does() {
        let meter = CpuMeter::default();
        let (open, closed) = tokio::sync::oneshot::channel::<()>();
        let opener = std::thread::spawn(move || {
            work(Duration::from_millis(50), None);
            let _ = open.send(());
        });
        meter.measure(closed).await.unwrap();
        opener.join().unwrap();
        assert!(meter.spent() < Duration::from_millis(50), "{:?}", meter.spent());
        meter.measure(async { work(Duration::from_millis(60), Some(&meter)) }).await;
        assert!(meter.spent() >= Duration::from_millis(60), "{:?}", meter.spent());
    }

    #[tokio::test]
    async fn a_thread_that_waits_within_a_poll_counts_little() {
        let meter = CpuMeter::default();
        let wait = async {
            std::thread::sleep(Duration::from_millis(30));
            meter.spent()
        };
        let seen = meter.measure(wait).await;
        assert!(seen <= TICK, "{seen:?}");
        meter.measure(async { std::thread::sleep(Duration::from_millis(30)) }).await;
        assert!(meter.spent() <= TICK * 3, "{:?}", meter.spent());
    }

    #[tokio::test]
    async fn a_call_that_no_tick_found_running_has_no_measured_time() {
        let meter = CpuMeter::default();
        meter.measure(async { std::thread::sleep(Duration::from_millis(30)) }).await;
        assert_eq!(meter.measured(), Duration::ZERO);
        meter.measure(async { work(Duration::from_millis(10), Some(&meter)) }).await;
        assert!(meter.measured() >= Duration::from_millis(9), "{:?}", meter.measured());
    }

    #[tokio::test]
    async fn what_is_looked_at_only_when_it_is_done_is_counted_but_for_the_first_time() {
        let meter = CpuMeter::default();
        let long = Duration::from_millis(20);
        for _ in 0..5 {
            let work = async {
                work(long, None);
                meter.spent()
            };
            meter.measure(work).await;
        }
        assert!(meter.spent() >= long * 4, "{:?}", meter.spent());
        let meter = CpuMeter::default();
        meter.be_exact();
        meter.measure(async { work(long, None) }).await;
        assert!(meter.spent() >= long, "{:?}", meter.spent());
    }

    #[tokio::test]
    async fn what_is_quick_is_counted_too() {
        let meter = CpuMeter::default();
        for _ in 0..100 {
            meter.measure(async { work(Duration::from_micros(100), None) }).await;
        }
        assert!(meter.spent() >= Duration::from_millis(10), "{:?}", meter.spent());
    }
}
