//! The command line: what was typed, and the verbs, one file each.
//!
//! Results go to stdout, all else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage or config; `proxy` ends as its
//! server does.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `words` | where a server's command begins among the arguments |
//! | `stage` | from arguments and config to a server and its sampler |
//! | `server` | which server is meant |
//! | `reload` | changes of the config and of components, taken up while running |
//! | `log`, `progress` | what is shown on stderr |
//! | `proxy`, `serve` | the verbs that stand between clients and servers |
//! | `tools`, `call`, `sample`, `demo` | the verbs that ask once |
//! | `auth`, `trust`, `doctor`, `plugin`, `completions` | the verbs that set up |

mod auth;
mod call;
mod completions;
mod demo;
mod doctor;
mod log;
mod plugin;
mod progress;
mod proxy;
mod reload;
mod sample;
mod serve;
mod server;
mod stage;
mod tools;
mod trust;
mod words;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use anyhow::Result;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::children;
use crate::config::{ConfigError, EraChoice, Mode};
use crate::error::LoadError;

/// Answers MCP sampling requests for clients that can't, with sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "understudy", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb understands.
#[derive(Debug, Clone, Args)]
struct Global {
    /// The config; by default understudy.json here if you trust it, else understudy/understudy.json in your config folder
    #[arg(long, global = true, value_name = "FILE", env = trust::VARIABLE)]
    config: Option<PathBuf>,
    /// Say more on stderr: each step of a sampling request; twice, everything (`UNDERSTUDY_LOG` takes a filter)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Stand between a client (on stdin and stdout) and a server (a command or a URL), and answer the server's sampling requests
    Proxy(proxy::ProxyArgs),
    /// Serve every configured server over HTTP, each at /NAME/mcp, and answer their sampling requests
    Serve(serve::ServeArgs),
    /// List a server's tools
    Tools(tools::ToolsArgs),
    /// Call a server's tool, its sampling requests answered
    Call(call::CallArgs),
    /// Answer one sampling request: `CreateMessageRequestParams` in, `CreateMessageResult` out
    Sample(sample::SampleArgs),
    /// Log in at a server at a URL that wants OAuth; the login is kept in your config folder
    Auth(auth::AuthArgs),
    /// Show what the config of a folder would do, and allow it: until then, and once it has changed, it does nothing
    Trust(trust::TrustArgs),
    /// Look at plugins
    Plugin {
        #[command(subcommand)]
        verb: plugin::PluginVerb,
    },
    /// See it work: a real server's sampling request, answered offline in the sandbox, hop by hop
    Demo(demo::DemoArgs),
    /// Say what is configured and what is missing
    Doctor(doctor::DoctorArgs),
    /// Write completions for a shell
    Completions(completions::CompletionsArgs),
}

/// Which server.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    #[command(flatten)]
    which: Which,
    /// A header for each request to the server's URL; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = server::header)]
    header: Vec<(String, String)>,
}

/// The ways to name a server.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The server of this name in the config's `mcpServers`
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// The server at this URL: Streamable HTTP, or the old HTTP+SSE
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The server's command and its arguments: all from the first word that is no option on; a `--` may stand in front
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl ServerArgs {
    /// A server by its command.
    fn of_command(command: Vec<String>) -> Self {
        Self { which: Which { server: None, url: None, command }, header: Vec::new() }
    }
}

/// Who answers sampling requests; each option stands for what the config would say.
#[derive(Debug, Clone, Default, Args)]
pub struct SamplingArgs {
    /// The plugin that answers: a name from the config, a built-in's name, or a component's path; several are tried in order
    #[arg(long, value_name = "PLUGIN")]
    plugin: Vec<String>,
    /// Where the plugin's provider is
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The model to ask
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// A setting of the plugin's (`key=value`; the value is JSON, or else a text; a dot in the key reaches inside)
    #[arg(long, value_name = "KEY=VALUE", value_parser = stage::setting)]
    set: Vec<(String, serde_json::Value)>,
    /// Who answers first: the client if it can (`fallback`), the plugin (`always`), or the client alone (`off`)
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// The most tokens of one answer [default: 4096; with `sample`, what the request asks for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// The most sampling requests in the course of one tool call [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_call: Option<u32>,
    /// The most of these that carry tools [default: 64]
    #[arg(long, value_name = "N")]
    tool_rounds: Option<u32>,
    /// The era in which a server is spoken to that speaks both: that of sessions (`sessions`), or the client's (`client`) [default: sessions]
    #[arg(long, value_name = "ERA")]
    era: Option<EraChoice>,
}

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As it should.
    Done,
    /// With a failure that has been reported.
    Failed,
    /// With something wrong with the config that has been reported.
    WrongConfig,
    /// As the server did.
    AsServer(ExitStatus),
}

