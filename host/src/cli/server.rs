//! Which server is meant, and where it is.

use std::path::Path;

use anyhow::Result;

use super::{ServerArgs, Usage, reload, stage};
use crate::config::{self, ClientSharing, Config, ConfigError, Sampling, Transport};
use crate::transport::back::Place;
use crate::transport::child::Program;
use crate::transport::remote::Remote;

/// A server: its name, its key, where it is, and the rule for its sampling requests.
pub(super) struct Server {
    pub(super) name: String,
    pub(super) key: reload::Key,
    pub(super) place: Place,
    pub(super) rule: Option<Sampling>,
    /// Whose it is in `serve`.
    pub(super) clients: ClientSharing,
    /// Whether its user has turned it off.
    pub(super) is_off: bool,
}

/// The server of this name in the config.
pub(super) fn configured(config: &Config, name: &str) -> Result<Server> {
    let server = config.server(name, stage::env)?;
    let place = match server.transport {
        Transport::Stdio { command, args, env, cwd } => {
            Place::Program(Program { command, args, env, cwd, ..Program::default() })
        }
        Transport::Http { url, headers, is_old } => Place::Remote(remote(name, &url, &headers, is_old)?),
    };
    let (name, rule, clients, is_off) = (server.name, server.sampling, server.clients, server.is_off);
    Ok(Server { key: Some(name.clone()), name, place, rule, clients, is_off })
}

/// Which server was meant: its name, its place and the config's rule for it.
pub(super) fn named(config: &Config, server: &ServerArgs) -> Result<Server> {
    let ServerArgs { which, header } = server;
    let typed = |reason: String| Usage(format!("`--header`: {reason}"));
    let with_headers = |remote: Remote| -> Result<Place> {
        let remote = header.iter().try_fold(remote, |remote, (name, value)| remote.with_header(name, value));
        Ok(Place::Remote(remote.map_err(typed)?))
    };
    let without_headers = |program: Program| {
        let reason = "it goes with a server's URL, and this one is a command".to_owned();
        if header.is_empty() { Ok(Place::Program(program)) } else { Err(typed(reason)) }
    };
    if let Some(name) = &which.server {
        let server = configured(config, name)?;
        if server.is_off {
            tracing::warn!(
                "the server `{name}` is turned off in the config (`disabled`), and used because it is named"
            );
        }
        let place = match server.place {
            Place::Program(program) => without_headers(program)?,
            Place::Remote(remote) => with_headers(remote)?,
        };
        return Ok(Server { place, ..server });
    }
    let rule = config.sampling().cloned();
    if let Some(url) = &which.url {
        let remote = Remote::new(url).map_err(|reason| Usage(format!("`--url` {reason}")))?;
        return Ok(Server {
            name: remote.name().to_owned(),
            key: None,
            place: with_headers(remote)?,
            rule,
            clients: ClientSharing::One,
            is_off: false,
        });
    }
    let Some((command, args)) = which.command.split_first() else {
        let ways = "name a server: `--server NAME`, `--url URL`, or `COMMAND ARGS…`";
        return Err(Usage(ways.to_owned()).into());
    };
    let stem = Path::new(command).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let program = Program { command: command.clone(), args: args.to_vec(), ..Program::default() };
    let name = stem.unwrap_or_else(|| command.clone());
    Ok(Server { name, key: None, place: without_headers(program)?, rule, clients: ClientSharing::One, is_off: false })
}

/// A server at a URL, as the config has it.
pub(super) fn remote(name: &str, url: &str, headers: &[(String, String)], is_old: bool) -> Result<Remote, ConfigError> {
    let wrong = |key: &str, reason: String| config::wrong(&format!("mcpServers.{name}.{key}"), &reason);
    let mut remote = Remote::new(url).map_err(|reason| wrong("url", reason))?;
    for (header, value) in headers {
        remote = remote.with_header(header, value).map_err(|reason| wrong("headers", reason))?;
    }
    Ok(if is_old { remote.old() } else { remote })
}

/// Reads `Name: value`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it needs the form `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
