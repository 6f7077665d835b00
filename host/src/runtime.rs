//! The composition root: from a config to samplers.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `overrides` | what a caller says in the place of the config |
//!
//! Nothing here touches the terminal, the logger, the home folder or the process's environment by itself: [`RuntimeOptions`] says what is used.

mod overrides;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;

use crate::config::{self, Config, ConfigError, CredentialSource, LedgerConfig, Mode, Sampling};
use crate::environment::Environment;
use crate::error::LoadError;
use crate::guards::Guard;
use crate::ledger::SharedLedger;
use crate::outbound::{Http, credential};
use crate::sampling::{ConfiguredPlugin, Sampler, Surroundings};
use crate::sandbox::{Engine, EngineOptions};
use crate::scheduling::Scheduling;
pub use overrides::Overrides;

/// Why there is no sampler.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The config can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A plugin can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Neither the caller nor the config names a plugin.
    #[error("no plugin is named, and the config has no `sampling`")]
    NoPlugin,
    /// [`Overrides`] hold an endpoint, a model or settings, and the rule names several plugins.
    #[error(
        "an endpoint, a model, settings and a credential go with one plugin, and {plugins} are named; write them into the config"
    )]
    SeveralPlugins {
        /// How many are named.
        plugins: usize,
    },
}

impl BuildError {
    /// Whether the config or the overrides are wrong, rather than a component or the machine.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Config(_) | Self::Load(LoadError::Config(_)) | Self::NoPlugin | Self::SeveralPlugins { .. }
        )
    }
}

/// Told when compiling begins: the plugin's name, and the size of its component in bytes. What it returns is dropped when compiling ends.
pub type OnCompile = Arc<dyn Fn(&str, usize) -> Box<dyn Send> + Send + Sync>;

/// What the library may use of the machine. The default is nothing: no environment variable, no cache, no other process.
#[derive(Clone, Default)]
pub struct RuntimeOptions {
    /// Where the variables are looked up that the config and built-in plugins name.
    pub environment: Environment,
    /// The folder that keeps compiled components between runs. Without one, each run compiles what it loads.
    pub cache_folder: Option<PathBuf>,
    /// The folder that holds the ledger, unless the config names its file. Without one, requests of a config with a ledger or budgets are refused.
    pub state_folder: Option<PathBuf>,
    /// A program that compiles components in a process of its own, held to `limits.compile`: it must pass its arguments on to
    /// [`crate::sandbox::compile_for_parent`] when the first is [`crate::sandbox::COMPILE`]. Without one, components are compiled in this process,
    /// and refused if that looks as if it took seconds.
    pub compiler: Option<PathBuf>,
    /// Told when compiling begins.
    pub on_compile: Option<OnCompile>,
    /// Whether guests that run long and servers with many requests yield to the others ([`crate::scheduling`]). On by default.
    pub scheduling: Scheduling,
}

impl RuntimeOptions {
    /// The process's environment, and the user's cache and state folders (`$XDG_CACHE_HOME/understudy` and `$XDG_STATE_HOME/understudy` on Linux).
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            environment: Environment::process(),
            cache_folder: Engine::cache_folder(),
            state_folder: state_folder(),
            ..Self::default()
        }
    }
}

impl fmt::Debug for RuntimeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { environment: _, cache_folder, state_folder, compiler, on_compile: _, scheduling } = self;
        let mut shown = f.debug_struct("RuntimeOptions");
        shown
            .field("cache_folder", cache_folder)
            .field("state_folder", state_folder)
            .field("compiler", compiler)
            .field("scheduling", scheduling)
            .finish_non_exhaustive()
    }
}

/// The user's folder for Understudy's state: in `$XDG_STATE_HOME`, or else the local data folder.
#[must_use]
pub fn state_folder() -> Option<PathBuf> {
    let folder = dirs::state_dir().or_else(dirs::data_local_dir).filter(|folder| folder.is_absolute())?;
    Some(folder.join("understudy"))
}

/// What the plugins of all servers share: the engine, and the connections to providers.
#[derive(Debug)]
pub struct SharedResources {
    options: RuntimeOptions,
    /// Made when the first plugin needs it.
    engine: Mutex<Option<Arc<Engine>>>,
    /// Whether requests are being answered while components are compiled.
    in_background: AtomicBool,
    /// With its connections to providers: servers that ask the same one needn't each have a connection and a handshake.
    http: Arc<Http>,
    /// Made when the first server needs it.
    ledger: Mutex<Option<(LedgerConfig, Arc<SharedLedger>)>>,
}

