//! The rule for a server's sampling requests: who answers, and how much it may ask.

use std::time::Duration;

use serde_json::Value;

use super::section::{Section, kind, strings, wrong};
use super::{ApproveRule, ConfigError};

/// `heartbeat` where the config says nothing.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// What a server gets without any config: tokens in one answer, requests in the course of one call, and those among them that carry tools.
const MAX_TOKENS: u32 = 4096;
const REQUESTS_PER_CALL: u32 = 100;
const TOOL_ROUNDS: u32 = 64;

/// The rule for a server's sampling requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampling {
    /// The chain of plugins, first choice first.
    pub plugins: Vec<String>,
    /// The guards that look at each request and its answer, in this order. Default none.
    pub guards: Vec<String>,
    /// When the user is asked before a request is answered. Default never.
    pub approve: ApproveRule,
    /// Whether the client or the plugin answers first.
    pub mode: Mode,
    /// `maxTokens` of a request is lowered to this. `None`, the default, is 4,096 for a server; see [`Sampling::most_tokens`].
    pub max_tokens: Option<u32>,
    /// Requests in the course of one call of the client's, answered by the client or by a plugin. Default 100. Outside of any call a server has as many at
    /// once, and as many an hour.
    pub requests_per_call: u32,
    /// Those among them that carry tools or the results of tools. Default 64; 0 refuses all of them.
    pub tool_rounds: u32,
    /// Whether `sampling.tools` is declared where the plugin can carry tools. Default true; some strict old servers fail on it.
    pub declare_tools: bool,
    /// What a server that asks for `includeContext` gets attached. Default nothing.
    pub context: Attached,
    /// Requests a minute, and at once after a pause; more wait for their turn within their deadline. Default as many as come.
    pub requests_per_minute: Option<u32>,
    /// Requests are answered only while one of these tools of the server's is being called. Default always.
    pub tools: Option<Vec<String>>,
    /// Whether the server may have a request answered as a task (revision 2025-11-25). Default false: servers that see it declared offer more tools.
    pub declare_tasks: bool,
    /// How often a server that gave a `progressToken` is told that its request is still being answered. Default 5 s.
    pub heartbeat: Duration,
    /// The era in which a server is spoken to that speaks both. Default [`EraChoice::Sessions`].
    pub era: EraChoice,
}

/// The era in which a server is spoken to that speaks both: that of sessions (2024-11-05 to 2025-11-25), and that without (2026-07-28).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EraChoice {
    /// That of sessions. Only there can a server send `sampling/createMessage`.
    #[default]
    Sessions,
    /// That of the client.
    Client,
}

impl std::str::FromStr for EraChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sessions" => Ok(Self::Sessions),
            "client" => Ok(Self::Client),
            _ => Err("must be `sessions` or `client`".to_owned()),
        }
    }
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
            guards: Vec::new(),
            approve: ApproveRule::default(),
            mode: Mode::Fallback,
            max_tokens: None,
            requests_per_call: REQUESTS_PER_CALL,
            tool_rounds: TOOL_ROUNDS,
            declare_tools: true,
            context: Attached::None,
            requests_per_minute: None,
            tools: None,
            declare_tasks: false,
            heartbeat: HEARTBEAT,
            era: EraChoice::Sessions,
        }
    }

    /// The most tokens of one answer for a server.
    #[must_use]
    pub fn most_tokens(&self) -> u32 {
        self.max_tokens.unwrap_or(MAX_TOKENS)
    }
}

/// Whether the client or the plugin answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The client if it can, else the plugin.
    Fallback,
    /// The plugin.
    Always,
    /// Only the client: everything passes through, and no rule is applied.
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
        let key_of_approve = section.key("approve");
        let approve = section.take("approve").map(|value| ApproveRule::parse(&key_of_approve, value)).transpose()?;
        let sampling = Self {
            mode,
            guards: section.strings("guards")?.unwrap_or_default(),
            approve: approve.unwrap_or_default(),
            max_tokens: section.count("maxTokens")?,
            requests_per_call: section.count("requestsPerCall")?.unwrap_or(REQUESTS_PER_CALL),
            tool_rounds: section.number("toolRounds")?.unwrap_or(TOOL_ROUNDS),
            requests_per_minute: section.count("requestsPerMinute")?,
            tools: section.strings("tools")?,
            declare_tasks: section.boolean("declareTasks")?.unwrap_or(false),
            heartbeat: section.duration("heartbeat")?.unwrap_or(HEARTBEAT),
            era: match section.string("era")? {
                Some(text) => text.parse().map_err(|reason: String| section.wrong("era", &reason))?,
                None => EraChoice::default(),
            },
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
