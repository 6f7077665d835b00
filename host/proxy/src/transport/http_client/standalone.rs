//! The standalone GET stream: server messages unrelated to a request.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

use super::connection::Connection;
use super::error::ClientError;
use super::event_stream::{EventStream, ResumePoint, ServerEvent, StreamError};
use super::session::{ClientSession, LAST_EVENT_ID, StandaloneStream};
use super::session_loss::SessionContext;

/// How long a server may take to begin a stream. It is asked for again then: nothing is lost by that.
const HEAD: Duration = Duration::from_mins(2);

/// Reads whatever stream there is.
pub(super) async fn listen(connection: Arc<Connection>, mut orders: mpsc::Receiver<StandaloneStream>) {
    let mut reading: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(pending());
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(StandaloneStream::Session { session, opened }) => reading = Box::pin(session_stream(Arc::clone(&connection), session, opened)),
                Some(StandaloneStream::SseSession { events, gone }) => reading = Box::pin(old_stream(Arc::clone(&connection), events, gone)),
                None => return,
            },
            () = &mut reading => reading = Box::pin(pending()),
        }
    }
}

async fn session_stream(connection: Arc<Connection>, session: ClientSession, opened: oneshot::Sender<()>) {
    let listening = Listening { connection: &connection, number: session.number };
    let (mut mark, mut opened, mut failures) = (ResumePoint::default(), Some(opened), 0);
    loop {
        let events = open(&connection, &session, &mark).await;
        // Nobody may wait for it.
        let _ = opened.take().map(|opened| opened.send(()));
        match events {
            Ok(mut events) => {
                listening.begins();
                let end = read(&connection, &mut events).await;
                failures = if events.is_alive { 0 } else { failures + 1 };
                mark = events.mark;
                if matches!(end, Some(StreamError::TooLong)) {
                    // It would come again and again.
                    mark.id = None;
                }
            }
            Err(trouble) if passes(&trouble) => {
                tracing::debug!("the server's stream can't be opened: {trouble}");
                failures += 1;
            }
            Err(trouble) => return tracing::debug!("the server has no stream of its own: {trouble}"),
        }
        tokio::time::sleep(pause(&mark, failures)).await;
    }
}

/// Opens a stream of a session's, to be gone on with at a mark.
pub(super) async fn open(
    connection: &Connection,
    session: &ClientSession,
    mark: &ResumePoint,
) -> Result<EventStream, ClientError> {
    let mut headers = session.headers();
    headers.extend(mark.id.clone().map(|id| (LAST_EVENT_ID, id)));
    let response = timeout(HEAD, connection.exchange.get(headers)).await;
    let response = response.unwrap_or_else(|_| Err(connection.exchange.broken("it doesn't begin its stream")))?;
    let told = if session.id.is_some() { SessionContext::Session } else { SessionContext::Nothing };
    let response = connection.exchange.accepted(response, told).await?;
    connection.events(response, mark.clone())
}

/// Whether it may work another time.
pub(super) fn passes(trouble: &ClientError) -> bool {
    let again = [StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
    let may_pass = |status: StatusCode| {
        again.contains(&status) || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
    };
    trouble.is_of_connection() || trouble.status().is_some_and(may_pass)
}

/// How long to wait before a stream is opened again.
pub(super) fn pause(mark: &ResumePoint, failures: u32) -> Duration {
    let first = mark.retry.unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(10));
    (first * 3u32.pow(failures.min(8)) / 2u32.pow(failures.min(8))).clamp(first, first.max(Duration::from_secs(30)))
}

/// A session's own stream that is there, even if it has just ended and will be opened again. Dropping it says that it is no more.
struct Listening<'a> {
    connection: &'a Connection,
    number: u64,
}

impl Listening<'_> {
    fn begins(&self) {
        self.connection.listening.send_if_modified(|now| now.replace(self.number) != Some(self.number));
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let is_this = |now: &mut Option<u64>| *now == Some(self.number);
        self.connection.listening.send_if_modified(|now| is_this(now) && now.take().is_some());
    }
}

async fn old_stream(connection: Arc<Connection>, mut events: EventStream, gone: DropGuard) {
    if let Some(cut) = read(&connection, &mut events).await {
        tracing::warn!("the server's stream broke: {cut}");
    }
    drop(gone);
}

/// Reads a stream to its end; how it was cut, if it was.
async fn read(connection: &Connection, events: &mut EventStream) -> Option<StreamError> {
    while let Some(said) = events.next().await {
        match said {
            Ok(ServerEvent::Message(line)) => {
                if let Err(trouble) = connection.receive(line, None, false).await {
                    connection.passes_over(&trouble);
                }
            }
            Ok(ServerEvent::Endpoint(_)) => {}
            Err(cut) => {
                if !matches!(cut, StreamError::Broken(_)) {
                    tracing::warn!("the server's stream is given up: {cut}");
                }
                return Some(cut);
            }
        }
    }
    None
}
