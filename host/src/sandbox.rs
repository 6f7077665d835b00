//! Plugins: loading a component, and calling it in the sandbox.
//!
//! A plugin is compiled once and called many times. Each call gets a store of its own, so no guest ever sees what another
//! call left behind, and none lives longer than its call. Three outcomes are kept apart: the guest's own error (part of its
//! result), a limit that it ran into, and a trap.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `engine` | wasmtime's engines: settings, the instance pool, stores |
//! | `epoch` | the thread that increments the epoch while guests run |
//! | `source` | a component, from where the config says it is |
//! | `compiler` | compiling, in a process of its own |
//! | `complexity` | an estimate of what a component costs the compiler |
//! | `component_cache` | machine code in memory, once for all plugins that have it |
//! | `disk_cache` | machine code on disk, by the component's digest |
//! | `precompiled` | files of machine code that the user has made ahead of time |
//! | `precompile` | making them |
//! | `world` | what a component is, by its exports and imports |
//! | `linker` | what a component's imports are linked to |
//! | `linked` | a linked component of one of the worlds, and the config keys that go with it |
//! | `provider_world` | calling provider plugins, which convert and do no I/O |
//! | `exports` | the functions that these export |
//! | `handler_world` | calling handler plugins, which make their own HTTP requests |
//! | `guard_world` | calling guards, which judge requests and answers |
//! | `wasi_http` | `wasi:http` for these |
//! | `state` | the data of a store: limits and the inert WASI |
//! | `output_limits` | how much a guest may hand to the host in one call |
//! | `guest_stdio` | a guest's stdout and stderr, captured for the log |
//! | `usage` | the CPU time and memory that calls have used |

mod compiler;
mod complexity;
mod component_cache;
mod disk_cache;
mod engine;
mod epoch;
mod exports;
mod guard_world;
mod guest_stdio;
mod handler_world;
mod linked;
mod linker;
mod output_limits;
mod precompile;
mod precompiled;
mod provider_world;
mod source;
mod state;
mod usage;
mod wasi_http;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use tokio::time::error::Elapsed;
use wasmtime::Store;

use crate::admission::{CallAdmission, CallPermits};
use crate::config::{self, Limits};
use crate::error::{Error, Limit, LoadError};
use crate::scheduling::Scheduling;
use crate::scheduling::long_running::CostHint;
use crate::text::{list, one_line};
use crate::wit::understudy::plugin::types as wit;
pub use compiler::{COMPILE, compile_for_parent};
use compiler::{CancelFlag, CancelOnDrop};
use component_cache::LoadedComponent;
pub use engine::{CompileObserver, Engine, EngineOptions};
use guest_stdio::GuestOutput;
use linked::{Linked, not_a_plugin};
pub use precompile::precompile;
use source::Source;
pub use source::read_component;
use state::{LimitExceeded, StoreData};
pub use usage::PeakUsage;
use usage::UsageRecorder;
use wasi_http::HttpHooks;
pub use world::{ComponentInfo, World};

/// The functions that requests call.
const FUNCTIONS: [&str; 6] = ["start", "resume", "next", "create-message", "request", "answer"];

/// A plugin, ready to be called.
pub struct Plugin {
    /// Its name in the config.
    pub name: String,
    /// What it says of itself.
    pub description: wit::Description,
    /// Its component's exports and imports.
    pub info: ComponentInfo,
    /// The component's SHA-256 digest, in hexadecimal.
    pub sha256: String,
    /// The component's size in bytes.
    pub size: usize,
    engine: Arc<Engine>,
    /// Its machine code, which other plugins may share.
    loaded: Arc<LoadedComponent>,
    linked: Linked,
    limits: Limits,
    admission: CallAdmission,
    /// Whether the calls of its functions run long.
    cost_hints: BTreeMap<&'static str, Arc<CostHint>>,
    /// What calls have used, once [`Plugin::record_usage`] has been called.
    usage: OnceLock<UsageRecorder>,
}

