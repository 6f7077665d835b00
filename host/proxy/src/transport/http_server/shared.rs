//! What everything that serves shares: the settings, the bounds, and the tasks that a shutdown waits for.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bodies::Bodies;
use super::callers::{Callers, Places};
use crate::transport::Duplex;

/// The client or clients that a side of the relay stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideOwner {
    /// One client's session: it begins with `initialize`.
    Session,
    /// All stateless clients.
    AllClients,
    /// One call of a stateless client, through all its rounds.
    Call,
}

/// A running session. Dropping it ends the session.
pub type SessionGuard = Box<dyn RunningSession>;

/// A session with a server, as its opener keeps it.
pub trait RunningSession: Send + Sync {
    /// Called when the server has closed its output: how it has ended, in words for clients that wait for an answer.
    fn exit_reason(&mut self) -> BoxFuture<'_, String>;
}

/// Opens a session with the server of a name, connected to this side. The error is for clients.
pub type OpenSession =
    Arc<dyn Fn(&str, Duplex, SideOwner) -> BoxFuture<'static, Result<SessionGuard, String>> + Send + Sync>;

/// Settings of the HTTP server.
#[derive(Debug, Default)]
pub struct Settings {
    /// The bearer token that requests must carry.
    pub token: Option<SecretString>,
    /// Web pages that may ask, beside those of this very address.
    pub origins: Vec<String>,
    /// Names for this address, beside those of loopback.
    pub hosts: Vec<String>,
    /// A session whose client is silent for this long ends (`serve.idle`).
    pub idle: Duration,
    /// A session whose client sends nothing after `initialize` for this long ends (`serve.handshake`).
    pub handshake: Duration,
    /// The most sessions with one server at once (`serve.sessions`).
    pub sessions: usize,
    /// The longest message, in bytes.
    pub line: usize,
    /// Servers that are started anew for each call of a stateless client (`"clients": "apart"`).
    pub apart: HashSet<String>,
    /// Servers whose stateless clients are one client (`"clients": "one"`).
    pub one: HashSet<String>,
    /// The most bytes in the bodies of all requests together (`limits.bodiesTotal`).
    pub bodies: usize,
    /// The most files and connections that this process may have open (`ulimit -n`).
    pub descriptors: u64,
}

const STARTING: u8 = 0;
pub(super) const READY: u8 = 1;
pub(super) const ENDING: u8 = 2;

/// State that all servers and connections share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) callers: Arc<Callers>,
    pub(super) bodies: Arc<Bodies>,
    pub(super) open: OpenSession,
    pub(super) stage: AtomicU8,
    /// One token for each request that a server is still to answer.
    pub(super) requests: TaskTracker,
    /// What carries messages from a server.
    pub(super) tasks: TaskTracker,
    pub(super) connections: TaskTracker,
    /// Cancelled when connections are to end once their answers are sent.
    pub(super) last_call: CancellationToken,
}

impl Shared {
    pub(super) fn new(settings: Settings, open: OpenSession) -> Arc<Self> {
        Arc::new(Self {
            callers: Callers::new(Places::of(settings.descriptors)),
            bodies: Bodies::new(settings.bodies),
            settings,
            open,
            stage: AtomicU8::new(STARTING),
            requests: TaskTracker::new(),
            tasks: TaskTracker::new(),
            connections: TaskTracker::new(),
            last_call: CancellationToken::new(),
        })
    }

    pub(super) fn stage(&self) -> u8 {
        self.stage.load(Ordering::SeqCst)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.stage() == ENDING
    }

    /// Begins a session with a server.
    pub(super) async fn begin(&self, server: &str, side: Duplex, whose: SideOwner) -> Result<SessionGuard, String> {
        if !self.callers.have_room_for_server() {
            let most = self.settings.descriptors;
            return Err(format!(
                "too many files are open to begin another session (`ulimit -H -n` allows {most}); end some sessions"
            ));
        }
        (self.open)(server, side, whose).await
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}
