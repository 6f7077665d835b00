//! Samplers for programs that embed the library.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::check;
use crate::config::{self, Config, CredentialConfig, CredentialSource, Limits, Sampling, SecretValue};
use crate::guards::Guard;
use crate::reload::{ReloadError, admit};
use crate::runtime::{BuildError, Overrides, RuntimeOptions, SharedResources};
use crate::sampling::{ConfiguredPlugin, Sampler};

/// A component that answers.
#[derive(Clone)]
pub enum Component {
    /// Its file: a component, or one that `understudy plugin compile` compiled.
    File(PathBuf),
    /// Its bytes.
    Bytes(Arc<[u8]>),
}

impl From<&Path> for Component {
    fn from(path: &Path) -> Self {
        Self::File(path.to_path_buf())
    }
}

impl From<PathBuf> for Component {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&str> for Component {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl From<Vec<u8>> for Component {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&[u8]> for Component {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
        }
    }
}

/// A config: the JSON that `understudy` reads from `understudy.json`.
#[derive(Debug, Clone)]
pub enum ConfigSource {
    /// A file. [`Sampler::reload`] reads it again.
    File(PathBuf),
    /// Its text. Paths in it are relative to the current folder.
    Text(String),
    /// A config that has been read.
    Parsed(Box<Config>),
}

impl From<&Path> for ConfigSource {
    fn from(path: &Path) -> Self {
        Self::File(path.to_path_buf())
    }
}

impl From<PathBuf> for ConfigSource {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<Config> for ConfigSource {
    fn from(config: Config) -> Self {
        Self::Parsed(Box::new(config))
    }
}

/// How the provider is shown who asks. By default a built-in plugin takes the variables that its provider's own tools know (such as
/// `ANTHROPIC_API_KEY`) from the environment of [`RuntimeOptions`].
#[derive(Debug, Clone)]
pub struct ProviderCredential(CredentialConfig);

impl ProviderCredential {
    /// A value, applied as the plugin suggests.
    #[must_use]
    pub fn value(secret: impl Into<SecretValue>) -> Self {
        Self::from_source(CredentialSource::Value(secret.into()))
    }

    /// What a source holds, applied as the plugin suggests. The source is read for each request.
    #[must_use]
    pub fn from_source(source: CredentialSource) -> Self {
        Self(CredentialConfig { scheme: None, name: None, source })
    }

    /// The same, applied as `authorization: Bearer …`.
    #[must_use]
    pub fn as_bearer(self) -> Self {
        Self(CredentialConfig { scheme: Some("bearer".to_owned()), name: None, ..self.0 })
    }

    /// The same, applied as a header.
    #[must_use]
    pub fn as_header(self, name: &str) -> Self {
        Self(CredentialConfig { scheme: Some("header".to_owned()), name: Some(name.to_owned()), ..self.0 })
    }

    /// The same, applied as a key of the URL's query.
    #[must_use]
    pub fn as_query(self, key: &str) -> Self {
        Self(CredentialConfig { scheme: Some("query".to_owned()), name: Some(key.to_owned()), ..self.0 })
    }
}

impl From<&str> for ProviderCredential {
    fn from(secret: &str) -> Self {
        Self::value(secret)
    }
}

impl From<String> for ProviderCredential {
    fn from(secret: String) -> Self {
        Self::value(secret)
    }
}

impl From<CredentialSource> for ProviderCredential {
    fn from(source: CredentialSource) -> Self {
        Self::from_source(source)
    }
}

/// Makes a [`Sampler`]. Every method replaces what the same method said before, but for [`plugin`](Self::plugin),
/// [`component`](Self::component) and [`setting`](Self::setting), which add.
///
/// Nothing of the machine is used unless [`runtime`](Self::runtime) or [`resources`](Self::resources) says so: no environment variable, no
/// folder of the user's, no terminal. Events go to the [`tracing`] subscriber of the embedding program, if it has one.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct SamplerBuilder {
    plugins: Vec<PluginSource>,
    overrides: Overrides,
    credential: Option<CredentialConfig>,
    limits: Option<Limits>,
    config: Option<ConfigSource>,
    server: Option<String>,
    options: RuntimeOptions,
    shared: Option<Arc<SharedResources>>,
}

/// What a sampler is made of.
struct Loaded {
    config: Config,
    rule: Sampling,
    chain: Vec<ConfiguredPlugin>,
    guards: Vec<Guard>,
}

#[derive(Debug, Clone)]
enum PluginSource {
    Named(String),
    Component(Component),
}

impl SamplerBuilder {
    /// Adds a plugin that answers, by its name in the config or a built-in plugin's (`anthropic`, `openai`, `gemini`, `ollama`, `extractive`,
    /// `echo`). The first is the first choice; another is asked where one fails.
    pub fn plugin(mut self, name: impl Into<String>) -> Self {
        self.plugins.push(PluginSource::Named(name.into()));
        self
    }

