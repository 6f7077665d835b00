//! The command line: what was typed, and the verbs, one file each.
//!
//! Results go to stdout, all else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage or config; `proxy` ends as its
//! server does.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `args` | arguments that several verbs understand |
//! | `words` | where a server's command begins among the arguments |
//! | `setup` | from the arguments to the library |
//! | `client` | a small MCP client in front of the relay |
//! | `output` | what a verb writes, and how it ends |
//! | `log`, `progress` | what is shown on stderr |
//! | `proxy`, `serve` | the verbs that stand between clients and servers |
//! | `tools`, `call`, `sample`, `demo` | the verbs that ask once |
//! | `ledger`, `approvals` | the verbs that say what was asked and spent, and what waits for the user |
//! | `terminal` | asking the user in the terminal |
//! | `wrap` | the verbs that put Understudy into other clients' configs, and take it out |
//! | `auth`, `trust`, `doctor`, `plugin`, `completions` | the verbs that set up |

mod approvals;
mod args;
mod auth;
mod call;
mod client;
mod completions;
mod demo;
mod doctor;
mod ledger;
mod log;
mod output;
mod plugin;
mod progress;
mod proxy;
mod sample;
mod serve;
mod setup;
mod terminal;
mod tools;
mod trust;
mod words;
mod wrap;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use args::{GlobalArgs, UsageError};
use output::Outcome;
use understudy::children;
use understudy::config::ConfigError;
use understudy::error::LoadError;
use understudy::runtime::BuildError;
use understudy_proxy::server_runtime::ServerError;

/// Answers MCP sampling requests for clients that can't, with sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "understudy", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a server (a command or a URL) for a client on stdin and stdout, and answer the server's sampling requests
    Proxy(proxy::ProxyArgs),
    /// Serve every configured server over HTTP, each at /NAME/mcp, and answer its sampling requests
    Serve(serve::ServeArgs),
    /// Put Understudy in front of the servers in your clients' configs: Claude, Cursor, VS Code and others
    Wrap(wrap::WrapArgs),
    /// Take Understudy out of your clients' configs again
    Unwrap(wrap::UnwrapArgs),
    /// List a server's tools
    Tools(tools::ToolsArgs),
    /// Call a server's tool, and answer the server's sampling requests
    Call(call::CallArgs),
    /// Answer one sampling request: `CreateMessageRequestParams` in, `CreateMessageResult` out
    Sample(sample::SampleArgs),
    /// Log in at a server that wants OAuth, and keep the login in your config folder
    Auth(auth::AuthArgs),
    /// Show what a folder's config would do, and allow it; a config that isn't allowed, or has changed since, has no effect
    Trust(trust::TrustArgs),
    /// List, inspect, check, compile, fetch, push and begin plugins
    Plugin {
        #[command(subcommand)]
        verb: plugin::PluginVerb,
    },
    /// Show a real server's sampling request answered offline in the sandbox, step by step
    Demo(demo::DemoArgs),
    /// Say which config is used, what is configured and what is missing
    Doctor(doctor::DoctorArgs),
    /// List what was asked, by whom, and what it cost; show, verify and prune it
    Ledger(ledger::LedgerArgs),
    /// Say what was spent, by server, model, plugin or day
    Spend(ledger::SpendArgs),
    /// List what waits for your approval and what is remembered; allow, refuse, take back
    Approvals(approvals::ApprovalsArgs),
    /// Write a shell's completions to stdout
    Completions(completions::CompletionsArgs),
}

/// How long the ledger may take at the end of the program.
const LEDGER: Duration = Duration::from_secs(5);

/// The whole program: does what was typed; the process's exit code.
#[must_use]
pub fn program() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == understudy::sandbox::COMPILE) {
        return understudy::sandbox::compile_for_parent(arguments);
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
    // What was given up at the end is written down as such.
    let written = async { tokio::time::timeout(LEDGER, understudy::ledger::written()).await };
    let _ = runtime.block_on(written);
    // Threads that wait for input which may never come must not keep the process.
    runtime.shutdown_background();
    let code = match &outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(error),
    };
    log::flush();
    // The server's signal may take this process along.
    outcome.map_or(code, Outcome::exit_code)
}

/// Does what was asked.
async fn run(cli: Cli) -> Result<Outcome> {
    let global = cli.global;
    match cli.verb {
        Verb::Proxy(args) => proxy::run(&global, args).await,
        Verb::Serve(args) => serve::run(&global, args).await,
        Verb::Wrap(args) => wrap::run(&global, args).await,
        Verb::Unwrap(args) => wrap::undo(&args),
        Verb::Tools(args) => tools::run(&global, args).await,
        Verb::Call(args) => until_interrupted(Box::pin(call::run(&global, args))).await,
        Verb::Sample(args) => until_interrupted(Box::pin(sample::run(&global, args))).await,
        Verb::Auth(args) => auth::run(&global, args).await,
        Verb::Trust(args) => trust::run(&global, &args),
        Verb::Plugin { verb } => plugin::run(&global, verb).await,
        Verb::Demo(args) => demo::run(&global, args).await,
        Verb::Doctor(args) => doctor::run(&global, args).await,
        Verb::Ledger(args) => ledger::run(&global, args).await,
        Verb::Spend(args) => ledger::spend(&global, args).await,
        Verb::Approvals(args) => approvals::run(&global, args).await,
        Verb::Completions(args) => completions::run(&args, &mut Cli::command()),
    }
}

/// Gives the work up on Ctrl-C, so that what it has begun is ended and written down.
async fn until_interrupted(work: impl Future<Output = Result<Outcome>>) -> Result<Outcome> {
    tokio::select! {
        outcome = work => outcome,
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| Outcome::Interrupted).map_err(Into::into),
    }
}

/// Says what went wrong; the exit code.
fn failed(error: &anyhow::Error) -> ExitCode {
    let text = understudy::text::for_terminal(&format!("{error:#}"));
    log::say(&format!("understudy: {text}"));
    let is_usage = |cause: &(dyn std::error::Error + 'static)| {
        let of_a_plugin = matches!(cause.downcast_ref(), Some(LoadError::Config(_)));
        let of_runtime = cause.downcast_ref().is_some_and(BuildError::is_configuration);
        let of_server = matches!(cause.downcast_ref(), Some(ServerError::Build(error)) if error.is_configuration());
        of_a_plugin || of_runtime || of_server || cause.is::<ConfigError>() || cause.is::<UsageError>()
    };
    ExitCode::from(if error.chain().any(is_usage) { 2 } else { 1 })
}

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
