//! Wasmtime's engines.
//!
//! There are two engines with the same settings but one: where instances get their memory from. Most components run on the one with
//! a pool, in which a fresh instance costs half as much. Those that don't fit the pool run on the other.

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, PoolingAllocationConfig, Store, UpdateDeadline};

use super::artefacts::Artefacts;
use super::compiler::{Compiler, Job};
use super::handed::most_handed_over;
use super::lane::SlowLane;
use super::loaded::{Library, Loaded};
use super::state::{LimitHit, State};
use super::ticker::Ticker;
use crate::config::Limits;
use crate::error::{Limit, LoadError};

/// Instances that the pool has room for: so many for each core, and never fewer than this. Each place costs some microseconds when we start, and
/// more guests that run at once get none of them done earlier.
const POOL_PER_CORE: u32 = 16;
const POOL: u32 = 256;
/// What part of the pool the instances of one plugin may have: others find a place, however long its guests run.
const SHARE: usize = 4;
/// The most memory that an instance in the pool can have. What is reserved is addresses, not memory.
const POOLED_MEMORY: usize = 256 << 20;
/// Memories, core modules and tables of one component in the pool, and elements of a table: enough for what Rust, C, Go, JavaScript and Python
/// compile to.
const POOLED_MEMORIES: u32 = 2;
const POOLED_PARTS: u32 = 16;
const POOLED_ELEMENTS: usize = 20_000;

/// What an idle place in the pool keeps of its memory and tables, in bytes, and how many places do.
const KEPT_MEMORY: usize = 1 << 20;
const KEPT_TABLES: usize = 64 << 10;
const WARM: u32 = 32;

/// The engines that run all plugins.
pub struct Engine {
    /// None where so many addresses can't be reserved.
    pooled: Option<wasmtime::Engine>,
    on_demand: wasmtime::Engine,
    ticker: Ticker,
    artefacts: Artefacts,
    library: Library,
    /// Places in the pool: how many there are, and those that are free. Whoever finds none waits for one.
    size: usize,
    places: Arc<Semaphore>,
    compiler: Compiler,
    slow: Arc<SlowLane>,
    /// How many requests are being answered, of whatever server.
    pub(super) requests: Arc<AtomicUsize>,
    watcher: OnceLock<Watcher>,
}

/// What is told when compiling begins: the plugin's name, and its component's size.
pub type Watcher = Box<dyn Fn(&str, usize) -> Box<dyn Send> + Send + Sync>;

impl Engine {
    /// An engine that keeps compiled components in `cache`, or nowhere.
    ///
    /// # Errors
    /// If wasm can't be run on this machine.
    pub fn new(cache: Option<PathBuf>) -> Result<Arc<Self>, LoadError> {
        let cores = thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        Self::with_pool(cache, POOL.max(cores.saturating_mul(POOL_PER_CORE)))
    }

    /// The same with a pool of so many instances.
    ///
    /// # Errors
    /// If wasm can't be run on this machine.
    pub fn with_pool(cache: Option<PathBuf>, size: u32) -> Result<Arc<Self>, LoadError> {
        let failed = |reason: String| LoadError::Engine { reason };
        let on_demand = wasmtime::Engine::new(&config()).map_err(|e| failed(format!("{e:#}")))?;
        let pooled = wasmtime::Engine::new(config().allocation_strategy(pool(size)))
            .inspect_err(|e| tracing::info!("no pool of instances: {e:#}"))
            .ok();
        let engines = pooled.iter().chain([&on_demand]).cloned().collect();
        let ticker = Ticker::start(engines).map_err(|e| failed(e.to_string()))?;
        let compiler = Compiler::new().map_err(|e| failed(e.to_string()))?;
        let artefacts = Artefacts::new(cache, &on_demand);
        let size = usize::try_from(size).unwrap_or_default();
        let places = Arc::new(Semaphore::new(size));
        Ok(Arc::new(Self {
            pooled,
            on_demand,
            ticker,
            artefacts,
            library: Library::default(),
            size,
            places,
            compiler,
            slow: Arc::default(),
            requests: Arc::default(),
            watcher: OnceLock::new(),
        }))
    }

    /// Where compiled components are kept by default: the user's cache folder.
    #[must_use]
    pub fn cache_folder() -> Option<PathBuf> {
        Some(dirs::cache_dir()?.join("understudy").join("compiled"))
    }

