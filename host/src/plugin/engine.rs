//! Wasmtime's engine, the epoch ticker, and compiling.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};

use wasmtime::component::Component;
use wasmtime::{Config, Store, UpdateDeadline};

use super::TICK;
use super::artefacts::Artefacts;
use super::state::{LimitHit, State};
use crate::config::Limits;
use crate::error::{Limit, LoadError};

/// The engine that runs all plugins.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    ticker: Ticker,
    artefacts: Artefacts,
}

impl Engine {
    /// An engine that keeps compiled components in `cache`, or nowhere.
    ///
    /// # Errors
    /// If wasm can't be run on this machine.
    pub fn new(cache: Option<PathBuf>) -> Result<Arc<Self>, LoadError> {
        let failed = |reason: String| LoadError::Engine { reason };
        let engine = wasmtime::Engine::new(&config()).map_err(|e| failed(format!("{e:#}")))?;
        let ticker = Ticker::start(engine.clone()).map_err(|e| failed(e.to_string()))?;
        let artefacts = Artefacts::new(cache, &engine);
        Ok(Arc::new(Self { wasmtime: engine, ticker, artefacts }))
    }

    /// Where compiled components are kept by default: the user's cache folder.
    #[must_use]
    pub fn cache_folder() -> Option<PathBuf> {
        Some(dirs::cache_dir()?.join("understudy").join("compiled"))
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    /// The component with these bytes, compiled. Takes seconds for large ones: not for a thread that others wait for.
    pub(super) fn component(&self, name: &str, bytes: &[u8], sha256: &str) -> Result<Component, LoadError> {
        if let Some(component) = self.artefacts.load(&self.wasmtime, sha256) {
            return Ok(component);
        }
        let not_a_component = |reason: &str| LoadError::NotAComponent {
            name: name.to_owned(),
            reason: crate::text::one_line(reason, 500),
        };
        match bytes.get(..8) {
            Some([0, b'a', b's', b'm', _, _, 1, 0]) => {}
            Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
                return Err(not_a_component(
                    "it is a core module; make a component of it (`wasm-tools component new`)",
                ));
            }
            _ => return Err(not_a_component("the file doesn't begin as WebAssembly does")),
        }
        let started = std::time::Instant::now();
        let component = Component::new(&self.wasmtime, bytes).map_err(|e| not_a_component(&format!("{e:#}")))?;
        tracing::info!(plugin = name, took = ?started.elapsed(), "compiled");
        self.artefacts.keep(&component, sha256);
        Ok(component)
    }

    /// A store for one call, within these limits.
    pub(super) fn store(&self, limits: &Limits) -> Store<State> {
        let mut store = Store::new(&self.wasmtime, State::new(limits.memory, self.ticker.running()));
        store.limiter(State::limiter);
        // What the host may be made to copy out of a guest in one call, lists that alias one another included.
        let most = limits.request_body.max(limits.response_body).saturating_add(limits.state);
        store.set_hostcall_fuel(most.saturating_add(16 << 20));
        store.set_epoch_deadline(1);
        let budget = limits.cpu;
        let turns = store.data().turns();
        store.epoch_deadline_callback(move |_| {
            if turns.spent() > budget {
                return Err(LimitHit(Limit::Cpu(budget)).into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Plugins convert JSON: what that does not need is not there to be attacked (threads and GC are not even compiled in).
    config.wasm_memory64(false);
    config.wasm_relaxed_simd(false);
    config.wasm_tail_call(false);
    config.wasm_wide_arithmetic(false);
    config.wasm_custom_page_sizes(false);
    config.wasm_stack_switching(false);
    config
}

/// Moves the epoch on while a guest runs, and sleeps otherwise.
struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    stop: AtomicBool,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let tick = move || {
            while !seen.stop.load(Ordering::Acquire) {
                if seen.running.load(Ordering::Acquire) == 0 {
                    thread::park();
                } else {
                    thread::park_timeout(TICK);
                    engine.increment_epoch();
                }
            }
        };
        let thread = thread::Builder::new().name("epoch".to_owned()).spawn(tick)?.thread().clone();
        Ok(Self { shared, thread })
    }

    /// The epoch moves on until what this gives is dropped.
    fn running(&self) -> Running {
        if self.shared.running.fetch_add(1, Ordering::AcqRel) == 0 {
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
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}
