//! A lower priority for threads that run guests for long, or compile.
//!
//! It is not enough by itself: a thread that has a core keeps it for a slice, and then until the kernel next looks, which can be 4 ms later
//! (`CONFIG_HZ=250`). Hence [`super::yield_timer`].

#[cfg(target_os = "linux")]
use std::io;

/// The `nice` value of a thread: how much less than others it gets where there is not enough for all.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Niceness {
    /// A quarter. Such a thread yields its core so often that it would make no progress with less.
    Guests = 6,
    /// A tenth.
    Compilers = 10,
    /// A tenth, while steps go from the ledger's journal into its database.
    Ledger = 11,
}

/// The slice of such a thread, in nanoseconds: the least that the kernel allows. Linux before 6.12 ignores it.
#[cfg(target_os = "linux")]
const SLICE_NS: u64 = 100_000;

/// Lowers the priority of this thread for good. On Linux that is a property of the thread; on other systems nothing happens.
pub(crate) fn lower(niceness: Niceness) {
    #[cfg(target_os = "linux")]
    // A sandbox may know only the older call.
    if let Err(error) = lower_on_linux(niceness).or_else(|_| rustix::process::nice(niceness as i32).map(|_| ())) {
        tracing::debug!("the priority of a thread can't be lowered: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}

#[cfg(target_os = "linux")]
fn lower_on_linux(niceness: Niceness) -> io::Result<()> {
    let size = u32::try_from(size_of::<libc::sched_attr>()).map_err(io::Error::other)?;
    let attributes = libc::sched_attr {
        size,
        sched_policy: libc::SCHED_OTHER.cast_unsigned(),
        sched_flags: 0,
        sched_nice: niceness as i32,
        sched_priority: 0,
        sched_runtime: SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    #[expect(unsafe_code, reason = "no library has this call for ordinary threads")]
    // SAFETY: the attributes are as long as they say, and only read; 0 is the calling thread.
    let outcome = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
