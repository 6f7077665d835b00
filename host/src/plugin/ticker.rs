//! The thread that moves the epoch on: the grain of `limits.cpu`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};

use super::TICK;

/// Moves the epoch on while a guest runs, and for a while after the last, so that not every guest has to wake it; sleeps otherwise.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// How many ticks without a guest it stays awake.
const AWAKE: u32 = 100;

impl Ticker {
    pub(super) fn start(engines: Vec<wasmtime::Engine>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
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

    /// The epoch moves on until what this gives is dropped.
    pub(super) fn running(&self) -> Running {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(Arc::clone(&self.shared))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// A guest is running.
pub(super) struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
