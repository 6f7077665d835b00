//! Access control: the bearer token, `Host` and `Origin`.
//!
//! The token comes first: what has none learns nothing but that one is wanted.
//!
//! A web page that a user visits can have its own name resolve to this machine (DNS rebinding) and then ask whatever listens here.
//! It can't choose the `Host` and `Origin` that the browser sends with that, so those are looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION,
    CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode, Uri};
use mcp::{code, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use url::Url;

use super::headers::METHODS;
use super::response::{Refusal, Response, empty, refusal};
use understudy::text::one_line;

/// What is said to a client of this very address that shows no token.
const WANTED: &str = "the bearer token is missing or wrong: the header `Authorization: Bearer TOKEN` is wanted, with the token \
                      that `understudy serve` printed when it started, or that of `serve.token`";

/// The rules of access.
#[derive(Debug)]
pub(super) struct AccessControl {
    /// None, if it is a Unix socket.
    port: Option<u16>,
    /// In lower case, with a port or without.
    hosts: Vec<String>,
    /// As browsers spell them.
    origins: Vec<String>,
    token: Option<SecretString>,
}

impl AccessControl {
    pub(super) fn new(
        address: Option<SocketAddr>,
        mut hosts: Vec<String>,
        origins: Vec<String>,
        token: Option<SecretString>,
    ) -> Self {
        let ip = address.map(|address| address.ip()).filter(|ip| !ip.is_unspecified());
        hosts.extend(ip.map(|ip| bare(&ip)));
        Self { port: address.map(|address| address.port()), hosts, origins, token }
    }

    /// Checks a request; the refusal if it isn't let in.
    pub(super) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        is_unambiguous(headers)?;
        let is_preflight = method == Method::OPTIONS && self.is_allowed_page(headers);
        if !is_preflight && !self.has_token(headers) {
            // A page under a name of its own isn't told whom it has found.
            let reason = match check_host(uri, headers, |host| self.is_host(host)) {
                Ok(()) => WANTED,
                Err(_) => "the bearer token is missing or wrong",
            };
            let mut response = refusal(StatusCode::UNAUTHORIZED, None, code::INVALID_REQUEST, reason);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return Err(response.into());
        }
        check_host(uri, headers, |host| self.is_host(host))?;
        if let Some(origin) = headers.get(ORIGIN)
            && !self.is_origin(origin.to_str().unwrap_or_default())
        {
            let reason = format!(
                "the origin `{}` may not ask this server; if it should, name it in `serve.allowedOrigins`",
                one_line(&String::from_utf8_lossy(origin.as_bytes()), 80)
            );
            return Err(refusal(StatusCode::FORBIDDEN, None, code::INVALID_REQUEST, &reason).into());
        }
        Ok(())
    }

    /// Looks at a request of a monitor, which knows neither token nor name and asks by an address. A page that has its own name
    /// resolve to this machine asks by that name.
    pub(super) fn check_monitor(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        is_unambiguous(headers)?;
        let looked = check_host(uri, headers, |host| self.is_host(host) || is_address(host));
        // Nor is this one.
        let reason = "the host is missing, or none of this server's";
        looked.map_err(|refused| refusal(refused.status(), None, code::INVALID_REQUEST, reason).into())
    }

    /// Whether a browser asks for the page of an allowed origin, which it does without the token that the page will ask with.
    fn is_allowed_page(&self, headers: &HeaderMap) -> bool {
        headers.get(ORIGIN).is_some_and(|origin| self.is_origin(origin.to_str().unwrap_or_default()))
    }

    /// Tells the browser of an allowed origin what its page may see.
    pub(super) fn add_cors_headers(&self, origin: Option<&HeaderValue>, response: &mut Response) {
        let Some(origin) = origin.filter(|origin| self.is_origin(origin.to_str().unwrap_or_default())) else { return };
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(header::SESSION_ID));
        headers.insert(VARY, HeaderValue::from_static("origin"));
    }

    /// Whether a browser may ask: yes, since its origin was looked at.
    pub(super) fn preflight(headers: &HeaderMap) -> Response {
        let mut response = empty(StatusCode::NO_CONTENT);
        let answer = response.headers_mut();
        answer.insert(http::header::ALLOW, HeaderValue::from_static(METHODS));
        if headers.contains_key(ORIGIN) {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
            }
        }
        response
    }

    fn is_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = without_port(&host);
        is_loopback(name) || self.hosts.iter().any(|own| *own == host || own == name)
    }

    fn is_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|own| own.eq_ignore_ascii_case(origin)) {
            return true;
        }
        // A page from this very address, which is not one of ours only if another server had the port before.
        let Ok(url) = Url::parse(origin) else { return false };
        url.scheme() == "http" && Some(url.port().unwrap_or(80)) == self.port && url.host_str().is_some_and(is_loopback)
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        given.is_some_and(|(_, given)| given.trim().as_bytes().ct_eq(token.expose_secret().as_bytes()).into())
    }
}

