//! The configuration of servers and of plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::allowed::Allowed;
use super::models::Models;
use super::sampling::{Sampling, sampling_of};
use super::section::Section;
use super::{ConfigError, Limits};
use crate::children::Withheld;
use crate::environment::Environment;
use crate::price::Price;
use crate::reference::{Reference, SCHEME};
use crate::trust::pins::Pins;

/// What a built-in's name begins with in `component`.
pub(super) const BUILT_IN: &str = "builtin:";
/// The key of the keys that are trusted.
pub(super) const TRUST: &str = "trust";

/// One server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Its name in the config.
    pub name: String,
    /// How to reach it.
    pub transport: Transport,
    /// The rule for its sampling requests: its own, else the global one.
    pub sampling: Option<Sampling>,
    /// How `serve` shares it among clients of revision 2026-07-28.
    pub clients: ClientSharing,
    /// Whether it is turned off (`disabled`): then it is only used when it is named.
    pub is_off: bool,
}

/// How `serve` shares a server among clients of revision 2026-07-28, which it can't tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientSharing {
    /// Several clients share it; a message that belongs to no call reaches none of them.
    #[default]
    Several,
    /// It has one client, which gets all its messages.
    One,
    /// Each call has a server process of its own, which ends with the call.
    Apart,
}

/// How to reach a server.
#[derive(Debug, Clone)]
pub enum Transport {
    /// A child process that speaks on its stdin and stdout.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables added to its environment.
        env: Vec<(String, String)>,
        /// Its working folder; ours if absent.
        cwd: Option<PathBuf>,
    },
    /// A URL.
    Http {
        /// The endpoint.
        url: String,
        /// Headers added to each request.
        headers: Vec<(String, String)>,
        /// Whether only the old HTTP+SSE transport is spoken there (`"type": "sse"`); else whichever the server speaks.
        is_old: bool,
    },
}

/// The configuration of a plugin: a component under a name.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// Its name in the config.
    pub name: String,
    /// `builtin:NAME`, `oci://REGISTRY/NAME:TAG`, or the path of a component.
    pub component: String,
    /// The lock file that says which component a tag means.
    pub lock: Option<PathBuf>,
    /// The digests of the lock file, the keys and the component's file, if the config is used because its user trusts it.
    pub(crate) pins: Option<Arc<Pins>>,
    /// Public keys, one of which must have signed a component from a registry; none: it needn't be signed.
    pub trust: Vec<PathBuf>,
    /// The model to use: the only one, unless `models` says more.
    pub model: Option<String>,
    /// The catalogue of models, and how one is chosen.
    pub models: Models,
    /// Prices of its models, in the place of those that a built-in knows.
    pub prices: Vec<(String, Price)>,
    /// Where the provider is.
    pub endpoint: Option<String>,
    /// Further endpoints that the plugin may name.
    pub endpoints: Vec<(String, String)>,
    /// The credential and how it is applied.
    pub credential: Option<CredentialConfig>,
    /// Where a handler plugin may send its HTTP requests.
    pub allow: Option<Vec<Allowed>>,
    /// Headers added to each request.
    pub headers: Vec<(String, String)>,
    /// The plugin's own settings, an object.
    pub settings: serde_json::Map<String, Value>,
    /// Whether the component may import anything at all.
    pub imports_allowed: bool,
    /// The SHA-256 digest that the component must have, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Its limits.
    pub limits: Limits,
    /// The environment variables that the command which prints its credential doesn't inherit.
    pub withheld: Arc<Withheld>,
    /// Where the variables are looked up that hold credentials. Default: this process's environment.
    pub environment: Environment,
    /// The component itself, in the place of what `component` names.
    pub bytes: Option<Arc<[u8]>>,
}

/// A credential: where it comes from and how it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialConfig {
    /// `bearer`, `header` or `query`; `None` for whatever a built-in plugin suggests.
    pub scheme: Option<String>,
    /// The header's or the query key's name.
    pub name: Option<String>,
    /// Where the value comes from.
    pub source: CredentialSource,
}

/// Where a credential's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// An environment variable.
    Env(String),
    /// A file, less white space at its ends.
    File(PathBuf),
    /// What a program writes to stdout, less white space at its ends: the program and its arguments.
    Command(Vec<String>),
    /// A value that the embedding program gives. No config file holds one.
    Value(SecretValue),
}

/// A secret that is never shown. Its memory is wiped.
#[derive(Debug, Clone)]
pub struct SecretValue(SecretString);

impl SecretValue {
    /// The secret.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl<T: Into<SecretString>> From<T> for SecretValue {
    fn from(secret: T) -> Self {
        Self(secret.into())
    }
}

