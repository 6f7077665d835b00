//! The session with a server of the eras that have them (2024-11-05 to 2025-11-25), and how it is begun again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mcp::{header, ids};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::event_stream::EventStream;

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);
pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static(header::LAST_EVENT_ID);

/// So many of the server's requests are remembered.
const MOST_ASKED: usize = 64 * 1024;

/// A session. The first is none yet: what a server is told before `initialize`.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientSession {
    /// Which one since the start.
    pub(super) number: u64,
    pub(super) id: Option<HeaderValue>,
    pub(super) version: Option<HeaderValue>,
    /// In the old HTTP+SSE transport: where messages go to.
    pub(super) old: Option<SseSession>,
}

/// A session of the old HTTP+SSE transport.
#[derive(Debug, Clone)]
pub(super) struct SseSession {
    /// Where messages go to.
    pub(super) endpoint: Url,
    /// When the stream ends, so does the session.
    pub(super) gone: CancellationToken,
}

impl ClientSession {
    /// The headers of all that is said in it.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.extend(self.id.clone().map(|id| (SESSION_ID, id)));
        headers.extend(self.version.clone().map(|version| (PROTOCOL_VERSION, version)));
        headers
    }
}

/// A stream to be read, in the place of the one before.
pub(super) enum StandaloneStream {
    /// A session's own, which the server may not have.
    Session { session: ClientSession, opened: oneshot::Sender<()> },
    /// The one of the old transport, on which everything comes; its end is the session's.
    SseSession { events: EventStream, gone: DropGuard },
}

/// The session as it is, and what is needed to begin another one.
#[derive(Debug, Default)]
pub(super) struct ClientSessions {
    state: Mutex<SessionsState>,
    /// Held while one is begun again.
    pub(super) beginning: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct SessionsState {
    session: ClientSession,
    initialize: Option<Bytes>,
    initialized: Option<Bytes>,
    /// The server's requests in this session that have no answer yet, by the keys of their ids: these as spelt.
    asked: HashMap<Vec<u8>, Vec<u8>>,
}

impl ClientSessions {
    pub(super) fn current(&self) -> ClientSession {
        self.lock().session.clone()
    }

    pub(super) fn set(&self, session: ClientSession) {
        self.lock().session = session;
    }

    /// The client's handshake, for the case that it has to be done again.
    pub(super) fn keep_initialize(&self, line: Bytes) {
        let mut state = self.lock();
        (state.initialize, state.initialized) = (Some(line), None);
    }

    pub(super) fn keep_initialized(&self, line: Bytes) {
        self.lock().initialized = Some(line);
    }

    pub(super) fn handshake(&self) -> (Option<Bytes>, Option<Bytes>) {
        let state = self.lock();
        (state.initialize.clone(), state.initialized.clone())
    }

    /// The server asks.
    pub(super) fn asked(&self, id: &[u8]) {
        let mut state = self.lock();
        if state.asked.len() < MOST_ASKED {
            state.asked.insert(ids::key(id).into_owned(), id.to_vec());
        }
    }

    /// A request of the server's is over; whether it may be told so: ids of a forgotten session mean something else in this one.
    pub(super) fn is_answerable(&self, id: &[u8]) -> bool {
        let mut state = self.lock();
        let key = ids::find(id, |key| state.asked.contains_key(key));
        let was_asked = key.is_some_and(|key| state.asked.remove(key.as_ref()).is_some());
        was_asked || state.session.number <= 1 || state.asked.len() >= MOST_ASKED
    }

    /// Forgets what the server asked in a session that is no more.
    pub(super) fn forget_asked(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.lock().asked).into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, SessionsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