/// Headers that say one thing. Where one comes twice, we and whatever stands in front of us could each take another.
static SINGLE: [HeaderName; 10] = [
    HOST,
    ORIGIN,
    AUTHORIZATION,
    CONTENT_TYPE,
    CONTENT_LENGTH,
    HeaderName::from_static(header::SESSION_ID),
    HeaderName::from_static(header::PROTOCOL_VERSION),
    HeaderName::from_static(header::METHOD),
    HeaderName::from_static(header::NAME),
    HeaderName::from_static(header::LAST_EVENT_ID),
];

/// Refuses a request in which one of these comes twice.
fn is_unambiguous(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    let Some(twice) = SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) else { return Ok(()) };
    Err(refusal(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, &format!("the header `{twice}` comes twice"))
        .into())
}

/// Whether a host is an address, and no name that somebody could have.
fn is_address(host: &str) -> bool {
    let name = without_port(host);
    name.parse::<Ipv4Addr>().is_ok()
        || name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()).is_some()
}

/// The address as a `Host` header spells it.
fn bare(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

fn is_loopback(name: &str) -> bool {
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// An error unless all that the request names as its host is one of these.
fn check_host(uri: &Uri, headers: &HeaderMap, is_host: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let hosts = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let mut hosts = uri.authority().map(http::uri::Authority::as_str).into_iter().chain(hosts).peekable();
    if hosts.peek().is_none() {
        return Err(
            refusal(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, "the header `Host` is missing").into()
        );
    }
    let Some(host) = hosts.find(|host| !is_host(host)) else { return Ok(()) };
    let reason = format!(
        "the host `{}` is none of this server's; if it should be, name it in `serve.allowedHosts`",
        one_line(host, 80)
    );
    Err(refusal(StatusCode::MISDIRECTED_REQUEST, None, code::INVALID_REQUEST, &reason).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(token: Option<&str>) -> AccessControl {
        let hosts = vec!["tools.example.com".to_owned(), "10.0.0.1:81".to_owned()];
        let address = SocketAddr::from(([192, 168, 0, 7], 8765));
        AccessControl::new(
            Some(address),
            hosts,
            vec!["https://app.example.com".to_owned()],
            token.map(SecretString::from),
        )
    }

    fn status(access: &AccessControl, uri: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let looked = access.check(&Method::POST, &uri.parse().unwrap(), &map);
        looked.map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_host_is_loopback_or_our_own_or_configured() {
        let access = access(None);
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8765",
            "[::1]",
            "[::1]:80",
            "192.168.0.7:8765",
            "tools.example.com",
            "tools.example.com:443",
            "10.0.0.1:81",
        ] {
            assert_eq!(status(&access, "/x", &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8765",
            "10.0.0.1",
            "10.0.0.1:82",
            "localhost:8765@evil.example",
            "::1",
            "",
            "[::2]:8765",
        ] {
            assert_eq!(status(&access, "/x", &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status(&access, "/x", &[]), 400);
        assert_eq!(status(&access, "/x", &[("host", "localhost"), ("host", "evil.example")]), 400);
        assert_eq!(status(&access, "http://evil.example/x", &[("host", "localhost")]), 421);
    }

    #[test]
    fn an_origin_is_this_address_by_a_loopback_name_or_configured() {
        let access = access(None);
        for origin in ["http://localhost:8765", "http://127.0.0.1:8765", "http://[::1]:8765", "https://app.example.com"]
        {
            assert_eq!(status(&access, "/x", &[("host", "localhost"), ("origin", origin)]), 200, "{origin}");
        }
        for origin in [
            "http://evil.example",
            "http://localhost:8766",
            "http://localhost",
            "https://localhost:8765",
            "null",
            "",
            "http://localhost.evil.example:8765",
            "https://app.example.com.evil.example",
        ] {
            assert_eq!(status(&access, "/x", &[("host", "localhost"), ("origin", origin)]), 403, "{origin}");
        }
    }

    #[test]
    fn a_token_is_wanted_if_there_is_one() {
        let access = access(Some("0123456789"));
        let with = |value: &str| status(&access, "/x", &[("host", "localhost"), ("authorization", value)]);
        assert_eq!((with("Bearer 0123456789"), with("bearer  0123456789")), (200, 200));
        for value in ["Bearer 012345678", "Bearer 01234567890", "Basic 0123456789", "0123456789", "Bearer "] {
            assert_eq!(with(value), 401, "{value}");
        }
        assert_eq!(status(&access, "/x", &[("host", "localhost")]), 401);
    }

    #[test]
    fn without_the_token_nothing_is_told_apart() {
        let access = access(Some("0123456789"));
        for (uri, headers) in [
            ("/x", &[("host", "localhost")][..]),
            ("/x", &[]),
            ("/x", &[("host", "evil.example")]),
            ("http://evil.example/x", &[("host", "localhost")]),
            ("/x", &[("host", "localhost"), ("origin", "http://evil.example")]),
            ("/x?token=0123456789", &[("host", "localhost")]),
        ] {
            assert_eq!(status(&access, uri, headers), 401, "{uri} {headers:?}");
        }
        let asks = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost"));
            headers.extend(origin.map(|origin| (ORIGIN, HeaderValue::from_static(origin))));
            access.check(&Method::OPTIONS, &Uri::from_static("/x"), &headers).is_ok()
        };
        assert!(asks(Some("https://app.example.com")) && !asks(Some("https://evil.example")) && !asks(None));
    }

    #[test]
    fn a_header_that_says_one_thing_comes_once() {
        let access = access(Some("0123456789"));
        let right = [("host", "localhost"), ("authorization", "Bearer 0123456789"), ("mcp-session-id", "1")];
        assert_eq!(status(&access, "/x", &right), 200);
        for name in SINGLE.iter().map(HeaderName::as_str) {
            for values in [["Bearer 0123456789", "x"], ["x", "Bearer 0123456789"], ["1", "1"]] {
                let twice: Vec<_> = values.iter().map(|value| (name, *value)).collect();
                let others = right.iter().copied().filter(|(other, _)| *other != name);
                let all: Vec<_> = others.chain(twice).collect();
                assert_eq!(status(&access, "/x", &all), 400, "{all:?}");
            }
        }
        assert_eq!(status(&access, "/x", &[right[0], right[1], ("accept", "a/b"), ("accept", "c/d")]), 200);
    }

    #[test]
    fn a_monitor_asks_by_an_address_and_a_page_by_its_name() {
        let access = access(Some("0123456789"));
        let look = |uri: &'static str, host: &'static str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            let looked = access.check_monitor(&Uri::from_static(uri), &headers);
            looked.map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
        };
        for host in ["10.1.2.3", "10.1.2.3:8765", "[2001:db8::1]:80", "localhost", "tools.example.com"] {
            assert_eq!(look("/healthz", host), 200, "{host}");
        }
        for host in ["evil.example", "10.1.2.3.evil.example", "2001:db8::1", "0x7f000001", "127.1", ""] {
            assert_eq!(look("/healthz", host), 421, "{host}");
        }
        assert_eq!(look("http://evil.example/healthz", "localhost"), 421);
    }
}