    /// Adds a component that answers: its file, or its bytes.
    pub fn component(mut self, component: impl Into<Component>) -> Self {
        self.plugins.push(PluginSource::Component(component.into()));
        self
    }

    /// The model. Default: the config's, or what the plugin suggests. Goes with one plugin.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.overrides.model = Some(model.into());
        self
    }

    /// The URL of the provider. Default: the config's, or what a built-in plugin suggests. Goes with one plugin.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.overrides.endpoint = Some(url.into());
        self
    }

    /// One of the plugin's own settings; a dot in the key reaches into an object. Goes with one plugin.
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.overrides.settings.push((key.into(), value.into()));
        self
    }

    /// The plugin's own settings. Goes with one plugin.
    pub fn settings(mut self, settings: Map<String, Value>) -> Self {
        self.overrides.settings = settings.into_iter().collect();
        self
    }

    /// The credential for the provider. The plugin never sees it, and it is cut out of what the provider answers. Goes with one plugin.
    pub fn credential(mut self, credential: impl Into<ProviderCredential>) -> Self {
        self.credential = Some(credential.into().0);
        self
    }

    /// The most tokens of one answer; a request that asks for more gets this many. Default: the config's, or 4,096.
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.overrides.max_tokens = Some(tokens);
        self
    }

    /// The limits on requests, plugins and providers. Default: the config's, or [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// The config. Default: none.
    pub fn config(mut self, config: impl Into<ConfigSource>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// The name of the server whose requests are answered: with a config, the name in its `mcpServers`, whose `sampling` rule holds. Plugins
    /// and the log are told it. Default: the config's global rule, and the name `embedded`.
    pub fn server(mut self, name: impl Into<String>) -> Self {
        self.server = Some(name.into());
        self
    }

    /// What may be used of the machine. Default: nothing. [`RuntimeOptions::from_env`] is what the program `understudy` uses: the process's
    /// environment, and a cache of compiled components.
    pub fn runtime(mut self, options: RuntimeOptions) -> Self {
        self.options = options;
        self
    }

    /// The engine and the connections that this sampler shares with others, in the place of its own; they bring their [`RuntimeOptions`].
    pub fn resources(mut self, shared: &Arc<SharedResources>) -> Self {
        self.shared = Some(Arc::clone(shared));
        self
    }

    /// Loads the plugins. Compiling a component that isn't in the cache takes from some milliseconds to seconds.
    ///
    /// What keeps a plugin from answering (a missing credential, no model) is no error here: see [`Sampler::troubles`].
    ///
    /// # Errors
    /// - [`BuildError::NoPlugin`] if neither the builder nor the config names a plugin
    /// - [`BuildError::SeveralPlugins`] if a model, an endpoint, settings or a credential are given, and several plugins
    /// - [`BuildError::Config`] if the config can't be used, or a name means no plugin or server
    /// - [`BuildError::Load`] if a component can't be loaded
    pub async fn build(mut self) -> Result<Sampler, BuildError> {
        let shared = self.shared.get_or_insert_with(|| Arc::new(SharedResources::new(self.options.clone())));
        let shared = Arc::clone(shared);
        let sampler = self.finish(self.load(&shared).await?, &shared);
        sampler.keep_recipe(Arc::new(self));
        Ok(sampler)
    }

    /// Loads everything anew.
    async fn load(&self, shared: &SharedResources) -> Result<Loaded, BuildError> {
        let (config, env) = (self.read_config()?, shared.environment());
        let configured = match &self.server {
            Some(name) if self.config.is_some() => config.server(name, |name| env.var(name))?.sampling,
            _ => config.sampling().cloned(),
        };
        let names = |source: &PluginSource| match source {
            PluginSource::Named(name) => name.clone(),
            PluginSource::Component(Component::File(path)) => path.to_string_lossy().into_owned(),
            PluginSource::Component(Component::Bytes(_)) => "component".to_owned(),
        };
        let overrides = Overrides { plugins: self.plugins.iter().map(names).collect(), ..self.overrides.clone() };
        let rule = overrides.rule(configured).filter(|rule| !rule.plugins.is_empty());
        let rule = rule.ok_or(BuildError::NoPlugin)?;
        if (overrides.are_of_one_plugin() || self.credential.is_some()) && rule.plugins.len() > 1 {
            return Err(BuildError::SeveralPlugins { plugins: rule.plugins.len() });
        }
        let named = rule.plugins.iter().cloned().map(PluginSource::Named);
        let sources: Vec<PluginSource> = if self.plugins.is_empty() { named.collect() } else { self.plugins.clone() };
        let mut chain = Vec::new();
        for source in sources {
            chain.push(shared.load(&self.plugin_of(&source, &config, &overrides, shared)?).await?);
        }
        let guards = shared.guards(&config, &rule).await?;
        Ok(Loaded { config, rule, chain, guards })
    }

    fn finish(&self, Loaded { config, rule, chain, guards }: Loaded, shared: &SharedResources) -> Sampler {
        shared.sampler(&config, self.server.as_deref().unwrap_or("embedded"), &rule, chain, guards)
    }

    fn read_config(&self) -> Result<Config, BuildError> {
        let mut config = match &self.config {
            None => Config::default(),
            Some(ConfigSource::File(path)) => Config::find(Some(path))?,
            Some(ConfigSource::Text(text)) => Config::parse(text, Path::new("the config"))?,
            Some(ConfigSource::Parsed(config)) => (**config).clone(),
        };
        if let Some(limits) = &self.limits {
            config.limits = limits.clone();
        }
        Ok(config)
    }

    fn plugin_of(
        &self,
        source: &PluginSource,
        config: &Config,
        overrides: &Overrides,
        shared: &SharedResources,
    ) -> Result<config::PluginConfig, BuildError> {
        let env = shared.environment();
        let mut plugin = match source {
            PluginSource::Named(name) => overrides.plugin(config, name, env)?,
            PluginSource::Component(Component::File(path)) => {
                // A name without a folder may be a plugin's, and this is a file's.
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                overrides.plugin(config, &path.to_string_lossy(), env)?
            }
            PluginSource::Component(Component::Bytes(bytes)) => {
                let plugin = config::PluginConfig::of_bytes("component", Arc::clone(bytes), config.limits.clone());
                overrides.apply(plugin, env)
            }
        };
        plugin.credential = self.credential.clone().or(plugin.credential);
        Ok(plugin)
    }
}

