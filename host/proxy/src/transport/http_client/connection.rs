//! What becomes of each message of the client's: the exchanges that make up a conversation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mcp::{Head, RawObject, code, method, request_line};
use reqwest::Response;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::error::ClientError;
use super::exchange::HttpExchange;
use super::pending::{PendingRequest, PendingRequests};
use super::session::{ClientSession, ClientSessions, StandaloneStream};
use super::session_loss::SessionContext;
use super::stateless::StatelessRequest;
use super::tool_headers::Tools;
use crate::transport::{Incoming, Message};

/// How long a server may take to accept a notification or a response.
const ACCEPTANCE: Duration = Duration::from_secs(30);

/// How often these are sent again when the connection fails, and after how long at first.
const MOST_AGAIN: u32 = 4;
const AGAIN: Duration = Duration::from_millis(100);

/// So many pages of tools are read.
const MOST_PAGES: usize = 100;

/// How long the end of a stream is waited for once its answer is there: then its connection can be used again.
pub(super) const DRAIN: Duration = Duration::from_millis(500);

/// A conversation with a server.
pub(super) struct Connection {
    pub(super) exchange: HttpExchange,
    pub(super) limit: usize,
    pub(super) pending: Arc<PendingRequests>,
    pub(super) sessions: ClientSessions,
    pub(super) tools: Tools,
    pub(super) to_relay: mpsc::Sender<Incoming>,
    pub(super) listener: mpsc::Sender<StandaloneStream>,
    /// Whether it has been said that the server says what is no message.
    pub(super) told_stray: AtomicBool,
    /// The session whose own stream there is.
    pub(super) listening: watch::Sender<Option<u64>>,
    /// Whether only the old HTTP+SSE transport is spoken.
    pub(super) is_old: bool,
}

impl Connection {
    /// Tells the client that its request has no answer; the user as well, unless that was to be `expected`.
    pub(super) async fn fail(&self, id: &[u8], trouble: &ClientError, expected: bool) {
        if expected {
            tracing::debug!("{trouble}");
        } else if !matches!(trouble, ClientError::Answered { .. }) {
            tracing::warn!("{trouble}");
        }
        self.send_to_client(trouble.line(id), Some(Bytes::copy_from_slice(id))).await;
    }

    pub(super) async fn send_to_client(&self, line: Bytes, related_request_id: Option<Bytes>) {
        // Nobody listens any more if this fails.
        let _ = self.to_relay.send(Incoming::Message(Message { line, related_request_id })).await;
    }

    /// The server has said something that is no message: a heartbeat, or the end of a stream as other protocols have it.
    pub(super) fn passes_over(&self, stray: &ClientError) {
        if self.told_stray.swap(true, Ordering::Relaxed) {
            tracing::debug!("{stray}; it is passed over");
        } else {
            tracing::warn!("{stray}; it is passed over (said once)");
        }
    }

    /// A request, or a batch with some in it, in a session.
    pub(super) async fn request(&self, line: &Bytes, call: &mut PendingRequest) -> Result<(), ClientError> {
        let session = {
            // If one is being begun, it is the one.
            let _turn = self.sessions.beginning.lock().await;
            self.sessions.current()
        };
        match self.in_session(&session, line, call).await {
            Err(ClientError::Forgotten { .. }) => {
                let session =
                    self.begin_again(&session).await.map_err(|trouble| ClientError::NotRenewed(Box::new(trouble)))?;
                self.in_session(&session, line, call).await
            }
            other => other,
        }
    }

    pub(super) async fn in_session(
        &self,
        session: &ClientSession,
        line: &Bytes,
        call: &mut PendingRequest,
    ) -> Result<(), ClientError> {
        if let Some(old) = &session.old {
            if old.gone.is_cancelled() {
                return Err(ClientError::Forgotten { place: self.exchange.place(), said: String::new() });
            }
            self.post(session, line).await?;
            return tokio::select! {
                () = call.answered() => Ok(()),
                () = old.gone.cancelled() => Err(self.exchange.broken("its stream ended")),
            };
        }
        let response = self.post(session, line).await?;
        match self.answer(response, call, Some(session)).await {
            // It says so with HTTP 200, and to nobody: not even the request's id is known to it.
            Err(trouble) => match trouble.forgets().filter(|_| session.version.is_some()) {
                Some(said) => Err(ClientError::Forgotten { place: self.exchange.place(), said }),
                None => Err(trouble),
            },
            Ok(()) => Ok(()),
        }
    }

