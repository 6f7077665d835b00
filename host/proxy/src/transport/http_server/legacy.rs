//! The eras that have sessions (2024-11-05 to 2025-11-25) over HTTP: POST, GET and DELETE.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, StatusCode};
use mcp::field::{self, Field};
use mcp::{Head, Kind, Parts, batch, code, header, method, notification, revision};
use serde::Deserialize;

use super::backend::Backend;
use super::event_log::{EventLog, EventReader};
use super::headers::{accepts, header_text};
use super::request_body::PostedMessage;
use super::response::{self, Refusal, Response, empty, json, refusal};
use super::session::Session;
use super::sessions::Refused;
use crate::transport::Incoming;

/// How long an answer is waited for before the stream is begun that it will come in. What is answered within is plain JSON.
const GRACE: Duration = Duration::from_millis(50);

/// When a client whose connection broke is to come back.
const RETRY: Duration = Duration::from_millis(500);

/// The first revision whose clients know an event without data for what it is.
const PRIMED_SINCE: &str = revision::FIRST_WITH_RESUME_POINTS;

/// The revisions whose clients may send batches.
const BATCHES_UNTIL: &str = revision::LAST_WITH_BATCHES;

/// A message of the client's.
pub(super) async fn post(endpoint: &Backend, headers: &HeaderMap, posted: PostedMessage) -> Response {
    let events = accepts(headers, "text/event-stream");
    if !events && !accepts(headers, "application/json") {
        let reason = "the client must accept `application/json` and `text/event-stream`";
        return refusal(StatusCode::NOT_ACCEPTABLE, posted.head.id(), code::INVALID_REQUEST, reason);
    }
    if header_text(headers, header::SESSION_ID).is_none() && posted.head.is_request(method::INITIALIZE) {
        return initialize(endpoint, posted, events).await;
    }
    let session = match session(endpoint, headers, posted.head.id()) {
        Ok(session) => session,
        Err(refusal) => return *refusal,
    };
    let _busy = session.busy();
    let messages = posted.messages();
    if posted.head.kind() == Kind::Batch
        && let Some(reason) = wrong_batch(&session, &messages)
    {
        return refusal(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, reason);
    }
    let requests: Vec<(Bytes, Head)> =
        messages.iter().filter(|(_, head)| head.kind() == Kind::Request).cloned().collect();
    if !requests.is_empty() && endpoint.shared.is_ending() {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            posted.head.id(),
            code::SERVER_ERROR,
            "Understudy is shutting down",
        );
    }
    let Some(place) = place(&session).await else { return ended(posted.head.id()) };
    if requests.is_empty() {
        place.send(Incoming::Message(posted.line.into()));
        for (line, head) in &messages {
            if head.is_notification(notification::CANCELLED)
                && let Some(id) = field::find(line, Field::RequestId)
            {
                session.cancel(id.get().as_bytes());
            }
        }
        return empty(StatusCode::ACCEPTED);
    }
    match session.begin(&requests, events, || endpoint.shared.requests.token()) {
        Ok(log) => {
            let reader = log.reader();
            place.send(Incoming::Message(posted.line.into()));
            let version = session.version();
            answer(&session, reader, &Asked { events, batch: posted.head.kind() == Kind::Batch, version }).await
        }
        // Other clients than those of the newest revision don't read the body of anything but 200.
        Err(id) => {
            let reason = "this id is that of another request of the session, which is not answered yet";
            refusal(StatusCode::OK, Some(&id), code::INVALID_REQUEST, reason)
        }
    }
}

