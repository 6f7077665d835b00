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

/// Whose a side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideOwner {
    /// A session's, and so one client's: it begins with `initialize`.
    Session,
    /// That of all clients whose requests stand by themselves.
    AllClients,
    /// That of one such request, through all its rounds.
    Call,
}

/// Whatever keeps a session going. Dropping it ends the session.
pub type SessionGuard = Box<dyn RunningSession>;

/// A session that goes on.
pub trait RunningSession: Send + Sync {
    /// The server says no more: how it has ended, in words for those who still wait for it.
    fn exit_reason(&mut self) -> BoxFuture<'_, String>;
}

/// Begins a session with the server of a name: a relay for this front, and a back for that. The error is for clients.
pub type OpenSession =
    Arc<dyn Fn(&str, Duplex, SideOwner) -> BoxFuture<'static, Result<SessionGuard, String>> + Send + Sync>;

/// How to listen, and whom to let in.
#[derive(Debug, Default)]
pub struct Settings {
    /// The bearer token that requests must carry.
    pub token: Option<SecretString>,
    /// Web pages that may ask, beside those of this very address.
    pub origins: Vec<String>,
    /// Names for this address, beside those of loopback.
    pub hosts: Vec<String>,
    /// A session of which nothing is heard for this long ends.
    pub idle: Duration,
    /// So does one whose client says nothing after `initialize` for this long.
    pub handshake: Duration,
    /// Sessions with one server at once.
    pub sessions: usize,
    /// The longest message, in bytes.
    pub line: usize,
    /// The servers that each call of a client without a session has one of its own of.
    pub apart: HashSet<String>,
    /// The servers whose clients without a session are one.
    pub one: HashSet<String>,
    /// What the bodies of all requests may hold together, in bytes.
    pub bodies: usize,
    /// How many files and connections this process may have open.
    pub descriptors: u64,
}

const STARTING: u8 = 0;
pub(super) const READY: u8 = 1;
pub(super) const ENDING: u8 = 2;

/// What everything here shares.
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
    /// Connections end once they have said what they have to say.
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
