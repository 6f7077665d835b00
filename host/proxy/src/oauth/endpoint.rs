//! Checks of the URLs that a server or its authorization server names. `Server::allows` checks the URL of each request of a login, and `page` also
//! checks what is opened in a browser. No other URL is requested or opened, whatever the documents name.

use url::Url;

use super::error::Error;
use super::zone::{Said, Zone};
use understudy::text::one_line;

/// The most characters of a refused URL that are shown.
const SHOWN: usize = 200;

/// The server that a login is for.
#[derive(Debug, Clone)]
pub struct Server {
    url: Url,
    zone: Zone,
}

impl Server {
    /// The server at this URL, in this zone.
    #[must_use]
    pub fn new(mut url: Url, zone: Zone) -> Self {
        url.set_fragment(None);
        Self { url, zone }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.url.origin()
    }

    /// Parses a URL to which requests may go: `https:`, or `http:` within this machine or to a private server's own origin; an address that
    /// the server may name (the addresses of a host name are checked when the connection is made); no user name, control character, blank,
    /// backslash or fragment.
    ///
    /// # Errors
    /// [`Error::Refused`] if they may not; `what` says what the URL is for.
    pub fn allows(&self, what: &'static str, text: &str) -> Result<Url, Error> {
        let refused = |reason: &str| refused(what, text, reason);
        let url = parse(text).map_err(|reason| refused(&reason))?;
        let is_own = self.is_own(&url);
        let said = Said::by(&url);
        let may_name = match said {
            Said::Address(address) => self.zone.may_name(address),
            Said::Loopback => self.zone == Zone::Loopback,
            Said::Name => true,
        };
        if !is_own && !may_name {
            return Err(refused("is at an address that only a server of the same network may name"));
        }
        if url.scheme() == "http" && !said.is_loopback() && !(is_own && self.zone != Zone::Public) {
            return Err(refused("is not encrypted, and must begin with `https://`"));
        }
        Ok(url)
    }

    /// Parses the URL of a page that the user's browser opens.
    ///
    /// # Errors
    /// [`Error::Refused`] if it may not be opened.
    pub(super) fn page(&self, what: &'static str, text: &str) -> Result<Url, Error> {
        self.allows(what, text)?;
        page(what, text)
    }
}

/// Parses the URL of a web page: `https:`, or `http:` on this machine, without a user name or characters that aren't part of a URL. The desktop has
/// handlers for other schemes, some of which act without asking.
pub(super) fn page(what: &'static str, text: &str) -> Result<Url, Error> {
    let refused = |reason: &str| refused(what, text, reason);
    let url = parse(text).map_err(|reason| refused(&reason))?;
    if url.scheme() == "http" && !Said::by(&url).is_loopback() {
        return Err(refused("is not encrypted, and only pages at `https://`, or of this machine, are opened"));
    }
    Ok(url)
}

