//! Streamable HTTP in front: one endpoint for each server, `/NAME/mcp`, for clients of every revision.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `accept` | connections |
//! | `socket` | a Unix socket to listen on |
//! | `callers` | who is connected, and who has to go when others come |
//! | `router` | from a request to whoever answers it |
//! | `access` | who may come in: token, `Host`, `Origin` |
//! | `request_body` | what a client posts, made a line |
//! | `bodies` | where bodies are held, and how much they hold together |
//! | `response` | what goes back over HTTP |
//! | `legacy` | POST, GET and DELETE of the revisions that have sessions |
//! | `service` | all of it as a `tower::Service` |
//! | `sessions` | the sessions with one server |
//! | `session` | one of them: which stream each message takes |
//! | `event_log` | one stream, kept for a client that comes back |
//! | `modern` | POST of 2026-07-28: no sessions, one side for all clients |
//! | `multiplexer` | that side: who gets what |
//! | `apart` | calls that have a side, and so a server, of their own |
//! | `header_check` | whether its headers say what its body says |

mod accept;
mod access;
mod apart;
mod bodies;
mod callers;
mod event_log;
mod header_check;
mod legacy;
mod modern;
mod multiplexer;
mod request_body;
mod response;
mod router;
mod service;
mod session;
mod sessions;
mod socket;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use http::HeaderMap;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Duplex;
pub use accept::Listener;
use access::AccessControl;
use bodies::Bodies;
use callers::{Callers, Places};
use modern::StatelessSides;
pub use service::{FrontBody, FrontService};
use sessions::Sessions;
pub use socket::Socket;

const METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// How often sessions are looked at for what time brings, at least.
const TICK: Duration = Duration::from_secs(1);

/// How long connections may take to send what is left once all requests have been answered.
const LAST_WORDS: Duration = Duration::from_secs(5);

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

/// What is served, from the first connection to the last.
#[derive(Debug)]
pub struct HttpServer {
    shared: Arc<Shared>,
    address: Address,
}

/// Where it listens.
#[derive(Debug)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// Another server listens, and says here where, if it is on TCP.
    Embedded(Option<SocketAddr>),
}

/// What everything here shares.
struct Shared {
    settings: Settings,
    access: AccessControl,
    callers: Arc<Callers>,
    bodies: Arc<Bodies>,
    open: OpenSession,
    endpoints: OnceLock<BTreeMap<String, Arc<ServerEndpoint>>>,
    stage: AtomicU8,
    /// One token for each request that a server is still to answer.
    requests: TaskTracker,
    /// What carries messages from a server.
    tasks: TaskTracker,
    connections: TaskTracker,
    /// Connections end once they have said what they have to say.
    last_call: CancellationToken,
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const ENDING: u8 = 2;

/// What is served at `/NAME/mcp`.
#[derive(Debug)]
struct ServerEndpoint {
    name: String,
    sessions: Arc<Sessions>,
    modern: StatelessSides,
    shared: Arc<Shared>,
}

impl HttpServer {
    /// Begins to listen. Until it is `ready`, only that can be learnt.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn start(listener: Listener, settings: Settings, open: OpenSession) -> std::io::Result<Self> {
        let address = match &listener {
            Listener::Tcp(listener) => Address::Tcp(listener.local_addr()?),
            Listener::Unix(socket) => Address::Unix(socket.path().to_owned()),
        };
        let front = Self::new(address, settings, open);
        front.shared.tasks.spawn(accept::accept(listener, Arc::clone(&front.shared)));
        Ok(front)
    }

    /// A front that listens nowhere: another HTTP server passes requests on to its [`service`](Self::service). `address` is where that one
    /// listens, by which requests from web pages of other origins are told. Must be called within a tokio runtime.
    #[must_use]
    pub fn embedded(address: Option<SocketAddr>, settings: Settings, open: OpenSession) -> Self {
        Self::new(Address::Embedded(address), settings, open)
    }

    /// What answers requests, for another HTTP server to mount.
    #[must_use]
    pub fn service(&self) -> FrontService {
        FrontService::new(Arc::clone(&self.shared))
    }

    fn new(address: Address, mut settings: Settings, open: OpenSession) -> Self {
        let tcp = match &address {
            Address::Tcp(address) | Address::Embedded(Some(address)) => Some(*address),
            Address::Unix(_) | Address::Embedded(None) => None,
        };
        let (hosts, origins) = (std::mem::take(&mut settings.hosts), std::mem::take(&mut settings.origins));
        let shared = Arc::new(Shared {
            access: AccessControl::new(tcp, hosts, origins, settings.token.take()),
            callers: Callers::new(Places::of(settings.descriptors)),
            bodies: Bodies::new(settings.bodies),
            settings,
            open,
            endpoints: OnceLock::new(),
            stage: AtomicU8::new(STARTING),
            requests: TaskTracker::new(),
            tasks: TaskTracker::new(),
            connections: TaskTracker::new(),
            last_call: CancellationToken::new(),
        });
        tokio::spawn(watch(Arc::clone(&shared)));
        Self { shared, address }
    }

