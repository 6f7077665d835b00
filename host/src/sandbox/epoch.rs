//! The thread that increments the epoch of the engines: the resolution of `limits.cpu`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};

use crate::scheduling::TICK;

/// Increments the epoch at each tick while a guest runs, and for 100 ticks after the last one, so that not every guest has to wake it; sleeps
/// otherwise.
pub(super) struct EpochThread {
    shared: Arc<EpochState>,
    thread: Thread,
}

#[derive(Default)]
struct EpochState {
    running: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// How many ticks without a guest it stays awake.
const AWAKE: u32 = 100;

impl EpochThread {
    pub(super) fn start(engines: Vec<wasmtime::Engine>) -> std::io::Result<Self> {
        let shared = Arc::new(EpochState::default());
        let seen = Arc::clone(&shared);
        let tick = move || {
            let mut idle = 0;
            while !seen.stop.load(Ordering::Acquire) {
                if idle < AWAKE {
                    thread::park_timeout(TICK);
                    engines.iter().for_each(wasmtime::Engine::increment_epoch);
                } else {
                    // First said, then looked again: a guest that comes now either is seen here, or wakes us.
                    seen.asleep.store(true, Ordering::SeqCst);
                    if seen.running.load(Ordering::SeqCst) == 0 {
                        thread::park();
                    }
                    seen.asleep.store(false, Ordering::SeqCst);
                }
                let is_idle = seen.running.load(Ordering::SeqCst) == 0;
                idle = if is_idle { idle.saturating_add(1) } else { 0 };
            }
        };
        let thread = thread::Builder::new().name("epoch".to_owned()).spawn(tick)?.thread().clone();
        Ok(Self { shared, thread })
    }

    /// Keeps the epoch moving until the guard is dropped.
    pub(super) fn running(&self) -> EpochGuard {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        EpochGuard(Arc::clone(&self.shared))
    }
}

impl Drop for EpochThread {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Held while a guest runs.
pub(super) struct EpochGuard(Arc<EpochState>);

impl Drop for EpochGuard {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
