//! Sessions: how they are begun, over either transport, and begun again.

use std::time::Duration;

use bytes::Bytes;
use mcp::build::cancelled_line;
use mcp::{Head, Parts};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::error::ClientError;
use super::event_stream::{ResumePoint, ServerEvent};
use super::pending::{PendingRequest, requests};
use super::session::{ClientSession, SESSION_ID, SseSession, StandaloneStream};
use super::session_loss::SessionContext;

/// How long the first requests wait for the server's own stream. Without it some servers lose what they have to say.
const OPENING: Duration = Duration::from_secs(1);

/// How long a server may take to begin a session again, while others wait for it.
const AGAIN: Duration = Duration::from_mins(1);

/// How long a server of the old transport may take to say where messages go to.
const ENDPOINT: Duration = Duration::from_secs(10);

impl Connection {
    /// The client's `initialize`.
    pub(super) async fn initialize(&self, line: &Bytes, call: &mut PendingRequest) -> Result<(), ClientError> {
        let _turn = self.sessions.beginning.lock().await;
        self.sessions.keep_initialize(line.clone());
        self.begin(line, call).await.map(drop)
    }

    /// The client's `notifications/initialized`.
    pub(super) async fn initialized(&self, line: &Bytes) -> Result<(), ClientError> {
        self.sessions.keep_initialized(line.clone());
        self.send_to_server(line, None).await?;
        self.open_stream().await;
        Ok(())
    }

    /// Begins a session: over Streamable HTTP if the server speaks it, else over the old HTTP+SSE.
    async fn begin(&self, line: &Bytes, call: &mut PendingRequest) -> Result<ClientSession, ClientError> {
        let number = self.sessions.current().number + 1;
        if self.is_old {
            let (old, stream) = self.find_old().await?;
            return self.begin_old(number, old, stream, line, call).await;
        }
        let refused = match self.begin_streamable(number, line, call).await {
            Err(trouble) if trouble.may_be_old() => trouble,
            other => return other,
        };
        match self.find_old().await {
            Ok((old, stream)) => self.begin_old(number, old, stream, line, call).await,
            Err(trouble @ ClientError::Elsewhere { .. }) => Err(trouble),
            Err(trouble) => {
                tracing::debug!("nor does it speak the old HTTP+SSE transport: {trouble}");
                Err(refused)
            }
        }
    }

    async fn begin_streamable(
        &self,
        number: u64,
        line: &Bytes,
        call: &mut PendingRequest,
    ) -> Result<ClientSession, ClientError> {
        let response = self.exchange.post(self.exchange.url(), HeaderMap::new(), line.clone()).await?;
        let response = self.exchange.accepted(response, SessionContext::Nothing).await?;
        let id = response.headers().get(SESSION_ID).cloned();
        let session = ClientSession { number, id, ..ClientSession::default() };
        // The server may ask something before it answers.
        self.sessions.set(session.clone());
        self.answer(response, call, Some(&session)).await?;
        self.agreed(session, call)
    }

    async fn begin_old(
        &self,
        number: u64,
        old: SseSession,
        stream: StandaloneStream,
        line: &Bytes,
        call: &mut PendingRequest,
    ) -> Result<ClientSession, ClientError> {
        let session = ClientSession { number, old: Some(old), ..ClientSession::default() };
        self.sessions.set(session.clone());
        // It is there as long as the conversation.
        let _ = self.listener.send(stream).await;
        self.in_session(&session, line, call).await?;
        self.agreed(session, call)
    }

    /// The session, its version agreed on in the answer.
    fn agreed(&self, session: ClientSession, call: &PendingRequest) -> Result<ClientSession, ClientError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Initialized {
            protocol_version: String,
        }
        let parts = call.answer.as_ref().and_then(|answer| Parts::of(answer).ok());
        let Some(result) = parts.and_then(|parts| parts.result) else {
            return Err(self.exchange.odd("answers `initialize` with an error"));
        };
        let version = serde_json::from_str::<Initialized>(result.get()).ok();
        let version = version.and_then(|initialized| initialized.protocol_version.parse().ok());
        let session = ClientSession { version, ..session };
        self.sessions.set(session.clone());
        Ok(session)
    }

    /// Looks for a server of the old transport: its stream begins with the place where messages go to.
    async fn find_old(&self) -> Result<(SseSession, StandaloneStream), ClientError> {
        // Some servers take a GET, and never say a word.
        let silent = |_| {
            self.exchange.odd("doesn't open a stream within 10 s that says where messages go to (the event `endpoint`)")
        };
        timeout(ENDPOINT, self.old_stream()).await.map_err(silent)?
    }

    async fn old_stream(&self) -> Result<(SseSession, StandaloneStream), ClientError> {
        let response = self.exchange.get(HeaderMap::new()).await?;
        let response = self.exchange.accepted(response, SessionContext::Nothing).await?;
        let (base, status) = (response.url().clone(), response.status());
        let mut events = self.events(response, ResumePoint::default())?;
        let endpoint = loop {
            match events.next().await {
                Some(Ok(ServerEvent::Endpoint(endpoint))) => break endpoint,
                Some(Ok(ServerEvent::Message(_))) => {}
                Some(Err(cut)) => return Err(self.cut(cut)),
                None => return Err(self.exchange.broken("its stream ended before the event `endpoint`")),
            }
        };
        let endpoint = self.exchange.within(&base, &endpoint, status)?;
        let gone = CancellationToken::new();
        let stream = StandaloneStream::SseSession { events, gone: gone.clone().drop_guard() };
        Ok((SseSession { endpoint, gone }, stream))
    }

    /// Begins a session again that the server has forgotten, as the client did.
    pub(super) async fn begin_again(&self, forgotten: &ClientSession) -> Result<ClientSession, ClientError> {
        let _turn = self.sessions.beginning.lock().await;
        let current = self.sessions.current();
        if current.number != forgotten.number {
            return Ok(current);
        }
        let (Some(initialize), initialized) = self.sessions.handshake() else {
            return Err(ClientError::Forgotten { place: self.exchange.place(), said: String::new() });
        };
        tracing::warn!("the server has forgotten the session; a new one is begun");
        for id in self.sessions.forget_asked() {
            self.send_to_client(cancelled_line(&id, Some("the server has forgotten the session"), None), None).await;
        }
        let ids = requests(&initialize, &Head::of(&initialize));
        let call = self.pending.begin(&ids, true);
        let mut call =
            call.ok_or_else(|| self.exchange.odd("has forgotten the session before it answered `initialize`"))?;
        let begun = timeout(AGAIN, self.begin(&initialize, &mut call)).await;
        let silent =
            |_| self.exchange.odd("has forgotten the session, and doesn't answer `initialize` within a minute");
        let session = begun.map_err(silent)??;
        if let Some(initialized) = initialized {
            self.send_to_server(&initialized, None).await?;
            self.open_stream().await;
        }
        Ok(session)
    }

    /// Opens the session's own stream, if it can have one, and waits a moment for it.
    async fn open_stream(&self) {
        let session = self.sessions.current();
        if session.old.is_some() {
            return;
        }
        let (opened, is_open) = oneshot::channel();
        // It is there as long as the conversation. Whether the server has such a stream or not, it works.
        let _ = self.listener.send(StandaloneStream::Session { session, opened }).await;
        let _ = timeout(OPENING, is_open).await;
    }
}