impl Plugin {
    /// Loads the plugin: reads the component, compiles it or finds it compiled, and asks it what it is.
    ///
    /// # Errors
    /// If it can't serve, and why.
    pub async fn load(engine: Arc<Engine>, config: &config::PluginConfig) -> Result<Self, LoadError> {
        let name = config.name.clone();
        let loaded = {
            let (engine, config, cancel) = (Arc::clone(&engine), config.clone(), CancelFlag::default());
            let _until_loaded = CancelOnDrop(cancel.clone());
            tokio::task::spawn_blocking(move || source::load(&engine, &config, &cancel)).await
        };
        let Source { loaded, sha256, size } = loaded.map_err(|e| LoadError::Engine { reason: e.to_string() })??;
        let info = ComponentInfo::of(&loaded.component);
        let world = info.world.clone().map_err(|reason| not_a_plugin(&name, reason))?;
        linked::check_keys(config, world)?;
        // A handler waits for its provider, and would hold a slot of the pool meanwhile.
        let loaded = if world == World::Handler { engine.move_off_pool(loaded)? } else { loaded };
        if !config.imports_allowed && !info.imports.is_empty() {
            return Err(LoadError::Imports { name, imports: list(info.imports.iter().map(String::as_str)) });
        }
        let linked = linker::link(&loaded.component, &info);
        let linked = linked.map_err(|e| not_a_plugin(&name, one_line(&format!("{e:#}"), 500)))?;
        let linked = Linked::new(world, linked, config)?;
        let limits = config.limits.clone();
        let wasmtime = loaded.component.engine();
        let admission = CallAdmission::new(
            engine.most_instances(wasmtime, &limits),
            world != World::Handler,
            engine.pool_permits(wasmtime),
            limits.deadline,
        );
        let cost_hints = FUNCTIONS.iter().map(|name| (*name, Arc::default())).collect();
        let (description, usage) = (nothing(), OnceLock::new());
        let mut plugin = Self {
            name,
            description,
            info,
            sha256,
            size,
            engine,
            loaded,
            linked,
            limits,
            admission,
            cost_hints,
            usage,
        };
        plugin.description = plugin
            .describe()
            .await
            .map_err(|e| LoadError::Describe { name: plugin.name.clone(), reason: e.to_string() })?;
        Ok(plugin)
    }

    /// Whether the plugin says that it can carry this (`image`, `audio`, `tools`).
    #[must_use]
    pub fn accepts(&self, what: &str) -> bool {
        self.description.accepts.iter().any(|word| word == what)
    }