/// The client listens, or comes back for the rest of a stream.
pub(super) fn get(endpoint: &Backend, headers: &HeaderMap) -> Response {
    if !accepts(headers, "text/event-stream") {
        let reason = "the client must accept `text/event-stream`";
        return refusal(StatusCode::NOT_ACCEPTABLE, None, code::INVALID_REQUEST, reason);
    }
    let session = match session(endpoint, headers, None) {
        Ok(session) => session,
        Err(refusal) => return *refusal,
    };
    let primes = session.version().is_some_and(|version| version.as_str() >= PRIMED_SINCE);
    let Some(last) = header_text(headers, header::LAST_EVENT_ID) else {
        return stream(&session, session.standalone().reader(), primes);
    };
    let Some((number, position)) = last.split_once('-').and_then(|(n, p)| Some((n.parse().ok()?, p.parse().ok()?)))
    else {
        let reason = format!("`Last-Event-ID: {}` is none of this server's", understudy::text::one_line(last, 40));
        return refusal(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, &reason);
    };
    match session.stream(number) {
        Some(log) if log.has_more_than(position) => stream(&session, log.reader_after(position), primes),
        // The one answer that tells clients not to try again.
        _ => response::not_allowed("POST, DELETE", "there is nothing more to come in this stream"),
    }
}

/// The client ends its session.
pub(super) fn delete(endpoint: &Backend, headers: &HeaderMap) -> Response {
    match session(endpoint, headers, None) {
        Ok(session) => {
            endpoint.sessions.end(&session, "the client ended the session");
            empty(StatusCode::NO_CONTENT)
        }
        Err(refusal) => *refusal,
    }
}

/// The session that a request names.
fn session(endpoint: &Backend, headers: &HeaderMap, id: Option<&[u8]>) -> Result<Arc<Session>, Refusal> {
    let Some(named) = header_text(headers, header::SESSION_ID) else {
        let reason =
            "no session: `initialize` begins one, and what comes after it needs the `Mcp-Session-Id` of its answer";
        return Err(refusal(StatusCode::BAD_REQUEST, id, code::INVALID_REQUEST, reason).into());
    };
    endpoint.sessions.get(named).ok_or_else(|| ended(id).into())
}

fn ended(id: Option<&[u8]>) -> Response {
    let reason = "session not found: it has ended, or never was; `initialize` begins a new one";
    refusal(StatusCode::NOT_FOUND, id, code::SESSION_NOT_FOUND, reason)
}

/// What is wrong with a batch.
fn wrong_batch(session: &Session, messages: &[(Bytes, Head)]) -> Option<&'static str> {
    let version = session.version();
    if version.is_some_and(|version| version.as_str() > BATCHES_UNTIL) {
        return Some("batches are no part of the protocol since 2025-06-18: send one message at a time");
    }
    let is_wrong =
        |head: &Head| matches!(head.kind(), Kind::Batch | Kind::Other) || head.is_request(method::INITIALIZE);
    let wrong = messages.is_empty() || messages.iter().any(|(_, head)| is_wrong(head));
    wrong.then_some("a batch holds JSON-RPC messages, at least one, and no `initialize`")
}

/// Reserves a slot in the relay channel.
async fn place(session: &Session) -> Option<tokio::sync::mpsc::OwnedPermit<Incoming>> {
    session.relay()?.reserve_owned().await.ok()
}

/// Begins a session.
async fn initialize(endpoint: &Backend, posted: PostedMessage, events: bool) -> Response {
    let id = posted.head.id();
    if endpoint.shared.is_ending() {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, id, code::SERVER_ERROR, "Understudy is shutting down");
    }
    let session = match endpoint.sessions.begin().await {
        Ok(session) => Unclaimed { endpoint, session: Some(session) },
        Err(Refused::Full) => {
            let most = endpoint.shared.settings.sessions;
            let reason = format!(
                "there are {most} sessions with `{}` already, the most that `serve.sessions` allows",
                endpoint.name
            );
            tracing::warn!("{reason}");
            return refusal(StatusCode::SERVICE_UNAVAILABLE, id, code::SERVER_ERROR, &reason);
        }
        Err(Refused::Failed(reason)) => {
            tracing::error!("{reason}");
            return refusal(StatusCode::OK, id, code::INTERNAL_ERROR, &reason);
        }
    };
    let Some(begun) = session.session.clone() else { return ended(id) };
    let _busy = begun.busy();
    let Some(place) = place(&begun).await else { return ended(id) };
    let requests = posted.messages();
    let Ok(log) = begun.begin(&requests, events, || endpoint.shared.requests.token()) else { return ended(id) };
    let reader = log.reader();
    let version = asked_version(&posted.line);
    place.send(Incoming::Message(posted.line.into()));
    let mut response = answer(&begun, reader, &Asked { events, batch: false, version }).await;
    let refused = log.only().is_some_and(|line| Parts::of(&line).is_ok_and(|parts| parts.error.is_some()));
    if refused {
        // Nothing can come of it.
        return response;
    }
    session.claim();
    if let Ok(id) = HeaderValue::try_from(&begun.id) {
        response.headers_mut().insert(header::SESSION_ID, id);
    }
    response
}