    /// The threads for guests that run long.
    pub(super) fn slow_lane(&self) -> &Arc<SlowLane> {
        &self.slow
    }

    /// Compiles components that aren't built in by starting this program from now on, which must do what [`super::compile_for_parent`] does when
    /// its first argument is [`super::COMPILE`]. Then they are held to `limits.compile`; otherwise they are compiled in this process, and
    /// only those that look as if that took seconds.
    pub fn compile_apart(&self, program: PathBuf) {
        self.compiler.apart(program);
    }

    /// The component that `compile` makes, with this digest, unless it is there already. Takes seconds for large ones: not for a thread that others
    /// wait for.
    pub(super) fn component(
        &self,
        name: &str,
        sha256: &str,
        limits: &Limits,
        compile: impl FnOnce() -> Result<Vec<u8>, LoadError>,
    ) -> Result<Arc<Loaded>, LoadError> {
        self.library.get(key("component", sha256, limits), || {
            if let Some(component) = self.engines(limits).find_map(|engine| self.artefacts.load(engine, sha256)) {
                return Ok(component);
            }
            let artefact = compile()?;
            self.artefacts.keep(&artefact, sha256);
            self.trust(&artefact, limits).ok_or_else(|| LoadError::NotAComponent {
                name: name.to_owned(),
                reason: "it was compiled, and can't be loaded".to_owned(),
            })
        })
    }

    /// A component from machine code that nobody but the user can have written, with this digest. None if it is another engine's.
    pub(super) fn compiled_ahead(&self, artefact: &[u8], digest: &str, limits: &Limits) -> Option<Arc<Loaded>> {
        let load = || self.trust(artefact, limits).ok_or(());
        self.library.get(key("compiled ahead", digest, limits), load).ok()
    }

    /// Those of the two engines that a component may run on, the better one first.
    fn engines(&self, limits: &Limits) -> impl Iterator<Item = &wasmtime::Engine> {
        // A guest that may have more than the pool gives gets it from elsewhere.
        let pooled = self.pooled.as_ref().filter(|_| fits(limits));
        pooled.into_iter().chain([&self.on_demand])
    }

    /// Loads machine code that nobody but the user can have written. None if it is another engine's.
    fn trust(&self, artefact: &[u8], limits: &Limits) -> Option<Component> {
        self.engines(limits).find_map(|engine| Artefacts::trust(engine, artefact))
    }

    /// Has this told when compiling begins: the plugin's name, and its component's size. What it gives is dropped when that ends.
    pub fn watch(&self, watcher: Watcher) {
        // Who came first goes on watching.
        let _ = self.watcher.set(watcher);
    }

