//! Plugins: loading a component, and calling it in the sandbox.
//!
//! A plugin is compiled once and called many times. Each call gets a store of its own, so no guest ever sees what another
//! call left behind, and none lives longer than its call. Three outcomes are kept apart: the guest's own error (part of its
//! result), a limit that it ran into, and a trap.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `bindings` | generated from `wit/` |
//! | `engine` | wasmtime's engine, the epoch ticker, compiling |
//! | `artefacts` | compiled components on disk |
//! | `source` | a component's bytes |
//! | `link` | what a component's imports are linked to |
//! | `world` | what a component is, by its exports and imports |
//! | `state` | what a store holds: limits and the inert WASI |
//! | `turns` | the CPU time that a call has taken |
//! | `kind` | what sets the two worlds apart |
//! | `handler` | calling plugins that make their own HTTP requests |
//! | `http` | `wasi:http` for these |

mod artefacts;
pub mod bindings;
mod engine;
mod handler;
mod http;
mod kind;
mod link;
mod source;
mod state;
mod turns;
mod world;

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::error::Elapsed;
use wasmtime::Store;

use crate::config::{self, Limits};
use crate::error::{Error, Limit, LoadError};
use crate::text::{list, one_line};
use bindings::ProviderPlugin;
use bindings::streaming::exports::understudy::plugin::streaming as stream;
use bindings::understudy::plugin::types as wit;
pub use engine::Engine;
use kind::{Kind, not_ours};
use state::{LimitHit, State};
use turns::Turns;
pub use world::{Shape, World};

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
    kind: Kind,
    limits: Limits,
}

impl Plugin {
    /// Loads the plugin: reads the component, compiles it or finds it compiled, and asks it what it is.
    ///
    /// # Errors
    /// If it can't serve, and why.
    pub async fn load(engine: Arc<Engine>, config: &config::Plugin) -> Result<Self, LoadError> {
        let name = config.name.clone();
        let bytes = source::read(config)?;
        if bytes.len() > config.limits.component {
            return Err(LoadError::TooLarge { name, most: config.limits.component });
        }
        let size = bytes.len();
        let digest = Sha256::digest(&bytes);
        let sha256 = source::hex(&digest);
        if let Some(wanted) = config.sha256.as_ref().filter(|wanted| **wanted != sha256) {
            return Err(LoadError::Digest { name, found: sha256, wanted: wanted.clone() });
        }
        let component = {
            let (engine, name, digest) = (Arc::clone(&engine), name.clone(), sha256.clone());
            let compile = move || engine.component(&name, &bytes, &digest);
            let compiled = tokio::task::spawn_blocking(compile).await;
            compiled.map_err(|e| LoadError::Engine { reason: e.to_string() })??
        };
        let shape = Shape::of(engine.wasmtime(), &component);
        let world = shape.world.clone().map_err(|reason| not_ours(&name, reason))?;
        kind::check_keys(config, world)?;
        if !config.imports_allowed && !shape.imports.is_empty() {
            return Err(LoadError::Imports { name, imports: list(shape.imports.iter().map(String::as_str)) });
        }
        let linked = link::link(engine.wasmtime(), &component, &shape);
        let linked = linked.map_err(|e| not_ours(&name, one_line(&format!("{e:#}"), 500)))?;
        let kind = Kind::new(world, linked, config)?;
        let limits = config.limits.clone();
        let mut plugin = Self { name, description: nothing(), shape, sha256, size, engine, kind, limits };
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

    /// The plugin's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    async fn describe(&self) -> Result<wit::Description, Error> {
        if let Kind::Handler(handler) = &self.kind {
            return self.describe_handler(handler).await;
        }
        let (mut store, instance) = self.instance("describe").await?;
        let turns = store.data().turns();
        let call = instance.understudy_plugin_provider().call_describe(&mut store);
        let outcome = self.timed(&turns, call).await;
        self.finish("describe", store, outcome)
    }

