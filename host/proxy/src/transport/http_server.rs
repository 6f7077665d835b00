//! Streamable HTTP in front: one endpoint for each server, `/NAME/mcp`, for clients of every revision.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `accept` | connections |
//! | `socket` | a Unix socket to listen on |
//! | `callers` | who is connected, and who has to go when others come |
//! | `router` | from a request to the code that answers it |
//! | `access` | who may come in: token, `Host`, `Origin` |
//! | `request_body` | what a client posts, made a line |
//! | `bodies` | where bodies are held, and how much they hold together |
//! | `response` | what goes back over HTTP |
//! | `legacy` | POST, GET and DELETE of the revisions that have sessions |
//! | `shared` | what all of these share: settings, bounds, tasks |
//! | `headers` | reading the headers of a request |
//! | `backend` | one server, and the sessions with it |
//! | `service` | all of it as a `tower::Service` |
//! | `sessions` | the sessions with one server |
//! | `session` | one of them: which stream each message takes |
//! | `event_log` | one stream, kept for a client that comes back |
//! | `modern` | POST of 2026-07-28: no sessions |
//! | `stateless_sides` | the sides that stateless clients share |
//! | `multiplexer` | that side: who gets what |
//! | `apart` | calls that have a side, and so a server, of their own |
//! | `header_check` | whether its headers say what its body says |

mod accept;
mod access;
mod apart;
mod backend;
mod bodies;
mod callers;
mod event_log;
mod header_check;
mod headers;
mod legacy;
mod modern;
mod multiplexer;
mod request_body;
mod response;
mod router;
mod service;
mod session;
mod sessions;
mod shared;
mod socket;
mod stateless_sides;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

pub use accept::Listener;
use access::AccessControl;
use router::{Router, path};
pub use service::{FrontBody, FrontService};
use shared::{ENDING, READY, Shared};
pub use shared::{OpenSession, RunningSession, SessionGuard, Settings, SideOwner};
pub use socket::Socket;

/// How often sessions are looked at for what time brings, at least.
const TICK: Duration = Duration::from_secs(1);

/// How long connections may take to send what is left once all requests have been answered.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is served, from the first connection to the last.
#[derive(Debug)]
pub struct HttpServer {
    router: Arc<Router>,
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
        front.router.shared.tasks.spawn(accept::accept(listener, Arc::clone(&front.router)));
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
        FrontService::new(Arc::clone(&self.router))
    }

    fn new(address: Address, mut settings: Settings, open: OpenSession) -> Self {
        let tcp = match &address {
            Address::Tcp(address) | Address::Embedded(Some(address)) => Some(*address),
            Address::Unix(_) | Address::Embedded(None) => None,
        };
        let (hosts, origins) = (std::mem::take(&mut settings.hosts), std::mem::take(&mut settings.origins));
        let access = AccessControl::new(tcp, hosts, origins, settings.token.take());
        let router = Arc::new(Router::new(Shared::new(settings, open), access));
        tokio::spawn(watch(Arc::clone(&router)));
        Self { router, address }
    }

    /// Serves these servers from now on; their endpoints' addresses.
    pub fn ready<'a>(&self, servers: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
        let endpoints = self.router.serve(servers);
        self.router.shared.stage.store(READY, Ordering::SeqCst);
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
        let shared = &self.router.shared;
        shared.stage.store(ENDING, Ordering::SeqCst);
        for endpoint in self.router.endpoints() {
            endpoint.stateless.end_listening().await;
        }
        shared.requests.close();
        if tokio::time::timeout(patience, shared.requests.wait()).await.is_err() {
            tracing::warn!(
                "{} requests are still not answered after {patience:?} and are given up",
                shared.requests.len()
            );
        }
        for endpoint in self.router.endpoints() {
            endpoint.backend.sessions.end_all("Understudy was shut down before the server answered");
            endpoint.stateless.end("Understudy was shut down before the server answered").await;
        }
        shared.last_call.cancel();
        shared.connections.close();
        // The time in which a client must read is over.
        let _ = tokio::time::timeout(LAST_WORDS, shared.connections.wait()).await;
        shared.tasks.close();
        shared.tasks.wait().await;
    }
}

/// Looks at the sessions now and then.
async fn watch(router: Arc<Router>) {
    let shared = &router.shared;
    let Settings { idle, handshake, .. } = shared.settings;
    let mut ticks = tokio::time::interval(TICK.min(idle.min(handshake) / 4).max(Duration::from_millis(10)));
    while !shared.last_call.is_cancelled() {
        ticks.tick().await;
        let now = Instant::now();
        for endpoint in router.endpoints() {
            endpoint.backend.sessions.tick(now, idle, handshake);
            endpoint.stateless.tick(now, idle);
        }
    }
}