impl Default for SharedResources {
    fn default() -> Self {
        Self::new(RuntimeOptions::default())
    }
}

impl SharedResources {
    /// Nothing is opened or started until a plugin is loaded.
    #[must_use]
    pub fn new(options: RuntimeOptions) -> Self {
        let http = Arc::new(Http::in_environment(&options.environment));
        let in_background = AtomicBool::default();
        Self { options, engine: Mutex::default(), in_background, http, ledger: Mutex::default() }
    }

    /// Where variables are looked up.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.options.environment
    }

    /// The engine.
    ///
    /// # Errors
    /// [`LoadError::Engine`] if WebAssembly can't be run on this machine.
    pub fn engine(&self) -> Result<Arc<Engine>, LoadError> {
        let mut made = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*made {
            return Ok(Arc::clone(engine));
        }
        let (cache, scheduling) = (self.options.cache_folder.clone(), self.options.scheduling);
        let engine = Engine::with_options(EngineOptions { cache, scheduling, ..EngineOptions::default() })?;
        if let Some(program) = &self.options.compiler {
            engine.compile_in_children(program.clone());
        }
        if let Some(on_compile) = self.options.on_compile.clone() {
            engine.observe_compiling(Box::new(move |name, size| on_compile(name, size)));
        }
        if self.in_background.load(Ordering::Relaxed) {
            engine.compile_in_background();
        }
        Ok(Arc::clone(made.insert(engine)))
    }

    /// Components are compiled at a low priority from now on: a reload takes cores that requests want.
    pub(crate) fn compile_in_background(&self) {
        let made = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_background.store(true, Ordering::Relaxed);
        if let Some(engine) = &*made {
            engine.compile_in_background();
        }
    }

    /// Loads one plugin.
    ///
    /// # Errors
    /// Why it can't be loaded.
    pub async fn load(&self, plugin: &config::PluginConfig) -> Result<ConfiguredPlugin, LoadError> {
        ConfiguredPlugin::load(&self.engine()?, plugin, |name| self.environment().var(name)).await
    }

    /// Loads a guard.
    ///
    /// # Errors
    /// Why it can't be loaded.
    pub async fn load_guard(&self, guard: &config::GuardConfig) -> Result<Guard, LoadError> {
        Guard::load(&self.engine()?, guard).await
    }

    /// Loads what turns out to be a plugin or a guard: the component by one config or the other.
    ///
    /// # Errors
    /// Why it can't be loaded.
    pub async fn load_either(
        &self,
        plugin: &config::PluginConfig,
        guard: &config::GuardConfig,
    ) -> Result<PluginOrGuard, LoadError> {
        match self.load(plugin).await {
            Ok(plugin) => Ok(PluginOrGuard::Plugin(Box::new(plugin))),
            Err(LoadError::IsAGuard { .. }) => Ok(PluginOrGuard::Guard(Box::new(self.load_guard(guard).await?))),
            Err(error) => Err(error),
        }
    }

    /// Loads the plugins of a rule, first choice first. None if its mode is [`Mode::Off`].
    ///
    /// # Errors
    /// Every variant of [`BuildError`].
    pub async fn chain(
        &self,
        config: &Config,
        rule: &Sampling,
        overrides: &Overrides,
    ) -> Result<Vec<ConfiguredPlugin>, BuildError> {
        if overrides.are_of_one_plugin() && rule.plugins.len() > 1 {
            return Err(BuildError::SeveralPlugins { plugins: rule.plugins.len() });
        }
        if rule.mode == Mode::Off {
            return Ok(Vec::new());
        }
        let mut chain = Vec::new();
        for name in &rule.plugins {
            chain.push(self.load(&overrides.plugin(config, name, self.environment())?).await?);
        }
        Ok(chain)
    }

    /// Loads the guards of a rule, in order. None if its mode is [`Mode::Off`].
    ///
    /// # Errors
    /// Why one of them can't be loaded.
    pub async fn guards(&self, config: &Config, rule: &Sampling) -> Result<Vec<Guard>, BuildError> {
        let mut guards = Vec::new();
        if rule.mode != Mode::Off {
            for name in &rule.guards {
                let guard = config.guard(name, |name| self.environment().var(name))?;
                guards.push(self.load_guard(&guard).await?);
            }
        }
        Ok(guards)
    }

    /// The sampler that these plugins and guards make for the server of a name.
    #[must_use]
    pub fn sampler(
        &self,
        config: &Config,
        server: &str,
        rule: &Sampling,
        chain: Vec<ConfiguredPlugin>,
        guards: Vec<Guard>,
    ) -> Sampler {
        let ledger = self.ledger(config);
        let (http, env) = (Arc::clone(&self.http), self.environment());
        let surroundings = Surroundings { http, env, ledger: ledger.as_ref() };
        Sampler::with_guards(server, rule, (chain, guards), config, surroundings)
    }

    /// The ledger that a config wants: the same for all servers, until the config says another one.
    fn ledger(&self, config: &Config) -> Option<Arc<SharedLedger>> {
        let wanted = config.ledger.as_ref()?;
        let mut made = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, ledger)) = &*made
            && of == wanted
        {
            return Some(Arc::clone(ledger));
        }
        let ledger = Arc::new(SharedLedger::new(wanted, self.options.state_folder.as_deref()));
        *made = Some((wanted.clone(), Arc::clone(&ledger)));
        Some(ledger)
    }

    /// Loads the plugins of a rule and makes a sampler of them. What keeps a plugin from answering (a missing credential, no model) is logged as
    /// a warning, and is no error.
    ///
    /// # Errors
    /// Every variant of [`BuildError`].
    pub async fn load_sampler(
        &self,
        config: &Config,
        server: &str,
        rule: &Sampling,
        overrides: &Overrides,
    ) -> Result<Sampler, BuildError> {
        let chain = self.chain(config, rule, overrides).await?;
        for link in &chain {
            for trouble in link.troubles() {
                tracing::warn!("the plugin `{}` can't answer as things are: {trouble}", link.plugin.name);
            }
            if let Some(remark) = link.remark() {
                tracing::warn!("the plugin `{}`: {remark}", link.plugin.name);
            }
        }
        let guards = self.guards(config, rule).await?;
        Ok(self.sampler(config, server, rule, chain, guards))
    }
}

