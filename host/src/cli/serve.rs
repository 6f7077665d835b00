//! `understudy serve`: HTTP in front of every configured server.

mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::reload::{self, Reloader};
use super::server::{self, Server};
use super::stage::{self, Common, Stage};
use super::{End, Global, SamplingArgs, Usage, note, out, proxy};
use crate::config::{self, Config, ListenAddress, Serve};
use crate::descriptors;
use crate::relay::{Relay, RelayOptions};
use crate::transport::Side;
use crate::transport::back::Back;
use crate::transport::endpoint::{Front, Guard, Kept, Listener, Open, Settings, Socket, Whose};
use token::Wanted;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen: an IP address and a port, 0 for a free one, or `unix:` and a path [default: 127.0.0.1:8765]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Let every user of this machine in, and not only requests that carry the bearer token
    #[arg(long, conflicts_with = "new_token")]
    no_token: bool,
    /// Make a new bearer token, in the place of the one that is kept for this user; clients need it then
    #[arg(long)]
    new_token: bool,
    /// Serve the server of this name in the config's `mcpServers`, and others only if they are named too
    #[arg(long, value_name = "NAME")]
    server: Vec<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// What sessions are begun with, once it has been loaded.
type Stages = Arc<OnceLock<BTreeMap<String, Arc<Stage>>>>;

pub(super) async fn run(global: &Global, args: ServeArgs) -> Result<End> {
    let config = stage::config(global)?;
    let serve = settings(&config, args.listen.as_deref())?;
    let wanted = token::wanted(&config, &serve, args.no_token, args.new_token).await?;
    let terms = stage::terms(&config).await?;
    let servers = servers(&config, &args.server)?;

    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = listener(&serve.listen).await?;
    let (stages, ends) = (Stages::default(), TaskTracker::new());
    let named =
        |clients| servers.iter().filter(|server| server.clients == clients).map(|server| server.name.clone()).collect();
    let settings = Settings {
        token: wanted.token(),
        origins: serve.allowed_origins.clone(),
        hosts: serve.allowed_hosts.clone(),
        idle: serve.idle,
        handshake: serve.handshake,
        sessions: serve.sessions as usize,
        line: config.limits.line,
        apart: named(config::ClientSharing::Apart),
        one: named(config::ClientSharing::One),
        bodies: config.limits.bodies_total,
        descriptors: descriptors::raise(),
    };
    let front = Front::start(listener, settings, opener(Arc::clone(&stages), ends.clone()))?;

    let seen = reload::look(&config, &args.sampling, servers.iter().map(|server| &server.key));
    let (mut common, mut loaded) = (Common::default(), BTreeMap::new());
    for server in servers {
        let stage = stage::of_server(&config, server, &args.sampling, terms.clone(), &mut common).await?;
        stage.warn_if_unanswered(&args.sampling);
        loaded.insert(stage.name.clone(), Arc::new(stage));
    }
    let endpoints = front.ready(stages.get_or_init(|| loaded).keys().map(String::as_str));
    let samplers = stages.get().into_iter().flat_map(BTreeMap::values).map(|stage| stage.served.clone()).collect();
    let reloader = Reloader::new(global, &args.sampling, seen, samplers, common);
    let reloading = AbortOnDropHandle::new(tokio::spawn(reloader.run(reload::hang_ups()?)));
    announce(&front.url(), &endpoints, &wanted)?;

    told_to_end(&mut signals).await;
    drop(reloading);
    tracing::info!("shutting down: requests in flight have {:?} to finish", serve.shutdown);
    let end = async {
        front.shut_down(serve.shutdown).await;
        ends.close();
        ends.wait().await;
    };
    tokio::select! {
        () = end => Ok(End::Done),
        () = told_to_end(&mut signals) => Ok(End::Failed),
    }
}

/// The servers that are named, or else all that their user hasn't turned off and that can be used: what is wrong with one is no trouble for the
/// others.
fn servers(config: &Config, named: &[String]) -> Result<Vec<Server>> {
    if !named.is_empty() {
        return named.iter().map(|name| server::configured(config, name)).collect();
    }
    let (mut servers, mut wrong) = (Vec::new(), None);
    for name in config.server_names() {
        match server::configured(config, name) {
            Ok(server) if server.is_off => tracing::info!("`{name}` is turned off in the config, and not served"),
            Ok(server) => servers.push(server),
            Err(error) => {
                tracing::error!("`{name}` is not served: {error:#}");
                wrong.get_or_insert(error);
            }
        }
    }
    match wrong {
        Some(error) if servers.is_empty() => Err(error),
        _ if servers.is_empty() => {
            let reason =
                "there is no server to serve: the config names none in `mcpServers`, or all of them are turned off";
            Err(Usage(reason.to_owned()).into())
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
    let mut serve = config.serve(stage::env)?;
    if let Some(text) = listen {
        serve.listen = ListenAddress::parse(text).map_err(|reason| Usage(format!("`--listen {text}` {reason}")))?;
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
fn announce(url: &str, endpoints: &BTreeMap<String, String>, wanted: &Wanted) -> Result<()> {
    let Wanted::Made(token, file) = wanted else {
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

/// Begins sessions.
fn opener(stages: Stages, ends: TaskTracker) -> Open {
    Arc::new(move |name, side, whose| {
        let stage = stages.get().and_then(|stages| stages.get(name)).cloned();
        let (name, ends) = (name.to_owned(), ends.clone());
        async move {
            let stage = stage.ok_or_else(|| format!("there is no server `{name}`"))?;
            begin(&stage, side, whose, ends).await.map_err(|error| format!("{error:#}"))
        }
        .boxed()
    })
}

/// Begins a session: a relay, and a back of its own.
async fn begin(stage: &Stage, side: Side, whose: Whose, ends: TaskTracker) -> Result<Guard> {
    let (servers, mut back) = proxy::start(stage).await?;
    let terms = RelayOptions { clients: stage.clients_of(whose), again: back.again(), ..stage.terms.clone() };
    let relay = Relay::start(side, servers, stage.answering(), terms);
    Ok(Box::new(Session { parts: Some((relay, back)), patience: stage.patience, ends }))
}

/// A session. Dropping it ends it as the specification says: the server's input ends, and it gets the time to end.
struct Session {
    parts: Option<(Relay, Back)>,
    patience: Duration,
    /// Where the ending is waited for.
    ends: TaskTracker,
}

impl Kept for Session {
    fn fate(&mut self) -> BoxFuture<'_, String> {
        async {
            let Some((_, back)) = &mut self.parts else { return "the server ended before it answered".to_owned() };
            let how = back.fate().await;
            let why = match back {
                Back::Child(_) => "; why, it may have said on its stderr, which is that of `understudy serve`",
                Back::Remote(_) => "",
            };
            format!("the server {how} before it answered{why}")
        }
        .boxed()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some((relay, back)) = self.parts.take() else { return };
        let closed = back.close(self.patience);
        self.ends.spawn(async move {
            // Until the server has ended, the relay answers what it still waits for, and ends its input.
            closed.await;
            drop(relay);
        });
    }
}
