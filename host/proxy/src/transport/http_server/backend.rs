//! One server behind the front, and the sessions with it.

use std::sync::Arc;

use super::sessions::Sessions;
use super::shared::Shared;

/// A server, as the front reaches it.
#[derive(Debug)]
pub(super) struct Backend {
    /// Its name in the config.
    pub(super) name: String,
    /// The sessions of stateful clients.
    pub(super) sessions: Arc<Sessions>,
    /// What all servers share.
    pub(super) shared: Arc<Shared>,
}

impl Backend {
    pub(super) fn new(name: &str, shared: &Arc<Shared>) -> Self {
        let sessions = Arc::new(Sessions::new(name, Arc::clone(shared)));
        Self { name: name.to_owned(), sessions, shared: Arc::clone(shared) }
    }
}
