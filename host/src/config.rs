//! The config file: JSON with comments, checked in whole before anything starts.
//!
//! Its `mcpServers` block is the one that Claude Desktop, Claude Code, Cursor and mcp-use have, and other clients have one like it
//! (`foreign`), so their files work as they are. A key that resembles one of ours is an error that names it; other unknown keys belong to
//! another client, and get one warning. A fault of one server is an error only where that server is used.
//!
//! Variables (`${VAR}`, `${env:VAR}`, `${VAR:-default}`) are expanded when a server or plugin is used, not when the file is
//! read: a variable that one server lacks doesn't affect the others.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `find` | which file is used, and whether its user trusts it |
//! | `section` | reading one object: each key once, unknown keys with the nearest known one |
//! | `expand` | variables in strings |
//! | `foreign` | other clients' files, mapped onto ours |
//! | `model` | servers, plugins, credentials |
//! | `models` | a plugin's catalogue of models |
//! | `approve` | when the user is asked before a request is answered |
//! | `allowed` | the origins that a handler plugin may reach |
//! | `guards` | guards |
//! | `sampling` | the rule for a server's sampling requests |
//! | `limits` | the limits and their defaults |
//! | `serve` | how `serve` listens |
//! | `spending` | the ledger, budgets, prices |
//! | `secrets` | the environment variables that children don't inherit |
//! | `effects` | what a config would do, by its text alone |
//! | `error` | what can be wrong with a config |

mod allowed;
mod approve;
mod effects;
mod error;
mod expand;
mod find;
mod foreign;
mod guards;
mod limits;
mod model;
mod models;
mod sampling;
mod secrets;
mod section;
mod serve;
mod spending;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonc_parser::ParseOptions;
use serde_json::{Map, Value};

pub use allowed::Allowed;
pub use approve::{ApprovePolicy, ApproveRule};
pub use effects::Effects;
pub use error::ConfigError;
pub use find::{Aside, Origin};
use foreign::{ServerEntry, servers};
pub use guards::{Checked, GuardConfig, OnFailure};
pub use limits::{Compile, Limits};
pub use model::{
    ClientSharing, CredentialConfig, CredentialSource, PluginConfig, SecretValue, ServerConfig, Transport,
};
pub use models::{Comparison, Condition, ModelConfig, Models, Priority, Threshold};
pub use sampling::{Attached, EraChoice, Mode, Sampling};
use section::Section;
pub use section::wrong;
pub use serve::{ListenAddress, Serve, TokenSource};
pub(crate) use spending::price;
pub use spending::{Budget, LedgerConfig, OnLedgerFailure, Period, Recorded};

use crate::reference::{Reference, SCHEME};
use crate::text::did_you_mean;
use crate::trust::pins::Pins;

/// The name that the config has by default.
pub const FILE_NAME: &str = "understudy.json";

/// A config, checked.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Its file; `None` when there is none.
    pub path: Option<PathBuf>,
    /// How it was found.
    pub origin: Origin,
    /// Files that were found before it and aren't used, because the user doesn't trust them.
    pub aside: Vec<Aside>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// The faults of servers that can't be used.
    pub broken: Vec<String>,
    /// The limits.
    pub limits: Limits,
    /// What the ledger keeps; `None` where nothing asks for one.
    pub ledger: Option<LedgerConfig>,
    /// The budgets.
    pub budgets: Vec<Budget>,
    sampling: Option<Sampling>,
    serve: Option<Value>,
    state_key: Option<Value>,
    trust: Vec<PathBuf>,
    servers: BTreeMap<String, Value>,
    /// Where each of them stands, such as `mcpServers.code`.
    places: BTreeMap<String, String>,
    plugins: BTreeMap<String, Value>,
    guards: BTreeMap<String, Value>,
    /// The digests of the files that it names, where it is used because its user trusts it.
    pins: Option<Arc<Pins>>,
}

