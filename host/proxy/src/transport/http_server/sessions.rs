//! The sessions with one server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::session::Session;
use super::shared::{SessionGuard, Shared, SideOwner};
use crate::transport::{Duplex, Message};

/// Why no session begins.
#[derive(Debug)]
pub(super) enum Refused {
    /// There are as many as there may be.
    Full,
    /// The server can't be reached, in words.
    Failed(String),
}

/// The sessions with one server.
#[derive(Debug)]
pub(super) struct Sessions {
    server: String,
    shared: Arc<Shared>,
    open: Mutex<HashMap<String, Arc<Session>>>,
    places: Arc<Semaphore>,
}

impl Sessions {
    pub(super) fn new(server: &str, shared: Arc<Shared>) -> Self {
        let places = Arc::new(Semaphore::new(shared.settings.sessions));
        Self { server: server.to_owned(), shared, open: Mutex::default(), places }
    }

    /// Begins a session.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<Arc<Session>, Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refused::Full)?;
        let id =
            random_id().map_err(|error| Refused::Failed(format!("no random number for a session's id: {error}")))?;
        let (side, peer) = Duplex::pair();
        let guard = self.shared.begin(&self.server, side, SideOwner::Session).await.map_err(Refused::Failed)?;
        let session = Arc::new(Session::new(id, peer.outgoing));
        self.lock().insert(session.id.clone(), Arc::clone(&session));
        self.shared.tasks.spawn(Arc::clone(self).pump(Arc::clone(&session), peer.incoming, guard, place));
        if self.shared.is_ending() {
            // It came too late to be ended with the others.
            self.end(&session, "Understudy is shutting down");
            return Err(Refused::Failed("Understudy is shutting down".to_owned()));
        }
        Ok(session)
    }

    /// A place for a server beside those of the sessions, if there is one left.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The session of this id.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Session>> {
        self.lock().get(id).cloned()
    }

    /// Ends a session. Requests without an answer are answered with `reason`.
    pub(super) fn end(&self, session: &Session, reason: &str) {
        self.lock().remove(&session.id);
        session.close(reason);
    }

    /// Ends all of them.
    pub(super) fn end_all(&self, reason: &str) {
        let all: Vec<Arc<Session>> = self.lock().drain().map(|(_, session)| session).collect();
        for session in all {
            session.close(reason);
        }
    }

    /// Periodic maintenance: expire idle sessions.
    pub(super) fn tick(&self, now: Instant, idle: Duration, handshake: Duration) {
        let all: Vec<Arc<Session>> = self.lock().values().cloned().collect();
        for session in all {
            let Some(key) = session.tick(now, idle, handshake) else { continue };
            tracing::info!(server = self.server, "a session ends, for nothing was heard of its client (`{key}`)");
            self.end(&session, &format!("nothing was heard of the client for too long (`{key}`)"));
        }
    }

    /// Carries what the server says to where the client reads it, until either has had enough.
    async fn pump(
        self: Arc<Self>,
        session: Arc<Session>,
        mut from_relay: mpsc::Receiver<Message>,
        mut guard: SessionGuard,
        place: OwnedSemaphorePermit,
    ) {
        loop {
            tokio::select! {
                message = from_relay.recv() => match message {
                    Some(message) => session.route(&message),
                    None => break,
                },
                () = session.end.cancelled() => break,
            }
        }
        // Who ends the session has said why.
        if !session.end.is_cancelled() {
            // Nothing new is begun with it.
            self.lock().remove(&session.id);
            self.end(&session, &guard.exit_reason().await);
        }
        drop((guard, place));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 128 random bits, as text.
pub(super) fn random_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
