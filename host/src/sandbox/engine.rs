//! Wasmtime's engines.
//!
//! There are two engines, whose settings differ only in where instances get their memory from. Most components run on the one with a pool, in
//! which a fresh instance costs half as much. Components that don't fit the pool run on the other, which allocates on demand.

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::sync::Semaphore;
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, PoolingAllocationConfig, Store, UpdateDeadline};

use super::compiler::{CompileJob, CompilePriority, Compiler};
use super::component_cache::{ComponentCache, LoadedComponent};
use super::disk_cache::DiskCache;
use super::epoch::EpochThread;
use super::output_limits::hostcall_fuel;
use super::state::{LimitExceeded, StoreData};
use crate::config::Limits;
use crate::error::{Limit, LoadError};
use crate::scheduling::Scheduling;
use crate::scheduling::long_running::LongRunningPool;

/// The slots of the pool for each core, and the least number of slots. Each slot costs some microseconds at the start, and more guests at the
/// same time finish none of them earlier.
const POOL_PER_CORE: u32 = 16;
const POOL: u32 = 256;
/// One plugin may hold at most this part of the pool (a quarter), so others find a slot however long its guests run.
const PARTS_OF_POOL: usize = 4;
/// The most memory of an instance in the pool, in bytes. Only addresses are reserved.
const POOLED_MEMORY: usize = 256 << 20;
/// Memories, core modules and tables of one component in the pool, and elements of a table: enough for what Rust, C, Go, JavaScript and Python
/// compile to.
const POOLED_MEMORIES: u32 = 2;
const POOLED_PARTS: u32 = 16;
const POOLED_ELEMENTS: usize = 20_000;

/// The bytes of memory and of tables that an idle slot keeps resident, and how many slots do.
const KEPT_MEMORY: usize = 1 << 20;
const KEPT_TABLES: usize = 64 << 10;
const WARM: u32 = 32;

/// The engines that run all plugins.
pub struct Engine {
    /// None where the addresses can't be reserved.
    pooled: Option<wasmtime::Engine>,
    on_demand: wasmtime::Engine,
    epoch: EpochThread,
    disk_cache: DiskCache,
    component_cache: ComponentCache,
    /// The slots of the pool, and permits for them.
    pool_size: usize,
    pool_permits: Arc<Semaphore>,
    compiler: Compiler,
    pub(super) scheduling: Scheduling,
    long_running: Arc<LongRunningPool>,
    /// The gauge of requests in flight, of all servers.
    pub(super) active_requests: Arc<AtomicUsize>,
    observer: OnceLock<CompileObserver>,
}

/// How an engine is made.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// The folder in which compiled components are kept; none: they are compiled at each start.
    pub cache: Option<PathBuf>,
    /// The number of instances in the pool; by default 16 for each core, and 256 at least.
    pub pool: Option<u32>,
    /// Whether guests and requests are scheduled; on by default.
    pub scheduling: Scheduling,
}

/// A callback for the beginning of a compilation: the plugin's name, and its component's size in bytes. Its result is dropped at the end.
pub type CompileObserver = Box<dyn Fn(&str, usize) -> Box<dyn Send> + Send + Sync>;

impl Engine {
    /// An engine that keeps compiled components in `cache`, or nowhere; all else is as by default.
    ///
    /// # Errors
    /// [`LoadError::Engine`] if WebAssembly can't be run on this machine.
    pub fn new(cache: Option<PathBuf>) -> Result<Arc<Self>, LoadError> {
        Self::with_options(EngineOptions { cache, ..EngineOptions::default() })
    }