impl Config {
    /// Parses and checks a config. `path` is for messages and for relative paths.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::parse_unlocated(text, path).map_err(|error| match error {
            ConfigError::Value { key, reason, .. } => {
                ConfigError::Value { file: format!("{}: ", path.display()), key, reason }
            }
            other => other,
        })
    }

    fn parse_unlocated(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let syntax = |reason: String| ConfigError::Syntax { path: path.to_path_buf(), reason };
        let root = json(text).map_err(|reason| match foreign::other_format(path, text) {
            Some(format) => ConfigError::Format { path: path.to_path_buf(), format },
            None => syntax(reason),
        })?;
        let servers = servers(&root);
        let Value::Object(root) = root else {
            return Err(syntax("the top level must be an object".to_owned()));
        };
        let is_another_clients = foreign::is_another_clients(&root);
        let mut root = Section::new("", root);
        let limits = match root.section("limits")? {
            Some(section) => Limits::default().with(section)?,
            None => Limits::default(),
        };
        let mut config = Self { path: Some(path.to_path_buf()), limits, ..Self::default() };
        config.sampling = sampling::sampling_of(&mut root, &mut config.warnings)?;
        config.plugins = entries(&mut root, "plugins")?;
        config.guards = entries(&mut root, "guards")?;
        config.budgets = spending::budgets(&mut root)?;
        // Budgets are kept in the ledger.
        config.ledger =
            spending::ledger(&mut root)?.or_else(|| (!config.budgets.is_empty()).then(LedgerConfig::default));
        for block in ["mcpServers", "servers"] {
            root.section(block)?;
        }
        for block in [foreign::OF_ZED, foreign::OF_OPENCODE] {
            root.take(block);
        }
        for ServerEntry { name, key, value } in servers {
            config.places.insert(name.clone(), key);
            config.servers.insert(name, value);
        }
        config.serve = root.take("serve");
        config.state_key = root.take(STATE_KEY);
        config.trust = root.strings(model::TRUST)?.unwrap_or_default().into_iter().map(PathBuf::from).collect();
        root.take("$schema");
        root.finish_leniently(&mut config.warnings, !is_another_clients)?;
        config.check()?;
        if let Some(mut ledger) = config.ledger.take() {
            ledger.path = ledger.path.map(|path| PathBuf::from(config.beside(&path.to_string_lossy())));
            config.ledger = Some(ledger);
        }
        if let Some(mut sampling) = config.sampling.take() {
            config.name_beside(&mut sampling);
            config.sampling = Some(sampling);
        }
        Ok(config)
    }

    /// Checks every server and plugin as it stands, with its variables unexpanded.
    fn check(&mut self) -> Result<(), ConfigError> {
        let mut warnings = Vec::new();
        for (name, value) in &self.plugins {
            PluginConfig::parse(name, value.clone(), &self.limits, &self.trust)?;
        }
        self.check_guards()?;
        let mut broken = Vec::new();
        for (name, value) in &self.servers {
            let place = self.place_of(name);
            let checked = ServerConfig::parse(name, &place, value.clone(), &mut warnings)
                .and_then(|server| self.check_names(&format!("{place}.sampling"), server.sampling.as_ref()));
            broken.extend(checked.err().map(|error| error.to_string()));
        }
        self.broken = broken;
        for Budget { key, server, plugin, .. } in &self.budgets {
            let unknown = |what: &str, name: &str, known: &BTreeMap<String, Value>| {
                let hint = did_you_mean(name, known.keys().map(String::as_str));
                format!("`{key}` is for the {what} `{name}`, which the config doesn't name{hint}")
            };
            let no_server = server.as_ref().filter(|name| !self.servers.contains_key(*name));
            warnings.extend(no_server.map(|name| unknown("server", name, &self.servers)));
            let is_known = |name: &String| self.plugins.contains_key(name) || crate::builtins::find(name).is_some();
            let no_plugin = plugin.as_ref().filter(|name| !is_known(name));
            warnings.extend(no_plugin.map(|name| unknown("plugin", name, &self.plugins)));
        }
        self.check_names("sampling", self.sampling.as_ref())?;
        self.serve.clone().map(Serve::parse).transpose()?;
        self.state_key.clone().map(state_key).transpose()?;
        self.warnings.append(&mut warnings);
        Ok(())
    }

    /// The key of a server, such as `mcpServers.code`.
    fn place_of(&self, name: &str) -> String {
        self.places.get(name).cloned().unwrap_or_else(|| format!("mcpServers.{name}"))
    }

    fn check_names(&self, key: &str, sampling: Option<&Sampling>) -> Result<(), ConfigError> {
        for name in sampling.iter().flat_map(|sampling| &sampling.plugins) {
            self.plugin(name, |_| Some(String::new())).map_err(|error| match error {
                ConfigError::UnknownPlugin { .. } => ConfigError::Value {
                    file: String::new(),
                    key: key.to_owned(),
                    reason: format!("is wrong: {error}"),
                },
                other => other,
            })?;
        }
        self.check_approvals(key, sampling)?;
        self.check_guard_names(key, sampling)
    }

    /// What the user decides once and for all is kept in the ledger.
    fn check_approvals(&self, key: &str, sampling: Option<&Sampling>) -> Result<(), ConfigError> {
        if self.ledger.is_none() && sampling.is_some_and(|sampling| sampling.approve.remembers()) {
            let reason = "is `remember`, which is kept in the ledger, and the config has none: write `\"ledger\": true` at its top level, or `once` here";
            return Err(wrong(&format!("{key}.approve"), reason));
        }
        Ok(())
    }

    /// The server of this name, its variables expanded by `env`.
    ///
    /// # Errors
    /// [`ConfigError::UnknownServer`], or [`ConfigError::Value`] if a variable is not set.
    pub fn server(&self, name: &str, env: impl Fn(&str) -> Option<String>) -> Result<ServerConfig, ConfigError> {
        let Some(value) = self.servers.get(name) else {
            let names = || self.servers.keys().map(String::as_str);
            return Err(ConfigError::UnknownServer {
                name: name.to_owned(),
                hint: did_you_mean(name, names()),
                known: if self.servers.is_empty() { "none".to_owned() } else { crate::text::list(names()) },
            });
        };
        let key = self.place_of(name);
        let mut server = ServerConfig::parse(name, &key, expand::value(&key, value.clone(), &env)?, &mut Vec::new())?;
        self.check_names(&format!("{key}.sampling"), server.sampling.as_ref())?;
        if let Some(sampling) = &mut server.sampling {
            self.name_beside(sampling);
        }
        server.sampling = server.sampling.or_else(|| self.sampling.clone());
        Ok(server)
    }

    /// How to serve, with its variables expanded by `env`.
    ///
    /// # Errors
    /// If a variable is not set, or stands for something that can't be.
    pub fn serve(&self, env: impl Fn(&str) -> Option<String>) -> Result<Serve, ConfigError> {
        let Some(value) = self.serve.clone() else { return Ok(Serve::default()) };
        let mut serve = Serve::parse(expand::value("serve", value, &env)?)?;
        if let TokenSource::From(source) = &mut serve.token {
            self.place(source);
        }
        if let ListenAddress::Unix(path) = &mut serve.listen {
            *path = PathBuf::from(self.beside(&path.to_string_lossy()));
        }
        Ok(serve)
    }

    /// Where the key comes from that `requestState`s are sealed with (`requestStateKey`), with its variables expanded by `env`.
    ///
    /// # Errors
    /// If a variable is not set.
    pub fn state_key(&self, env: impl Fn(&str) -> Option<String>) -> Result<Option<CredentialSource>, ConfigError> {
        let Some(value) = self.state_key.clone() else { return Ok(None) };
        let mut source = state_key(expand::value(STATE_KEY, value, &env)?)?;
        self.place(&mut source);
        Ok(Some(source))
    }

    /// The global sampling rule.
    #[must_use]
    pub fn sampling(&self) -> Option<&Sampling> {
        self.sampling.as_ref()
    }

    /// The rule for a server that the config doesn't name. It has no name that would tell it from another one, so no decision about it is remembered.
    #[must_use]
    pub fn sampling_of_unnamed(&self) -> Option<Sampling> {
        let rule = self.sampling.clone()?;
        Some(Sampling { approve: rule.approve.clone().forgetful(), ..rule })
    }

    /// The names of all servers.
    pub fn server_names(&self) -> impl Iterator<Item = &str> {
        self.servers.keys().map(String::as_str)
    }

    /// The names of the config's plugins.
    pub fn plugin_names(&self) -> impl Iterator<Item = &str> {
        self.plugins.keys().map(String::as_str)
    }

    /// The plugin that a name means: one of the config's, `builtin:NAME` or a built-in's name, or a path to a component.
    ///
    /// # Errors
    /// If it means none, or a variable is not set.
    pub fn plugin(&self, name: &str, env: impl Fn(&str) -> Option<String>) -> Result<PluginConfig, ConfigError> {
        let plugin = self.named(name, &env)?;
        Ok(PluginConfig { withheld: Arc::new(self.withheld(env)), ..plugin })
    }

    fn named(&self, name: &str, env: &impl Fn(&str) -> Option<String>) -> Result<PluginConfig, ConfigError> {
        if let Some(value) = self.plugins.get(name) {
            let value = expand::value(&format!("plugins.{name}"), value.clone(), env)?;
            let plugin = PluginConfig::parse(name, value, &self.limits, &self.trust)?;
            let mut plugin = self.placed(plugin);
            let origins = plugin.allow.iter_mut().flatten().filter_map(|origin| origin.credential.as_mut());
            for credential in plugin.credential.iter_mut().chain(origins) {
                self.place(&mut credential.source);
            }
            return Ok(plugin);
        }
        let built_in = name.strip_prefix(model::BUILT_IN).unwrap_or(name);
        if crate::builtins::find(built_in).is_some() {
            return Ok(PluginConfig::new(built_in, format!("{}{built_in}", model::BUILT_IN), self.limits.clone()));
        }
        if name.starts_with(SCHEME) {
            let reference = Reference::parse(name);
            let reference = reference.map_err(|reason| section::wrong("--plugin", &format!("is wrong: {reason}")))?;
            let trust = self.trust.clone();
            let plugin = PluginConfig::new(reference.name(), name.to_owned(), self.limits.clone());
            return Ok(self.placed(PluginConfig { trust, ..plugin }));
        }
        if is_component(name) {
            let stem = Path::new(name).file_stem();
            let stem = stem.map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned());
            let plugin = PluginConfig::new(&stem, name.to_owned(), self.limits.clone());
            // A path of the command line's is the user's own.
            let pins = self.pins.clone().filter(|_| self.names(name));
            return Ok(PluginConfig { pins, ..plugin });
        }
        let names = || self.plugin_names().chain(crate::builtins::BUILT_IN.iter().map(|plugin| plugin.name));
        Err(ConfigError::UnknownPlugin {
            name: name.to_owned(),
            hint: match did_you_mean(built_in, names()) {
                none if none.is_empty() && Path::new(name).is_file() => format!(" (for the file write `./{name}`)"),
                hint => hint,
            },
            known: crate::text::list(names()),
        })
    }

    /// Resolves a credential's file, and a command with a path, against the config's folder, not the current one.
    fn place(&self, source: &mut CredentialSource) {
        match source {
            CredentialSource::File(path) => *path = PathBuf::from(self.beside(&path.to_string_lossy())),
            CredentialSource::Command(words) => {
                if let Some(program) = words.first_mut().filter(|program| program.contains(std::path::MAIN_SEPARATOR)) {
                    *program = self.beside(program);
                }
            }
            CredentialSource::Env(_) | CredentialSource::Value(_) => {}
        }
    }

    /// Resolves the components that a rule names by their paths.
    fn name_beside(&self, sampling: &mut Sampling) {
        for name in sampling.plugins.iter_mut().filter(|name| is_component(name) && !self.plugins.contains_key(*name)) {
            *name = self.beside(name);
        }
    }

    /// The plugin, its files resolved against the config's folder.
    fn placed(&self, mut plugin: PluginConfig) -> PluginConfig {
        if plugin.file().is_some() {
            plugin.component = self.beside(&plugin.component);
        }
        for key in &mut plugin.trust {
            *key = PathBuf::from(self.beside(&key.to_string_lossy()));
        }
        plugin.lock = self.path.as_deref().map(lock_file);
        plugin.pins.clone_from(&self.pins);
        plugin
    }

    /// A path in the config is relative to the file.
    fn beside(&self, path: &str) -> String {
        match self.path.as_deref().and_then(Path::parent) {
            Some(folder) => folder.join(path).to_string_lossy().into_owned(),
            None => path.to_owned(),
        }
    }
}

