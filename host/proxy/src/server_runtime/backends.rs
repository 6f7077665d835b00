//! The servers behind an HTTP front: each session gets a relay, and a connection to the server of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::task::TaskTracker;

use super::{ServerError, ServerRuntime};
use crate::relay::{Relay, RelayOptions};
use crate::transport::Duplex;
use crate::transport::http_server::{OpenSession, RunningSession, SessionGuard, SideOwner};
use crate::transport::server::ServerConnection;

/// The servers behind an HTTP front, which begins to listen before they are loaded.
#[derive(Debug, Clone, Default)]
pub struct Backends {
    servers: Arc<OnceLock<BTreeMap<String, Arc<ServerRuntime>>>>,
    /// Ending sessions.
    ending: TaskTracker,
}

impl Backends {
    /// The servers that have been loaded, by name. Only the first call sets them.
    pub fn load(&self, servers: impl IntoIterator<Item = ServerRuntime>) -> &BTreeMap<String, Arc<ServerRuntime>> {
        let by_name = |server: ServerRuntime| (server.name.clone(), Arc::new(server));
        self.servers.get_or_init(|| servers.into_iter().map(by_name).collect())
    }

    /// What the front begins sessions with.
    #[must_use]
    pub fn open(&self) -> OpenSession {
        let backends = self.clone();
        Arc::new(move |name, side, whose| {
            let server = backends.servers.get().and_then(|servers| servers.get(name)).cloned();
            let (name, ending) = (name.to_owned(), backends.ending.clone());
            async move {
                let server = server.ok_or_else(|| format!("there is no server `{name}`"))?;
                begin(&server, side, whose, ending).await.map_err(|error| error.to_string())
            }
            .boxed()
        })
    }

    /// Waits until the servers of all sessions have ended. No session may begin any more.
    pub async fn ended(&self) {
        self.ending.close();
        self.ending.wait().await;
    }
}

/// Begins a session: a relay, and a connection of its own.
async fn begin(
    server: &ServerRuntime,
    side: Duplex,
    whose: SideOwner,
    ending: TaskTracker,
) -> Result<SessionGuard, ServerError> {
    let (servers, mut back) = server.start().await?;
    let terms = RelayOptions { clients: server.clients_of(whose), again: back.again(), ..server.relay.clone() };
    let relay = Relay::start(side, servers, server.answering(), terms);
    Ok(Box::new(RelayedSession { parts: Some((relay, back)), shutdown: server.shutdown, ending }))
}

/// A session. Dropping it ends it as the specification says: the server's input ends, and it gets the time to end.
struct RelayedSession {
    parts: Option<(Relay, ServerConnection)>,
    shutdown: Duration,
    /// Where the ending is waited for.
    ending: TaskTracker,
}

impl RunningSession for RelayedSession {
    fn exit_reason(&mut self) -> BoxFuture<'_, String> {
        async {
            let Some((_, back)) = &mut self.parts else { return "the server ended before it answered".to_owned() };
            let how = back.exit_reason().await;
            let why = match back {
                ServerConnection::Child(_) => {
                    "; why, it may have said on its stderr, which is that of `understudy serve`"
                }
                ServerConnection::Remote(_) => "",
            };
            format!("the server {how} before it answered{why}")
        }
        .boxed()
    }
}

impl Drop for RelayedSession {
    fn drop(&mut self) {
        let Some((relay, back)) = self.parts.take() else { return };
        let closed = back.close(self.shutdown);
        self.ending.spawn(async move {
            // Until the server has ended, the relay answers what it still waits for, and ends its input.
            closed.await;
            drop(relay);
        });
    }
}
