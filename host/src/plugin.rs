//! Plugins: loading a component, and calling it in the sandbox.
//!
//! A plugin is compiled once and called many times. Each call gets a store of its own, so no guest ever sees what another
//! call left behind, and none lives longer than its call. Three outcomes are kept apart: the guest's own error (part of its
//! result), a limit that it ran into, and a trap.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `engine` | wasmtime's engines, compiling |
//! | `ticker` | the epoch moves on |
//! | `handed` | what a guest may hand over in one call |
//! | `compiler` | compiling, in a process of its own |
//! | `complexity` | what a component may ask of the compiler |
//! | `lane` | guests that run long make way for the others |
//! | `giving_way` | threads whose guests yield their core |
//! | `seats` | how many guests of a plugin begin at once |
//! | `artefacts` | compiled components on disk: the cache |
//! | `loaded` | machine code in memory, once for all who have it |
//! | `ahead` | components compiled ahead of time |
//! | `source` | a component, from where the config says it is |
//! | `link` | what a component's imports are linked to |
//! | `world` | what a component is, by its exports and imports |
//! | `state` | what a store holds: limits and the inert WASI |
//! | `written` | what a guest writes to stdout and stderr, for the log |
//! | `turns` | the CPU time that a call has taken |
//! | `usage` | the most that calls have used |
//! | `kind` | what sets the two worlds apart |
//! | `provider` | calling plugins that convert, and do no I/O |
//! | `exports` | the functions that these export |
//! | `handler` | calling plugins that make their own HTTP requests |
//! | `http` | `wasi:http` for these |

mod ahead;
mod artefacts;
mod compiler;
mod complexity;
mod engine;
mod exports;
mod giving_way;
mod handed;
mod handler;
mod http;
mod kind;
mod lane;
mod link;
mod loaded;
mod provider;
mod seats;
mod source;
mod state;
mod ticker;
mod turns;
mod usage;
mod world;
mod written;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::error::Elapsed;
use wasmtime::Store;

use crate::config::{self, Limits};
use crate::error::{Error, Limit, LoadError};
use crate::text::{list, one_line};
use crate::wit::understudy::plugin::types as wit;
pub use ahead::compile;
use compiler::{Abandon, AbandonOnDrop};
pub use compiler::{COMPILE, compile_for_parent};
pub use engine::{Engine, Watcher};
use http::Hooks;
use kind::{Kind, not_ours};
use lane::Habit;
use loaded::Loaded;
use source::Source;
pub use source::read;
use state::{LimitHit, State};
use usage::Usage;
pub use usage::Used;
pub use world::{Shape, World};
use written::Written;

/// What is called often.
const FUNCTIONS: [&str; 4] = ["start", "resume", "next", "create-message"];

/// A plugin, ready to be called.
pub struct Plugin {
    /// Its name in the config.
    pub name: String,
    /// What it says of itself.
    pub description: wit::Description,
    /// What its component is.
    pub shape: Shape,
    /// The component's SHA-256 digest, in hexadecimal.
    pub sha256: String,
    /// The component's size in bytes.
    pub size: usize,
    engine: Arc<Engine>,
    /// Its machine code, which others may have, too.
    loaded: Arc<Loaded>,
    kind: Kind,
    limits: Limits,
    /// `limits.instances`, or its share of the pool.
    instances: Arc<Semaphore>,
    /// For guests that have only begun, where they never wait for anything but their turn.
    seats: Option<Arc<Semaphore>>,
    /// Whether the calls of its functions run long.
    habits: BTreeMap<&'static str, Arc<Habit>>,
    /// Where it is kept what calls use, if anybody wants to know.
    usage: OnceLock<Usage>,
}

impl Plugin {
    /// Loads the plugin: reads the component, compiles it or finds it compiled, and asks it what it is.
    ///
    /// # Errors
    /// If it can't serve, and why.
    pub async fn load(engine: Arc<Engine>, config: &config::Plugin) -> Result<Self, LoadError> {
        let name = config.name.clone();
        let loaded = {
            let (engine, config, abandon) = (Arc::clone(&engine), config.clone(), Abandon::default());
            let _until_loaded = AbandonOnDrop(abandon.clone());
            tokio::task::spawn_blocking(move || source::load(&engine, &config, &abandon)).await
        };
        let Source { loaded, sha256, size } = loaded.map_err(|e| LoadError::Engine { reason: e.to_string() })??;
        let shape = Shape::of(&loaded.component);
        let world = shape.world.clone().map_err(|reason| not_ours(&name, reason))?;
        kind::check_keys(config, world)?;
        // A handler waits for its provider, and would keep a place in the pool from others.
        let loaded = if world == World::Handler { engine.off_the_pool(loaded)? } else { loaded };
        if !config.imports_allowed && !shape.imports.is_empty() {
            return Err(LoadError::Imports { name, imports: list(shape.imports.iter().map(String::as_str)) });
        }
        let linked = link::link(&loaded.component, &shape);
        let linked = linked.map_err(|e| not_ours(&name, one_line(&format!("{e:#}"), 500)))?;
        let kind = Kind::new(world, linked, config)?;
        let limits = config.limits.clone();
        let seats = (world != World::Handler).then(seats::new);
        let instances = Arc::new(Semaphore::new(engine.most_instances(loaded.component.engine(), &limits)));
        let habits = FUNCTIONS.iter().map(|name| (*name, Arc::default())).collect();
        let (description, usage) = (nothing(), OnceLock::new());
        let mut plugin = Self {
            name,
            description,
            shape,
            sha256,
            size,
            engine,
            loaded,
            kind,
            limits,
            instances,
            seats,
            habits,
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

    /// How many requests are being answered by all plugins together that share its engine: whoever answers one counts it.
    pub(crate) fn requests(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.engine.requests)
    }

    /// The plugin's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Keeps from now on what calls use.
    pub fn measure(&self) {
        self.usage.get_or_init(Usage::default);
    }

    /// The most that its calls have used since they are measured, by the exported function.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<&'static str, Used> {
        self.usage.get().map(Usage::most).unwrap_or_default()
    }