impl PartialEq for SecretValue {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for SecretValue {}

impl ServerConfig {
    pub(super) fn parse(
        name: &str,
        place: &str,
        value: Value,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut section = Section::of(place, value)?;
        let sampling = sampling_of(&mut section, warnings)?;
        let clients = match section.string("clients")?.as_deref() {
            None | Some("several") => ClientSharing::Several,
            Some("one") => ClientSharing::One,
            Some("apart") => ClientSharing::Apart,
            Some(_) => return Err(section.wrong("clients", "must be `several`, `one` or `apart`")),
        };
        let command = section.string("command")?;
        let url = section.string("url")?;
        let args = section.strings("args")?.unwrap_or_default();
        let env = section.texts("env")?;
        let cwd = section.string("cwd")?.map(PathBuf::from);
        let headers = section.texts("headers")?;
        // Some clients call it `transport`. Whatever else it says (`local`, `stdio`, `remote`, `http`, `streamableHttp`) can be seen from the
        // other keys.
        let mut is_old = false;
        for key in ["type", "transport"] {
            let word = section.take(key);
            is_old |= word.as_ref().and_then(Value::as_str).is_some_and(|word| word.eq_ignore_ascii_case("sse"));
        }
        let is_off = section.take("disabled").is_some_and(|value| value == true);
        // Other clients' keys that say nothing that isn't known already.
        for key in ["timeout", "description", "name", "source"] {
            section.take(key);
        }
        let transport = match (command, url) {
            (Some(command), None) => Transport::Stdio { command, args, env, cwd },
            (None, Some(url)) => Transport::Http { url, headers, is_old },
            (Some(_), Some(_)) => return Err(section.wrong("url", "stands beside `command`: a server has one of them")),
            (None, None) => return Err(section.wrong("command", "is missing: a server needs `command` or `url`")),
        };
        section.finish_leniently(warnings, true)?;
        Ok(Self { name: name.to_owned(), transport, sampling, clients, is_off })
    }
}

impl PluginConfig {
    /// A plugin with the default configuration.
    pub(super) fn new(name: &str, component: String, limits: Limits) -> Self {
        Self {
            name: name.to_owned(),
            component,
            lock: None,
            pins: None,
            trust: Vec::new(),
            model: None,
            models: Models::default(),
            prices: Vec::new(),
            endpoint: None,
            endpoints: Vec::new(),
            credential: None,
            allow: None,
            headers: Vec::new(),
            settings: serde_json::Map::new(),
            imports_allowed: true,
            sha256: None,
            limits,
            withheld: Arc::new(Withheld::built_in()),
            environment: Environment::process(),
            bytes: None,
        }
    }

    /// A plugin of these bytes that no config says anything of.
    #[must_use]
    pub fn of_bytes(name: &str, bytes: impl Into<Arc<[u8]>>, limits: Limits) -> Self {
        Self { bytes: Some(bytes.into()), ..Self::new(name, name.to_owned(), limits) }
    }

    /// The built-in's name, if it is one.
    #[must_use]
    pub fn built_in(&self) -> Option<&str> {
        self.component.strip_prefix(BUILT_IN)
    }

    /// The component's reference, if it is a registry's.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        Some(self.component.as_str()).filter(|component| component.starts_with(SCHEME))
    }

