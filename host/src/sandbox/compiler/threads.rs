//! The threads that compile, and their priority.
//!
//! | when | priority |
//! | --- | --- |
//! | at the start, where a user or a client waits for the plugin | that of every thread |
//! | during a reload, while requests are being answered | low |

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::scheduling::priority::{self, Niceness};

/// The priority of threads that compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum CompilePriority {
    Normal,
    Low,
}

impl CompilePriority {
    /// The child's argument.
    pub(super) fn argument(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Reads the child's argument.
    pub(super) fn of_argument(argument: &OsStr) -> Option<Self> {
        [Self::Normal, Self::Low].into_iter().find(|priority| argument == priority.argument())
    }

    /// Gives this thread the priority, for good.
    pub(super) fn apply(self) {
        if self == Self::Low {
            priority::lower(Niceness::Compilers);
        }
    }
}

/// The pools of threads of one process. The threads of a pool are started when it is first used, and stay.
#[derive(Default)]
pub(super) struct CompilerThreads {
    normal: Mutex<Option<Arc<ThreadPool>>>,
    /// A pool of its own, for the priority of a thread can't be raised again.
    low: Mutex<Option<Arc<ThreadPool>>>,
}

impl CompilerThreads {
    /// The pool whose threads have this priority.
    pub(super) fn of(&self, priority: CompilePriority) -> Result<Arc<ThreadPool>, ThreadPoolBuildError> {
        let pool = match priority {
            CompilePriority::Normal => &self.normal,
            CompilePriority::Low => &self.low,
        };
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = &*pool {
            return Ok(Arc::clone(pool));
        }
        Ok(Arc::clone(pool.insert(Arc::new(start(priority)?))))
    }
}

/// Starts threads that compile: one fewer than there are cores.
pub(super) fn start(priority: CompilePriority) -> Result<ThreadPool, ThreadPoolBuildError> {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get().saturating_sub(1).max(1));
    let builder = ThreadPoolBuilder::new().num_threads(threads);
    builder.thread_name(|_| "compiler".to_owned()).start_handler(move |_| priority.apply()).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_priority_has_threads_of_its_own_which_are_started_once() {
        let threads = CompilerThreads::default();
        let (normal, low) = (threads.of(CompilePriority::Normal).unwrap(), threads.of(CompilePriority::Low).unwrap());
        assert!(!Arc::ptr_eq(&normal, &low));
        assert!(Arc::ptr_eq(&low, &threads.of(CompilePriority::Low).unwrap()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_threads_of_the_low_priority_are_nice() {
        // A process that is nice itself has nice threads.
        let own = rustix::process::getpriority_process(None).unwrap();
        let threads = CompilerThreads::default();
        let of =
            |priority| threads.of(priority).unwrap().install(|| rustix::process::getpriority_process(None).unwrap());
        assert_eq!(of(CompilePriority::Normal), own);
        assert!(of(CompilePriority::Low) > own);
    }
}
