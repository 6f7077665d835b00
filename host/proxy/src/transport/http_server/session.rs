//! One session of a client that began with `initialize` (2024-11-05 to 2025-11-25): which stream each message takes.
//!
//! A request of the client's has a stream of its own, which ends with the answer. Whatever else the server says takes, in this
//! order: the stream of the request that it is about, the standalone stream (GET) if a client reads it, the newest stream of a
//! request, or it waits in the standalone stream until somebody comes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mcp::field::{self, Field};
use mcp::{Head, Kind, Parts, batch, code, error_line, ids, method, notification, with_id};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::event_log::EventLog;
use super::request_body::flat;
use crate::transport::{Incoming, Message};

/// So many streams that have ended are kept for clients that come back.
const MOST_KEPT: usize = 1000;

/// A server need not answer a request that its client has cancelled. So long it may all the same.
const CANCELLED: Duration = Duration::from_secs(5);

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    /// Its id, as the client knows it.
    pub(super) id: String,
    /// Cancelled when the session ends.
    pub(super) end: CancellationToken,
    state: Mutex<SessionState>,
}

#[derive(Debug)]
struct SessionState {
    /// The way to the relay, until the session ends.
    relay: Option<mpsc::Sender<Incoming>>,
    /// The revision that client and server have agreed on.
    version: Option<String>,
    /// The id of the client's `initialize`, until it is answered.
    initialize: Option<Vec<u8>>,
    /// The client's requests that are not answered yet, by the keys of their ids.
    requests: HashMap<Vec<u8>, Request>,
    /// By number: the streams of requests, those too that have ended and may be asked for again.
    streams: BTreeMap<u64, SessionStream>,
    standalone: Arc<EventLog>,
    last_stream: u64,
    /// HTTP requests that are being dealt with.
    busy: usize,
    /// When the client was last heard of.
    heard: Instant,
    /// The HTTP requests that were dealt with, or are. The first one is `initialize`.
    words: u64,
    /// Whether it has been said that messages are dropped.
    dropped: bool,
}

#[derive(Debug)]
struct Request {
    /// Its id, as spelt.
    id: Vec<u8>,
    stream: u64,
    token: Option<Vec<u8>>,
    cancelled: Option<Instant>,
    /// What a shutdown waits for.
    _open: TaskTrackerToken,
}

#[derive(Debug)]
struct SessionStream {
    log: Arc<EventLog>,
    /// Whether it may carry more than answers.
    carries: bool,
    /// How many answers are still to come.
    open: usize,
}

/// An HTTP request that is being dealt with. Dropping it says that it no longer is.
#[derive(Debug)]
pub(super) struct BusySession(Arc<Session>);

impl Session {
    /// A session that talks to `relay`.
    pub(super) fn new(id: String, relay: mpsc::Sender<Incoming>) -> Self {
        let state = SessionState {
            relay: Some(relay),
            version: None,
            initialize: None,
            requests: HashMap::new(),
            streams: BTreeMap::new(),
            standalone: Arc::new(EventLog::new(0)),
            last_stream: 0,
            busy: 0,
            heard: Instant::now(),
            words: 0,
            dropped: false,
        };
        Self { id, end: CancellationToken::new(), state: Mutex::new(state) }
    }

    /// Notes that an HTTP request is being dealt with.
    pub(super) fn busy(self: &Arc<Self>) -> BusySession {
        let mut state = self.lock();
        state.busy += 1;
        state.words += 1;
        state.heard = Instant::now();
        BusySession(Arc::clone(self))
    }

    /// The revision that client and server have agreed on.
    pub(super) fn version(&self) -> Option<String> {
        self.lock().version.clone()
    }

    /// The way to the server; none if the session has ended.
    pub(super) fn relay(&self) -> Option<mpsc::Sender<Incoming>> {
        self.lock().relay.clone()
    }

    /// Notes the client's requests and begins a stream for their answers, which may carry other messages as well if it `carries`.
    /// An id that is in use is an error.
    pub(super) fn begin(
        &self,
        requests: &[(Bytes, Head)],
        carries: bool,
        open: impl Fn() -> TaskTrackerToken,
    ) -> Result<Arc<EventLog>, Vec<u8>> {
        let mut state = self.lock();
        let all: Vec<Vec<u8>> = requests.iter().filter_map(|(_, head)| head.id().map(<[u8]>::to_vec)).collect();
        let is_used = |(at, id): &(usize, &Vec<u8>)| {
            let key = ids::key(id);
            state.requests.contains_key(key.as_ref()) || all.iter().take(*at).any(|other| ids::key(other) == key)
        };
        if let Some((_, id)) = all.iter().enumerate().find(is_used) {
            return Err(id.clone());
        }
        state.last_stream += 1;
        let stream = state.last_stream;
        let log = Arc::new(EventLog::new(stream));
        for ((line, head), id) in requests.iter().zip(all) {
            if head.is_request(method::INITIALIZE) {
                state.initialize = Some(id.clone());
            }
            let token = field::find(line, Field::Token).map(|token| token.get().as_bytes().to_vec());
            let key = ids::key(&id).into_owned();
            state.requests.insert(key, Request { id, stream, token, cancelled: None, _open: open() });
        }
        if carries && !state.standalone.is_read() {
            // The client doesn't listen but here.
            state.standalone.take_waiting().into_iter().for_each(|line| log.push(line));
        }
        state.streams.insert(stream, SessionStream { log: Arc::clone(&log), carries, open: requests.len() });
        state.forget();
        Ok(log)
    }