/// A component that has been loaded.
#[derive(Debug)]
pub enum PluginOrGuard {
    /// A plugin.
    Plugin(Box<ConfiguredPlugin>),
    /// A guard.
    Guard(Box<Guard>),
}

/// The rule of a server whose requests nobody answers.
#[must_use]
pub fn unanswered() -> Sampling {
    Sampling { mode: Mode::Off, ..Sampling::by(Vec::new()) }
}

/// Reads a secret of Understudy's own (`serve.token`, `requestStateKey`) whose source stands in the config under `key`.
///
/// # Errors
/// [`ConfigError::Value`] if it is missing, or can't be read.
pub async fn read_secret(
    config: &Config,
    key: &str,
    source: &CredentialSource,
    env: &Environment,
) -> Result<SecretString, ConfigError> {
    let withheld = config.withheld(|name| env.var(name));
    let wrong = |reason: &str| config::wrong(key, reason);
    let secret =
        credential::read(source, &withheld, env).await.map_err(|reason| wrong(&format!("can't be had: {reason}")))?;
    let missing = || match source {
        CredentialSource::Env(name) => format!("is not there: set the environment variable `{name}`"),
        CredentialSource::File(path) => format!("is not there: the file `{}` is empty", path.display()),
        CredentialSource::Command(_) => "is not there: the command printed nothing".to_owned(),
        CredentialSource::Value(_) => "is empty".to_owned(),
    };
    Ok(secret.ok_or_else(|| wrong(&missing()))?.into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn all_servers_share_their_connections_to_providers() {
        let config = Config::parse("{}", Path::new("a test")).unwrap();
        let (rule, overrides) = (Sampling::by(vec!["echo".to_owned()]), Overrides::default());
        let shared = SharedResources::default();
        let one = shared.load_sampler(&config, "one", &rule, &overrides).await.unwrap();
        let two = shared.load_sampler(&config, "two", &rule, &overrides).await.unwrap();
        assert_eq!(Arc::strong_count(&shared.http), 3);
        drop((one, two));
    }

    #[test]
    fn the_first_start_compiles_at_full_speed_and_a_reload_in_the_background() {
        let shared = SharedResources::default();
        let engine = shared.engine().unwrap();
        assert!(!engine.compiles_in_background());
        shared.compile_in_background();
        assert!(engine.compiles_in_background());
        // No plugin was there at the start, so neither was an engine.
        let shared = SharedResources::default();
        shared.compile_in_background();
        assert!(shared.engine().unwrap().compiles_in_background());
    }
}
