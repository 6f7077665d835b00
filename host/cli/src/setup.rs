//! From the command line to the library: which config is used, and what the library may use of this machine.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::args::{CONFIG_VARIABLE, ClientArgs, GlobalArgs, SamplingArgs, ServerArgs, UsageError};
use super::progress;
use super::terminal::AskInTerminal;
use crate::client::{self, Client};
use understudy::config::{ApproveRule, Aside, Config, GuardConfig, Mode, Origin, Sampling};
use understudy::environment::Environment;
use understudy::reload::{FileSnapshot, Reloader, ServedSampler};
use understudy::runtime::{BuildError, RuntimeOptions, SharedResources};
use understudy::sampling::Sampler;
use understudy::scheduling::Scheduling;
use understudy::text::quoted;
use understudy_proxy::relay::RelayOptions;
use understudy_proxy::server_runtime::{self, ConfiguredServer, ServerError, ServerRuntime};

/// The config; which one it is, what was left aside and its warnings are said.
pub(super) fn config(global: &GlobalArgs) -> Result<Config> {
    let config = Config::find(global.config.as_deref())?;
    announce(&config);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for broken in &config.broken {
        tracing::warn!("{broken}; this server can't be used");
    }
    Ok(config)
}

/// A variable of this process's environment.
pub(super) fn env(name: &str) -> Option<String> {
    Environment::process().var(name)
}

/// What the plugins of this process share. On a terminal, what is being compiled is shown.
pub(super) fn shared_resources(scheduling: Scheduling) -> SharedResources {
    let mut options = RuntimeOptions { compiler: this_program(), scheduling, ..RuntimeOptions::from_env() };
    if io::stderr().is_terminal() {
        options.on_compile = Some(Arc::new(progress::compiling));
    }
    SharedResources::new(options)
}

/// The program that runs, to be started again. On Linux it is that also when its file has been replaced meanwhile.
fn this_program() -> Option<PathBuf> {
    if cfg!(target_os = "linux") { Some(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe().ok() }
}

/// A library's error, in the words of the command line.
pub(super) fn in_words(error: impl Into<ServerError>) -> anyhow::Error {
    let usage = match error.into() {
        ServerError::Build(BuildError::SeveralPlugins { .. }) => {
            "`--endpoint`, `--model` and `--set` go with one plugin; write several into the config".to_owned()
        }
        ServerError::Header(reason) => format!("`--header`: {reason}"),
        ServerError::Url(reason) => format!("`--url` {reason}"),
        error => return error.into(),
    };
    UsageError(usage).into()
}

/// The server that is meant, and who answers its sampling requests.
pub(super) async fn server(global: &GlobalArgs, server: &ServerArgs, sampling: &SamplingArgs) -> Result<ServerRuntime> {
    Ok(reloaded_server(global, server, sampling).await?.0)
}

/// The same, and what takes up changes while it is used.
pub(super) async fn reloaded_server(
    global: &GlobalArgs,
    server: &ServerArgs,
    sampling: &SamplingArgs,
) -> Result<(ServerRuntime, Reloader)> {
    let (config, shared, overrides) = (config(global)?, shared_resources(global.scheduling()), sampling.overrides());
    let env = shared.environment();
    let server = ConfiguredServer::resolve(&config, &server.spec()?, env).map_err(in_words)?;
    let seen = FileSnapshot::of(&config, &overrides, std::iter::once(&server.key), env);
    let relay = server_runtime::relay_options(&config, env).await?;
    let runtime = ServerRuntime::load(&config, server, &overrides, relay, &shared).await.map_err(in_words)?;
    let reloader = reloader(global, sampling, seen, vec![runtime.served.clone()], shared);
    Ok((runtime, reloader))
}

/// What takes up changes, and says which config is used if that is another one.
pub(super) fn reloader(
    global: &GlobalArgs,
    sampling: &SamplingArgs,
    seen: FileSnapshot,
    served: Vec<ServedSampler>,
    shared: SharedResources,
) -> Reloader {
    let reloader = Reloader::new(global.config.clone(), sampling.overrides(), seen, served, shared);
    reloader.on_config(Box::new(announce_news))
}

/// `SIGHUP`s, by which a user says that something has changed.
pub(super) fn hang_ups() -> io::Result<mpsc::Receiver<()>> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            // One that waits to be heard is enough.
            let _ = sender.try_send(());
        }
    });
    Ok(receiver)
}

/// Warns if nobody answers a server's sampling requests, unless that was asked for.
pub(super) fn warn_if_unanswered(server: &ServerRuntime, typed: &SamplingArgs) {
    if server.answering().is_none() && typed.mode != Some(Mode::Off) {
        tracing::warn!(
            "no plugin is configured for `{}`, so everything passes through and its sampling requests are not answered; \
             name one with `--plugin NAME`, or `sampling` in the config",
            server.name
        );
    }
}