    /// Sends a message in a session; the head of what comes back.
    async fn post(&self, session: &ClientSession, line: &Bytes) -> Result<Response, ClientError> {
        let (url, told) = match &session.old {
            Some(old) => (&old.endpoint, SessionContext::Session),
            None if session.id.is_some() => (self.exchange.url(), SessionContext::Session),
            None if session.version.is_some() => (self.exchange.url(), SessionContext::Initialized),
            None => (self.exchange.url(), SessionContext::Nothing),
        };
        let response = self.exchange.post(url, session.headers(), line.clone()).await?;
        self.exchange.accepted(response, told).await
    }

    /// A request of the era without sessions.
    pub(super) async fn modern(
        &self,
        line: &Bytes,
        modern: &StatelessRequest,
        call: &mut PendingRequest,
    ) -> Result<(), ClientError> {
        let outcome = self.stateless(line, modern, call).await;
        match outcome {
            Err(trouble) if trouble.code() == Some(code::HEADER_MISMATCH) && modern.tool().is_some() => {
                // It may want arguments in headers, and the client may never have listed the tools here.
                if let Err(why) = self.list_tools(modern).await {
                    tracing::debug!("the server's tools can't be listed: {why}");
                    return Err(trouble);
                }
                self.stateless(line, modern, call).await
            }
            other => other,
        }
    }

    async fn stateless(
        &self,
        line: &Bytes,
        modern: &StatelessRequest,
        call: &mut PendingRequest,
    ) -> Result<(), ClientError> {
        if modern.is_list_of_tools() {
            call.expect_tools();
        }
        let headers = modern.headers(&self.tools).map_err(ClientError::Barred)?;
        let response = self.exchange.post(self.exchange.url(), headers, line.clone()).await?;
        let response = self.exchange.accepted(response, SessionContext::Nothing).await?;
        self.answer(response, call, None).await
    }

    /// Lists the server's tools, for what their schemas say of headers.
    async fn list_tools(&self, modern: &StatelessRequest) -> Result<(), ClientError> {
        let mut cursor = None;
        for _ in 0..MOST_PAGES {
            let id = format!("\"understudy-{:016x}\"", fastrand::u64(..));
            let mut params = RawObject::default();
            params.set("_meta", modern.meta.raw());
            if let Some(cursor) = &cursor {
                params.put("cursor", cursor);
            }
            let line = request_line(id.as_bytes(), method::TOOLS_LIST, &params);
            let Some(list) = StatelessRequest::of(&line, &Head::of(&line)) else { return Ok(()) };
            let Some(mut call) = self.pending.begin(&[Bytes::from(id)], true) else { return Ok(()) };
            let headers = list.headers(&self.tools).map_err(ClientError::Barred)?;
            let response = self.exchange.post(self.exchange.url(), headers, line).await?;
            let response = self.exchange.accepted(response, SessionContext::Nothing).await?;
            self.answer(response, &mut call, None).await?;
            cursor = call.answer.as_ref().and_then(|answer| self.tools.learn(answer));
            if cursor.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// A notification or a response. If the connection fails it is sent again: nobody acts twice on these.
    pub(super) async fn send_to_server(
        &self,
        line: &Bytes,
        modern: Option<&StatelessRequest>,
    ) -> Result<(), ClientError> {
        let mut again = 0;
        loop {
            let accepted = async {
                let response = match modern {
                    Some(modern) => {
                        let headers = modern.headers(&self.tools).map_err(ClientError::Barred)?;
                        let response = self.exchange.post(self.exchange.url(), headers, line.clone()).await?;
                        self.exchange.accepted(response, SessionContext::Nothing).await?
                    }
                    None => self.post(&self.sessions.current(), line).await?,
                };
                // A connection can be used again once its answer has been read.
                let _ = timeout(DRAIN, discard(response)).await;
                Ok(())
            };
            let accepted = timeout(ACCEPTANCE, accepted).await;
            match accepted.unwrap_or_else(|_| Err(self.exchange.odd("doesn't accept a message within 30 s"))) {
                Err(trouble) if trouble.is_of_connection() && again < MOST_AGAIN => {
                    sleep(AGAIN * 2u32.pow(again)).await;
                    again += 1;
                }
                other => return other,
            }
        }
    }

    /// Ends the session. A connection that has been kept may be gone just then: then it is said again, on another.
    pub(super) async fn end(&self) {
        let session = self.sessions.current();
        if session.id.is_none() || session.old.is_some() {
            return;
        }
        for _ in 0..=MOST_AGAIN {
            match self.exchange.delete(session.headers()).await {
                Ok(response) => return tracing::debug!("the session is ended: HTTP {}", response.status()),
                Err(trouble) => {
                    tracing::debug!("the session can't be ended: {trouble}");
                    if !matches!(trouble, ClientError::Broken { .. }) {
                        return;
                    }
                }
            }
        }
    }
}

/// Reads an answer that nobody needs.
async fn discard(mut response: Response) {
    while let Ok(Some(_)) = response.chunk().await {}
}