    /// An engine with these options.
    ///
    /// # Errors
    /// [`LoadError::Engine`] if WebAssembly can't be run on this machine.
    pub fn with_options(options: EngineOptions) -> Result<Arc<Self>, LoadError> {
        let EngineOptions { cache, pool, scheduling } = options;
        let size = pool.unwrap_or_else(|| {
            let cores = thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
            POOL.max(cores.saturating_mul(POOL_PER_CORE))
        });
        let failed = |reason: String| LoadError::Engine { reason };
        let on_demand = wasmtime::Engine::new(&config()).map_err(|e| failed(format!("{e:#}")))?;
        let pooled = wasmtime::Engine::new(config().allocation_strategy(pool_of(size)))
            .inspect_err(|e| tracing::info!("no pool of instances: {e:#}"))
            .ok();
        let engines = pooled.iter().chain([&on_demand]).cloned().collect();
        let epoch = EpochThread::start(engines).map_err(|e| failed(e.to_string()))?;
        let disk_cache = DiskCache::new(cache, &on_demand);
        let pool_size = usize::try_from(size).unwrap_or_default();
        Ok(Arc::new(Self {
            pooled,
            on_demand,
            epoch,
            disk_cache,
            component_cache: ComponentCache::default(),
            pool_size,
            pool_permits: Arc::new(Semaphore::new(pool_size)),
            compiler: Compiler::default(),
            scheduling,
            long_running: Arc::new(LongRunningPool::new(scheduling)),
            active_requests: Arc::default(),
            observer: OnceLock::new(),
        }))
    }

    /// Where compiled components are kept by default: the user's cache folder.
    #[must_use]
    pub fn cache_folder() -> Option<PathBuf> {
        Some(dirs::cache_dir()?.join("understudy").join("compiled"))
    }

    /// The pool for guests that run long.
    pub(super) fn long_running(&self) -> &Arc<LongRunningPool> {
        &self.long_running
    }

    /// Compiles components that aren't built in by starting this program from now on, which must call [`super::compile_for_parent`] when its
    /// first argument is [`super::COMPILE`]. Then they are held to `limits.compile`; otherwise they are compiled in this process, and only
    /// those whose estimated cost is at most half of what a child may take.
    pub fn compile_in_children(&self, program: PathBuf) {
        self.compiler.use_children(program);
    }

    /// Compiles at a low priority from now on, because requests are answered at the same time. Until then a client waits for its plugin.
    pub fn compile_in_background(&self) {
        self.compiler.use_background();
    }

    /// Whether it compiles at a low priority.
    #[must_use]
    pub fn compiles_in_background(&self) -> bool {
        self.compiler.priority() == CompilePriority::Low
    }

    /// The component with this digest, from a cache, or made by `compile`. That may take seconds: not for a runtime's worker thread.
    pub(super) fn component(
        &self,
        name: &str,
        sha256: &str,
        limits: &Limits,
        compile: impl FnOnce() -> Result<Vec<u8>, LoadError>,
    ) -> Result<Arc<LoadedComponent>, LoadError> {
        self.component_cache.get(key("component", sha256, limits), || {
            if let Some(component) = self.engines(limits).find_map(|engine| self.disk_cache.load(engine, sha256)) {
                return Ok(component);
            }
            let artefact = compile()?;
            self.disk_cache.keep(&artefact, sha256);
            self.deserialize(&artefact, limits).ok_or_else(|| LoadError::NotAComponent {
                name: name.to_owned(),
                reason: "it was compiled, and can't be loaded".to_owned(),
            })
        })
    }

    /// A component from machine code that only the user can have written, with this digest. None if it was compiled for another engine.
    pub(super) fn precompiled(&self, artefact: &[u8], digest: &str, limits: &Limits) -> Option<Arc<LoadedComponent>> {
        let load = || self.deserialize(artefact, limits).ok_or(());
        self.component_cache.get(key("compiled ahead", digest, limits), load).ok()
    }

    /// The engines that a component may run on, the faster one first.
    fn engines(&self, limits: &Limits) -> impl Iterator<Item = &wasmtime::Engine> {
        // A guest that may have more memory than a slot gets it on demand.
        let pooled = self.pooled.as_ref().filter(|_| fits(limits));
        pooled.into_iter().chain([&self.on_demand])
    }

    /// Loads machine code that only the user can have written. None if it was compiled for another engine.
    fn deserialize(&self, artefact: &[u8], limits: &Limits) -> Option<Component> {
        self.engines(limits).find_map(|engine| DiskCache::deserialize(engine, artefact))
    }

    /// Sets the callback for the beginning of a compilation; the first one stays.
    pub fn observe_compiling(&self, observer: CompileObserver) {
        let _ = self.observer.set(observer);
    }