    /// Forgets a stream that nobody can ask for again.
    pub(super) fn forget(&self, stream: u64) {
        self.lock().streams.remove(&stream);
    }

    /// The client has cancelled its request.
    pub(super) fn cancel(&self, id: &[u8]) {
        if let Some(request) = self.lock().requests.get_mut(ids::key(id).as_ref()) {
            request.cancelled.get_or_insert_with(Instant::now);
        }
    }

    /// The standalone stream.
    pub(super) fn standalone(&self) -> Arc<EventLog> {
        Arc::clone(&self.lock().standalone)
    }

    /// A stream by its number, as events' ids give it.
    pub(super) fn stream(&self, number: u64) -> Option<Arc<EventLog>> {
        let state = self.lock();
        if number == 0 {
            return Some(Arc::clone(&state.standalone));
        }
        state.streams.get(&number).map(|stream| Arc::clone(&stream.log))
    }

    /// Sends a message of the server's where it belongs.
    pub(super) fn route(&self, message: &Message) {
        let line = flat(&message.line);
        let head = Head::of(&line);
        for (line, head) in batch::messages(&line, &head) {
            let refused = match (head.kind(), head.id()) {
                (Kind::Response, Some(id)) => {
                    self.lock().answer(id, line);
                    None
                }
                (Kind::Request | Kind::Notification, _) => {
                    self.lock().deliver(line, &head, message.related_request_id.as_deref())
                }
                // Whatever a server writes that is no message; the relay has said so.
                _ => None,
            };
            if let Some(refused) = refused {
                self.refuse(refused);
            }
        }
    }

    /// Tells the server that its request doesn't reach the client.
    fn refuse(&self, line: Bytes) {
        let Some(relay) = self.relay() else { return };
        // The relay may be waiting for us to read on, so nobody may wait for it here.
        if let Err(mpsc::error::TrySendError::Full(line)) = relay.try_send(Incoming::Message(line.into())) {
            tokio::spawn(async move { relay.send(line).await });
        }
    }

