//! `understudy serve`: HTTP in front of every configured server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use clap::Args;
use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::reload::{self, Reloader};
use super::stage::{self, Common, Stage};
use super::{End, Global, SamplingArgs, Usage, out, proxy, server};
use crate::config::{self, Config, Serve};
use crate::relay::{Relay, Terms};
use crate::transport::Side;
use crate::transport::back::Back;
use crate::transport::endpoint::{Front, Guard, Open, Settings, Whose};

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen: an IP address and a port, 0 for a free one [default: 127.0.0.1:8765]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
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
    let token = token(&config, &serve).await?;
    let terms = stage::terms(&config).await?;
    let names: Vec<String> =
        if args.server.is_empty() { config.server_names().map(str::to_owned).collect() } else { args.server.clone() };
    if names.is_empty() {
        let reason = "there is no server to serve: the config names none in `mcpServers`";
        return Err(Usage(reason.to_owned()).into());
    }
    let servers = names.iter().map(|name| server::configured(&config, name)).collect::<Result<Vec<_>>>()?;

    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(serve.listen).await;
    let listener = listener.with_context(|| format!("can't listen on {} (is the port taken?)", serve.listen))?;
    let (stages, ends) = (Stages::default(), TaskTracker::new());
    let named =
        |clients| servers.iter().filter(|server| server.clients == clients).map(|server| server.name.clone()).collect();
    let settings = Settings {
        token,
        origins: serve.allowed_origins.clone(),
        hosts: serve.allowed_hosts.clone(),
        idle: serve.idle,
        sessions: serve.sessions as usize,
        line: config.limits.line,
        apart: named(config::Clients::Apart),
        one: named(config::Clients::One),
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
    out(&json!({ "listening": front.url(), "endpoints": endpoints }).to_string())?;

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
        serve.listen = Serve::address(text).map_err(|reason| Usage(format!("`--listen {text}` {reason}")))?;
    }
    if serve.token.is_none() && !is_loopback(&serve.listen) {
        let reason = format!(
            "is missing: {} can be reached from other machines, so requests must carry a token; write `\"token\": {{\"env\": NAME}}`, \
             or listen on 127.0.0.1",
            serve.listen
        );
        return Err(config::wrong(TOKEN, &reason).into());
    }
    Ok(serve)
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// The config's key of the token.
const TOKEN: &str = "serve.token";

/// The bearer token that requests must carry.
async fn token(config: &Config, serve: &Serve) -> Result<Option<SecretString>> {
    let Some(source) = &serve.token else { return Ok(None) };
    let token = stage::secret(config, TOKEN, source).await?;
    if !token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(config::wrong(TOKEN, "holds characters that no header can: it must be visible ASCII").into());
    }
    Ok(Some(token))
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
    let (servers, back) = proxy::start(stage).await?;
    let terms = Terms { clients: stage.clients_of(whose), ..stage.terms.clone() };
    let relay = Relay::start(side, servers, stage.answering(), terms);
    Ok(Box::new(Session { parts: Some((relay, back)), ends }))
}

/// A session. Dropping it ends it as the specification says: the server's input ends, and it gets the time to end.
struct Session {
    parts: Option<(Relay, Back)>,
    /// Where the ending is waited for.
    ends: TaskTracker,
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some((relay, back)) = self.parts.take() else { return };
        drop(relay);
        self.ends.spawn(back.close());
    }
}