/// Connects to a server as a client, does something, and ends the session; all within the time allowed.
pub(super) async fn with_client<T>(
    global: &GlobalArgs,
    args: &ClientArgs,
    work: impl AsyncFnOnce(&mut Client, bool) -> Result<T>,
) -> Result<T> {
    let server = server(global, &args.server, &args.sampling).await?;
    let sampling = server.answering().is_some();
    let all = async {
        let answering = server.answering();
        let rule = answering.as_ref().map(|(rule, _)| rule);
        let era = client::era_of(&server.address, server.relay.line, rule).await;
        let (side, back) = server.start().await?;
        let terms = RelayOptions { ask: Some(Arc::new(AskInTerminal)), ..server.relay.clone() };
        let mut client = Client::connect(side, back, server.answering(), terms, era).await?;
        let outcome = work(&mut client, sampling).await;
        client.close().await;
        outcome
    };
    let outcome = tokio::time::timeout(args.timeout, all).await;
    outcome.with_context(|| format!("`{}` took longer than {:?} (`--timeout`)", server.name, args.timeout))?
}

/// The sampler of a verb without a server.
pub(super) async fn sampler(global: &GlobalArgs, args: &SamplingArgs) -> Result<Sampler> {
    let (config, overrides) = (config(global)?, args.overrides());
    let rule = overrides.rule(config.sampling().cloned()).filter(|rule| !rule.plugins.is_empty());
    let rule = rule.ok_or_else(|| {
        let known =
            understudy::text::list(config.plugin_names().chain(understudy_plugins::BUILT_IN.iter().map(|p| p.name)));
        UsageError(format!(
            "no plugin is named: add `--plugin NAME` ({known}, or a component's path), or `sampling` to the config"
        ))
    })?;
    // The request is the user's own, not a server's: only a limit that somebody wrote down holds, and it doesn't come in the background.
    let approve = ApproveRule { background: rule.approve.requests, ..rule.approve };
    let rule = Sampling { max_tokens: rule.max_tokens.or(Some(u32::MAX)), approve, ..rule };
    shared_resources(global.scheduling()).load_sampler(&config, "sample", &rule, &overrides).await.map_err(in_words)
}

/// The names of all plugins: the config's, then the built-in ones that it doesn't replace.
pub(super) fn plugin_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = config.plugin_names().map(str::to_owned).collect();
    for built_in in understudy_plugins::BUILT_IN {
        if !names.iter().any(|name| name == built_in.name) {
            names.push(built_in.name.to_owned());
        }
    }
    names
}

/// The names of all guards: the config's, then the built-in ones that it says nothing of.
pub(super) fn guard_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = config.guard_names().map(str::to_owned).collect();
    names.extend(understudy_plugins::GUARDS.iter().map(|guard| guard.name.to_owned()));
    names.sort();
    names.dedup();
    names
}

/// The guard that a name means, unless it is no guard's, or a plugin's too.
pub(super) fn guard(config: &Config, name: &str) -> Result<Option<GuardConfig>> {
    let is_guard = guard_names(config).iter().any(|known| known == name);
    if !is_guard || plugin_names(config).iter().any(|known| known == name) {
        return Ok(None);
    }
    Ok(Some(config.guard(name, env)?))
}

/// Says which config is used, and what was left aside: to everybody what the current folder has a part in.
fn announce(config: &Config) {
    for aside in &config.aside {
        tracing::warn!("{aside}");
    }
    let used = used_config(config);
    if config.origin == Origin::Folder || is_relative(config) {
        tracing::warn!("{used}");
    } else {
        tracing::info!("{used}");
    }
}

/// The same of a config that was found anew, as far as it is news.
fn announce_news(config: &Config, known: Option<&Path>, aside: &[Aside]) {
    let said: Vec<String> = aside.iter().map(ToString::to_string).collect();
    for line in config.aside.iter().map(ToString::to_string).filter(|line| !said.contains(line)) {
        tracing::warn!("{line}");
    }
    if config.path.as_deref() != known {
        tracing::warn!("{}", used_config(config));
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// Which config is used, in words.
pub(super) fn used_config(config: &Config) -> String {
    let path = config.path.as_deref().map(|path| quoted(&path.to_string_lossy(), 1000)).unwrap_or_default();
    match config.origin {
        Origin::Nowhere => "no config is used".to_owned(),
        Origin::Folder => format!("the config is `{path}`, this folder's, which you trust"),
        Origin::Named if is_relative(config) => {
            format!(
                "the config is `{path}` of this folder: `{CONFIG_VARIABLE}` is no absolute path, and so means another file in each folder"
            )
        }
        Origin::Named => format!("the config is `{path}`"),
        Origin::User => format!("the config is `{path}`, your own"),
    }
}

/// Whether a variable names another config in each folder.
fn is_relative(config: &Config) -> bool {
    let relative = std::env::var_os(CONFIG_VARIABLE).map(PathBuf::from).filter(|path| path.is_relative());
    config.origin == Origin::Named && relative.is_some_and(|path| config.path.as_ref() == Some(&path))
}