    /// What time brings: cancelled requests that nobody answers, and streams that nobody came back to. If the session is to end
    /// because its client is gone, the key that says so.
    pub(super) fn tick(&self, now: Instant, idle: Duration, handshake: Duration) -> Option<&'static str> {
        let mut state = self.lock();
        let is_over =
            |request: &Request| request.cancelled.is_some_and(|at| now.saturating_duration_since(at) > CANCELLED);
        let cancelled: Vec<Vec<u8>> =
            state.requests.iter().filter(|(_, request)| is_over(request)).map(|(key, _)| key.clone()).collect();
        for key in cancelled {
            state.close(&key, None);
        }
        state.streams.retain(|_, stream| !stream.log.is_over(now));
        let is_new = state.words <= 1 && !state.standalone.is_read();
        let is_read = state.standalone.is_read() || state.streams.values().any(|stream| stream.log.is_read());
        // Reading the answer to `initialize`, slowly or not at all, is no word.
        if state.busy > 0 || (is_read && !(is_new && state.initialize.is_none())) {
            state.heard = now;
        }
        let silence = now.saturating_duration_since(state.heard);
        if is_new && silence > handshake {
            return Some("serve.handshake");
        }
        (silence > idle).then_some("serve.idle")
    }

    /// Ends the session. Requests without an answer are answered with `reason`.
    pub(super) fn close(&self, reason: &str) {
        let mut state = self.lock();
        state.relay = None;
        let open: Vec<(Vec<u8>, Vec<u8>)> =
            state.requests.iter().map(|(key, request)| (key.clone(), request.id.clone())).collect();
        for (key, id) in open {
            state.close(&key, Some(flat(&error_line(&id, code::SERVER_ERROR, reason))));
        }
        state.standalone.end();
        self.end.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionState {
    /// The server has answered; it may spell the id in its own way, and the client gets its own.
    fn answer(&mut self, id: &[u8], line: Bytes) {
        let key = ids::find(id, |key| self.requests.contains_key(key));
        let Some((key, request)) = key.and_then(|key| Some((key.clone(), self.requests.get(key.as_ref())?))) else {
            tracing::debug!(id = %String::from_utf8_lossy(id), "the server answers a request that nobody waits for");
            return;
        };
        let line = if request.id == id { line } else { with_id(&line, &request.id) };
        if self.initialize.as_ref() == Some(&request.id) {
            self.initialize = None;
            self.heard = Instant::now();
            self.version = version(&line);
        }
        self.close(&key, Some(line));
    }

    /// The request has been dealt with, by an answer or without.
    fn close(&mut self, key: &[u8], answer: Option<Bytes>) {
        let Some(request) = self.requests.remove(key) else { return };
        let Some(stream) = self.streams.get_mut(&request.stream) else { return };
        stream.open = stream.open.saturating_sub(1);
        match answer {
            Some(line) if stream.open == 0 => stream.log.finish(line),
            Some(line) => stream.log.push(line),
            None if stream.open == 0 => stream.log.end(),
            None => {}
        }
    }

    /// Sends a request or a notification on its way; the answer for the server if it can't be.
    fn deliver(&mut self, line: Bytes, head: &Head, related_request_id: Option<&[u8]>) -> Option<Bytes> {
        if self.place(&line, head, related_request_id).offer(line) {
            return None;
        }
        if !std::mem::replace(&mut self.dropped, true) {
            tracing::warn!(
                "a client doesn't read what its server says: beyond what can wait for it, notifications are dropped and requests refused (said once a session)"
            );
        }
        let id = head.id()?;
        Some(error_line(
            id,
            code::SERVER_ERROR,
            "the client doesn't read what it is asked, and too much waits for it already",
        ))
    }

    /// The stream that a request or a notification of the server's takes.
    fn place(&self, line: &Bytes, head: &Head, related_request_id: Option<&[u8]>) -> &EventLog {
        let carrying = |number: &u64| self.streams.get(number).filter(|stream| stream.carries && stream.open > 0);
        let related_request_id = related_request_id.and_then(|id| self.requests.get(ids::key(id).as_ref()));
        let by_token = || {
            head.is_notification(notification::PROGRESS).then_some(())?;
            let token = field::find(line, Field::ProgressToken)?.get().as_bytes();
            self.requests.values().find(|request| request.token.as_deref() == Some(token))
        };
        let own = related_request_id.or_else(by_token).and_then(|request| carrying(&request.stream));
        if let Some(stream) = own {
            return &stream.log;
        }
        if self.standalone.is_read() {
            return &self.standalone;
        }
        let open = || self.streams.values().rev().filter(|stream| stream.carries && stream.open > 0);
        let newest = open().find(|stream| stream.log.is_read()).or_else(|| open().next());
        newest.map_or(&self.standalone, |stream| &stream.log)
    }

    /// Keeps only so many streams that have ended.
    fn forget(&mut self) {
        let ended = |stream: &SessionStream| stream.log.has_ended() && !stream.log.is_read();
        while self.streams.len() > MOST_KEPT
            && let Some(number) = self.streams.iter().find(|(_, stream)| ended(stream)).map(|(number, _)| *number)
        {
            self.streams.remove(&number);
        }
    }
}

impl Drop for BusySession {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.busy -= 1;
        state.heard = Instant::now();
    }
}

/// `result.protocolVersion`
fn version(line: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Initialized {
        #[serde(rename = "protocolVersion")]
        version: String,
    }
    let result: Initialized = serde_json::from_str(Parts::of(line).ok()?.result?.get()).ok()?;
    Some(result.version)
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);

    /// A session whose `initialize` has been sent.
    fn begun() -> (Arc<Session>, Arc<EventLog>) {
        let (relay, _) = mpsc::channel(1);
        let session = Arc::new(Session::new("id".to_owned(), relay));
        let line = Bytes::from_static(br#"{"id":1,"method":"initialize"}"#);
        let head = Head::of(&line);
        drop(session.busy());
        let log = session.begin(&[(line, head)], true, || TaskTracker::new().token()).unwrap();
        (session, log)
    }

    fn answer(session: &Session) {
        session.route(&Bytes::from_static(br#"{"id":1,"result":{"protocolVersion":"2025-11-25"}}"#).into());
    }

    #[test]
    fn a_client_has_to_say_something_after_initialize() {
        let later = || Instant::now() + MINUTE * 2;
        let (session, log) = begun();
        let reader = log.reader();
        assert_eq!(session.tick(later(), HOUR, MINUTE), None, "the server takes its time, and the client waits");
        answer(&session);
        assert_eq!(session.tick(later(), HOUR, MINUTE), Some("serve.handshake"), "the answer isn't read");
        drop(reader);
        drop(session.busy());
        assert_eq!(session.tick(later(), HOUR, MINUTE), None);
        assert_eq!(session.tick(later() + HOUR, HOUR, MINUTE), Some("serve.idle"));
        // A client that listens has sent a request.
        let (session, _) = begun();
        answer(&session);
        let _listening = session.standalone().reader();
        assert_eq!(session.tick(later(), HOUR, MINUTE), None);
        // One that hangs up before the answer has not.
        let (session, _) = begun();
        assert_eq!(session.tick(later(), HOUR, MINUTE), Some("serve.handshake"));
    }
}
