//! Threads that let others go first.
//!
//! A low priority is not enough for that. Whoever has got a core keeps it for a slice, and then until the kernel next looks, which can be 4 ms
//! later (`CONFIG_HZ=250`). So while a guest runs on such a thread, a timer has the thread offer its core to others
//! every now and then. The host's own work for the guest (a list that is copied, memory that is cleared) is interrupted in the same way,
//! which the ticks of the epoch can't.

#[cfg(target_os = "linux")]
use std::io;

/// How much less than others a thread gets where there is not enough for all (`nice`).
#[derive(Debug, Clone, Copy)]
pub(super) enum Share {
    /// A quarter. It offers its core to others so often that it would come to nothing with less.
    Guests = 6,
    /// A tenth.
    Compilers = 10,
}

/// How long such a thread runs before others get their turn, in nanoseconds: the least that the kernel allows. Linux before 6.12 knows
/// nothing of it.
#[cfg(target_os = "linux")]
const SLICE: u64 = 100_000;

/// This thread gets less than others from now on; on Linux that is a thread's own affair.
pub(super) fn step_back(share: Share) {
    #[cfg(target_os = "linux")]
    // A sandbox may know only the older call.
    if let Err(error) = take_less(share).or_else(|_| rustix::process::nice(share as i32).map(|_| ())) {
        tracing::debug!("a thread can't step back: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = share;
}

#[cfg(target_os = "linux")]
fn take_less(share: Share) -> io::Result<()> {
    let size = u32::try_from(size_of::<libc::sched_attr>()).map_err(io::Error::other)?;
    let attributes = libc::sched_attr {
        size,
        sched_policy: libc::SCHED_OTHER.cast_unsigned(),
        sched_flags: 0,
        sched_nice: share as i32,
        sched_priority: 0,
        sched_runtime: SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    #[expect(unsafe_code, reason = "no library has this call for ordinary threads")]
    // SAFETY: the attributes are as long as they say, and only read; 0 is the calling thread.
    let outcome = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// On other systems timers can't be had for one thread; with musl's libc they can't be asked for.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod offers;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod offers {
    pub(in crate::plugin) fn prepare() {}

    pub(in crate::plugin) fn offering<T>(work: impl FnOnce() -> T) -> T {
        work()
    }

    #[cfg(test)]
    pub(in crate::plugin) fn is_offering() -> bool {
        false
    }
}

#[cfg(test)]
pub(super) use offers::is_offering;
pub(super) use offers::{offering, prepare};
