//! HTTP to one registry: requests with the user's login, redirects that are followed, and bounds on what is read.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use url::{Host, Url};

use super::login::{self, RegistryLogin};
use crate::http::resolver::{Resolver, is_public};
use crate::http::{builder, error_chain, is_loopback};

/// How long it may be silent.
const SILENCE: Duration = Duration::from_mins(1);
/// How often it may send us elsewhere.
const REDIRECTS: usize = 5;
/// More bytes than any token, or any error that is worth being read, has.
const SMALL: usize = 256 << 10;

/// Why a request has no usable response.
#[derive(Debug)]
pub(super) enum HttpError {
    /// Status 404.
    NotFound,
    /// A login is required, or another one.
    Login,
    /// Any other failure, in words.
    Said(String),
}

/// One registry.
pub(super) struct RegistryHttp {
    base: Url,
    own: reqwest::Client,
    login: Option<RegistryLogin>,
    /// Other URLs that may be sent the login.
    realms: Vec<Url>,
    /// Tokens by scope.
    shown: std::sync::Mutex<HashMap<String, HeaderValue>>,
}

/// A request.
pub(super) struct HttpRequest<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    /// `repository:NAME:pull`
    pub(super) scope: &'a str,
    pub(super) accept: &'a [&'a str],
    pub(super) body: Option<(&'static str, bytes::Bytes)>,
}

impl RegistryHttp {
    pub(super) fn new(host: &str, login: Option<RegistryLogin>, realms: Vec<Url>) -> Result<Self, String> {
        let plain = Url::parse(&format!("http://{host}/")).map_err(|e| format!("`{host}` is no host: {e}"))?;
        // As Docker does: a registry on this machine has no certificate.
        let here = is_loopback(&plain);
        let base = if here { plain } else { Url::parse(&format!("https://{host}/")).map_err(|e| e.to_string())? };
        let client = builder().read_timeout(SILENCE);
        let client = if here { client.no_proxy() } else { client };
        let own = client.build().map_err(|e| error_chain(&e))?;
        Ok(Self { base, own, login, realms, shown: std::sync::Mutex::default() })
    }

    /// The place of a path at the registry.
    pub(super) fn url(&self, path: &str) -> Result<Url, HttpError> {
        self.base.join(path).map_err(|e| HttpError::Said(format!("`{path}` is no path: {e}")))
    }

    /// The body at a path, of at most `most` bytes.
    pub(super) async fn get(
        &self,
        path: &str,
        scope: &str,
        accept: &[&str],
        most: usize,
    ) -> Result<Vec<u8>, HttpError> {
        let ask = HttpRequest { method: Method::GET, url: self.url(path)?, scope, accept, body: None };
        bounded(self.send(&ask).await?, most).await
    }

    /// A successful answer, wherever it is in the end.
    pub(super) async fn send(&self, ask: &HttpRequest<'_>) -> Result<Response, HttpError> {
        let mut response = self.authorized(ask).await?;
        let mut url = ask.url.clone();
        for _ in 0..REDIRECTS {
            let status = response.status();
            let to = response.headers().get(LOCATION).filter(|_| status.is_redirection() && ask.method == Method::GET);
            let Some(to) = to else { return successful(response).await };
            let to = to.to_str().ok().and_then(|to| url.join(to).ok());
            url = to.ok_or_else(|| HttpError::Said("it sends us to what is no URL".to_owned()))?;
            let ask =
                HttpRequest { method: Method::GET, url: url.clone(), scope: ask.scope, accept: ask.accept, body: None };
            response = match self.elsewhere(&url).await? {
                None => self.authorized(&ask).await?,
                Some(client) => one(&client, &ask, None).await?,
            };
        }
        Err(HttpError::Said(format!("it sends us on more than {REDIRECTS} times")))
    }