    /// Serves these servers from now on; their endpoints' addresses.
    pub fn ready<'a>(&self, servers: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
        let endpoint = |name: &str| {
            let shared = Arc::clone(&self.shared);
            let sessions = Arc::new(Sessions::new(name, Arc::clone(&shared)));
            Arc::new(ServerEndpoint { name: name.to_owned(), sessions, modern: StatelessSides::default(), shared })
        };
        let all = servers.into_iter().map(|name| (name.to_owned(), endpoint(name)));
        let endpoints = self.shared.endpoints.get_or_init(|| all.collect());
        self.shared.stage.store(READY, Ordering::SeqCst);
        let origin = match &self.address {
            Address::Tcp(_) | Address::Embedded(Some(_)) => self.url(),
            Address::Unix(_) | Address::Embedded(None) => "http://localhost".to_owned(),
        };
        endpoints.keys().map(|name| (name.clone(), format!("{origin}{}", path(name)))).collect()
    }

    /// Where it listens: a URL, or `unix:` and the path of a socket.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.address {
            Address::Tcp(address) | Address::Embedded(Some(address)) => format!("http://{address}"),
            Address::Unix(path) => format!("unix:{}", path.display()),
            Address::Embedded(None) => "http://localhost".to_owned(),
        }
    }

    /// Begins nothing new, waits for the requests in flight for as long as `patience` lasts, and ends everything.
    pub async fn shut_down(self, patience: Duration) {
        let shared = &self.shared;
        shared.stage.store(ENDING, Ordering::SeqCst);
        for endpoint in shared.endpoints() {
            endpoint.modern.end_listening().await;
        }
        shared.requests.close();
        if tokio::time::timeout(patience, shared.requests.wait()).await.is_err() {
            tracing::warn!(
                "{} requests are still not answered after {patience:?} and are given up",
                shared.requests.len()
            );
        }
        for endpoint in shared.endpoints() {
            endpoint.sessions.end_all("Understudy was shut down before the server answered");
            endpoint.modern.end("Understudy was shut down before the server answered").await;
        }
        shared.last_call.cancel();
        shared.connections.close();
        // Whoever doesn't read has had its time.
        let _ = tokio::time::timeout(LAST_WORDS, shared.connections.wait()).await;
        shared.tasks.close();
        shared.tasks.wait().await;
    }
}

impl Shared {
    fn stage(&self) -> u8 {
        self.stage.load(Ordering::SeqCst)
    }

    fn is_ending(&self) -> bool {
        self.stage() == ENDING
    }

    /// Begins a session with a server.
    async fn begin(&self, server: &str, side: Duplex, whose: SideOwner) -> Result<SessionGuard, String> {
        if !self.callers.have_room_for_server() {
            let most = self.settings.descriptors;
            return Err(format!(
                "too many files are open to begin another session (`ulimit -H -n` allows {most}); end some sessions"
            ));
        }
        (self.open)(server, side, whose).await
    }

    fn endpoints(&self) -> impl Iterator<Item = &Arc<ServerEndpoint>> {
        self.endpoints.get().into_iter().flat_map(BTreeMap::values)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Looks at the sessions now and then.
async fn watch(shared: Arc<Shared>) {
    let Settings { idle, handshake, .. } = shared.settings;
    let mut ticks = tokio::time::interval(TICK.min(idle.min(handshake) / 4).max(Duration::from_millis(10)));
    while !shared.last_call.is_cancelled() {
        ticks.tick().await;
        let now = Instant::now();
        for endpoint in shared.endpoints() {
            endpoint.sessions.tick(now, idle, handshake);
            endpoint.modern.tick(now, idle);
        }
    }
}

/// What may not stand in a part of a path.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b'%');

/// The path of a server's endpoint.
fn path(name: &str) -> String {
    format!("/{}/mcp", utf8_percent_encode(name, ENCODED))
}

/// The value of a header, if it is text.
fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Whether the client takes an answer of this type. If it doesn't say, it takes JSON.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let mut said = headers.get_all(http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    if said.peek().is_none() {
        return wanted == "application/json";
    }
    let group = wanted.split_once('/').map_or("", |(group, _)| group);
    let types = said.flat_map(|value| value.split(','));
    let mut types = types.map(|part| part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    types.any(|accepted| accepted == wanted || accepted == "*/*" || accepted == format!("{group}/*"))
}