    /// The machine code of a component.
    pub(super) fn compile(&self, job: &CompileJob) -> Result<Vec<u8>, LoadError> {
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
        let _observed = self.observer.get().map(|observer| observer(job.name, job.bytes.len()));
        // Compiled for the engine without a pool, whose code both engines can load.
        let artefact = self.compiler.compile(&self.on_demand, job)?;
        tracing::info!(plugin = job.name, took = ?started.elapsed(), "compiled");
        Ok(artefact)
    }

    /// The component on the engine without a pool: for instances that wait for others, and would hold a slot of the pool meanwhile.
    pub(super) fn move_off_pool(&self, loaded: Arc<LoadedComponent>) -> Result<Arc<LoadedComponent>, LoadError> {
        let component = &loaded.component;
        if !self.is_pooled(component.engine()) {
            return Ok(loaded);
        }
        let failed = |e: wasmtime::Error| LoadError::Engine {
            reason: format!("a component can't be moved off the pool: {e:#}"),
        };
        self.component_cache.get(format!("{}, off the pool", loaded.key), || {
            let artefact = component.serialize().map_err(failed)?;
            DiskCache::deserialize(&self.on_demand, &artefact)
                .ok_or_else(|| failed(wasmtime::Error::msg("it can't be loaded again")))
        })
    }

    /// How many instances a plugin whose component runs on this engine may have at once.
    pub(super) fn most_instances(&self, component: &wasmtime::Engine, limits: &Limits) -> usize {
        let most = usize::try_from(limits.instances).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        if self.is_pooled(component) { most.min(self.pool_size.div_ceil(PARTS_OF_POOL)) } else { most }
    }

    fn is_pooled(&self, component: &wasmtime::Engine) -> bool {
        self.pooled.as_ref().is_some_and(|pooled| wasmtime::Engine::same(component, pooled))
    }

    /// The permits for slots of the pool, if a component runs there.
    pub(super) fn pool_permits(&self, component: &wasmtime::Engine) -> Option<Arc<Semaphore>> {
        self.is_pooled(component).then(|| Arc::clone(&self.pool_permits))
    }

    /// A store for one call of a component, within these limits.
    pub(super) fn store(&self, component: &wasmtime::Engine, limits: &Limits) -> Store<StoreData> {
        let mut store = Store::new(component, StoreData::new(limits, self.epoch.running()));
        store.limiter(StoreData::limiter);
        store.set_hostcall_fuel(hostcall_fuel(limits));
        store.set_epoch_deadline(1);
        let budget = limits.cpu;
        let cpu_meter = store.data().cpu_meter();
        store.epoch_deadline_callback(move |_| {
            if cpu_meter.spent() > budget {
                return Err(LimitExceeded(Limit::Cpu(budget)).into());
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

/// Whether a guest with these limits fits a slot of the pool.
fn fits(limits: &Limits) -> bool {
    limits.memory <= POOLED_MEMORY
}

/// The key of a component in the cache: whether it fits the pool makes a difference.
fn key(kind: &str, sha256: &str, limits: &Limits) -> String {
    format!("{kind} {sha256}{}", if fits(limits) { "" } else { ", with more memory than the pool gives" })
}

/// The settings of the engine that compiles, and but for where memory comes from of both that run.
pub(super) fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Backtraces name functions without these, and each load is smaller.
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

fn pool_of(size: u32) -> PoolingAllocationConfig {
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
    use crate::sampling::{ConfiguredPlugin, Sampler, SamplingRequest};

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
            let chain = vec![ConfiguredPlugin::load(&engine, &plugin, |_| None).await.unwrap()];
            Sampler::new("a server", &rule, chain, Arc::default(), &config)
        };
        let (one, another) = (sampler().await, sampler().await);
        let params = br#"{"messages":[{"role":"user","content":{"type":"text","text":"x"}}],"maxTokens":1}"#;
        {
            let mut first = pin!(one.create_message_json(SamplingRequest::new(params)));
            let mut second = pin!(another.create_message_json(SamplingRequest::new(params)));
            assert!(futures_util::poll!(&mut first).is_pending());
            assert!(futures_util::poll!(&mut second).is_pending());
            assert_eq!(engine.active_requests.load(Ordering::Relaxed), 2);
        }
        assert_eq!(engine.active_requests.load(Ordering::Relaxed), 0);
    }
}