    /// The registry's own answer, with what it wants to see.
    async fn authorized(&self, ask: &HttpRequest<'_>) -> Result<Response, HttpError> {
        if let Some(client) = self.elsewhere(&ask.url).await? {
            // An upload may go to another place, which says so itself by the path.
            return one(&client, ask, None).await;
        }
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).get(ask.scope).cloned();
        let response = one(&self.own, ask, shown).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let value = self.authorize(response.headers(), ask.scope).await?;
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(ask.scope.to_owned(), value.clone());
        one(&self.own, ask, Some(value)).await
    }

    /// What a registry that answers with these headers wants to see.
    async fn authorize(&self, headers: &HeaderMap, scope: &str) -> Result<HeaderValue, HttpError> {
        let wants: Vec<&str> =
            headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
        let wants = wants.join(", ");
        let wants = http_auth::parse_challenges(&wants).map_err(|_| HttpError::Login)?;
        let wants_a = |scheme: &str| wants.iter().find(|wants| wants.scheme.eq_ignore_ascii_case(scheme));
        let Some(bearer) = wants_a("bearer") else {
            let login = self.login.as_ref().filter(|_| wants_a("basic").is_some()).ok_or(HttpError::Login)?;
            return basic(login);
        };
        let parameter = |name: &str| {
            let found = bearer.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let realm = parameter("realm").ok_or(HttpError::Login)?;
        let mut realm = self.url(&realm)?;
        let origin = realm.origin().ascii_serialization();
        let is_trusted = login::may_have(&self.base, &realm, &self.realms);
        if self.login.is_some() && !is_trusted {
            return Err(HttpError::Said(format!(
                "it wants its login sent to {}, which isn't known to belong to it; if that is meant, and goes over TLS, say `--realm {origin}`",
                crate::text::one_line(&origin, 120)
            )));
        }
        let elsewhere = if is_trusted { None } else { self.elsewhere(&realm).await? };
        let mut query = realm.query_pairs_mut();
        for (name, value) in [("service", parameter("service")), ("scope", Some(scope.to_owned()))] {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        drop(query);
        let ask = HttpRequest { method: Method::GET, url: realm, scope, accept: &[], body: None };
        let login = self.login.as_ref().map(basic).transpose()?;
        let response = one(elsewhere.as_ref().unwrap_or(&self.own), &ask, login).await?;
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(HttpError::Login);
        }
        let odd = |why: &str| HttpError::Said(format!("{origin}, which gives its tokens, {why}"));
        if response.status() != StatusCode::OK {
            return Err(odd(&format!("answers HTTP {}", response.status().as_u16())));
        }
        let body = bounded(response, SMALL).await?;
        let body: Value = serde_json::from_slice(&body).map_err(|_| odd("answers no JSON"))?;
        let token = ["token", "access_token"].iter().find_map(|name| body.get(name)?.as_str());
        let token = token.filter(|token| !token.is_empty()).ok_or_else(|| odd("gives none"))?;
        secret(&format!("Bearer {token}"))
    }

    /// The client for another host that the registry redirects to, if that is allowed: over TLS, and to no private address
    /// unless the registry is at one.
    async fn elsewhere(&self, url: &Url) -> Result<Option<reqwest::Client>, HttpError> {
        if url.origin() == self.base.origin() {
            return Ok(None);
        }
        let shown = crate::text::one_line(&url.origin().ascii_serialization(), 120);
        let refused = |why: &str| Err(HttpError::Said(format!("it sends us to {shown}, {why}")));
        if url.scheme() != "https" {
            return refused("which is not its own place and not over TLS");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("with a user's name");
        }
        let may: fn(IpAddr) -> bool = if self.is_private().await { is_of_a_network } else { is_public };
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if is_loopback(url) || address.is_some_and(|address| !may(address)) {
            return refused("which is no public address");
        }
        let client = builder().read_timeout(SILENCE);
        // A proxy of the environment looks names up by itself, and its own address may well be private.
        let client = if has_proxy() { client } else { client.dns_resolver(Arc::new(Resolver::of(may))) };
        client.build().map(Some).map_err(|e| HttpError::Said(error_chain(&e)))
    }

    /// Whether the registry is in somebody's own network.
    async fn is_private(&self) -> bool {
        let (Some(host), Some(port)) = (self.base.host_str(), self.base.port_or_known_default()) else { return false };
        let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await;
        found.is_ok_and(|mut found| found.any(|address| !is_public(address.ip())))
    }
}

/// Whether an address is public, or of a private network: not of this machine, and not of a cloud's metadata.
fn is_of_a_network(address: IpAddr) -> bool {
    let is_private = match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local(),
    };
    is_private || is_public(address)
}