impl Sampler {
    /// Begins to make a sampler.
    ///
    /// ```
    /// # #[cfg(feature = "builtins")]
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use understudy::{CreateMessageRequestParams, Sampler};
    ///
    /// let sampler = Sampler::builder().plugin("echo").build().await?;
    /// let answer = sampler.create_message(&CreateMessageRequestParams::user("Hello?", 100)).await?;
    /// assert!(answer.text().contains("Hello?"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn builder() -> SamplerBuilder {
        SamplerBuilder::default()
    }

    /// Loads the config and the components again, and answers by them from then on; requests in flight finish as they began. Nothing changes
    /// if anything can't be loaded, or a plugin breaks a rule of the kit.
    ///
    /// # Errors
    /// - [`ReloadError::Build`] for what [`SamplerBuilder::build`] refuses
    /// - [`ReloadError::NotAdmitted`] if a plugin breaks a rule
    /// - [`ReloadError::NotBuilt`] if no builder made this sampler
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let recipe = self.recipe().and_then(|recipe| recipe.downcast::<SamplerBuilder>().ok());
        let recipe = recipe.ok_or(ReloadError::NotBuilt)?;
        let shared = recipe.shared.as_ref().ok_or(ReloadError::NotBuilt)?;
        shared.compile_in_background();
        let loaded = recipe.load(shared).await?;
        for link in &loaded.chain {
            admit(&check::quick(link).await)?;
        }
        for guard in &loaded.guards {
            admit(&check::quick_guard(guard).await)?;
        }
        self.replace_with(&recipe.finish(loaded, shared));
        Ok(())
    }
}

