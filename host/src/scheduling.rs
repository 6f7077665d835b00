//! Scheduling: which request gets a core when more are ready than there are cores.
//!
//! Answering is short work around a long wait: a guest converts a request in tens of microseconds, and a provider takes seconds. Two things
//! delay others: a guest that computes for long, and a server that has many requests at once. This folder holds all that is done about them.
//!
//! | module | mechanism | when it applies |
//! | --- | --- | --- |
//! | `cpu_time` | the CPU time of a guest's call, read at the ticks of the epoch (`TICK`) | to every call, also with scheduling off: `limits.cpu` needs it |
//! | `long_running` | a guest that has run for 1 ms is moved from its caller's thread to threads of lower priority | to guests that run long, and to functions whose last calls did |
//! | `priority` | a higher `nice` value for a thread | to those threads, and to those that compile or write into the ledger's database |
//! | `yield_timer` | a timer of each such thread that makes it yield its core every 150 µs | on Linux with glibc, while a guest runs there |
//! | `fair_queue` | a server with more than two requests a core yields to the others before each step | while several servers have requests in flight |
//!
//! A request of a server without competitors meets none of it but two counters and a few readings of the clock. What each
//! mechanism gained is measured by `make bench-attacks`; the numbers are in `docs/decisions/0009` and `0010`.
//!
//! [`Scheduling::Off`] (`--no-scheduling`, a hidden option of the verbs that run plugins) turns all of it off but `cpu_time` and the priority
//! of the compiler: guests run on their caller's thread to their end, and requests are worked on in the order in which they become ready.
//! It is for finding out whether this folder is the cause of something. Limits hold with either.

pub(crate) mod cpu_time;
pub(crate) mod fair_queue;
pub(crate) mod long_running;
pub(crate) mod priority;
mod yield_timer;

use std::time::Duration;

/// The interval of the epoch while a guest runs: the resolution of `limits.cpu`.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Whether requests and guests are scheduled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheduling {
    /// Guests that run long and servers with many requests yield to the others.
    #[default]
    On,
    /// Nothing yields.
    Off,
}