fn has_proxy() -> bool {
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    names.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

async fn one(
    client: &reqwest::Client,
    ask: &HttpRequest<'_>,
    shown: Option<HeaderValue>,
) -> Result<Response, HttpError> {
    let mut request = client.request(ask.method.clone(), ask.url.clone());
    for accepted in ask.accept {
        request = request.header(ACCEPT, *accepted);
    }
    if let Some(shown) = shown {
        request = request.header(AUTHORIZATION, shown);
    }
    if let Some((kind, body)) = &ask.body {
        request = request.header(CONTENT_TYPE, *kind).body(body.clone());
    }
    request.send().await.map_err(|e| HttpError::Said(error_chain(&e.without_url())))
}

/// The answer, if it is one.
async fn successful(response: Response) -> Result<Response, HttpError> {
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::NOT_FOUND => Err(HttpError::NotFound),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(HttpError::Login),
        status => {
            let body = bounded(response, SMALL).await.unwrap_or_default();
            let errors: Value = serde_json::from_slice(&body).unwrap_or_default();
            let said = errors.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or_default();
            Err(HttpError::Said(format!("it answers HTTP {} {said}", status.as_u16()).trim_end().to_owned()))
        }
    }
}

/// The body, if it has no more bytes than that.
pub(super) async fn bounded(mut response: Response, most: usize) -> Result<Vec<u8>, HttpError> {
    let too_much = || HttpError::Said(format!("it sent more than {most} bytes"));
    if response.content_length().is_some_and(|length| length > most as u64) {
        return Err(too_much());
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|e| HttpError::Said(broken(&e.without_url())))? {
        if body.len() + piece.len() > most {
            return Err(too_much());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn broken(error: &reqwest::Error) -> String {
    format!("it broke off: {}", error_chain(error))
}

fn basic(login: &RegistryLogin) -> Result<HeaderValue, HttpError> {
    use base64::Engine as _;
    let words = base64::prelude::BASE64_STANDARD.encode(format!("{}:{}", login.user, login.password));
    secret(&format!("Basic {words}"))
}

/// A header that isn't shown in any log.
fn secret(text: &str) -> Result<HeaderValue, HttpError> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| HttpError::Said("its token holds characters that no header can".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        let scheme = |host: &str| RegistryHttp::new(host, None, Vec::new()).unwrap().base.scheme().to_owned();
        for here in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.0.1", "[::1]:5000"] {
            assert_eq!(scheme(here), "http", "{here}");
        }
        for elsewhere in ["ghcr.io", "localhost.example.com", "10.0.0.1:5000", "127.example.com", "0.0.0.0:1"] {
            assert_eq!(scheme(elsewhere), "https", "{elsewhere}");
        }
    }

    #[tokio::test]
    async fn a_registry_sends_us_over_tls_and_to_no_private_address_but_in_its_own_network() {
        let sent = async |registry: &str, to: &str| {
            let wire = RegistryHttp::new(registry, None, Vec::new()).unwrap();
            wire.elsewhere(&Url::parse(to).unwrap()).await.map(|client| client.is_some())
        };
        assert!(!sent("1.1.1.1", "https://1.1.1.1/x").await.unwrap());
        assert!(sent("1.1.1.1", "https://9.9.9.9/x").await.unwrap());
        assert!(sent("10.0.0.1", "https://10.0.0.2/x").await.unwrap());
        for (registry, to) in [
            ("1.1.1.1", "http://9.9.9.9/x"),
            ("1.1.1.1", "http://1.1.1.1/x"),
            ("1.1.1.1", "https://10.0.0.1/x"),
            ("1.1.1.1", "https://127.0.0.1/x"),
            ("1.1.1.1", "https://[::1]/x"),
            ("1.1.1.1", "https://[::ffff:10.0.0.1]/x"),
            ("1.1.1.1", "https://169.254.169.254/x"),
            ("1.1.1.1", "https://localhost/x"),
            ("1.1.1.1", "https://a@9.9.9.9/x"),
            ("10.0.0.1", "https://169.254.169.254/x"),
            ("10.0.0.1", "https://127.0.0.1/x"),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/x"),
            ("127.0.0.1:5000", "file:///etc/passwd"),
        ] {
            assert!(sent(registry, to).await.is_err(), "{registry} {to}");
        }
    }
}
