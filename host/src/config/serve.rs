//! How `understudy serve` listens, and whom it lets in.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::section::Section;
use super::{ConfigError, CredentialSource};

/// How `understudy serve` listens, and whom it lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// `listen`: address and port; port 0 is a free one. 127.0.0.1:8765.
    pub listen: SocketAddr,
    /// `token`: where the bearer token comes from that every request must carry. None, which only a loopback address may have.
    pub token: Option<CredentialSource>,
    /// `allowedOrigins`: web pages that may ask, beside those of this very address. None.
    pub allowed_origins: Vec<String>,
    /// `allowedHosts`: names by which clients may reach this address, beside those of loopback. None.
    pub allowed_hosts: Vec<String>,
    /// `idle`: a session of which nothing is heard for this long ends. 30 min.
    pub idle: Duration,
    /// `sessions`: sessions with one server at once. 1,000.
    pub sessions: u32,
    /// `shutdown`: how long requests in flight may take to finish once we are told to end. 30 s.
    pub shutdown: Duration,
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8765)),
            token: None,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            idle: Duration::from_mins(30),
            sessions: 1000,
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
                Self::address(&text).map_err(|reason| section.wrong("listen", &reason))?
            }
            _ => default.listen,
        };
        let token = match section.section("token")? {
            Some(mut token) => {
                let source = CredentialSource::take(&mut token)?;
                token.finish()?;
                Some(source)
            }
            None => None,
        };
        let serve = Self {
            listen,
            token,
            allowed_origins: names(&mut section, "allowedOrigins", origin)?,
            allowed_hosts: names(&mut section, "allowedHosts", host)?,
            idle: section.duration("idle")?.unwrap_or(default.idle),
            sessions: section.count("sessions")?.unwrap_or(default.sessions),
            shutdown: section.duration("shutdown")?.unwrap_or(default.shutdown),
        };
        section.finish()?;
        Ok(serve)
    }

    /// The address that a text means.
    ///
    /// # Errors
    /// What it must be.
    pub fn address(text: &str) -> Result<SocketAddr, String> {
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let parsed = numeric.as_deref().unwrap_or(text).parse();
        parsed.map_err(|_| "must be an IP address and a port, such as `127.0.0.1:8765` or `[::]:8765`".to_owned())
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
        assert_eq!(serve.listen, SocketAddr::from(([127, 0, 0, 1], 0)));
        assert_eq!(serve.token, Some(CredentialSource::Env("T".to_owned())));
        assert_eq!((serve.idle, serve.sessions), (Duration::from_secs(5), 1000));
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
            (json!({"token": "secret"}), "serve.token"),
            (json!({"token": {}}), "serve.token.env"),
            (json!({"token": {"env": "A", "file": "b"}}), "serve.token.env"),
            (json!({"token": {"env": "A", "bearer": true}}), "serve.token.bearer"),
            (json!({"allowedOrigins": ["*"]}), "serve.allowedOrigins"),
            (json!({"allowedOrigins": ["https://a.example/path"]}), "serve.allowedOrigins"),
            (json!({"allowedHosts": ["https://a.example"]}), "serve.allowedHosts"),
            (json!({"idle": "0 s"}), "serve.idle"),
            (json!({"sessions": 0}), "serve.sessions"),
            (json!({"shutdown": 30}), "serve.shutdown"),
            (json!({"port": 1}), "serve.port"),
        ] {
            let error = parse(value.clone()).unwrap_err();
            assert!(error.starts_with(&format!("`{key}` ")), "{value}: {error}");
        }
    }
}
