//! A timer for each thread that guests run long on.

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

/// How often a core is offered. At 100 µs guests that honestly run long took 1.2 to 1.9 times as long on a busy machine (`nice` 5 and 7); at
/// 500 µs p99 under attack was 1.6 to 1.8 times what it is without, and 1.1 times at this.
const STAY: Duration = Duration::from_micros(150);

/// Nobody else uses it, and a process that knows nothing of it isn't harmed by one.
const SIGNAL: Signal = Signal::SIGURG;

thread_local! {
    static TIMER: RefCell<Option<Timer>> = const { RefCell::new(None) };
}

/// Has this thread offer its core whenever `offering` runs on it.
pub(in crate::plugin) fn prepare() {
    match timer() {
        Ok(timer) => TIMER.set(Some(timer)),
        Err(error) => tracing::debug!("a thread has no timer that makes it give way: {error}"),
    }
}

fn timer() -> nix::Result<Timer> {
    static HANDLED: OnceLock<nix::Result<()>> = OnceLock::new();
    (*HANDLED.get_or_init(handle))?;
    let thread_id = gettid().as_raw();
    let notify = SigevNotify::SigevThreadId { signal: SIGNAL, thread_id, si_value: 0 };
    Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))
}

/// On the thread's stack for signals: a guest may have come to the end of its own.
fn handle() -> nix::Result<()> {
    let flags = SaFlags::SA_RESTART | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::Handler(offer), flags, SigSet::empty());
    #[expect(unsafe_code, reason = "what a handler may do is not known to the compiler")]
    // SAFETY: the handler makes one system call, which doesn't fail; it allocates nothing, locks nothing and leaves `errno` as it is.
    unsafe { sigaction(SIGNAL, &action) }.map(drop)
}

extern "C" fn offer(_: c_int) {
    #[cfg(test)]
    tests::OFFERS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    thread::yield_now();
}

/// Works, and offers the core to others every now and then where this thread is prepared for it.
pub(in crate::plugin) fn offering<T>(work: impl FnOnce() -> T) -> T {
    let _until_dropped = Offering::begin();
    work()
}

struct Offering;

impl Offering {
    fn begin() -> Self {
        set(Expiration::Interval(STAY.into()));
        Self
    }
}

impl Drop for Offering {
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

/// Whether this thread does so now.
#[cfg(test)]
pub(in crate::plugin) fn is_offering() -> bool {
    tests::next().is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    pub(super) static OFFERS: AtomicUsize = AtomicUsize::new(0);

    /// When this thread's timer goes off next.
    pub(super) fn next() -> Option<Expiration> {
        TIMER.with_borrow(|timer| timer.as_ref().and_then(|timer| timer.get().unwrap()))
    }

    #[test]
    fn a_timer_goes_off_while_a_thread_works_and_not_before_or_after() {
        let work = || {
            prepare();
            assert_eq!(next(), None);
            offering(|| assert!(matches!(next(), Some(Expiration::IntervalDelayed(_, every)) if every == STAY.into())));
            assert_eq!(next(), None);
            let panicked = std::panic::catch_unwind(|| offering(|| panic!("in the middle")));
            assert!(panicked.is_err());
            assert_eq!(next(), None);
        };
        thread::spawn(work).join().unwrap();
    }

    #[test]
    fn who_works_long_offers_its_core_and_goes_on() {
        let work = || {
            prepare();
            let (began, before) = (Instant::now(), OFFERS.load(Ordering::Relaxed));
            offering(|| {
                while OFFERS.load(Ordering::Relaxed) < before + 10 {
                    assert!(began.elapsed() < Duration::from_mins(1), "no offers");
                }
            });
        };
        thread::spawn(work).join().unwrap();
    }

    #[test]
    fn a_thread_that_is_not_prepared_just_works() {
        assert!(offering(|| next().is_none()));
    }
}