    /// Begins a request.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn start(&self, request: &wit::CreateMessageRequest, options: &wit::Options) -> Result<wit::Step, Error> {
        let (mut store, instance) = self.instance("start").await?;
        let turns = store.data().turns();
        let call = instance.understudy_plugin_provider().call_start(&mut store, request, options);
        let outcome = self.timed(&turns, call).await;
        self.own(self.finish("start", store, outcome)?)
    }

    /// Goes on with the provider's answer.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn resume(&self, state: &[u8], response: &wit::HttpResponse) -> Result<wit::Step, Error> {
        let (mut store, instance) = self.instance("resume").await?;
        let turns = store.data().turns();
        let call = instance.understudy_plugin_provider().call_resume(&mut store, state, response);
        let outcome = self.timed(&turns, call).await;
        self.own(self.finish("resume", store, outcome)?)
    }

    /// Goes on with what a stream has brought.
    ///
    /// # Errors
    /// The guest's own error, a limit, or a trap.
    pub async fn next(&self, state: &[u8], events: &[stream::Event]) -> Result<stream::StreamingStep, Error> {
        let Kind::Provider { streaming: Some(pre), .. } = &self.kind else { return Err(self.cannot_stream()) };
        let mut store = self.engine.store(&self.limits);
        let turns = store.data().turns();
        let made = self.timed(&turns, pre.instantiate_async(&mut store)).await;
        let (mut store, instance) = self.made("next", store, made)?;
        let call = instance.understudy_plugin_streaming().call_next(&mut store, state, events);
        let outcome = self.timed(&turns, call).await;
        let step = self.own(self.finish("next", store, outcome)?)?;
        // A stream's state may hold the answer so far.
        let most = self.limits.state.saturating_add(self.limits.response_body);
        match &step {
            stream::StreamingStep::More(progress) if progress.state.len() > most => {
                Err(Error::Limit { plugin: self.name.clone(), call: "next", limit: Limit::StreamState(most) })
            }
            _ => Ok(step),
        }
    }

    fn cannot_stream(&self) -> Error {
        let reason = "it wants the answer as a stream, and it doesn't export `streaming`".to_owned();
        Error::Refused { plugin: self.name.clone(), reason }
    }

    /// A fresh store with a fresh instance.
    async fn instance(&self, call: &'static str) -> Result<(Store<State>, ProviderPlugin), Error> {
        let Kind::Provider { pre, .. } = &self.kind else {
            let reason = format!("it is a handler plugin, which has no `{call}`");
            return Err(Error::Refused { plugin: self.name.clone(), reason });
        };
        let mut store = self.engine.store(&self.limits);
        let turns = store.data().turns();
        let made = self.timed(&turns, pre.instantiate_async(&mut store)).await;
        self.made(call, store, made)
    }

    /// Lets the guest run, and wait, until the deadline.
    async fn timed<T>(&self, turns: &Turns, call: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::time::timeout(self.limits.deadline, turns.count(call)).await
    }

    /// The store and the instance that was made in it, or why there is none.
    fn made<T>(
        &self,
        call: &'static str,
        store: Store<State>,
        made: Result<wasmtime::Result<T>, Elapsed>,
    ) -> Result<(Store<State>, T), Error> {
        match made {
            Ok(Ok(instance)) => Ok((store, instance)),
            failed => Err(self.finish(call, store, failed.map(|inner| inner.map(|_| ()))).map_or_else(
                |error| error,
                |()| Error::Trap { plugin: self.name.clone(), call, reason: "no instance".to_owned() },
            )),
        }
    }

    /// Ends a call: what the guest wrote goes to the log, and a failure gets its cause.
    fn finish<T>(
        &self,
        call: &'static str,
        mut store: Store<State>,
        outcome: Result<wasmtime::Result<T>, Elapsed>,
    ) -> Result<T, Error> {
        let written = store.data_mut().written();
        for line in &written {
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
                let mut reason = error.root_cause().to_string().trim_start_matches("wasm trap: ").to_owned();
                if let Some(last) = written.last() {
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

    /// Holds an exchange that the guest wants to the limits, and to what the guest can do.
    ///
    /// # Errors
    /// If it is too large, or the guest couldn't read the answer.
    pub fn check(&self, fetch: &wit::Fetch) -> Result<(), Error> {
        let limit = if fetch.state.len() > self.limits.state {
            Limit::State(self.limits.state)
        } else if fetch.request.body.len() > self.limits.request_body {
            Limit::RequestBody(self.limits.request_body)
        } else if fetch.framing != wit::Framing::Whole
            && !matches!(self.kind, Kind::Provider { streaming: Some(_), .. })
        {
            return Err(self.cannot_stream());
        } else {
            return Ok(());
        };
        Err(Error::Limit { plugin: self.name.clone(), call: "fetch", limit })
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
pub(crate) const TICK: Duration = Duration::from_millis(5);
