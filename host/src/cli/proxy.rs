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

use super::reload;
use super::stage::{self, Stage};
use super::{End, Global, SamplingArgs, ServerArgs};
use crate::relay::{Relay, RelayOptions};
use crate::transport::Side;
use crate::transport::back::{Back, LAST_WORDS, Place};
use crate::transport::stdio::{self, Front};

/// Arguments of `proxy`.
#[derive(Debug, Args)]
pub(super) struct ProxyArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// How long the output of a server that has ended is still waited for: somebody whom it left behind may hold it open.
const GRACE: Duration = Duration::from_secs(2);

pub(super) async fn run(global: &Global, args: ProxyArgs) -> Result<End> {
    let (stage, reloader) = stage::set_for_long(global, &args.server, &args.sampling).await?;
    stage.warn_if_unanswered(&args.sampling);
    let (overdue, mut signals) = signals()?;
    let _reloading = AbortOnDropHandle::new(tokio::spawn(reloader.run(reload::hang_ups()?)));
    let (side, mut back) = start(&stage).await?;
    let Front { side: front, ended, writer } = stdio::front(stage.terms.line).context("can't read stdin")?;
    let answering = stage.answering();
    let terms = RelayOptions { again: back.again(), ..stage.terms };
    let mut relay = Relay::start(front, side, answering, terms);
    let overdue = AbortOnDropHandle::new(tokio::spawn(end_overdue(ended, stage.patience, overdue)));
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
    Ok(status.map_or(End::Done, End::AsServer))
}

/// Starts a stage's server.
pub(super) async fn start(stage: &Stage) -> Result<(Side, Back)> {
    let mut place = stage.place.clone();
    if let Place::Program(program) = &mut place {
        program.withheld = stage.served.sampler.withheld();
    }
    place.start(stage.terms.line).await.with_context(|| match &stage.place {
        Place::Program(program) => {
            let place = program.cwd.as_ref().map(|cwd| format!(" in `{}`", cwd.display())).unwrap_or_default();
            format!("can't start the server `{}`{place} (is it installed and on the PATH?)", program.command)
        }
        Place::Remote(_) => format!("can't talk to the server `{}`", stage.name),
    })
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