    /// The gauge of requests in flight of all plugins that share its engine; the caller adds its own.
    pub(crate) fn active_requests(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.engine.active_requests)
    }

    /// Whether its engine schedules guests and requests.
    pub(crate) fn scheduling(&self) -> Scheduling {
        self.engine.scheduling
    }

    /// The plugin's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Records from now on what calls use.
    pub fn record_usage(&self) {
        self.usage.get_or_init(UsageRecorder::default);
    }

    /// The most that its calls have used since they are recorded, by the exported function.
    #[must_use]
    pub fn peak_usage(&self) -> BTreeMap<&'static str, PeakUsage> {
        self.usage.get().map(UsageRecorder::peaks).unwrap_or_default()
    }

    /// Asks the plugin what it is. `description` is what it said when it was loaded.
    ///
    /// # Errors
    /// A limit, or a trap.
    pub async fn describe(&self) -> Result<wit::Description, Error> {
        match &self.linked {
            Linked::Provider(_) => self.describe_provider().await,
            Linked::Handler(handler) => self.describe_handler(handler).await,
            Linked::Guard(guard) => self.describe_guard(guard).await,
        }
    }

    /// One call: a fresh store, an instance in it, and its end. `http` lets the guest make requests.
    async fn call<T: Send + 'static, F: Future<Output = wasmtime::Result<T>> + Send + 'static>(
        &self,
        call: &'static str,
        http: Option<HttpHooks>,
        guest: impl FnOnce(Store<StoreData>) -> F,
    ) -> Result<T, Error> {
        let output = OnceLock::new();
        let run = |permits: CallPermits| {
            // The engine, with or without a pool, that this component was loaded with.
            let mut store = self.engine.store(self.loaded.component.engine(), &self.limits);
            if let Some(http) = http {
                store.data_mut().allow_http(http);
            }
            if let Some(usage) = self.usage.get() {
                store.data_mut().record_usage(call, usage.clone());
            }
            let _ = output.set(store.data().output());
            let cpu_meter = store.data().cpu_meter();
            // Boxed: the future is large, and each wrapper would copy it.
            let guest = Box::pin(permits.run(guest(store)));
            let hint = self.cost_hints.get(call).map(Arc::clone).unwrap_or_default();
            self.engine.long_running().run(cpu_meter, hint, guest)
        };
        let outcome = self.admission.run(run).await;
        self.finish(call, &output.get().map(GuestOutput::take).unwrap_or_default(), outcome)
    }

    /// Ends a call: the guest's output goes to the log, and a failure gets its cause.
    fn finish<T>(
        &self,
        call: &'static str,
        output: &[String],
        outcome: Result<wasmtime::Result<T>, Elapsed>,
    ) -> Result<T, Error> {
        for line in output {
            tracing::info!(target: "understudy::plugin", plugin = self.name, call, "{line}");
        }
        let limit = |limit| Error::Limit { plugin: self.name.clone(), call, limit };
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Err(_) => Err(limit(Limit::Time(self.limits.deadline))),
            Ok(Err(error)) => {
                if let Some(LimitExceeded(hit)) = error.downcast_ref::<LimitExceeded>() {
                    return Err(limit(hit.clone()));
                }
                tracing::debug!(target: "understudy::plugin", plugin = self.name, call, "{error:?}");
                if output_limits::is_fuel_exhausted(&error) {
                    return Err(limit(Limit::HandedOver(output_limits::hostcall_fuel(&self.limits))));
                }
                let mut reason = error.root_cause().to_string().trim_start_matches("wasm trap: ").to_owned();
                // Rust's panic message ends with a hint about backtraces, which don't apply here.
                let last = output.iter().rev().find(|line| !line.starts_with("note: "));
                if let Some(last) = last {
                    reason = format!("{reason}; the last it wrote was: {last}");
                }
                Err(Error::Trap { plugin: self.name.clone(), call, reason: one_line(&reason, 1000) })
            }
        }
    }

    /// The guest's own error as a host error.
    fn guest_result<T>(&self, outcome: Result<T, wit::Error>) -> Result<T, Error> {
        outcome.map_err(|error| Error::Guest { plugin: self.name.clone(), error })
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

/// The description of a plugin that hasn't been asked yet.
fn nothing() -> wit::Description {
    wit::Description {
        name: String::new(),
        version: String::new(),
        summary: String::new(),
        accepts: Vec::new(),
        models: Vec::new(),
        default_model: None,
        endpoint: None,
        credential: None,
        settings_schema: String::new(),
        extensions: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::pin::pin;

    use super::*;
    use crate::config::Config;

    async fn echo(engine: &Arc<Engine>) -> Plugin {
        let config = Config::parse("{}", Path::new("a test")).unwrap().plugin("echo", |_| None).unwrap();
        Plugin::load(Arc::clone(engine), &config).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_waits_for_a_permit_and_plugins_of_one_component_share_its_code_but_not_their_permits() {
        let engine = Engine::new(None).unwrap();
        let (plugin, other) = (echo(&engine).await, echo(&engine).await);
        assert!(Arc::ptr_eq(&plugin.loaded, &other.loaded));
        let permits = Arc::clone(plugin.admission.start_permits().unwrap());
        let all = permits.acquire_many(u32::try_from(permits.available_permits()).unwrap()).await.unwrap();
        let mut call = pin!(plugin.describe());
        assert!(futures_util::poll!(&mut call).is_pending());
        assert_eq!(other.describe().await.unwrap().name, "echo");
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(all);
        assert_eq!(call.await.unwrap().name, "echo");
    }
}
