//! How `understudy serve` listens, and whom it lets in.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::section::Section;
use super::{ConfigError, CredentialSource};

/// How `understudy serve` listens, and whom it lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// `listen`: address and port (port 0 is a free one), or `unix:` and a path. 127.0.0.1:8765.
    pub listen: ListenAddress,
    /// `token`: the bearer token that every request must carry.
    pub token: TokenSource,
    /// `allowedOrigins`: web pages that may ask, beside those of this very address. None.
    pub allowed_origins: Vec<String>,
    /// `allowedHosts`: names by which clients may reach this address, beside those of loopback. None.
    pub allowed_hosts: Vec<String>,
    /// `idle`: a session of which nothing is heard for this long ends. 30 min.
    pub idle: Duration,
    /// `handshake`: a session whose client says nothing after `initialize` for this long ends. 1 min.
    pub handshake: Duration,
    /// `sessions`: sessions with one server at once. 100.
    pub sessions: u32,
    /// `shutdown`: how long requests in flight may take to finish once we are told to end. 30 s.
    pub shutdown: Duration,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// At an address and a port.
    Tcp(SocketAddr),
    /// At a Unix socket.
    Unix(PathBuf),
}

/// The bearer token that every request must carry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TokenSource {
    /// Nothing is said: on a loopback address the one that is kept in the user's state folder, at a Unix socket none.
    #[default]
    Unsaid,
    /// `false`: none, which only a loopback address and a Unix socket may have.
    None,
    /// What the source gives.
    From(CredentialSource),
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            listen: ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 8765))),
            token: TokenSource::Unsaid,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            idle: Duration::from_mins(30),
            handshake: Duration::from_mins(1),
            sessions: 100,
            shutdown: Duration::from_secs(30),
        }
    }
}

impl Serve {
    pub(super) fn parse(value: Value) -> Result<Self, ConfigError> {
        let mut section = Section::of("serve", value)?;
        let default = Self::default();
        let listen = match section.string("listen")? {
            Some(text) if !is_variable(&text) => {
                ListenAddress::parse(&text).map_err(|reason| section.wrong("listen", &reason))?
            }
            _ => default.listen,
        };
        let token = match section.take("token") {
            Some(Value::Bool(false)) => TokenSource::None,
            Some(Value::Bool(true)) => return Err(section.wrong("token", "must be an object, or `false` for none")),
            Some(value) => {
                let mut token = Section::of(&section.key("token"), value)?;
                let source = CredentialSource::take(&mut token)?;
                token.finish()?;
                TokenSource::From(source)
            }
            None => TokenSource::Unsaid,
        };
        let serve = Self {
            listen,
            token,
            allowed_origins: names(&mut section, "allowedOrigins", origin)?,
            allowed_hosts: names(&mut section, "allowedHosts", host)?,
            idle: section.duration("idle")?.unwrap_or(default.idle),
            handshake: section.duration("handshake")?.unwrap_or(default.handshake),
            sessions: section.count("sessions")?.unwrap_or(default.sessions),
            shutdown: section.duration("shutdown")?.unwrap_or(default.shutdown),
        };
        section.finish()?;
        Ok(serve)
    }
}

impl ListenAddress {
    /// The place that a text means.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let wanted = || "must have a path behind `unix:`, such as `unix:/run/user/1000/understudy.sock`".to_owned();
            return Some(path).filter(|path| !path.is_empty()).map(|path| Self::Unix(path.into())).ok_or_else(wanted);
        }
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let parsed = numeric.as_deref().unwrap_or(text).parse().map(Self::Tcp);
        parsed.map_err(|_| {
            "must be an IP address and a port, such as `127.0.0.1:8765` or `[::]:8765`, or `unix:` and a path"
                .to_owned()
        })
    }

    /// Whether only this machine, or this user, can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What a variable stands for is known only once it is expanded.
fn is_variable(text: &str) -> bool {
    text.contains("${")
}

fn names(
    section: &mut Section,
    key: &'static str,
    read: fn(&str) -> Result<String, &'static str>,
) -> Result<Vec<String>, ConfigError> {
    let names = section.strings(key)?.unwrap_or_default();
    let known = names.into_iter().filter(|name| !is_variable(name));
    known.map(|name| read(&name).map_err(|reason| section.wrong(key, &format!("holds `{name}`: {reason}")))).collect()
}

