//! What the config says of a server, of sampling and of a plugin.

use std::path::PathBuf;

use serde_json::Value;

use super::allowed::Allowed;
use super::models::Models;
use super::section::{Section, kind, strings, wrong};
use super::{ConfigError, Limits};

/// What a built-in's name begins with in `component`.
pub(super) const BUILT_IN: &str = "builtin:";

/// One server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name in the config.
    pub name: String,
    /// How to reach it.
    pub transport: Transport,
    /// Who answers its sampling requests: its own rule, else the global one.
    pub sampling: Option<Sampling>,
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
    /// Streamable HTTP.
    Http {
        /// The endpoint.
        url: String,
        /// Headers added to each request.
        headers: Vec<(String, String)>,
    },
}

/// Who answers sampling requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampling {
    /// The chain of plugins, first choice first.
    pub plugins: Vec<String>,
    /// Who comes first, the client or the plugin.
    pub mode: Mode,
    /// `maxTokens` of a request is lowered to this.
    pub max_tokens: Option<u32>,
    /// Whether `sampling.tools` is declared where the plugin can carry tools. Default true; some strict old servers fail on it.
    pub declare_tools: bool,
    /// What a server that asks for `includeContext` gets attached. Default nothing.
    pub context: Attached,
    /// So many requests a minute are answered, and so many at once after a pause. Default as many as come.
    pub requests_per_minute: Option<u32>,
    /// Requests are answered only while one of these tools of the server's is being called. Default always.
    pub tools: Option<Vec<String>>,
}

/// The context that may be attached to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attached {
    /// None, whatever the server asks for.
    #[default]
    None,
    /// The server's own instructions, and the calls of its tools that are going on. Never another server's.
    ThisServer,
}

impl Sampling {
    /// Sampling by these plugins, everything else by default.
    #[must_use]
    pub fn by(plugins: Vec<String>) -> Self {
        Self {
            plugins,
            mode: Mode::Fallback,
            max_tokens: None,
            declare_tools: true,
            context: Attached::None,
            requests_per_minute: None,
            tools: None,
        }
    }
}

/// Who answers, the client or the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The client if it can, else the plugin.
    Fallback,
    /// The plugin.
    Always,
    /// The client or nobody: everything passes through.
    Off,
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fallback" => Ok(Self::Fallback),
            "always" => Ok(Self::Always),
            "off" => Ok(Self::Off),
            _ => Err("must be `fallback`, `always` or `off`".to_owned()),
        }
    }
}

/// A component under a name.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Its name in the config.
    pub name: String,
    /// `builtin:NAME`, or the path of a component.
    pub component: String,
    /// The model to use: the only one, unless `models` says more.
    pub model: Option<String>,
    /// The catalogue of models, and how one is chosen.
    pub models: Models,
    /// Where the provider is.
    pub endpoint: Option<String>,
    /// Further endpoints that the plugin may name.
    pub endpoints: Vec<(String, String)>,
    /// The credential and how it is applied.
    pub credential: Option<Credential>,
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
}

/// A credential: where it comes from and how it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
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
}

impl Server {
    pub(super) fn parse(name: &str, value: Value, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        let mut section = Section::of(&format!("mcpServers.{name}"), value)?;
        let sampling = sampling_of(&mut section, warnings)?;
        let command = section.string("command")?;
        let url = section.string("url")?;
        let args = section.strings("args")?.unwrap_or_default();
        let env = section.texts("env")?;
        let cwd = section.string("cwd")?.map(PathBuf::from);
        let headers = section.texts("headers")?;
        // Other clients' keys that say nothing that isn't known already.
        for key in ["type", "transport", "disabled", "timeout", "description", "name"] {
            section.take(key);
        }
        let transport = match (command, url) {
            (Some(command), None) => Transport::Stdio { command, args, env, cwd },
            (None, Some(url)) => Transport::Http { url, headers },
            (Some(_), Some(_)) => return Err(section.wrong("url", "stands beside `command`: a server has one of them")),
            (None, None) => return Err(section.wrong("command", "is missing: a server needs `command` or `url`")),
        };
        section.finish_leniently(warnings)?;
        Ok(Self { name: name.to_owned(), transport, sampling })
    }
}

/// `sampling`, or by mcp-use's names `onSampling` and `samplingCallback`, in its order of precedence.
pub(super) fn sampling_of(section: &mut Section, warnings: &mut Vec<String>) -> Result<Option<Sampling>, ConfigError> {
    let mut found: Option<Sampling> = None;
    for key in ["sampling", "onSampling", "samplingCallback"] {
        let path = section.key(key);
        let Some(value) = section.take(key) else { continue };
        if key == "samplingCallback" {
            warnings.push(format!("`{path}` is mcp-use's old name; write `sampling` or `onSampling`"));
        }
        let sampling = Sampling::parse(&path, value)?;
        found = found.or(Some(sampling));
    }
    Ok(found)
}

