//! One side for the requests of many clients: who gets what.
//!
//! A client gets what carries the number of its request or the token that we gave it, or what the transport assigns to its request. What carries a
//! number that nobody has, or none, reaches nobody, however few requests are open; only where there is one client for certain, its only request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcp::build::cancelled_line;
use mcp::field::{self, Field};
use mcp::{Head, Kind, batch, code, error_line, ids, method, notification, splice};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::event_log::{EventLog, EventReader};
use super::header_check::ListedTools;
use super::request_body::{PostedMessage, flat};
use super::sessions::random_id;
use crate::transport::{Incoming, Message};

/// The side, and the requests that are going on.
#[derive(Debug)]
pub(super) struct Multiplexer {
    /// The way to the relay, until the side ends. Then it is dropped, so that the relay learns of the end although the side is still held.
    relay: Mutex<Option<mpsc::Sender<Incoming>>>,
    end: CancellationToken,
    state: Mutex<MultiplexerState>,
    listed_tools: Arc<ListedTools>,
    /// Whether all requests are one client's.
    has_one_client: bool,
}

#[derive(Debug)]
struct MultiplexerState {
    /// By the number that each got.
    exchanges: HashMap<u64, Exchange>,
    /// These numbers, by the progress tokens that the server knows, as spelt.
    tokens: HashMap<String, u64>,
    last: u64,
    /// When the last exchange ended.
    used: Instant,
}

#[derive(Debug)]
struct Exchange {
    /// The client's own id, as spelt.
    id: Bytes,
    /// Its progress token and ours in its place, as spelt.
    token: Option<(Bytes, String)>,
    log: Arc<EventLog>,
    /// It goes on until it is cancelled.
    listens: bool,
    /// Its answer lists tools.
    lists_tools: bool,
    /// What a shutdown waits for.
    _open: Option<TaskTrackerToken>,
}

/// A request that is going on. Dropping it cancels the request, unless that has been answered.
#[derive(Debug)]
pub(super) struct PendingExchange {
    side: Arc<Multiplexer>,
    number: u64,
}

impl Multiplexer {
    pub(super) fn new(relay: mpsc::Sender<Incoming>, listed_tools: Arc<ListedTools>, has_one_client: bool) -> Self {
        let state =
            MultiplexerState { exchanges: HashMap::new(), tokens: HashMap::new(), last: 0, used: Instant::now() };
        let relay = Mutex::new(Some(relay));
        Self { relay, end: CancellationToken::new(), state: Mutex::new(state), listed_tools, has_one_client }
    }