/// A session whose id its client hasn't been told. Dropping it ends the session.
struct Unclaimed<'a> {
    endpoint: &'a Backend,
    session: Option<Arc<Session>>,
}

impl Unclaimed<'_> {
    fn claim(mut self) {
        self.session = None;
    }
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            self.endpoint.sessions.end(session, "the session did not begin");
        }
    }
}

/// How a client wants its answer.
struct Asked {
    /// As a stream, if need be.
    events: bool,
    /// It sent a batch.
    batch: bool,
    /// The revision that it speaks.
    version: Option<String>,
}

/// Waits for what the server says first: if it is the answer, that is all; else a stream begins.
async fn answer(session: &Arc<Session>, mut reader: EventReader, asked: &Asked) -> Response {
    if !asked.events {
        return whole(session, reader, asked.batch).await;
    }
    // Time that passes without a word begins the stream too.
    let _ = tokio::time::timeout(GRACE, reader.wait()).await;
    match reader.log().only() {
        Some(line) if !asked.batch => {
            reader.next().await;
            session.forget(reader.log().number());
            json(StatusCode::OK, line)
        }
        _ => {
            let primes = asked.version.as_deref().is_some_and(|version| version >= PRIMED_SINCE);
            stream(session, reader, primes)
        }
    }
}

/// All answers at once, for a client that doesn't read streams.
async fn whole(session: &Session, mut reader: EventReader, batch: bool) -> Response {
    let mut answers = Vec::new();
    while let Some((_, line)) = reader.next().await {
        answers.push(line);
    }
    session.forget(reader.log().number());
    match answers.as_slice() {
        // It was cancelled.
        [] => empty(StatusCode::ACCEPTED),
        [answer] if !batch => json(StatusCode::OK, answer.clone()),
        answers => json(StatusCode::OK, batch::join(answers)),
    }
}

fn stream(session: &Arc<Session>, reader: EventReader, primes: bool) -> Response {
    let first = primes.then(|| response::priming(&event_id(reader.log(), reader.position()), RETRY));
    let mut response = response::events(events(first, reader));
    if let Ok(id) = HeaderValue::try_from(&session.id) {
        response.headers_mut().insert(header::SESSION_ID, id);
    }
    response
}

fn events(first: Option<Bytes>, reader: EventReader) -> impl Stream<Item = Bytes> {
    futures_util::stream::unfold((first, reader), |(first, mut reader)| async {
        if let Some(first) = first {
            return Some((first, (None, reader)));
        }
        let event = match tokio::time::timeout(response::KEEP_ALIVE, reader.next()).await {
            Ok(Some((position, line))) => response::event(Some(&event_id(reader.log(), position)), &line),
            Ok(None) => return None,
            Err(_) => response::keep_alive(),
        };
        Some((event, (None, reader)))
    })
}

fn event_id(log: &EventLog, position: u64) -> String {
    format!("{}-{position}", log.number())
}

/// `params.protocolVersion` of an `initialize`.
fn asked_version(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Initialize {
        #[serde(rename = "protocolVersion")]
        version: String,
    }
    let params: Initialize = serde_json::from_str(Parts::of(line).ok()?.params?.get()).ok()?;
    Some(params.version)
}