/// Parses a URL strictly: the parser corrects nearly every text, and a text that it would correct is refused here.
fn parse(text: &str) -> Result<Url, String> {
    if text.chars().any(|c| !c.is_ascii_graphic() || c == '\\') {
        return Err("holds blanks, control characters, backslashes or letters that aren't ASCII".to_owned());
    }
    let url = Url::parse(text).map_err(|e| format!("is no URL ({e})"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is no web page's: only `https://`, and `http://` on this machine, are gone to".to_owned());
    }
    let after = text.get(url.scheme().len()..).unwrap_or_default();
    let authority = after.strip_prefix("://").unwrap_or_default();
    if authority.is_empty() || authority.starts_with('/') {
        return Err("has no host after `//`".to_owned());
    }
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if !url.username().is_empty() || url.password().is_some() || authority.contains('@') {
        return Err("holds a user name or a password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("holds a fragment (`#`)".to_owned());
    }
    Ok(url)
}

fn refused(what: &'static str, text: &str, reason: &str) -> Error {
    Error::Refused { what, shown: one_line(text, SHOWN), reason: reason.to_owned() }
}

/// Whether two issuer identifiers are the same, character by character (RFC 8414 section 3.3). Only the slash of an empty path, which parsers add,
/// makes no difference.
#[must_use]
pub fn is_same_issuer(one: &str, other: &str) -> bool {
    fn without_slash(issuer: &str) -> &str {
        let bare = issuer.strip_suffix('/').unwrap_or(issuer);
        let is_origin = bare.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
        if is_origin { bare } else { issuer }
    }
    without_slash(one) == without_slash(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, zone: Zone) -> Server {
        Server::new(Url::parse(url).unwrap(), zone)
    }

    #[test]
    fn only_web_pages_are_opened() {
        for text in [
            "https://as.example/authorize",
            "HTTPS://AS.example/authorize?a=b",
            "http://127.0.0.1:22/",
            "http://0x7f.1/",
            "http://[::1]:80/a",
            "http://localhost/",
            "http://a.localhost:1/",
        ] {
            assert!(page("page", text).is_ok(), "{text}");
        }
        for text in [
            "file:///etc/passwd",
            "FILE:///etc/passwd",
            "vscode://evil.ext/run?x=1",
            "ms-msdt:/id PCWDiagnostic",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "smb://evil.example/share",
            "x-man-page://a",
            "data:text/html,<script>",
            "tel:123",
            "steam://a",
            "-foo://x",
            "--help",
            "$(touch x)",
            "",
            "https:",
            "https://",
            "https:///evil.example",
            "https:evil.example",
            "https:/evil.example",
            " https://a.example/",
            "\thttps://a.example/",
            "https://a.example/\n",
            "ht\ntps://a.example/",
            "https:\\\\evil.example\\x",
            "https://a.example\\@evil.example/",
            "https://user:pw@evil.example/a",
            "https://user@evil.example/",
            "https://@evil.example/",
            "https://a.example/\u{1b}]0;pwn\u{7}b",
            "http://localhost.evil.com/",
            "http://127.0.0.1.evil.com/",
            "http://10.0.0.1/",
            "http://169.254.169.254/x",
            "http://as.example/",
            "http://0.0.0.0/",
            "https://a.example/\u{202e}x",
            "https://a.example/#x",
            "view-source:https://a.example",
            "blob:https://a.example/x",
        ] {
            let error = page("page", text).unwrap_err().to_string();
            assert!(!error.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text}");
        }
    }

    #[test]
    fn a_server_names_what_its_own_network_may_know_and_by_https() {
        let public = server("https://mcp.example.com/mcp", Zone::Public);
        let private = server("http://10.0.0.5:8000/mcp", Zone::Private);
        let here = server("http://127.0.0.1:8000/mcp", Zone::Loopback);
        let may = |text: &str| [&public, &private, &here].map(|server| server.allows("token endpoint", text).is_ok());
        assert_eq!(may("https://as.example/token"), [true, true, true]);
        assert_eq!(may("http://as.example/token"), [false, false, false]);
        assert_eq!(may("https://10.0.0.9/token"), [false, true, true]);
        assert_eq!(may("https://100.64.0.9/token"), [false, true, true]);
        assert_eq!(may("https://[fd12::9]/token"), [false, true, true]);
        assert_eq!(may("http://10.0.0.5:8000/token"), [false, true, false]);
        assert_eq!(may("http://10.0.0.5:8001/token"), [false, false, false]);
        assert_eq!(may("http://127.0.0.1:1/token"), [false, false, true]);
        assert_eq!(may("https://localhost/token"), [false, false, true]);
        assert_eq!(may("https://localhost./token"), [false, false, true]);
        assert_eq!(may("https://[::ffff:127.0.0.1]/token"), [false, false, true]);
        assert_eq!(may("https://2130706433/token"), [false, false, true]);
        assert_eq!(may("https://169.254.169.254/token"), [false, false, false]);
        assert_eq!(may("https://[fe80::1]/token"), [false, false, false]);
        assert!(
            server("http://mcp.example.com/mcp", Zone::Public)
                .allows("token endpoint", "http://mcp.example.com/token")
                .is_err()
        );
    }

    #[test]
    fn an_issuer_is_the_same_character_by_character() {
        assert!(is_same_issuer("https://as.example", "https://as.example/"));
        assert!(is_same_issuer("https://as.example/a", "https://as.example/a"));
        for other in [
            "https://as.example/a/",
            "https://as.example/A",
            "https://AS.example/a",
            "http://as.example/a",
            "https://as.example:443/a",
            "https://as.example/a?b",
            "https://as.example",
            "https://as.example.evil/a",
            "",
        ] {
            assert!(!is_same_issuer("https://as.example/a", other), "{other}");
        }
    }
}
