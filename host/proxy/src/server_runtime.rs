//! A server with everything that a session with it needs: its address, its sampler and the relay's options.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `backends` | the servers behind an HTTP front |
//! | `embedded` | that front within a program that has an HTTP server of its own |

mod backends;
mod embedded;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

pub use backends::Backends;
pub use embedded::EmbeddedFront;

use crate::relay::{Clients, RelayOptions, SamplingHandler, StateKey};
use crate::transport::Duplex;
use crate::transport::child::Program;
use crate::transport::http_client::Remote;
use crate::transport::http_server::{Settings, SideOwner};
use crate::transport::server::{ServerAddress, ServerConnection};
use understudy::config::{self, Config, ConfigError, Mode, Sampling, Serve, Transport};
use understudy::descriptors;
use understudy::environment::Environment;
use understudy::reload::{ServedSampler, ServerKey};
use understudy::runtime::{BuildError, Overrides, SharedResources, read_secret, unanswered};

/// Which server is meant.
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// How it is named.
    pub target: ServerTarget,
    /// What its user calls it, where the config doesn't have it. Default: its command's or its host's name, by which no decision is remembered.
    pub name: Option<String>,
    /// Headers for each request to its URL, beside those of the config.
    pub headers: Vec<(String, String)>,
}

/// The ways to name a server.
#[derive(Debug, Clone)]
pub enum ServerTarget {
    /// The server of this name in the config's `mcpServers`.
    Configured(String),
    /// The server at this URL: Streamable HTTP, or HTTP+SSE.
    Url(String),
    /// A program that is started, and speaks on its stdin and stdout.
    Command {
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

/// Why there is no session with a server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The config or the plugins can't be used.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A header can't be one.
    #[error("the header {0}")]
    Header(String),
    /// The server was named by something that is no URL.
    #[error("the URL {0}")]
    Url(String),
    /// The server's program can't be started.
    #[error("can't start the server `{program}`{folder} (is it installed and on the PATH?): {cause}")]
    Program {
        /// The program.
        program: String,
        /// Its working folder in words, or nothing.
        folder: String,
        /// The cause.
        cause: io::Error,
    },
    /// The server at a URL can't be talked to.
    #[error("can't talk to the server `{name}`: {cause}")]
    Remote {
        /// Its name.
        name: String,
        /// The cause.
        cause: io::Error,
    },
}

impl From<ConfigError> for ServerError {
    fn from(error: ConfigError) -> Self {
        Self::Build(error.into())
    }
}

/// A server: its name, its key, its address, and the rule for its sampling requests.
#[derive(Debug, Clone)]
pub struct ConfiguredServer {
    /// Its name in the config, or its command's or its host's.
    pub name: String,
    /// Where the rule for it is found.
    pub key: ServerKey,
    /// Where it is.
    pub address: ServerAddress,
    /// The rule for its sampling requests.
    pub rule: Option<Sampling>,
    /// How `serve` has it for clients of revision 2026-07-28.
    pub clients: config::ClientSharing,
    /// Whether its user has turned it off.
    pub is_off: bool,
}

impl ConfiguredServer {
    /// The server of this name in the config.
    ///
    /// # Errors
    /// [`ConfigError`] if there is none, a variable is missing, or its URL or one of its headers can't be used.
    pub fn by_name(config: &Config, name: &str, env: &Environment) -> Result<Self, ConfigError> {
        let server = config.server(name, |name| env.var(name))?;
        let address = match server.transport {
            Transport::Stdio { command, args, env, cwd } => {
                ServerAddress::Program(Program { command, args, env, cwd, ..Program::default() })
            }
            Transport::Http { url, headers, is_old } => ServerAddress::Remote(remote(name, &url, &headers, is_old)?),
        };
        let (name, rule, clients, is_off) = (server.name, server.sampling, server.clients, server.is_off);
        Ok(Self { key: ServerKey::Configured(name.clone()), name, address, rule, clients, is_off })
    }

