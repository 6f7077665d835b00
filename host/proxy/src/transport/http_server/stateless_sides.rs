//! The sides that clients of 2026-07-28 share: one for all of them, or one for each call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};

use super::apart::{self, Apart};
use super::backend::Backend;
use super::header_check::ListedTools;
use super::multiplexer::Multiplexer;
use super::request_body::PostedMessage;
use super::shared::{SessionGuard, SideOwner};
use crate::transport::{Duplex, Message};

/// What all clients of this era share.
#[derive(Debug, Default)]
pub(super) struct StatelessSides {
    side: Mutex<Option<Arc<Multiplexer>>>,
    pub(super) listed_tools: Arc<ListedTools>,
    apart: Arc<Apart>,
}

impl StatelessSides {
    /// The side that a message takes.
    pub(super) async fn side_for(&self, backend: &Backend, posted: &PostedMessage) -> Result<Arc<Multiplexer>, String> {
        if backend.shared.settings.apart.contains(&backend.name) && apart::is_call(&posted.head) {
            return self.apart.side(backend, posted, &self.listed_tools).await;
        }
        self.side(backend).await
    }

    /// The side, begun if need be.
    async fn side(&self, backend: &Backend) -> Result<Arc<Multiplexer>, String> {
        let mut current = self.side.lock().await;
        if let Some(side) = current.as_ref().filter(|side| !side.is_over()) {
            return Ok(Arc::clone(side));
        }
        let (side, peer) = Duplex::pair();
        let has_one_client = backend.shared.settings.one.contains(&backend.name);
        let guard = backend.shared.begin(&backend.name, side, SideOwner::AllClients).await?;
        let side = Arc::new(Multiplexer::new(peer.outgoing, Arc::clone(&self.listed_tools), has_one_client));
        backend.shared.tasks.spawn(pump(Arc::clone(&side), peer.incoming, guard));
        if backend.shared.is_ending() {
            // It came too late to be ended with the others.
            side.end("Understudy is shutting down");
            return Err("Understudy is shutting down".to_owned());
        }
        *current = Some(Arc::clone(&side));
        Ok(side)
    }

    /// Ends the streams that would never end by themselves.
    pub(super) async fn end_listening(&self) {
        if let Some(side) = self.side.lock().await.as_ref() {
            side.end_listening();
        }
    }

    /// Ends everything. Requests without an answer are answered with `reason`.
    pub(super) async fn end(&self, reason: &str) {
        if let Some(side) = self.side.lock().await.take() {
            side.end(reason);
        }
        self.apart.end(reason);
    }

    /// What time brings: a side that nobody uses ends.
    pub(super) fn tick(&self, now: Instant, idle: Duration) {
        // The holder of the lock is about to use it.
        let Ok(mut side) = self.side.try_lock() else { return };
        if let Some(idle) = side.take_if(|side| side.is_idle(now, idle)) {
            idle.end("nobody asked for anything for too long (`serve.idle`)");
        }
    }
}

/// Carries what the server says to where its clients read it, until either has had enough.
async fn pump(side: Arc<Multiplexer>, mut from_relay: mpsc::Receiver<Message>, mut guard: SessionGuard) {
    loop {
        tokio::select! {
            message = from_relay.recv() => match message {
                Some(message) => side.route(&message),
                None => break,
            },
            () = side.ended() => break,
        }
    }
    // Who ends the side has said why.
    if !side.is_ended() {
        side.end(&guard.exit_reason().await);
    }
    drop(guard);
}