impl Sampling {
    fn parse(path: &str, value: Value) -> Result<Self, ConfigError> {
        let section = match value {
            Value::Object(map) => map,
            short => return Ok(Self::by(names(path, &short)?)),
        };
        let mut section = Section::new(path, section);
        let key = section.key("use");
        let plugins = section.take("use").map(|value| names(&key, &value)).transpose()?.unwrap_or_default();
        let mode = match section.string("mode")? {
            Some(text) => text.parse().map_err(|reason: String| section.wrong("mode", &reason))?,
            None => Mode::Fallback,
        };
        let sampling = Self {
            mode,
            max_tokens: section.count("maxTokens")?,
            requests_per_minute: section.count("requestsPerMinute")?,
            tools: section.strings("tools")?,
            declare_tools: section.boolean("declareTools")?.unwrap_or(true),
            context: match section.string("context")?.as_deref() {
                None | Some("none") => Attached::None,
                Some("thisServer") => Attached::ThisServer,
                Some("allServers") => {
                    return Err(section
                        .wrong("context", "can't be `allServers`: no server is shown another's; `thisServer` is"));
                }
                Some(_) => return Err(section.wrong("context", "must be `none` or `thisServer`")),
            },
            plugins,
        };
        section.finish()?;
        if sampling.plugins.is_empty() && sampling.mode != Mode::Off {
            return Err(wrong(&key, "is missing: name the plugin that answers, or several in the order to try them"));
        }
        Ok(sampling)
    }
}

/// One plugin's name, or several.
fn names(path: &str, value: &Value) -> Result<Vec<String>, ConfigError> {
    let names = match value {
        Value::String(name) => Some(vec![name.clone()]),
        other => strings(other),
    };
    names
        .filter(|names| !names.is_empty())
        .ok_or_else(|| wrong(path, &format!("must be a plugin's name or an array of names, and is {}", kind(value))))
}

impl Plugin {
    /// A plugin that the config says nothing of.
    pub(super) fn new(name: &str, component: String, limits: Limits) -> Self {
        Self {
            name: name.to_owned(),
            component,
            model: None,
            models: Models::default(),
            endpoint: None,
            endpoints: Vec::new(),
            credential: None,
            allow: None,
            headers: Vec::new(),
            settings: serde_json::Map::new(),
            imports_allowed: true,
            sha256: None,
            limits,
        }
    }

    /// The built-in's name, if it is one.
    #[must_use]
    pub fn built_in(&self) -> Option<&str> {
        self.component.strip_prefix(BUILT_IN)
    }

    pub(super) fn parse(name: &str, value: Value, limits: &Limits) -> Result<Self, ConfigError> {
        let mut section = Section::of(&format!("plugins.{name}"), value)?;
        let component = match section.string("component")? {
            Some(component) => component,
            None if understudy_plugins::find(name).is_some() => format!("{BUILT_IN}{name}"),
            None => return Err(section.wrong("component", "is missing: write `builtin:NAME` or a component's path")),
        };
        if let Some(built_in) = component.strip_prefix(BUILT_IN)
            && understudy_plugins::find(built_in).is_none()
        {
            let names = || understudy_plugins::BUILT_IN.iter().map(|plugin| plugin.name);
            let hint = crate::text::did_you_mean(built_in, names());
            let known = crate::text::list(names());
            return Err(section.wrong("component", &format!("names no built-in plugin{hint}; there are {known}")));
        }
        let limits = match section.section("limits")? {
            Some(section) => limits.clone().with_plugin(section)?,
            None => limits.clone(),
        };
        let allow = Allowed::all(&mut section)?;
        let mut plugin = Self {
            model: section.string("model")?,
            models: Models::take(&mut section)?,
            endpoint: section.string("endpoint")?,
            endpoints: section.texts("endpoints")?,
            credential: section.section("credential")?.map(Credential::parse).transpose()?,
            allow,
            headers: section.texts("headers")?,
            settings: section.section("settings")?.map(Section::into_map).unwrap_or_default(),
            imports_allowed: match section.string("imports")?.as_deref() {
                None | Some("inert") => true,
                Some("none") => false,
                Some(_) => return Err(section.wrong("imports", "must be `none` or `inert` (the default)")),
            },
            sha256: section.string("sha256")?.map(|digest| digest.to_lowercase()),
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

impl Credential {
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
        section.finish()?;
        Ok(Self { scheme, name, source })
    }
}
