//! A server in the back, at a URL: Streamable HTTP of every revision, and the old HTTP+SSE.
//!
//! A message tells by itself how it goes: one that has its revision in `_meta` needs no session, all others belong to the one that
//! `initialize` begins. Each request is an exchange of its own, and so is each failure: an error for that request alone.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `connection` | what becomes of each message of the client's |
//! | `initialize` | sessions: begun, over either transport, and begun again |
//! | `response` | what the server says in the course of a call, and how a broken stream is resumed |
//! | `standalone` | the stream that stands by itself |
//! | `session` | the session as it is |
//! | `pending` | the client's requests that have no answer yet |
//! | `stateless`, `tool_headers` | headers of the era without sessions |
//! | `event_stream` | server-sent events |
//! | `encoding` | bodies that come compressed |
//! | `refusal` | the body of an answer that refuses a message |
//! | `session_loss` | how a server says that a session is no more |
//! | `exchange` | one HTTP exchange |
//! | `error` | what can go wrong, in words and as a JSON-RPC error |

mod connection;
mod encoding;
mod error;
mod event_stream;
mod exchange;
mod initialize;
mod pending;
mod refusal;
mod response;
mod session;
mod session_loss;
mod standalone;
mod stateless;
mod tool_headers;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use mcp::{Head, Kind, cancelled_id, code, error_line, ids, method, notification};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::{Duplex, Message, QUEUE};
use connection::Connection;
use error::ClientError;
use exchange::HttpExchange;
use pending::{PendingRequests, requests};
use session::ClientSessions;
use stateless::StatelessRequest;

/// So many notifications and responses are on their way at once.
const MOST_SAID: usize = 64;

/// How long requests that have no answer yet are waited for once the client has said its last, and how long ending the session may
/// take. Clients kill us 2 s after they have closed our input.
const GRACE: Duration = Duration::from_millis(900);

/// A server, and how it is asked.
#[derive(Debug, Clone)]
pub struct Remote {
    url: Url,
    headers: HeaderMap,
    is_old: bool,
}

impl Remote {
    /// A server at a URL.
    ///
    /// # Errors
    /// Why the URL can't be one.
    pub fn new(url: &str) -> Result<Self, String> {
        let url = Url::parse(url.trim()).map_err(|e| format!("is not a URL ({e})"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("begins with `{}:`, and only `http:` and `https:` are spoken", url.scheme()));
        }
        Ok(Self { url, headers: HeaderMap::new(), is_old: false })
    }

    /// Adds a header to each request.
    ///
    /// # Errors
    /// Why it can't be one.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, String> {
        const OURS: [HeaderName; 6] = [
            header::ACCEPT,
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::HOST,
            header::TRANSFER_ENCODING,
        ];
        let shown = understudy::text::one_line(name, 60);
        let name = HeaderName::try_from(name.trim()).map_err(|_| format!("`{shown}` is not a header's name"))?;
        if OURS.contains(&name) || name.as_str().starts_with(mcp::header::PREFIX) {
            return Err(format!("`{shown}` is set by the protocol"));
        }
        let value = HeaderValue::try_from(value.trim());
        let mut value = value.map_err(|_| format!("the value of `{shown}` holds characters that no header can"))?;
        value.set_sensitive(true);
        self.headers.append(name, value);
        Ok(self)
    }

    /// Speaks the old HTTP+SSE transport only.
    #[must_use]
    pub fn old(self) -> Self {
        Self { is_old: true, ..self }
    }

    /// Whether only the old HTTP+SSE transport is spoken there.
    #[must_use]
    pub fn is_old(&self) -> bool {
        self.is_old
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether a header of the config's says who asks.
    #[must_use]
    pub fn is_authorized(&self) -> bool {
        self.headers.contains_key(header::AUTHORIZATION)
    }

    /// Its address, fit to be shown: without what may be secret.
    #[must_use]
    pub fn place(&self) -> String {
        exchange::place(&self.url)
    }

    /// Its host, as a name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.url.host_str().unwrap_or("remote")
    }
}

