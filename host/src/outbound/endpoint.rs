//! Joining an endpoint with a plugin's path, so that the path can't lead to another host.

use std::sync::{Mutex, PoisonError};

use url::Url;

use super::reserved::is_same_key;

/// An endpoint of a provider plugin.
#[derive(Debug)]
pub(super) struct ProviderEndpoint {
    url: Url,
    origin: String,
    /// The path that was joined last, and the result: most plugins use a single one.
    last: Mutex<Option<(String, Url)>>,
}

impl From<Url> for ProviderEndpoint {
    fn from(url: Url) -> Self {
        let origin = url.origin().ascii_serialization();
        Self { url, origin, last: Mutex::default() }
    }
}

impl ProviderEndpoint {
    /// For messages.
    pub(super) fn shown(&self) -> String {
        shown(&self.url)
    }

    /// Its scheme, host and port.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether a URL has the same origin.
    pub(super) fn is_where(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }

    /// The endpoint with a plugin's path.
    pub(super) fn join(&self, path: &str) -> Result<Url, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, url)) = last.as_ref().filter(|(same, _)| same == path) {
            return Ok(url.clone());
        }
        let url = join(&self.url, path)?;
        *last = Some((path.to_owned(), url.clone()));
        Ok(url)
    }
}

/// An endpoint as the user writes it; without a scheme it is plain HTTP (`127.0.0.1:11434`, as Ollama has it).
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).map_err(|e| format!("is not a URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("must begin with `https://` or `http://`, and begins with `{}:`", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or a password; write a `credential` instead".to_owned());
    }
    if url.fragment().is_some() {
        return Err("holds a fragment (`#…`), which a request can't carry".to_owned());
    }
    Ok(url)
}

/// An endpoint as an environment variable gives it: a URL, or as some tools have it only a host, or only a port; then the rest is
/// that of the endpoint that the plugin is made for. The address that means "all of this machine's" to a server means this machine.
pub(super) fn from_env(text: &str, made_for: &str) -> Result<Url, String> {
    let text = text.trim();
    if text.contains("://") {
        return parse(text);
    }
    let made_for = parse(made_for)?;
    let host = made_for.host_str().unwrap_or_default();
    let text = if text.starts_with(':') { format!("{host}{text}") } else { text.to_owned() };
    let mut url = parse(&format!("{}://{text}", made_for.scheme()))?;
    if matches!(url.host_str(), Some("0.0.0.0" | "[::]")) {
        url.set_host(Some(host)).map_err(|e| e.to_string())?;
    }
    let authority = text.split('/').next().unwrap_or_default();
    if !authority.rsplit(']').next().unwrap_or_default().contains(':') {
        url.set_port(made_for.port()).map_err(|()| "can't have a port".to_owned())?;
    }
    Ok(url)
}

/// An endpoint for people: without its query, which may hold a key.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// The endpoint's path, then the plugin's, with one slash between; the queries merged, the endpoint's keys winning.
/// Percent-encoding stays as it is.
fn join(endpoint: &Url, path: &str) -> Result<Url, String> {
    let shown = || crate::text::one_line(path, 120);
    if let Some(c) = path.chars().find(|c| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '#')) {
        return Err(format!("the path `{}` holds {c:?}", shown()));
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    if !path.is_empty() && !path.starts_with('/') {
        return Err(format!(
            "the path `{}` doesn't begin with a slash: a plugin doesn't choose whom it talks to",
            shown()
        ));
    }
    if path.starts_with("//") {
        return Err(format!("the path `{}` names a host: a plugin doesn't choose whom it talks to", shown()));
    }
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if path.split('/').any(dots) {
        return Err(format!("the path `{}` holds a dot segment", shown()));
    }
    let mut url = endpoint.clone();
    if !path.is_empty() {
        let joined = format!("{}{path}", endpoint.path().trim_end_matches('/'));
        url.set_path(&joined);
    }
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        url.set_query(Some(&merge(endpoint.query(), query)));
    }
    if url.origin() != endpoint.origin() {
        return Err(format!("the path `{}` leads away from the endpoint", shown()));
    }
    Ok(url)
}

fn merge(endpoints: Option<&str>, plugins: &str) -> String {
    let first: Vec<&str> = endpoints.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
    let is_taken = |pair: &str| first.iter().any(|taken| is_same_key(taken, pair));
    let second = plugins.split('&').filter(|pair| !pair.is_empty() && !is_taken(pair));
    first.iter().copied().chain(second).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(endpoint: &str, path: &str) -> Result<String, String> {
        join(&parse(endpoint).unwrap(), path).map(|url| url.to_string())
    }

    #[test]
    fn paths_join_with_one_slash_and_queries_merge() {
        assert_eq!(joined("https://x.com", "/v1/m").unwrap(), "https://x.com/v1/m");
        assert_eq!(joined("https://x.com/base/", "/v1/m").unwrap(), "https://x.com/base/v1/m");
        assert_eq!(
            joined("https://x.com/a?api-version=1", "/m?api-version=2&b=3").unwrap(),
            "https://x.com/a/m?api-version=1&b=3"
        );
        assert_eq!(
            joined("https://x.com/a?api-version=1", "/m?API%2dVersion=2&b=3").unwrap(),
            "https://x.com/a/m?api-version=1&b=3"
        );
        assert_eq!(joined("https://x.com/a?k=1", "").unwrap(), "https://x.com/a?k=1");
        assert_eq!(joined("https://x.com", "/models/a%2Fb:generate").unwrap(), "https://x.com/models/a%2Fb:generate");
        assert_eq!(joined("127.0.0.1:11434", "/api/chat").unwrap(), "http://127.0.0.1:11434/api/chat");
    }

    #[test]
    fn a_plugin_never_chooses_whom_it_talks_to() {
        for path in [
            "//evil.com/x",
            "https://evil.com/",
            "evil.com",
            "@evil.com",
            "/../x",
            "/a/%2e%2E/x",
            "/a/.%2e/x",
            "/.",
            "/a\\..\\b",
            "/a\r\nHost: evil",
            "/a b",
            "/a#b",
            "/\t/evil.com",
            "/a/./b",
            "\u{0}",
        ] {
            assert!(joined("https://x.com/v1", path).is_err(), "{path}");
        }
        assert!(joined("https://x.com/v1", "/@evil.com:80//a").unwrap().starts_with("https://x.com/v1/"));
    }

    #[test]
    fn a_variable_may_hold_less_than_a_url() {
        let of = |text: &str| from_env(text, "http://127.0.0.1:11434").map(|url| url.to_string());
        assert_eq!(of("0.0.0.0").unwrap(), "http://127.0.0.1:11434/");
        assert_eq!(of("0.0.0.0:8080").unwrap(), "http://127.0.0.1:8080/");
        assert_eq!(of("myhost").unwrap(), "http://myhost:11434/");
        assert_eq!(of(":1234").unwrap(), "http://127.0.0.1:1234/");
        assert_eq!(of("[::1]").unwrap(), "http://[::1]:11434/");
        assert_eq!(of("https://x.com/ollama").unwrap(), "https://x.com/ollama");
        assert!(of("ftp://x").is_err());
    }

    #[test]
    fn endpoints_are_plain_urls() {
        assert!(parse("ftp://x").unwrap_err().contains("must begin with"));
        assert!(parse("https://user:pw@x.com").unwrap_err().contains("write a `credential` instead"));
        assert!(parse("https://x.com/#f").is_err());
        assert!(parse("").is_err());
    }
}