    /// Asks the plugin what it is. `description` is what it said when it was loaded.
    ///
    /// # Errors
    /// A limit, or a trap.
    pub async fn describe(&self) -> Result<wit::Description, Error> {
        if let Kind::Handler(handler) = &self.kind {
            return self.describe_handler(handler).await;
        }
        self.describe_provider().await
    }

    /// One call: a fresh store, an instance in it, and its end. `http` lets the guest make requests.
    async fn call<T: Send + 'static, F: Future<Output = wasmtime::Result<T>> + Send + 'static>(
        &self,
        call: &'static str,
        http: Option<Hooks>,
        guest: impl FnOnce(Store<State>) -> F,
    ) -> Result<T, Error> {
        let written = OnceLock::new();
        let run = async {
            // The semaphore is never closed.
            let of_plugin = Arc::clone(&self.instances).acquire_owned().await.map_err(wasmtime::Error::from)?;
            let seat = seats::take(self.seats.as_ref()).await;
            // That of the two on which it runs.
            let wasmtime = self.loaded.component.engine();
            let of_pool = self.engine.place(wasmtime).await;
            let mut store = self.engine.store(wasmtime, &self.limits);
            if let Some(http) = http {
                store.data_mut().let_out(http);
            }
            if let Some(usage) = self.usage.get() {
                store.data_mut().account(call, usage.clone());
            }
            let _ = written.set(store.data().written());
            let turns = store.data().turns();
            let guest = seats::hold(seat, guest(store));
            // A box: it is large, and everything that it is handed to until it runs would move it.
            let guest = Box::pin(async move {
                // Not in the store, whose data goes before its instances do.
                let _places = (of_plugin, of_pool);
                guest.await
            });
            let habit = self.habits.get(call).map(Arc::clone).unwrap_or_default();
            self.engine.slow_lane().run(turns, habit, guest).await
        };
        let outcome = tokio::time::timeout(self.limits.deadline, run).await;
        self.finish(call, &written.get().map(Written::take).unwrap_or_default(), outcome)
    }

    /// Ends a call: what the guest wrote goes to the log, and a failure gets its cause.
    fn finish<T>(
        &self,
        call: &'static str,
        written: &[String],
        outcome: Result<wasmtime::Result<T>, Elapsed>,
    ) -> Result<T, Error> {
        for line in written {
            tracing::info!(target: "understudy::plugin", plugin = self.name, call, "{line}");
        }
        let limit = |limit| Error::Limit { plugin: self.name.clone(), call, limit };
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Err(_) => Err(limit(Limit::Time(self.limits.deadline))),
            Ok(Err(error)) => {
                if let Some(LimitHit(hit)) = error.downcast_ref::<LimitHit>() {
                    return Err(limit(hit.clone()));
                }
                tracing::debug!(target: "understudy::plugin", plugin = self.name, call, "{error:?}");
                if handed::written_off(&error) {
                    return Err(limit(Limit::HandedOver(handed::most_handed_over(&self.limits))));
                }
                let mut reason = error.root_cause().to_string().trim_start_matches("wasm trap: ").to_owned();
                // A guest in Rust ends what it says of a panic with a hint that helps nobody here.
                let last = written.iter().rev().find(|line| !line.starts_with("note: "));
                if let Some(last) = last {
                    reason = format!("{reason}; the last it wrote was: {last}");
                }
                Err(Error::Trap { plugin: self.name.clone(), call, reason: one_line(&reason, 1000) })
            }
        }
    }

    /// Takes the guest's own error out.
    fn own<T>(&self, outcome: Result<T, wit::Error>) -> Result<T, Error> {
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

/// How often the epoch moves on while a guest runs: the grain of `limits.cpu`.
pub(crate) const TICK: Duration = Duration::from_millis(1);
