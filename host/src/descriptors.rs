//! How many files and connections this process may have open.
//!
//! The soft limit that a login shell sets (1,024 mostly) is there for programs that use `select`. A program that has many
//! connections raises it to the hard limit, and gives its children the one that it was given.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that are ever needed: some systems have no hard limit.
const ENOUGH: u64 = 65_536;

/// The limit that was there before.
static GIVEN: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit to the hard one; the limit that holds from now on.
pub fn raise() -> u64 {
    let given = getrlimit(Resource::Nofile);
    let wanted = given.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    let Some(current) = given.current.filter(|current| *current < wanted) else {
        return given.current.unwrap_or(ENOUGH);
    };
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: given.maximum }) {
        Ok(()) => {
            let _ = GIVEN.set(given);
            wanted
        }
        Err(error) => {
            tracing::debug!("the limit of open files stays at {current}: {error}");
            current
        }
    }
}

/// The soft limit that holds.
#[must_use]
pub fn current() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH)
}

/// Sets the limit that was there before, if another one holds. For a child, between fork and exec: one system call, no allocation.
pub fn give_back() -> rustix::io::Result<()> {
    GIVEN.get().map_or(Ok(()), |given| setrlimit(Resource::Nofile, *given))
}
