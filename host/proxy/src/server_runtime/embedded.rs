//! The HTTP front within a program that has an HTTP server of its own.

use std::net::SocketAddr;

use secrecy::SecretString;

use super::{Backends, ConfiguredServer, ServerError, ServerRuntime, front_settings, relay_options};
use crate::transport::http_server::{FrontService, HttpServer};
use understudy::config::{self, Config, TokenSource};
use understudy::runtime::{Overrides, SharedResources, read_secret};

/// The servers of a config behind a `tower::Service`: what `understudy serve` is behind a socket.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::path::Path;
/// use understudy::config::Config;
/// use understudy_proxy::server_runtime::EmbeddedFront;
/// use understudy::{RuntimeOptions, SharedResources};
///
/// let config = Config::find(Some(Path::new("understudy.json")))?;
/// let shared = SharedResources::new(RuntimeOptions::from_env());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let front = EmbeddedFront::load(&config, Some(listener.local_addr()?), &shared).await?;
/// let service = front.service(); // For `axum::Router::fallback_service`, say.
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EmbeddedFront {
    front: HttpServer,
    backends: Backends,
    shutdown: std::time::Duration,
}

impl EmbeddedFront {
    /// Loads the plugins of all servers of the config that aren't turned off. `address` is where the program listens: by it, requests from web
    /// pages of other origins are told. `serve` in the config holds as it does for `understudy serve`, but for `listen`.
    ///
    /// Requests must carry a token if `serve.token` names one. Otherwise it is for the program to say who may come in.
    ///
    /// # Errors
    /// - [`ServerError::Build`] if the config or a plugin can't be used
    pub async fn load(
        config: &Config,
        address: Option<SocketAddr>,
        shared: &SharedResources,
    ) -> Result<Self, ServerError> {
        let env = shared.environment();
        let serve = config.serve(|name| env.var(name))?;
        let token = match &serve.token {
            TokenSource::From(source) => Some(read_secret(config, config::TOKEN_KEY, source, env).await?),
            TokenSource::Unsaid | TokenSource::None => None::<SecretString>,
        };
        let relay = relay_options(config, env).await?;
        let mut servers = Vec::new();
        for name in config.server_names() {
            let server = ConfiguredServer::by_name(config, name, env)?;
            if !server.is_off {
                servers.push(server);
            }
        }
        let backends = Backends::default();
        let front = HttpServer::embedded(address, front_settings(config, &serve, &servers, token), backends.open());
        let mut loaded = Vec::new();
        for server in servers {
            loaded.push(ServerRuntime::load(config, server, &Overrides::default(), relay.clone(), shared).await?);
        }
        front.ready(backends.load(loaded).keys().map(String::as_str));
        Ok(Self { front, backends, shutdown: serve.shutdown })
    }

    /// What answers the requests of MCP clients, at `/NAME/mcp` for each server.
    #[must_use]
    pub fn service(&self) -> FrontService {
        self.front.service()
    }

    /// Begins nothing new, gives requests in flight the time to finish that `serve.shutdown` says, and ends every session and its server.
    pub async fn shut_down(self) {
        self.front.shut_down(self.shutdown).await;
        self.backends.ended().await;
    }
}