    /// The machine code of a component.
    pub(super) fn compile(&self, job: &Job) -> Result<Vec<u8>, LoadError> {
        let not_a_component =
            |reason: &str| Err(LoadError::NotAComponent { name: job.name.to_owned(), reason: reason.to_owned() });
        match job.bytes.get(..8) {
            Some([0, b'a', b's', b'm', _, _, 1, 0]) => {}
            Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
                return not_a_component("it is a core module; make a component of it (`wasm-tools component new`)");
            }
            _ => return not_a_component("the file doesn't begin as WebAssembly does"),
        }
        let started = std::time::Instant::now();
        let _watched = self.watcher.get().map(|watcher| watcher(job.name, job.bytes.len()));
        // Compiled for the one without a pool, which can take all: what comes of it serves both.
        let artefact = self.compiler.compile(&self.on_demand, job)?;
        tracing::info!(plugin = job.name, took = ?started.elapsed(), "compiled");
        Ok(artefact)
    }

    /// The component for an instance that may wait for others: one that would keep its place in the pool meanwhile.
    pub(super) fn off_the_pool(&self, loaded: Arc<Loaded>) -> Result<Arc<Loaded>, LoadError> {
        let component = &loaded.component;
        if !self.is_pooled(component.engine()) {
            return Ok(loaded);
        }
        let failed = |e: wasmtime::Error| LoadError::Engine {
            reason: format!("a component can't be moved off the pool: {e:#}"),
        };
        self.library.get(format!("{}, off the pool", loaded.key), || {
            let artefact = component.serialize().map_err(failed)?;
            Artefacts::trust(&self.on_demand, &artefact)
                .ok_or_else(|| failed(wasmtime::Error::msg("it can't be loaded again")))
        })
    }

    /// How many instances a plugin whose component runs on this engine may have at once.
    pub(super) fn most_instances(&self, component: &wasmtime::Engine, limits: &Limits) -> usize {
        let most = usize::try_from(limits.instances).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        if self.is_pooled(component) { most.min(self.size.div_ceil(SHARE)) } else { most }
    }

    fn is_pooled(&self, component: &wasmtime::Engine) -> bool {
        self.pooled.as_ref().is_some_and(|pooled| wasmtime::Engine::same(component, pooled))
    }

    /// A place in the pool, for a component that runs there.
    pub(super) async fn place(&self, component: &wasmtime::Engine) -> Option<OwnedSemaphorePermit> {
        if !self.is_pooled(component) {
            return None;
        }
        // The semaphore is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// A store for one call of a component, within these limits.
    pub(super) fn store(&self, component: &wasmtime::Engine, limits: &Limits) -> Store<State> {
        let mut store = Store::new(component, State::new(limits, self.ticker.running()));
        store.limiter(State::limiter);
        store.set_hostcall_fuel(most_handed_over(limits));
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

/// Whether a guest that may have so much can have it from the pool.
fn fits(limits: &Limits) -> bool {
    limits.memory <= POOLED_MEMORY
}

/// What a component goes by in the library: where its memory may come from makes a difference.
fn key(kind: &str, sha256: &str, limits: &Limits) -> String {
    format!("{kind} {sha256}{}", if fits(limits) { "" } else { ", with more memory than the pool gives" })
}

/// The settings of the engine that compiles, and but for where memory comes from of both that run.
pub(super) fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // A backtrace names functions without these, and each load is of so much less.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    // Plugins convert JSON: what that does not need is not there to be attacked (threads and GC are not even compiled in).
    // Multiple memories are: where one component inside another calls the next (as componentize-qjs's stubs of WASI do), the code between
    // them has two, and without them wasmtime panics.
    config.wasm_memory64(false);
    config.wasm_relaxed_simd(false);
    config.wasm_tail_call(false);
    config.wasm_wide_arithmetic(false);
    config.wasm_custom_page_sizes(false);
    config.wasm_stack_switching(false);
    config
}

fn pool(size: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(size);
    pool.max_core_instances_per_component(POOLED_PARTS).total_core_instances(size * POOLED_PARTS);
    pool.max_memories_per_component(POOLED_MEMORIES)
        .total_memories(size * POOLED_MEMORIES)
        .max_memory_size(POOLED_MEMORY);
    pool.max_tables_per_component(POOLED_PARTS).total_tables(size * POOLED_PARTS).table_elements(POOLED_ELEMENTS);
    pool.total_stacks(size);
    // An instance's pages are zeroed rather than given back, as far as they were touched: the next one has no page faults.
    pool.pagemap_scan(Enabled::Auto).linear_memory_keep_resident(KEPT_MEMORY).table_keep_resident(KEPT_TABLES);
    pool.max_unused_warm_slots(WARM);
    pool
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;
    use std::pin::pin;
    use std::sync::atomic::Ordering;

    use serde_json::json;

    use super::*;
    use crate::config::{Config, Sampling};
    use crate::sampling::{Asked, Sampler, Understudy};

    #[tokio::test]
    async fn what_is_being_answered_is_counted_for_all_servers_that_share_an_engine() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let plugin = json!({ "component": "builtin:anthropic", "model": "m", "endpoint": endpoint });
        let config = json!({ "plugins": { "silent": plugin } }).to_string();
        let config = Config::parse(&config, Path::new("a test")).unwrap();
        let engine = Engine::new(None).unwrap();
        let (rule, plugin) = (Sampling::by(Vec::new()), config.plugin("silent", |_| None).unwrap());
        let sampler = async || {
            let chain = vec![Understudy::load(&engine, &plugin, |_| None).await.unwrap()];
            Sampler::new("a server", &rule, chain, Arc::default(), &config)
        };
        let (one, another) = (sampler().await, sampler().await);
        let params = br#"{"messages":[{"role":"user","content":{"type":"text","text":"x"}}],"maxTokens":1}"#;
        {
            let mut first = pin!(one.create_message_json(Asked::new(params)));
            let mut second = pin!(another.create_message_json(Asked::new(params)));
            assert!(futures_util::poll!(&mut first).is_pending());
            assert!(futures_util::poll!(&mut second).is_pending());
            assert_eq!(engine.requests.load(Ordering::Relaxed), 2);
        }
        assert_eq!(engine.requests.load(Ordering::Relaxed), 0);
    }
}