#[cfg(feature = "builtins")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins;
    use crate::environment::Environment;
    use crate::error::Error;

    fn params() -> understudy_mcp_types::CreateMessageRequestParams {
        understudy_mcp_types::CreateMessageRequestParams::user("Is anybody there?", 100)
    }

    fn echo() -> Vec<u8> {
        builtins::find("echo").unwrap().component()
    }

    #[tokio::test]
    async fn a_component_answers_by_its_bytes_and_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a-plugin.wasm");
        std::fs::write(&file, echo()).unwrap();
        for builder in [Sampler::builder().component(echo()), Sampler::builder().component(file.as_path())] {
            let sampler = builder.build().await.unwrap();
            let answer = sampler.create_message(&params()).await.unwrap();
            assert!(answer.text().contains("Is anybody there?"), "{answer:?}");
            let json = br#"{"messages":[{"role":"user","content":{"type":"text","text":"Hello"}}],"maxTokens":9}"#;
            assert!(sampler.create_message_json(json.as_slice()).await.unwrap().contains("Hello"));
        }
    }

    #[tokio::test]
    async fn what_is_missing_or_does_not_fit_is_said_by_its_variant() {
        assert!(matches!(Sampler::builder().build().await, Err(BuildError::NoPlugin)));
        let several = Sampler::builder().plugin("echo").plugin("extractive");
        let several = several.credential("a-key").build().await;
        assert!(matches!(several, Err(BuildError::SeveralPlugins { plugins: 2 })));
        assert!(matches!(Sampler::builder().plugin("ecko").build().await, Err(BuildError::Config(_))));
        let not_a_component = Sampler::builder().component(b"nothing".as_slice()).build().await;
        assert!(matches!(not_a_component, Err(BuildError::Load(_))));
        let config = ConfigSource::Text(r#"{"mcpServers": {"s": {"command": "c", "sampling": "echo"}}}"#.to_owned());
        assert!(Sampler::builder().config(config.clone()).server("s").build().await.is_ok());
        assert!(matches!(Sampler::builder().config(config).server("t").build().await, Err(BuildError::Config(_))));
    }

    #[tokio::test]
    async fn only_the_environment_that_is_given_has_a_credential() {
        let key = |name: &str| (name == "ANTHROPIC_API_KEY").then(|| "sk-0123456789abcdef".to_owned());
        // Compiled once for all three.
        let cache = tempfile::tempdir().unwrap();
        let cache_folder = Some(cache.path().to_path_buf());
        let options = |environment| RuntimeOptions {
            environment,
            cache_folder: cache_folder.clone(),
            ..RuntimeOptions::default()
        };
        let builder = Sampler::builder().plugin("anthropic").model("m");
        let without = builder.clone().runtime(options(Environment::default())).build().await.unwrap();
        assert!(without.troubles().concat().contains("ANTHROPIC_API_KEY"), "{:?}", without.troubles());
        assert!(matches!(without.create_message(&params()).await, Err(Error::Credential { .. })));
        let with = builder.clone().runtime(options(Environment::from_fn(key))).build().await.unwrap();
        assert_eq!(with.troubles(), Vec::<String>::new());
        let given = builder.runtime(options(Environment::default())).credential("sk-0123456789abcdef");
        let given = given.build().await.unwrap();
        assert_eq!(given.troubles(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_reload_takes_up_the_config_or_leaves_everything_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("understudy.json");
        std::fs::write(&file, r#"{"sampling": "echo"}"#).unwrap();
        let sampler = Sampler::builder().config(file.as_path()).build().await.unwrap();
        let name = |sampler: &Sampler| sampler.plugins().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        std::fs::write(&file, r#"{"sampling": "nobody"}"#).unwrap();
        assert!(matches!(sampler.reload().await, Err(ReloadError::Build(BuildError::Config(_)))));
        assert_eq!(name(&sampler), ["echo"]);
        std::fs::write(&file, r#"{"sampling": "extractive"}"#).unwrap();
        sampler.reload().await.unwrap();
        assert_eq!(name(&sampler), ["extractive"]);
    }

    #[tokio::test]
    async fn a_closed_sampler_answers_nothing_more() {
        let sampler = Sampler::builder().plugin("echo").build().await.unwrap();
        sampler.close().await;
        assert!(matches!(sampler.create_message(&params()).await, Err(Error::Closed)));
    }

    #[test]
    fn no_secret_is_shown() {
        let builder = Sampler::builder().credential("sk-0123456789abcdef").component(vec![0; 9]);
        let shown = format!("{builder:?}");
        assert!(!shown.contains("sk-") && shown.contains("Bytes(9)"), "{shown}");
    }
}