/// The lock file that belongs to a config.
#[must_use]
pub fn lock_file(config: &Path) -> PathBuf {
    config.with_extension("lock")
}

/// The key of the bearer token of `serve`.
pub const TOKEN_KEY: &str = "serve.token";

/// The key of the key that `requestState`s are sealed with.
pub const STATE_KEY: &str = "requestStateKey";

fn state_key(value: Value) -> Result<CredentialSource, ConfigError> {
    let mut section = Section::of(STATE_KEY, value)?;
    let source = CredentialSource::take(&mut section)?;
    section.finish()?;
    Ok(source)
}

/// Whether a plugin's name is a component's path: what has a folder or the ending of one. A mere name never is, so no file in the current folder
/// stands in for a plugin by being called like one.
#[must_use]
pub fn is_component(name: &str) -> bool {
    let ends = || Path::new(name).extension().is_some_and(|ending| ending == "wasm" || ending == "cwasm");
    name.starts_with(SCHEME)
        || !name.starts_with(model::BUILT_IN) && (name.contains(std::path::MAIN_SEPARATOR) || ends())
}

/// A config's text as JSON.
fn json(text: &str) -> Result<Value, String> {
    // Some editors on Windows write a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    jsonc_parser::parse_to_serde_value(text, &json_with_comments()).map_err(|e| e.to_string())
}

fn json_with_comments() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// The named objects of a block.
fn entries(root: &mut Section, key: &'static str) -> Result<BTreeMap<String, Value>, ConfigError> {
    let map: Map<String, Value> = root.section(key)?.map(Section::into_map).unwrap_or_default();
    Ok(map.into_iter().collect())
}

#[cfg(test)]
mod tests;