/// A conversation with a server. Dropping it ends all of it at once; the end of what the server is told ends it in an orderly way.
#[derive(Debug)]
pub struct ConnectionHandle {
    driver: JoinHandle<()>,
    closing: CancellationToken,
    ended: CancellationToken,
}

impl ConnectionHandle {
    /// Ends it in an orderly way.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Waits for its end.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Begins a conversation. Nothing is sent before the client says something, and messages of the server's hold at most `limit` bytes.
///
/// # Errors
/// If the system's certificates can't be read.
pub fn connect(remote: Remote, limit: usize) -> io::Result<(Duplex, ConnectionHandle)> {
    let exchange = HttpExchange::new(remote.url, remote.headers).map_err(io::Error::other)?;
    let (to_relay, incoming) = mpsc::channel(QUEUE);
    let (outgoing, from_relay) = mpsc::channel(QUEUE);
    let (listener, orders) = mpsc::channel(1);
    let connection = Arc::new(Connection {
        exchange,
        limit,
        pending: Arc::new(PendingRequests::default()),
        sessions: ClientSessions::default(),
        tools: tool_headers::Tools::default(),
        to_relay,
        listener,
        told_stray: AtomicBool::new(false),
        listening: watch::Sender::new(None),
        is_old: remote.is_old,
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(standalone::listen(Arc::clone(&connection), orders));
    let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
    let driver = Driver {
        connection,
        tasks,
        settled: open_gate(),
        said: open_gate(),
        places: Arc::new(Semaphore::new(MOST_SAID)),
        stateless: HashMap::new(),
    };
    let driver = tokio::spawn(driver.run(from_relay, closing.clone(), ended.clone().drop_guard()));
    Ok((Duplex { incoming, outgoing }, ConnectionHandle { driver, closing, ended }))
}

/// Sends the client's messages on their ways, each beside the others, in as much order as they need.
struct Driver {
    connection: Arc<Connection>,
    tasks: JoinSet<()>,
    /// Whether the last message that others must not overtake has arrived: `initialize`, or a notification.
    settled: CancellationToken,
    /// Whether the last notification has. A response need not wait for `initialize`.
    said: CancellationToken,
    places: Arc<Semaphore>,
    /// The requests without a session, by the keys of their ids: such a one is cancelled by giving its answer up.
    stateless: HashMap<Vec<u8>, AbortHandle>,
}

impl Driver {
    async fn run(mut self, mut from_relay: mpsc::Receiver<Message>, closing: CancellationToken, _ended: DropGuard) {
        loop {
            tokio::select! {
                message = from_relay.recv() => match message {
                    Some(message) => self.take(message.line).await,
                    None => break,
                },
                () = closing.cancelled() => break,
                Some(_) = self.tasks.join_next() => {}
            }
        }
        // Whatever is on its way may arrive, and what was asked may be answered.
        let all_said = async {
            self.settled.cancelled().await;
            // It is never closed.
            let _ = self.places.acquire_many(u32::try_from(MOST_SAID).unwrap_or(u32::MAX)).await;
            self.connection.pending.none_left().await;
        };
        let _ = timeout(GRACE, all_said).await;
        let _ = timeout(GRACE, self.connection.end()).await;
        self.tasks.shutdown().await;
    }

    async fn take(&mut self, line: Bytes) {
        let head = Head::of(&line);
        match head.kind() {
            Kind::Request | Kind::Batch => {
                let ids = requests(&line, &head);
                if ids.is_empty() { self.notify(line, &head).await } else { self.request(line, &head, ids).await }
            }
            Kind::Response => self.respond(line, &head).await,
            Kind::Other if line.iter().all(u8::is_ascii_whitespace) => {}
            Kind::Notification | Kind::Other => self.notify(line, &head).await,
        }
    }

    async fn request(&mut self, line: Bytes, head: &Head, ids: Vec<Bytes>) {
        let Some(mut call) = self.connection.pending.begin(&ids, false) else {
            for id in ids {
                let used = error_line(&id, code::INVALID_REQUEST, "a request with this id has no answer yet");
                self.connection.send_to_client(used, Some(id)).await;
            }
            return;
        };
        call.is_batch = head.kind() == Kind::Batch;
        let modern = StatelessRequest::of(&line, head);
        let begins = modern.is_none() && head.is_request(method::INITIALIZE);
        let settled = self.settled.clone();
        let settles = begins.then(|| self.next_gate());
        let (connection, is_stateless) = (Arc::clone(&self.connection), modern.is_some());
        let task = self.tasks.spawn(async move {
            let _settles = settles;
            settled.cancelled().await;
            let outcome = match &modern {
                Some(modern) => connection.modern(&line, modern, &mut call).await,
                None if begins => connection.initialize(&line, &mut call).await,
                None => connection.request(&line, &mut call).await,
            };
            if let Err(trouble) = outcome {
                // A server of the old transport is found by its refusal of what newer ones are asked: that is nothing to be told of.
                let is_found_out = modern.as_ref().is_some_and(StatelessRequest::is_discovery) && trouble.may_be_old();
                for id in call.give_up() {
                    connection.fail(&id, &trouble, is_found_out).await;
                }
            }
        });
        if is_stateless && let Some(id) = ids.first() {
            self.remember(id, task);
        }
    }

    fn remember(&mut self, id: &Bytes, task: AbortHandle) {
        // What is over is swept out from time to time.
        if self.stateless.len() == self.stateless.capacity() {
            self.stateless.retain(|_, task| !task.is_finished());
        }
        self.stateless.insert(ids::key(id).into_owned(), task);
    }

    async fn notify(&mut self, line: Bytes, head: &Head) {
        let modern = StatelessRequest::of(&line, head);
        if head.is_notification(notification::CANCELLED)
            && let Some(id) = cancelled_id(&line)
        {
            if let Some(task) = self.stateless.remove(ids::key(&id).as_ref()) {
                return task.abort();
            }
            if modern.is_some() {
                return;
            }
        }
        let connection = Arc::clone(&self.connection);
        if head.is_notification(notification::INITIALIZED) && modern.is_none() {
            self.in_order(async move { connection.initialized(&line).await }).await;
        } else {
            self.in_order(async move { connection.send_to_server(&line, modern.as_ref()).await }).await;
        }
    }

    /// Says something behind all notifications before it, and before all that comes.
    async fn in_order(&mut self, saying: impl Future<Output = Result<(), ClientError>> + Send + 'static) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let settled = self.settled.clone();
        let settles = self.next_gate();
        self.said = self.settled.clone();
        self.tasks.spawn(async move {
            let _held = (place, settles);
            settled.cancelled().await;
            if let Err(trouble) = saying.await {
                tracing::warn!("a message to the server is lost: {trouble}");
            }
        });
    }

    /// A response: behind the notifications before it, and beside other responses.
    async fn respond(&mut self, line: Bytes, head: &Head) {
        if head.id().is_some_and(|id| !self.connection.sessions.is_answerable(id)) {
            return tracing::debug!("dropping a response: its session has ended");
        }
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (connection, said) = (Arc::clone(&self.connection), self.said.clone());
        self.tasks.spawn(async move {
            let _place = place;
            said.cancelled().await;
            if let Err(trouble) = connection.send_to_server(&line, None).await {
                tracing::warn!("an answer to the server is lost: {trouble}");
            }
        });
    }

    /// A gate that others wait at until what is returned is dropped.
    fn next_gate(&mut self) -> DropGuard {
        self.settled = CancellationToken::new();
        self.settled.clone().drop_guard()
    }
}

/// A gate that nobody has to wait at.
fn open_gate() -> CancellationToken {
    let gate = CancellationToken::new();
    gate.cancel();
    gate
}
