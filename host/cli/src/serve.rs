//! `understudy serve`: HTTP in front of every configured server.

mod token;

use anyhow::{Context, Result};
use clap::Args;
use secrecy::ExposeSecret;
use serde_json::json;
use std::collections::BTreeMap;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use super::args::{GlobalArgs, SamplingArgs, UsageError};
use super::output::{Outcome, note, out};
use super::setup;
use token::RequiredToken;
use understudy::config::{Config, ListenAddress, Serve};
use understudy::descriptors;
use understudy::environment::Environment;
use understudy::reload::FileSnapshot;
use understudy_proxy::server_runtime::{Backends, ConfiguredServer, ServerRuntime, front_settings, relay_options};
use understudy_proxy::transport::http_server::{HttpServer, Listener, Socket};

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The address to listen on: an IP address and a port (0 for a free one), or `unix:` and a path [default: 127.0.0.1:8765]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Accept requests without a bearer token, from every user of this machine
    #[arg(long, conflicts_with = "new_token")]
    no_token: bool,
    /// Replace the bearer token that is kept for this user; clients need the new one
    #[arg(long)]
    new_token: bool,
    /// Serve only the server with this name in the config's `mcpServers`; can be repeated [default: all servers]
    #[arg(long, value_name = "NAME")]
    server: Vec<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

pub(super) async fn run(global: &GlobalArgs, args: ServeArgs) -> Result<Outcome> {
    let config = setup::config(global)?;
    let serve = settings(&config, args.listen.as_deref())?;
    let wanted = token::wanted(&config, &serve, args.no_token, args.new_token).await?;
    let (shared, overrides) = (setup::shared_resources(global.scheduling()), args.sampling.overrides());
    let relay = relay_options(&config, shared.environment()).await?;
    let servers = servers(&config, &args.server, shared.environment())?;

    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = listener(&serve.listen).await?;
    let backends = Backends::default();
    descriptors::raise();
    let settings = front_settings(&config, &serve, &servers, wanted.token());
    let front = HttpServer::start(listener, settings, backends.open())?;

    let seen = FileSnapshot::of(&config, &overrides, servers.iter().map(|server| &server.key), shared.environment());
    let mut loaded = Vec::new();
    for server in servers {
        let server = ServerRuntime::load(&config, server, &overrides, relay.clone(), &shared).await;
        let server = server.map_err(setup::in_words)?;
        setup::warn_if_unanswered(&server, &args.sampling);
        loaded.push(server);
    }
    let loaded = backends.load(loaded);
    let endpoints = front.ready(loaded.keys().map(String::as_str));
    let served = loaded.values().map(|server| server.served.clone()).collect();
    let reloader = setup::reloader(global, &args.sampling, seen, served, shared);
    let reloading = AbortOnDropHandle::new(tokio::spawn(reloader.run(setup::hang_ups()?)));
    announce(&front.url(), &endpoints, &wanted)?;

    told_to_end(&mut signals).await;
    drop(reloading);
    tracing::info!("shutting down: requests in flight have {:?} to finish", serve.shutdown);
    let end = async {
        front.shut_down(serve.shutdown).await;
        backends.ended().await;
    };
    tokio::select! {
        () = end => Ok(Outcome::Done),
        () = told_to_end(&mut signals) => Ok(Outcome::Failed),
    }
}

/// The servers that are named, or else all that their user hasn't turned off and that can be used: what is wrong with one is no trouble for the
/// others.
fn servers(config: &Config, named: &[String], env: &Environment) -> Result<Vec<ConfiguredServer>> {
    if !named.is_empty() {
        return named.iter().map(|name| Ok(ConfiguredServer::by_name(config, name, env)?)).collect();
    }
    let (mut servers, mut wrong) = (Vec::new(), None);
    for name in config.server_names() {
        match ConfiguredServer::by_name(config, name, env) {
            Ok(server) if server.is_off => tracing::info!("`{name}` is turned off in the config, and not served"),
            Ok(server) => servers.push(server),
            Err(error) => {
                tracing::error!("`{name}` is not served: {error}");
                wrong.get_or_insert(error);
            }
        }
    }
    match wrong {
        Some(error) if servers.is_empty() => Err(error.into()),
        _ if servers.is_empty() => {
            let reason =
                "there is no server to serve: the config names none in `mcpServers`, or all of them are turned off";
            Err(UsageError(reason.to_owned()).into())
        }
        _ => Ok(servers),
    }
}

async fn told_to_end((terminate, interrupt): &mut (Signal, Signal)) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// How to listen, as the config and the command line say.
fn settings(config: &Config, listen: Option<&str>) -> Result<Serve> {
    let mut serve = config.serve(setup::env)?;
    if let Some(text) = listen {
        serve.listen =
            ListenAddress::parse(text).map_err(|reason| UsageError(format!("`--listen {text}` {reason}")))?;
    }
    if let ListenAddress::Unix(path) = &mut serve.listen {
        *path = std::path::absolute(&*path).with_context(|| format!("`{}` is no path", path.display()))?;
    }
    Ok(serve)
}

/// Listens.
async fn listener(listen: &ListenAddress) -> Result<Listener> {
    match listen {
        ListenAddress::Tcp(address) => {
            let listener = TcpListener::bind(address).await;
            Ok(Listener::Tcp(listener.with_context(|| format!("can't listen on {listen} (is the port taken?)"))?))
        }
        ListenAddress::Unix(path) => {
            let bound = Socket::bind(path).map_err(anyhow::Error::msg);
            Ok(Listener::Unix(bound.with_context(|| format!("can't listen on {listen}"))?))
        }
    }
}

/// Says where the servers are: to programs on stdout, and with a token that was made here to people on stderr.
fn announce(url: &str, endpoints: &BTreeMap<String, String>, wanted: &RequiredToken) -> Result<()> {
    let RequiredToken::Made(token, file) = wanted else {
        return out(&json!({ "listening": url, "endpoints": endpoints }).to_string());
    };
    let header = format!("Authorization: Bearer {}", token.expose_secret());
    if let Some(endpoint) = endpoints.values().next() {
        note(&format!("requests must carry the token: understudy tools --url {endpoint} --header '{header}'"));
    }
    if let Some(file) = file {
        note(&format!("it stays the same until `--new-token` (it is kept in `{}`)", file.display()));
    }
    out(&json!({ "listening": url, "endpoints": endpoints, "token": token.expose_secret() }).to_string())
}