    /// The component's file, unless it is a built-in or a registry's.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        let is_file = self.built_in().is_none() && self.reference().is_none() && self.bytes.is_none();
        Some(Path::new(&self.component)).filter(|_| is_file)
    }

    /// Compares what was read of one of its files with the digest that the user trusts.
    pub(crate) fn hold(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.pins.as_ref().map_or(Ok(()), |pins| pins.hold(path, bytes))
    }

    /// The file that changes when the component does.
    #[must_use]
    pub fn watched(&self) -> Option<&Path> {
        self.file().or_else(|| self.lock.as_deref().filter(|_| self.reference().is_some()))
    }

    pub(super) fn parse(name: &str, value: Value, limits: &Limits, trust: &[PathBuf]) -> Result<Self, ConfigError> {
        let mut section = Section::of(&format!("plugins.{name}"), value)?;
        let component = match section.string("component")? {
            Some(component) => component,
            None if crate::builtins::find(name).is_some() => format!("{BUILT_IN}{name}"),
            None => {
                let ways = "is missing: write `builtin:NAME`, a component's path, or `oci://REGISTRY/NAME:TAG`";
                return Err(section.wrong("component", ways));
            }
        };
        if component.starts_with(SCHEME)
            && let Err(reason) = Reference::parse(&component)
        {
            return Err(section.wrong("component", &format!("is wrong: {reason}")));
        }
        if let Some(built_in) = component.strip_prefix(BUILT_IN)
            && crate::builtins::find(built_in).is_none()
        {
            let names = || crate::builtins::BUILT_IN.iter().map(|plugin| plugin.name);
            let hint = crate::text::did_you_mean(built_in, names());
            let known = crate::text::list(names());
            return Err(section.wrong("component", &format!("names no built-in plugin{hint}; there are {known}")));
        }
        let limits = match section.section("limits")? {
            Some(section) => limits.clone().with_plugin(section)?,
            None => limits.clone(),
        };
        let trust = match section.strings(TRUST)? {
            Some(_) if !component.starts_with(SCHEME) => {
                let instead = "is for components from a registry (`oci://…`); pin this one with `sha256`";
                return Err(section.wrong(TRUST, instead));
            }
            Some(own) => own.into_iter().map(PathBuf::from).collect(),
            None => trust.to_vec(),
        };
        let allow = Allowed::all(&mut section)?;
        let mut plugin = Self {
            model: section.string("model")?,
            models: Models::take(&mut section)?,
            prices: super::spending::prices(&mut section)?,
            endpoint: section.string("endpoint")?,
            endpoints: section.texts("endpoints")?,
            credential: section.section("credential")?.map(CredentialConfig::parse).transpose()?,
            allow,
            headers: section.texts("headers")?,
            settings: section.section("settings")?.map(Section::into_map).unwrap_or_default(),
            imports_allowed: match section.string("imports")?.as_deref() {
                None | Some("inert") => true,
                Some("none") => false,
                Some(_) => return Err(section.wrong("imports", "must be `none` or `inert` (the default)")),
            },
            sha256: section.string("sha256")?.map(|digest| digest.to_lowercase()),
            trust,
            limits,
            ..Self::new(name, component, Limits::default())
        };
        if let Some(allow) = &mut plugin.allow {
            Allowed::take_credential(allow, &mut plugin.credential, &section)?;
        }
        let is_digest = |digest: &String| digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit());
        if plugin.sha256.as_ref().is_some_and(|digest| !is_digest(digest)) {
            return Err(section.wrong("sha256", "must be 64 hexadecimal digits"));
        }
        section.finish()?;
        Ok(plugin)
    }
}

impl CredentialConfig {
    pub(super) fn parse(mut section: Section) -> Result<Self, ConfigError> {
        let (mut scheme, mut name) = (section.string("scheme")?, section.string("name")?);
        for short in ["header", "query"] {
            if let Some(value) = section.string(short)? {
                if scheme.is_some() {
                    return Err(section.wrong(short, "stands beside another scheme: a credential has one"));
                }
                (scheme, name) = (Some(short.to_owned()), Some(value));
            }
        }
        if let Some(bearer) = section.boolean("bearer")? {
            if !bearer || scheme.is_some() {
                return Err(section.wrong("bearer", "can only be `true`, and stand beside no other scheme"));
            }
            scheme = Some("bearer".to_owned());
        }
        match (scheme.as_deref(), &name) {
            (None | Some("bearer"), None) | (Some("header" | "query"), Some(_)) => {}
            (Some("header" | "query"), None) => return Err(section.wrong("name", "is missing for this scheme")),
            (None | Some("bearer"), Some(_)) => {
                return Err(section.wrong("name", "goes with the schemes `header` and `query` only"));
            }
            (Some(_), _) => return Err(section.wrong("scheme", "must be `bearer`, `header` or `query`")),
        }
        let source = CredentialSource::take(&mut section)?;
        section.finish()?;
        Ok(Self { scheme, name, source })
    }
}

impl CredentialSource {
    /// Where the value comes from, as an object says.
    pub(super) fn take(section: &mut Section) -> Result<Self, ConfigError> {
        let command = section.strings("command")?;
        if command.as_ref().is_some_and(Vec::is_empty) {
            return Err(section.wrong("command", "is empty: write the program and its arguments"));
        }
        let sources = [
            section.string("env")?.map(CredentialSource::Env),
            section.string("file")?.map(|path| CredentialSource::File(PathBuf::from(path))),
            command.map(CredentialSource::Command),
        ];
        let mut sources = sources.into_iter().flatten();
        let Some(source) = sources.next() else {
            return Err(section.wrong(
                "env",
                "is missing: name the environment variable (`env`) or the `file` that holds the value, or the `command` that prints it",
            ));
        };
        if sources.next().is_some() {
            return Err(section.wrong("env", "`file` and `command` exclude each other: a credential has one source"));
        }
        Ok(source)
    }
}