    /// The way to the server; none if the side has ended.
    pub(super) fn relay(&self) -> Option<mpsc::Sender<Incoming>> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the side has ended.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_cancelled() || self.relay().is_none_or(|relay| relay.is_closed())
    }

    /// Whether somebody has ended it.
    pub(super) fn is_ended(&self) -> bool {
        self.end.is_cancelled()
    }

    /// Waits until the side has ended.
    pub(super) async fn ended(&self) {
        self.end.cancelled().await;
    }

    /// Whether nobody has used it for that long.
    pub(super) fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        let state = self.lock();
        state.exchanges.is_empty() && now.saturating_duration_since(state.used) > idle
    }

    /// Whether somebody waits for an answer.
    pub(super) fn is_awaited(&self) -> bool {
        !self.lock().exchanges.is_empty()
    }

    /// It is about to be used.
    pub(super) fn touch(&self) {
        self.lock().used = Instant::now();
    }

    /// Begins a request: what holds it, what its client reads, and the line for the server.
    pub(super) fn begin(
        self: &Arc<Self>,
        posted: &PostedMessage,
        open: impl FnOnce() -> TaskTrackerToken,
    ) -> Option<(PendingExchange, EventReader, Bytes)> {
        let mut state = self.lock();
        if self.is_over() {
            return None;
        }
        let number = state.last + 1;
        let spelt = number.to_string();
        let own = field::find(&posted.line, Field::Id)?;
        let id = posted.line.slice_ref(own.get().as_bytes());
        let line = splice::replace(&posted.line, own, spelt.as_bytes());
        let (token, line) = match field::find(&line, Field::Token) {
            None => (None, line),
            Some(own) => {
                // Nobody can guess it, and so claim it: not even by a spelling that the server reads and we don't.
                let ours = format!("\"understudy-{}\"", random_id().ok()?);
                let replaced = splice::replace(&line, own, ours.as_bytes());
                (Some((line.slice_ref(own.get().as_bytes()), ours)), replaced)
            }
        };
        let log = Arc::new(EventLog::new(number));
        let reader = log.reader();
        let listens = posted.head.is_request(method::SUBSCRIPTIONS_LISTEN);
        let lists_tools = posted.head.is_request(method::TOOLS_LIST);
        state.last = number;
        state.tokens.extend(token.iter().map(|(_, ours)| (ours.clone(), number)));
        state.exchanges.insert(number, Exchange { id, token, log, listens, lists_tools, _open: (!listens).then(open) });
        Some((PendingExchange { side: Arc::clone(self), number }, reader, line))
    }

    /// Sends a message of the server's where it belongs.
    pub(super) fn route(&self, message: &Message) {
        let line = flat(&message.line);
        let head = Head::of(&line);
        for (line, head) in batch::messages(&line, &head) {
            match (head.kind(), head.id()) {
                (Kind::Response, Some(id)) => self.answer(id, &line),
                (Kind::Notification, _) => self.notify(&line, &head, message.related_request_id.as_deref()),
                (Kind::Request, Some(id)) => {
                    let reason =
                        "in this revision a server asks by the result of a request, not by a request of its own";
                    self.send(error_line(id, code::METHOD_NOT_FOUND, reason));
                }
                // Whatever a server writes that is no message; the relay has said so.
                _ => {}
            }
        }
    }

    fn answer(&self, id: &[u8], line: &Bytes) {
        let exchange = number_of_id(id).and_then(|number| self.lock().take(number));
        let (Some(exchange), Some(ours)) = (exchange, field::find(line, Field::Id)) else {
            tracing::debug!(id = %String::from_utf8_lossy(id), "the server answers a request that nobody waits for");
            return;
        };
        if exchange.lists_tools {
            self.listed_tools.learn(line);
        }
        exchange.log.finish(splice::replace(line, ours, &exchange.id));
    }

    fn notify(&self, line: &Bytes, head: &Head, related_request_id: Option<&[u8]>) {
        let named = |name: Field| field::find(line, name).and_then(|part| number(part.get().as_bytes()));
        let mut state = self.lock();
        if head.is_notification(notification::CANCELLED) {
            // How a server ends a subscription where there is no stream to close. Here there is.
            let ended = named(Field::RequestId).and_then(|number| state.take(number));
            ended.inspect(|exchange| exchange.log.end());
            return;
        }
        // What the message says of itself comes before the stream that it was said on.
        let number = if let Some(token) = field::find(line, Field::ProgressToken) {
            state.tokens.get(token.get()).copied()
        } else if field::find(line, Field::Subscription).is_some() {
            named(Field::Subscription)
        } else {
            related_request_id.and_then(number).or_else(|| state.only().filter(|_| self.has_one_client))
        };
        let Some(exchange) = number.and_then(|number| state.exchanges.get(&number)) else {
            tracing::debug!(
                method = head.method(),
                "the server doesn't say whose notification this is; nobody gets it"
            );
            return;
        };
        let mut line = line.clone();
        let token = exchange.token.as_ref().map(|(own, _)| own);
        for (name, own) in [(Field::ProgressToken, token), (Field::Subscription, Some(&exchange.id))] {
            if let (Some(ours), Some(own)) = (field::find(&line, name), own) {
                line = splice::replace(&line, ours, own);
            }
        }
        if !exchange.log.offer(line) {
            tracing::debug!(method = head.method(), "a client doesn't read its notifications; this one is dropped");
        }
    }

    /// Ends the subscriptions, which get no answer any more.
    pub(super) fn end_listening(&self) {
        let mut state = self.lock();
        let listening: Vec<u64> =
            state.exchanges.iter().filter(|(_, exchange)| exchange.listens).map(|(number, _)| *number).collect();
        listening.into_iter().filter_map(|number| state.take(number)).for_each(|exchange| exchange.log.end());
    }

    /// Ends everything. Requests without an answer are answered with `reason`.
    pub(super) fn end(&self, reason: &str) {
        let mut state = self.lock();
        self.end.cancel();
        *self.relay.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for (_, exchange) in state.exchanges.drain() {
            exchange.log.finish(flat(&error_line(&exchange.id, code::SERVER_ERROR, reason)));
        }
    }

    /// Sends a line to the server, without waiting for it: the relay may be waiting for us to read on.
    fn send(&self, line: Bytes) {
        let Some(relay) = self.relay() else { return };
        if let Err(mpsc::error::TrySendError::Full(line)) = relay.try_send(Incoming::Message(line.into())) {
            tokio::spawn(async move { relay.send(line).await });
        }
    }

    fn lock(&self) -> MutexGuard<'_, MultiplexerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MultiplexerState {
    /// The only request that is open.
    fn only(&self) -> Option<u64> {
        self.exchanges.keys().next().copied().filter(|_| self.exchanges.len() == 1)
    }

    fn take(&mut self, number: u64) -> Option<Exchange> {
        self.used = Instant::now();
        let exchange = self.exchanges.remove(&number)?;
        if let Some((_, ours)) = &exchange.token {
            self.tokens.remove(ours);
        }
        Some(exchange)
    }
}

