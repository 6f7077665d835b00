//! `understudy proxy`: the flagship. Stdio in front, a server in the back.

use std::future::pending;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::args::{GlobalArgs, SamplingArgs, ServerArgs};
use super::output::Outcome;
use super::setup;
use understudy_proxy::relay::{Relay, RelayOptions};
use understudy_proxy::transport::server::LAST_WORDS;
use understudy_proxy::transport::stdio::{self, Front};

/// Arguments of `proxy`.
#[derive(Debug, Args)]
pub(super) struct ProxyArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

impl ProxyArgs {
    /// Which server.
    pub(super) fn server(&self) -> &ServerArgs {
        &self.server
    }

    /// The plugins that were named.
    pub(super) fn plugins(&self) -> &[String] {
        &self.sampling.plugin
    }
}

/// How long the output of a server that has ended is still waited for: somebody whom it left behind may hold it open.
const GRACE: Duration = Duration::from_secs(2);

pub(super) async fn run(global: &GlobalArgs, args: ProxyArgs) -> Result<Outcome> {
    let (server, reloader) = setup::reloaded_server(global, &args.server, &args.sampling).await?;
    setup::warn_if_unanswered(&server, &args.sampling);
    let (overdue, mut signals) = signals()?;
    let _reloading = AbortOnDropHandle::new(tokio::spawn(reloader.run(setup::hang_ups()?)));
    let (side, mut back) = server.start().await?;
    let Front { side: front, ended, writer } = stdio::front(server.relay.line).context("can't read stdin")?;
    let answering = server.answering();
    let terms = RelayOptions { again: back.again(), ..server.relay };
    let mut relay = Relay::start(front, side, answering, terms);
    let overdue = AbortOnDropHandle::new(tokio::spawn(end_overdue(ended, server.shutdown, overdue)));
    let status = loop {
        tokio::select! {
            status = back.ended() => break status.context("can't learn how the server ended")?,
            Some(signal) = signals.recv() => back.signal(signal),
        }
    };
    drop(overdue);
    let flush = async move {
        // What is still held open after this belongs to somebody else.
        let _ = tokio::time::timeout(GRACE, relay.ended()).await;
        drop(relay);
        // A thread that panicked has written what it could.
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    };
    tokio::select! {
        () = flush => {}
        // The client reads no more and wants us gone.
        Some(_) = signals.recv() => {}
    }
    Ok(status.map_or(Outcome::Done, Outcome::AsServer))
}

/// Ends a server that doesn't end at the end of its input: that is its client's part (2025-11-25, stdio, "Shutdown"), and that is us.
async fn end_overdue(client_ended: CancellationToken, patience: Duration, signals: mpsc::Sender<Signal>) {
    client_ended.cancelled().await;
    for signal in LAST_WORDS {
        tokio::time::sleep(patience).await;
        tracing::warn!(
            "the server has not ended within {patience:?} (`limits.shutdown`) of the end of its input: it gets {}",
            if signal == Signal::KILL { "SIGKILL" } else { "SIGTERM" }
        );
        if signals.send(signal).await.is_err() {
            return;
        }
    }
}

/// The signals that a server would get if we weren't there. `SIGHUP` is ours: a terminal that goes sends it to the server, too, and ends our
/// input.
fn signals() -> io::Result<(mpsc::Sender<Signal>, mpsc::Receiver<Signal>)> {
    let (sender, receiver) = mpsc::channel(8);
    let handed_on = [Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2];
    for which in handed_on {
        let mut stream = signal(SignalKind::from_raw(which.as_raw()))?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(which).await.is_err() {
                    pending::<()>().await;
                }
            }
        });
    }
    Ok((sender, receiver))
}
