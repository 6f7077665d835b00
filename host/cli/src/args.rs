//! Arguments that several verbs understand, and what they mean to the library.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use understudy::config::{EraChoice, Mode};
use understudy::runtime::Overrides;
use understudy::scheduling::Scheduling;
use understudy_proxy::server_runtime::{ServerSpec, ServerTarget};

/// The variable that names a config.
pub(super) const CONFIG_VARIABLE: &str = "UNDERSTUDY_CONFIG";

/// A wrong command line that the parser can't see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);

/// What every verb understands.
#[derive(Debug, Clone, Args)]
pub(super) struct GlobalArgs {
    /// The config file [default: understudy.json in this folder if you trust it, else understudy/understudy.json in your config folder]
    #[arg(long, global = true, value_name = "FILE", env = CONFIG_VARIABLE)]
    pub(super) config: Option<PathBuf>,
    /// Log each step of a sampling request to stderr; twice, log everything (`UNDERSTUDY_LOG` takes a filter)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Don't schedule guests and requests: none yields to others
    #[arg(long, global = true, hide = true)]
    no_scheduling: bool,
}

impl GlobalArgs {
    /// Whether guests and requests are scheduled.
    pub(super) fn scheduling(&self) -> Scheduling {
        if self.no_scheduling { Scheduling::Off } else { Scheduling::On }
    }
}

/// Which server.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerArgs {
    #[command(flatten)]
    which: Which,
    /// What to call the server in budgets, in the ledger and where decisions are remembered [default: its command's or its host's name]
    #[arg(long, value_name = "NAME", conflicts_with = "server", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// A header for each request to the server's URL; can be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
}

/// The ways to name a server.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The server with this name in the config's `mcpServers`
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// The server at this URL, by Streamable HTTP or HTTP+SSE
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The server's command and its arguments, from the first word that isn't an option; a `--` may precede it
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl ServerArgs {
    /// A server by its command.
    pub(super) fn of_command(command: Vec<String>) -> Self {
        Self { which: Which { server: None, url: None, command }, name: None, header: Vec::new() }
    }

    /// The server that is meant.
    pub(super) fn spec(&self) -> Result<ServerSpec, UsageError> {
        let Which { server, url, command } = &self.which;
        let target = match (server, url, command.split_first()) {
            (Some(name), ..) => ServerTarget::Configured(name.clone()),
            (None, Some(url), _) => ServerTarget::Url(url.clone()),
            (None, None, Some((program, args))) => {
                ServerTarget::Command { program: program.clone(), args: args.to_vec() }
            }
            (None, None, None) => {
                return Err(UsageError("name a server: `--server NAME`, `--url URL`, or `COMMAND ARGS…`".to_owned()));
            }
        };
        Ok(ServerSpec { target, name: self.name.clone(), headers: self.header.clone() })
    }
}

/// Who answers sampling requests; each option stands for what the config would say.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SamplingArgs {
    /// The plugin that answers: a name from the config, a built-in's name, or a component's path; if repeated, tried in order
    #[arg(long, value_name = "PLUGIN")]
    pub(super) plugin: Vec<String>,
    /// The URL of the plugin's provider
    #[arg(long, value_name = "URL")]
    pub(super) endpoint: Option<String>,
    /// The model to ask
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// A setting of the plugin: the value is JSON, else a text; `a.b=1` sets a member of an object; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub(super) set: Vec<(String, Value)>,
    /// Who answers: the client and else the plugin (`fallback`), the plugin (`always`), or only the client (`off`)
    #[arg(long, value_name = "MODE")]
    pub(super) mode: Option<Mode>,
    /// The maximum number of tokens in one answer [default: 4096; with `sample`, the request's `maxTokens`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_tokens: Option<u32>,
    /// The maximum number of sampling requests during one tool call [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) requests_per_call: Option<u32>,
    /// The maximum number of these requests that carry tools [default: 64]
    #[arg(long, value_name = "N")]
    pub(super) tool_rounds: Option<u32>,
    /// The protocol era for servers that speak both: with sessions (`sessions`), or the client's (`client`) [default: sessions]
    #[arg(long, value_name = "ERA")]
    pub(super) era: Option<EraChoice>,
}

impl SamplingArgs {
    /// The same, for the library.
    pub(super) fn overrides(&self) -> Overrides {
        let typed = self.clone();
        Overrides {
            plugins: typed.plugin,
            endpoint: typed.endpoint,
            model: typed.model,
            settings: typed.set,
            mode: typed.mode,
            max_tokens: typed.max_tokens,
            requests_per_call: typed.requests_per_call,
            tool_rounds: typed.tool_rounds,
            era: typed.era,
        }
    }
}

/// What every verb that is a client understands.
#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(flatten)]
    pub(super) sampling: SamplingArgs,
    /// The time after which the verb gives up
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
}

/// Reads `Name: value`.
fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it needs the form `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Reads `key=value`.
pub(super) fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("it needs the form key=value")?;
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_is_json_or_else_text() {
        let read = |text| setting(text).unwrap();
        assert_eq!(read("a=1"), ("a".to_owned(), json!(1)));
        assert_eq!(read("b=two"), ("b".to_owned(), json!("two")));
        assert_eq!(read("c.d=[true]"), ("c.d".to_owned(), json!([true])));
        assert_eq!(read("c.e=x=y"), ("c.e".to_owned(), json!("x=y")));
        assert!(setting("novalue").is_err() && setting("=x").is_err());
    }
}