impl Drop for PendingExchange {
    fn drop(&mut self) {
        if self.side.lock().take(self.number).is_none() {
            return;
        }
        let id = self.number.to_string();
        self.side.send(cancelled_line(id.as_bytes(), Some("the client closed the connection"), None));
    }
}

fn number(spelt: &[u8]) -> Option<u64> {
    std::str::from_utf8(spelt).ok()?.parse().ok()
}

/// The number that an id is, however the server spells it: all ids here are numbers of ours, so nobody else's can be meant.
fn number_of_id(spelt: &[u8]) -> Option<u64> {
    number(&ids::find(spelt, |key| number(key).is_some())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio_util::task::TaskTracker;

    fn begin(side: &Arc<Multiplexer>, line: &'static str) -> (PendingExchange, EventReader, String) {
        let line = Bytes::from_static(line.as_bytes());
        let posted = PostedMessage::new(line.clone(), Head::of(&line));
        let (going, reader, line) = side.begin(&posted, || TaskTracker::new().token()).unwrap();
        (going, reader, String::from_utf8(line.to_vec()).unwrap())
    }

    fn route(side: &Multiplexer, line: impl Into<String>, related_request_id: Option<&'static str>) {
        let related_request_id =
            related_request_id.map(|related_request_id| Bytes::from_static(related_request_id.as_bytes()));
        side.route(&Message { line: Bytes::from(line.into()), related_request_id });
    }

    fn next(reader: &mut EventReader) -> Option<String> {
        reader.next().now_or_never().flatten().map(|(_, line)| String::from_utf8(line.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn clients_with_the_same_id_and_token_get_each_their_own() {
        let (sender, mut relay) = mpsc::channel(16);
        let side = Arc::new(Multiplexer::new(sender, Arc::default(), false));
        let request = r#"{"id": "x" ,"method":"m","params":{"_meta":{"progressToken":0}}}"#;
        let token = |line: &str, id: &str| {
            let rest =
                line.strip_prefix(&format!(r#"{{"id": {id} ,"method":"m","params":{{"_meta":{{"progressToken":"#));
            rest.and_then(|rest| rest.strip_suffix("}}}")).unwrap().to_owned()
        };
        let (first, mut first_reads, line) = begin(&side, request);
        let firsts = token(&line, "1");
        let (second, mut second_reads, line) = begin(&side, request);
        let seconds = token(&line, "2");
        assert!(firsts.len() > 40 && firsts.starts_with("\"understudy-") && firsts != seconds, "{firsts} {seconds}");
        let progress = |token: &str| {
            format!(r#"{{"method":"notifications/progress","params":{{"progressToken":{token}, "progress":1.0}}}}"#)
        };
        // It belongs to whose token it has, whatever stream it comes on.
        for related_request_id in [None, Some("2"), Some("1")] {
            route(&side, progress(&seconds), related_request_id);
        }
        for _ in 0..2 {
            assert_eq!(next(&mut second_reads).unwrap(), progress("0"));
        }
        assert_eq!(
            next(&mut second_reads).unwrap(),
            r#"{"method":"notifications/progress","params":{"progressToken":0, "progress":1.0}}"#
        );
        route(&side, r#"{"method":"notifications/message","params":{}}"#, Some("1"));
        assert_eq!(next(&mut first_reads).unwrap(), r#"{"method":"notifications/message","params":{}}"#);
        // Nobody knows whose these are.
        route(&side, r#"{"method":"notifications/message","params":{}}"#, None);
        for token in ["1", "2", "2.0", "\"2\"", "null", "\"understudy-\""] {
            route(&side, progress(token), None);
        }
        for nobodys in ["3", "\"two\"", "2.5", "\"\"", "-2", "[2]"] {
            route(&side, format!(r#"{{"result":{{}},"id":{nobodys}}}"#), None);
        }
        route(&side, r#"{"result":{},"id":"2.0"}"#, None);
        route(&side, r#"{"result":{"late":1},"id":2}"#, None);
        // Also when it is late, and only one request is left that it could belong to.
        route(&side, progress(&seconds), None);
        route(&side, progress(&seconds), Some("1"));
        route(&side, r#"{"method":"notifications/message","params":{}}"#, None);
        route(&side, r#"{"method":"notifications/message","params":{}}"#, Some("2"));
        assert_eq!(next(&mut second_reads).unwrap(), r#"{"result":{},"id":"x"}"#);
        assert_eq!((next(&mut first_reads), next(&mut second_reads)), (None, None));
        drop(second);
        assert!(relay.try_recv().is_err(), "what has been answered is not cancelled");
        drop(first);
        let Incoming::Message(message) = relay.try_recv().unwrap() else { panic!("too long") };
        assert!(
            message
                .line
                .starts_with(br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"#)
        );
        route(&side, r#"{"id":7,"method":"roots/list"}"#, None);
        let Incoming::Message(message) = relay.try_recv().unwrap() else { panic!("too long") };
        assert!(message.line.starts_with(br#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601"#));
    }

    #[tokio::test]
    async fn a_subscription_is_known_by_the_clients_id_and_ends_as_the_server_says() {
        let (sender, _relay) = mpsc::channel(16);
        let side = Arc::new(Multiplexer::new(sender, Arc::default(), false));
        let (_going, mut reader, _) = begin(&side, r#"{"id":"s","method":"subscriptions/listen","params":{}}"#);
        let (_other, mut other, _) = begin(&side, r#"{"id":"s","method":"ping"}"#);
        route(&side, r#"{"method":"n","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}"#, None);
        assert_eq!(
            next(&mut reader).unwrap(),
            r#"{"method":"n","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s"}}}"#
        );
        route(&side, r#"{"method":"notifications/cancelled","params":{"requestId":1}}"#, None);
        assert_eq!(reader.next().now_or_never(), Some(None));
        let (_listening, mut listener, _) = begin(&side, r#"{"id":"l","method":"subscriptions/listen","params":{}}"#);
        side.end_listening();
        side.end("over");
        assert_eq!(listener.next().now_or_never(), Some(None), "it is told more than its end");
        assert_eq!(next(&mut other).unwrap(), r#"{"jsonrpc":"2.0","id":"s","error":{"code":-32000,"message":"over"}}"#);
        assert!(side.is_over());
    }

    #[tokio::test]
    async fn of_one_client_the_only_request_gets_what_is_assigned_to_none() {
        let log = r#"{"method":"notifications/message","params":{}}"#;
        for has_one_client in [true, false] {
            let (sender, _relay) = mpsc::channel(16);
            let side = Arc::new(Multiplexer::new(sender, Arc::default(), has_one_client));
            let (first, mut reads, _) = begin(&side, r#"{"id":1,"method":"m"}"#);
            route(&side, log, None);
            assert_eq!(next(&mut reads).is_some(), has_one_client);
            let (_second, mut others, _) = begin(&side, r#"{"id":1,"method":"m"}"#);
            route(&side, log, None);
            assert_eq!((next(&mut reads), next(&mut others)), (None, None));
            drop(first);
            // What carries a number that nobody has any more is nobody's all the same.
            route(&side, r#"{"method":"notifications/progress","params":{"progressToken":1}}"#, None);
            assert_eq!(next(&mut others), None);
        }
    }
}
