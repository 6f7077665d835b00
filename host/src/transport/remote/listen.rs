//! The stream that stands by itself: what the server says in nobody's course.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;

use super::events::{Cut, Events, Mark, Said};
use super::forgotten::Told;
use super::link::Link;
use super::session::{LAST_EVENT_ID, Session};
use super::trouble::Trouble;

/// How long a server may take to begin a stream. It is asked for again then: nothing is lost by that.
const HEAD: Duration = Duration::from_mins(2);

/// A stream to be read, in the place of the one before.
pub(super) enum Listen {
    /// A session's own, which the server may not have.
    Session { session: Session, opened: oneshot::Sender<()> },
    /// The one of the old transport, on which everything comes; its end is the session's.
    Old { events: Events, gone: DropGuard },
}

/// Reads whatever stream there is.
pub(super) async fn listen(link: Arc<Link>, mut orders: mpsc::Receiver<Listen>) {
    let mut reading: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(pending());
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Listen::Session { session, opened }) => reading = Box::pin(session_stream(Arc::clone(&link), session, opened)),
                Some(Listen::Old { events, gone }) => reading = Box::pin(old_stream(Arc::clone(&link), events, gone)),
                None => return,
            },
            () = &mut reading => reading = Box::pin(pending()),
        }
    }
}

async fn session_stream(link: Arc<Link>, session: Session, opened: oneshot::Sender<()>) {
    let listening = Listening { link: &link, number: session.number };
    let (mut mark, mut opened, mut failures) = (Mark::default(), Some(opened), 0);
    loop {
        let events = open(&link, &session, &mark).await;
        // Nobody may wait for it.
        let _ = opened.take().map(|opened| opened.send(()));
        match events {
            Ok(mut events) => {
                listening.begins();
                let end = read(&link, &mut events).await;
                failures = if events.is_alive { 0 } else { failures + 1 };
                mark = events.mark;
                if matches!(end, Some(Cut::TooLong)) {
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
pub(super) async fn open(link: &Link, session: &Session, mark: &Mark) -> Result<Events, Trouble> {
    let mut headers = session.headers();
    headers.extend(mark.id.clone().map(|id| (LAST_EVENT_ID, id)));
    let response = timeout(HEAD, link.wire.get(headers)).await;
    let response = response.unwrap_or_else(|_| Err(link.wire.broken("it doesn't begin its stream")))?;
    let told = if session.id.is_some() { Told::Session } else { Told::Nothing };
    let response = link.wire.accepted(response, told).await?;
    link.events(response, mark.clone())
}

/// Whether it may work another time.
pub(super) fn passes(trouble: &Trouble) -> bool {
    let again = [StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
    let may_pass = |status: StatusCode| {
        again.contains(&status) || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
    };
    trouble.is_of_connection() || trouble.status().is_some_and(may_pass)
}

/// How long to wait before a stream is opened again.
pub(super) fn pause(mark: &Mark, failures: u32) -> Duration {
    let first = mark.retry.unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(10));
    (first * 3u32.pow(failures.min(8)) / 2u32.pow(failures.min(8))).clamp(first, first.max(Duration::from_secs(30)))
}

/// A session's own stream that is there, even if it has just ended and will be opened again. Dropping it says that it is no more.
struct Listening<'a> {
    link: &'a Link,
    number: u64,
}

impl Listening<'_> {
    fn begins(&self) {
        self.link.listening.send_if_modified(|now| now.replace(self.number) != Some(self.number));
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let is_this = |now: &mut Option<u64>| *now == Some(self.number);
        self.link.listening.send_if_modified(|now| is_this(now) && now.take().is_some());
    }
}

async fn old_stream(link: Arc<Link>, mut events: Events, gone: DropGuard) {
    if let Some(cut) = read(&link, &mut events).await {
        tracing::warn!("the server's stream broke: {cut}");
    }
    drop(gone);
}

/// Reads a stream to its end; how it was cut, if it was.
async fn read(link: &Link, events: &mut Events) -> Option<Cut> {
    while let Some(said) = events.next().await {
        match said {
            Ok(Said::Message(line)) => {
                if let Err(trouble) = link.hear(line, None, false).await {
                    link.passes_over(&trouble);
                }
            }
            Ok(Said::Endpoint(_)) => {}
            Err(cut) => {
                if !matches!(cut, Cut::Broken(_)) {
                    tracing::warn!("the server's stream is given up: {cut}");
                }
                return Some(cut);
            }
        }
    }
    None
}
