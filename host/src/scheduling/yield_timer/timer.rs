//! The timer itself: one per thread, on the monotonic clock, with a signal to this thread.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;

/// The interval in which a core is yielded. At 100 µs guests that honestly run long took 1.2 to 1.9 times as long on a busy machine (`nice` 5
/// and 7); at 500 µs p99 under attack was 1.6 to 1.8 times what it is without, and 1.1 times at this.
const INTERVAL: Duration = Duration::from_micros(150);

/// Nothing else uses this signal, and its default action is to be ignored.
const SIGNAL: Signal = Signal::SIGURG;

thread_local! {
    static TIMER: RefCell<Option<Timer>> = const { RefCell::new(None) };
}

/// Installs this thread's timer, which [`with_yield_timer`] sets.
pub(crate) fn install() {
    match timer() {
        Ok(timer) => TIMER.set(Some(timer)),
        Err(error) => tracing::debug!("a thread has no timer that makes it yield: {error}"),
    }
}

fn timer() -> nix::Result<Timer> {
    static HANDLED: OnceLock<nix::Result<()>> = OnceLock::new();
    (*HANDLED.get_or_init(handle))?;
    let thread_id = gettid().as_raw();
    let notify = SigevNotify::SigevThreadId { signal: SIGNAL, thread_id, si_value: 0 };
    Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))
}

/// Installs the handler, on the thread's stack for signals: a guest may have used up its own.
fn handle() -> nix::Result<()> {
    let flags = SaFlags::SA_RESTART | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::Handler(yield_core), flags, SigSet::empty());
    #[expect(unsafe_code, reason = "what a handler may do is not known to the compiler")]
    // SAFETY: the handler makes one system call, which doesn't fail; it allocates nothing, locks nothing and leaves `errno` as it is.
    unsafe { sigaction(SIGNAL, &action) }.map(drop)
}

extern "C" fn yield_core(_: c_int) {
    #[cfg(test)]
    tests::YIELDS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    thread::yield_now();
}

/// Does the work; meanwhile the thread yields its core at each interval, if its timer is installed.
pub(crate) fn with_yield_timer<T>(work: impl FnOnce() -> T) -> T {
    let _until_dropped = Armed::begin();
    work()
}

struct Armed;

impl Armed {
    fn begin() -> Self {
        set(Expiration::Interval(INTERVAL.into()));
        Self
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        set(Expiration::OneShot(TimeSpec::from_duration(Duration::ZERO)));
    }
}

fn set(expiration: Expiration) {
    TIMER.with_borrow_mut(|timer| {
        let Some(timer) = timer else { return };
        if let Err(error) = timer.set(expiration, TimerSetTimeFlags::empty()) {
            tracing::debug!("a thread's timer can't be set: {error}");
        }
    });
}

/// Whether this thread's timer is set now.
#[cfg(test)]
pub(crate) fn is_armed() -> bool {
    tests::next().is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    pub(super) static YIELDS: AtomicUsize = AtomicUsize::new(0);

    /// When this thread's timer goes off next.
    pub(super) fn next() -> Option<Expiration> {
        TIMER.with_borrow(|timer| timer.as_ref().and_then(|timer| timer.get().unwrap()))
    }

    #[test]
    fn a_timer_goes_off_while_a_thread_works_and_not_before_or_after() {
        let work = || {
            install();
            assert_eq!(next(), None);
            with_yield_timer(|| {
                assert!(matches!(next(), Some(Expiration::IntervalDelayed(_, every)) if every == INTERVAL.into()));
            });
            assert_eq!(next(), None);
            let panicked = std::panic::catch_unwind(|| with_yield_timer(|| panic!("in the middle")));
            assert!(panicked.is_err());
            assert_eq!(next(), None);
        };
        thread::spawn(work).join().unwrap();
    }

    #[test]
    fn a_thread_that_works_long_yields_its_core_and_goes_on() {
        let work = || {
            install();
            let (began, before) = (Instant::now(), YIELDS.load(Ordering::Relaxed));
            with_yield_timer(|| {
                while YIELDS.load(Ordering::Relaxed) < before + 10 {
                    assert!(began.elapsed() < Duration::from_mins(1), "no yields");
                }
            });
        };
        thread::spawn(work).join().unwrap();
    }

    #[test]
    fn a_thread_without_a_timer_just_works() {
        assert!(with_yield_timer(|| next().is_none()));
    }
}