impl End {
    /// The process's exit code. A server that died of a signal takes this process along in the same way.
    fn exit_code(self) -> ExitCode {
        use std::os::unix::process::ExitStatusExt;
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Failed => ExitCode::from(1),
            Self::WrongConfig => ExitCode::from(2),
            Self::AsServer(status) => {
                if let Some(signal) = status.signal() {
                    // Some signals can't be raised; then the shell's way of saying it must do.
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                    return ExitCode::from(u8::try_from(128 + signal).unwrap_or(1));
                }
                ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
            }
        }
    }
}

/// The whole program: does what was typed; the process's exit code.
#[must_use]
pub fn program() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == crate::sandbox::COMPILE) {
        return crate::sandbox::compile_for_parent(arguments);
    }
    let cli = Cli::parse_from(words::with_command_apart(&Cli::command(), std::env::args_os().collect()));
    start_log(&cli);
    keep_memory_private();
    children::keep_descriptors();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let code = failed(&anyhow::Error::from(error).context("can't start"));
            log::flush();
            return code;
        }
    };
    let outcome = runtime.block_on(run(cli));
    // Threads that wait for input which may never come must not keep the process.
    runtime.shutdown_background();
    let code = match &outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(error),
    };
    log::flush();
    // The server's signal may take this process along.
    outcome.map_or(code, End::exit_code)
}

/// Does what was asked.
async fn run(cli: Cli) -> Result<End> {
    let global = cli.global;
    match cli.verb {
        Verb::Proxy(args) => proxy::run(&global, args).await,
        Verb::Serve(args) => serve::run(&global, args).await,
        Verb::Tools(args) => tools::run(&global, args).await,
        Verb::Call(args) => call::run(&global, args).await,
        Verb::Sample(args) => sample::run(&global, args).await,
        Verb::Auth(args) => auth::run(&global, args).await,
        Verb::Trust(args) => trust::run(&global, &args),
        Verb::Plugin { verb } => plugin::run(&global, verb).await,
        Verb::Demo(args) => demo::run(&global, args).await,
        Verb::Doctor(args) => doctor::run(&global, args).await,
        Verb::Completions(args) => completions::run(&args),
    }
}

/// Says what went wrong; the exit code.
fn failed(error: &anyhow::Error) -> ExitCode {
    let text = crate::text::for_terminal(&format!("{error:#}"));
    log::say(&format!("understudy: {text}"));
    let is_usage = |cause: &(dyn std::error::Error + 'static)| {
        let of_a_plugin = matches!(cause.downcast_ref(), Some(LoadError::Config(_)));
        of_a_plugin || cause.is::<ConfigError>() || cause.is::<Usage>()
    };
    ExitCode::from(if error.chain().any(is_usage) { 2 } else { 1 })
}

/// A wrong command line that the parser can't see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Starts the log on stderr.
fn start_log(cli: &Cli) {
    if matches!(cli.verb, Verb::Demo(_)) {
        demo::start_log();
        return;
    }
    log::start(cli.global.verbose);
}

/// Keeps credentials out of core files, and away from the user's other processes.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::debug!("core dumps can't be switched off: {error}");
    }
}

/// Writes a result to stdout. A reader that has gone away wants no more of it, and that is no failure.
pub(crate) fn out(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let shown = if stdout.is_terminal() { crate::text::for_terminal(text) } else { text.to_owned() };
    match writeln!(stdout, "{shown}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a line for people to stderr. What comes after it on a terminal stands behind it.
pub(crate) fn note(text: &str) {
    log::say(&crate::text::for_terminal(text));
    log::flush();
}