    /// The server that is meant. One that is turned off in the config is used all the same, with a warning in the log.
    ///
    /// # Errors
    /// [`ServerError::Build`], [`ServerError::Header`] or [`ServerError::Url`].
    pub fn resolve(config: &Config, spec: &ServerSpec, env: &Environment) -> Result<Self, ServerError> {
        let with_headers = |remote: Remote| {
            let headers = spec.headers.iter();
            let remote = headers.into_iter().try_fold(remote, |remote, (name, value)| remote.with_header(name, value));
            remote.map(ServerAddress::Remote).map_err(ServerError::Header)
        };
        let without_headers = |program: Program| {
            let reason = "it goes with a server's URL, and this one is a command".to_owned();
            if spec.headers.is_empty() { Ok(ServerAddress::Program(program)) } else { Err(ServerError::Header(reason)) }
        };
        let apart = |found: String, address: ServerAddress| -> Result<Self, ServerError> {
            let key = if spec.name.is_some() { ServerKey::Named } else { ServerKey::Unnamed };
            let (name, rule) = (spec.name.clone().unwrap_or(found), key.rule(config, env)?);
            Ok(Self { name, key, address, rule, clients: config::ClientSharing::One, is_off: false })
        };
        match &spec.target {
            ServerTarget::Configured(name) => {
                let server = Self::by_name(config, name, env)?;
                if server.is_off {
                    tracing::warn!(
                        "the server `{name}` is turned off in the config (`disabled`), and used because it is named"
                    );
                }
                let address = match server.address {
                    ServerAddress::Program(program) => without_headers(program)?,
                    ServerAddress::Remote(remote) => with_headers(remote)?,
                };
                Ok(Self { address, ..server })
            }
            ServerTarget::Url(url) => {
                let remote = Remote::new(url).map_err(ServerError::Url)?;
                apart(remote.name().to_owned(), with_headers(remote)?)
            }
            ServerTarget::Command { program, args } => {
                let stem = Path::new(program).file_stem().map(|stem| stem.to_string_lossy().into_owned());
                let name = stem.unwrap_or_else(|| program.clone());
                let program = Program { command: program.clone(), args: args.clone(), ..Program::default() };
                apart(name, without_headers(program)?)
            }
        }
    }
}

/// A server at a URL, as the config has it.
///
/// # Errors
/// [`ConfigError`] if the URL or a header can't be used.
pub fn remote(name: &str, url: &str, headers: &[(String, String)], is_old: bool) -> Result<Remote, ConfigError> {
    let wrong = |key: &str, reason: String| config::wrong(&format!("mcpServers.{name}.{key}"), &reason);
    let mut remote = Remote::new(url).map_err(|reason| wrong("url", reason))?;
    for (header, value) in headers {
        remote = remote.with_header(header, value).map_err(|reason| wrong("headers", reason))?;
    }
    Ok(if is_old { remote.old() } else { remote })
}

/// The options of every relay of this config.
///
/// # Errors
/// [`ConfigError`] if `requestStateKey` is missing, can't be read, or is too weak.
pub async fn relay_options(config: &Config, env: &Environment) -> Result<RelayOptions, ConfigError> {
    let mut terms = RelayOptions::new(config.limits.line);
    if let Some(source) = config.state_key(|name| env.var(name))? {
        let secret = read_secret(config, config::STATE_KEY, &source, env).await?;
        let key = StateKey::from_secret(secret.expose_secret());
        terms.state_key = Some(key.map_err(|weak| config::wrong(config::STATE_KEY, &weak.to_string()))?);
    }
    Ok(terms)
}

/// The settings of an HTTP front for these servers, as the config says. The token is the one that requests must carry.
#[must_use]
pub fn front_settings(
    config: &Config,
    serve: &Serve,
    servers: &[ConfiguredServer],
    token: Option<SecretString>,
) -> Settings {
    let named =
        |clients| servers.iter().filter(|server| server.clients == clients).map(|server| server.name.clone()).collect();
    Settings {
        token,
        origins: serve.allowed_origins.clone(),
        hosts: serve.allowed_hosts.clone(),
        idle: serve.idle,
        handshake: serve.handshake,
        sessions: serve.sessions as usize,
        line: config.limits.line,
        apart: named(config::ClientSharing::Apart),
        one: named(config::ClientSharing::One),
        bodies: config.limits.bodies_total,
        descriptors: descriptors::current(),
    }
}

/// A server whose plugins are loaded: sessions with it can begin.
#[derive(Debug)]
pub struct ServerRuntime {
    /// The server's name in the config, or its command's or its host's.
    pub name: String,
    /// Where it is.
    pub address: ServerAddress,
    /// Who answers its sampling requests, and where the rule for that is found.
    pub served: ServedSampler,
    /// The options of its relays.
    pub relay: RelayOptions,
    /// How `serve` has it for clients of revision 2026-07-28.
    pub clients: config::ClientSharing,
    /// How long it may take to end (`limits.shutdown`).
    pub shutdown: Duration,
}

impl ServerRuntime {
    /// Loads the plugins of a server's rule.
    ///
    /// # Errors
    /// Every variant of [`BuildError`].
    pub async fn load(
        config: &Config,
        server: ConfiguredServer,
        overrides: &Overrides,
        relay: RelayOptions,
        shared: &SharedResources,
    ) -> Result<Self, BuildError> {
        let ConfiguredServer { name, key, address, rule, clients, .. } = server;
        let rule = overrides.rule(rule).unwrap_or_else(unanswered);
        let sampler = Arc::new(shared.load_sampler(config, &name, &rule, overrides).await?);
        let shutdown = config.limits.shutdown;
        Ok(Self { name, address, served: ServedSampler { key, sampler }, relay, clients, shutdown })
    }

    /// Who answers, for a session that begins now.
    #[must_use]
    pub fn answering(&self) -> SamplingHandler {
        let sampler = &self.served.sampler;
        let rule = sampler.rule();
        (rule.mode != Mode::Off).then(|| (rule, Arc::clone(sampler)))
    }

    /// How many clients a side of the HTTP front stands for.
    #[must_use]
    pub fn clients_of(&self, whose: SideOwner) -> Clients {
        let told = matches!(&self.address, ServerAddress::Remote(remote) if !remote.is_old());
        match whose {
            SideOwner::AllClients if self.clients != config::ClientSharing::One => Clients::Several { told },
            _ => Clients::One,
        }
    }

    /// Starts the server, or begins to talk to it. Its process doesn't inherit the variables that hold credentials.
    ///
    /// # Errors
    /// [`ServerError::Program`] or [`ServerError::Remote`].
    pub async fn start(&self) -> Result<(Duplex, ServerConnection), ServerError> {
        let mut address = self.address.clone();
        if let ServerAddress::Program(program) = &mut address {
            program.withheld = self.served.sampler.withheld();
        }
        address.start(self.relay.line).await.map_err(|cause| match &self.address {
            ServerAddress::Program(program) => {
                let folder = program.cwd.as_ref().map(|cwd| format!(" in `{}`", cwd.display())).unwrap_or_default();
                ServerError::Program { program: program.command.clone(), folder, cause }
            }
            ServerAddress::Remote(_) => ServerError::Remote { name: self.name.clone(), cause },
        })
    }
}
