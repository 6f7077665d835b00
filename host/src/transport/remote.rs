//! A server in the back, at a URL: Streamable HTTP of every revision, and the old HTTP+SSE.
//!
//! A message tells by itself how it goes: one that has its revision in `_meta` needs no session, all others belong to the one that
//! `initialize` begins. Each request is an exchange of its own, and so is each failure: an error for that request alone.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `link` | what becomes of each message of the client's |
//! | `begin` | sessions: begun, over either transport, and begun again |
//! | `answer` | what the server says in the course of a call, and how a broken stream is gone on with |
//! | `listen` | the stream that stands by itself |
//! | `session` | the session as it is |
//! | `calls` | the client's requests that have no answer yet |
//! | `modern`, `params` | headers of the era without sessions |
//! | `events` | server-sent events |
//! | `encoding` | bodies that come compressed |
//! | `forgotten` | how a server says that a session is no more |
//! | `wire` | one HTTP exchange |
//! | `trouble` | what can go wrong, in words and as a JSON-RPC error |

mod answer;
mod begin;
mod calls;
mod encoding;
mod events;
mod forgotten;
mod link;
mod listen;
mod modern;
mod params;
mod session;
mod trouble;
mod wire;

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

use super::{Message, QUEUE, Side};
use calls::{Calls, requests};
use link::Link;
use modern::Modern;
use session::Sessions;
use trouble::Trouble;
use wire::Wire;

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
        let shown = crate::text::one_line(name, 60);
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
        wire::place(&self.url)
    }

    /// Its host, as a name for it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.url.host_str().unwrap_or("remote")
    }
}

/// A conversation with a server. Dropping it ends all of it at once; the end of what the server is told ends it in an orderly way.
#[derive(Debug)]
pub struct Connection {
    driver: JoinHandle<()>,
    closing: CancellationToken,
    ended: CancellationToken,
}

impl Connection {
    /// Ends it in an orderly way.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Waits for its end.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Begins a conversation. Nothing is sent before the client says something, and messages of the server's hold at most `limit` bytes.
///
/// # Errors
/// If the system's certificates can't be read.
pub fn connect(remote: Remote, limit: usize) -> io::Result<(Side, Connection)> {
    let wire = Wire::new(remote.url, remote.headers).map_err(io::Error::other)?;
    let (to_relay, incoming) = mpsc::channel(QUEUE);
    let (outgoing, from_relay) = mpsc::channel(QUEUE);
    let (listener, orders) = mpsc::channel(1);
    let link = Arc::new(Link {
        wire,
        limit,
        calls: Arc::new(Calls::default()),
        sessions: Sessions::default(),
        tools: params::Tools::default(),
        to_relay,
        listener,
        told_stray: AtomicBool::new(false),
        listening: watch::Sender::new(None),
        is_old: remote.is_old,
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(listen::listen(Arc::clone(&link), orders));
    let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
    let driver = Driver {
        link,
        tasks,
        settled: open_gate(),
        said: open_gate(),
        places: Arc::new(Semaphore::new(MOST_SAID)),
        stateless: HashMap::new(),
    };
    let driver = tokio::spawn(driver.run(from_relay, closing.clone(), ended.clone().drop_guard()));
    Ok((Side { incoming, outgoing }, Connection { driver, closing, ended }))
}

/// Sends the client's messages on their ways, each beside the others, in as much order as they need.
struct Driver {
    link: Arc<Link>,
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
            self.link.calls.none_left().await;
        };
        let _ = timeout(GRACE, all_said).await;
        let _ = timeout(GRACE, self.link.end()).await;
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
        let Some(mut call) = self.link.calls.begin(&ids, false) else {
            for id in ids {
                let used = error_line(&id, code::INVALID_REQUEST, "a request with this id has no answer yet");
                self.link.tell(used, Some(id)).await;
            }
            return;
        };
        call.is_batch = head.kind() == Kind::Batch;
        let modern = Modern::of(&line, head);
        let begins = modern.is_none() && head.is_request(method::INITIALIZE);
        let settled = self.settled.clone();
        let settles = begins.then(|| self.next_gate());
        let (link, is_stateless) = (Arc::clone(&self.link), modern.is_some());
        let task = self.tasks.spawn(async move {
            let _settles = settles;
            settled.cancelled().await;
            let outcome = match &modern {
                Some(modern) => link.modern(&line, modern, &mut call).await,
                None if begins => link.initialize(&line, &mut call).await,
                None => link.request(&line, &mut call).await,
            };
            if let Err(trouble) = outcome {
                // A server of the old transport is found by its refusal of what newer ones are asked: that is nothing to be told of.
                let is_found_out = modern.as_ref().is_some_and(Modern::is_discovery) && trouble.may_be_old();
                for id in call.give_up() {
                    link.fail(&id, &trouble, is_found_out).await;
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
        let modern = Modern::of(&line, head);
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
        let link = Arc::clone(&self.link);
        if head.is_notification(notification::INITIALIZED) && modern.is_none() {
            self.in_order(async move { link.initialized(&line).await }).await;
        } else {
            self.in_order(async move { link.say(&line, modern.as_ref()).await }).await;
        }
    }

    /// Says something behind all notifications before it, and before all that comes.
    async fn in_order(&mut self, saying: impl Future<Output = Result<(), Trouble>> + Send + 'static) {
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
        if head.id().is_some_and(|id| !self.link.sessions.is_answerable(id)) {
            return tracing::debug!("an answer is dropped, for the session that it belongs to is no more");
        }
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (link, said) = (Arc::clone(&self.link), self.said.clone());
        self.tasks.spawn(async move {
            let _place = place;
            said.cancelled().await;
            if let Err(trouble) = link.say(&line, None).await {
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