/// An origin as browsers spell it.
fn origin(text: &str) -> Result<String, &'static str> {
    const WANTED: &str = "an origin is a scheme and a host, and perhaps a port, such as `https://app.example.com`";
    let (scheme, rest) = text.split_once("://").ok_or(WANTED)?;
    if scheme.is_empty() || rest.is_empty() || rest.contains(['/', '?', '#', '@', '*']) {
        return Err(WANTED);
    }
    let url = Url::parse(text).map_err(|_| WANTED)?;
    // Of schemes that aren't the web's (a browser's extensions have such), the URL's own spelling is the origin.
    Ok(if url.origin().is_tuple() { url.origin().ascii_serialization() } else { text.to_ascii_lowercase() })
}

/// A host as the `Host` header spells it; without a port it stands for any.
fn host(text: &str) -> Result<String, &'static str> {
    const WANTED: &str = "a host is a name or an address, and perhaps a port, such as `tools.example.com`";
    if text.is_empty() || text.contains(['/', '?', '#', '@', '*', ' ']) {
        return Err(WANTED);
    }
    Url::parse(&format!("http://{text}/")).map_err(|_| WANTED)?;
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Result<Serve, String> {
        Serve::parse(value).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        assert_eq!(parse(json!({})).unwrap(), Serve::default());
        let serve = parse(json!({"listen": "localhost:0", "token": {"env": "T"}, "idle": "5 s"})).unwrap();
        assert_eq!(serve.listen, ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert_eq!(serve.token, TokenSource::From(CredentialSource::Env("T".to_owned())));
        assert_eq!((serve.idle, serve.sessions), (Duration::from_secs(5), 100));
        let serve = parse(json!({"listen": "unix:some/where", "token": false})).unwrap();
        assert_eq!((serve.listen, serve.token), (ListenAddress::Unix("some/where".into()), TokenSource::None));
    }

    #[test]
    fn what_only_this_machine_reaches_is_local() {
        for (text, is_local) in [
            ("127.0.0.1:1", true),
            ("127.8.8.8:1", true),
            ("localhost:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("unix:/x", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.168.0.7:1", false),
            ("[::ffff:10.0.0.1]:1", false),
        ] {
            assert_eq!(ListenAddress::parse(text).unwrap().is_local(), is_local, "{text}");
        }
    }

    #[test]
    fn origins_and_hosts_are_kept_as_browsers_spell_them() {
        let serve = parse(json!({
            "allowedOrigins": ["https://App.example.com:443", "chrome-extension://AbC"],
            "allowedHosts": ["Tools.example.com", "10.0.0.1:80"],
        }));
        let serve = serve.unwrap();
        assert_eq!(serve.allowed_origins, ["https://app.example.com", "chrome-extension://abc"]);
        assert_eq!(serve.allowed_hosts, ["tools.example.com", "10.0.0.1:80"]);
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_key() {
        for (value, key) in [
            (json!({"listen": "8765"}), "serve.listen"),
            (json!({"listen": "example.com:1"}), "serve.listen"),
            (json!({"listen": "unix:"}), "serve.listen"),
            (json!({"token": "secret"}), "serve.token"),
            (json!({"token": true}), "serve.token"),
            (json!({"token": {}}), "serve.token.env"),
            (json!({"token": {"env": "A", "file": "b"}}), "serve.token.env"),
            (json!({"token": {"env": "A", "bearer": true}}), "serve.token.bearer"),
            (json!({"allowedOrigins": ["*"]}), "serve.allowedOrigins"),
            (json!({"allowedOrigins": ["https://a.example/path"]}), "serve.allowedOrigins"),
            (json!({"allowedHosts": ["https://a.example"]}), "serve.allowedHosts"),
            (json!({"idle": "0 s"}), "serve.idle"),
            (json!({"handshake": 60}), "serve.handshake"),
            (json!({"sessions": 0}), "serve.sessions"),
            (json!({"shutdown": 30}), "serve.shutdown"),
            (json!({"port": 1}), "serve.port"),
        ] {
            let error = parse(value.clone()).unwrap_err();
            assert!(error.starts_with(&format!("`{key}` ")), "{value}: {error}");
        }
    }
}
