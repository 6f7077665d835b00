//! A timer for each thread on which guests run long: while a guest runs, the thread yields its core at each interval.
//!
//! A signal interrupts whatever runs, also the host's own work for a guest (a list that is copied, memory that is cleared), which the ticks of
//! the epoch can't. On other systems than Linux a timer can't be had for one thread, and with musl's libc it can't be asked for: there the
//! lower priority has to do.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod timer;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod timer {
    pub(crate) fn install() {}

    pub(crate) fn with_yield_timer<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
pub(super) use timer::is_armed;
pub(super) use timer::{install, with_yield_timer};
