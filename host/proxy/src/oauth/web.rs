//! The requests of a login. All of them are made here, so that none goes where the server may not send it: `Server::allows` checks the URL, and the
//! addresses of its host are checked when the connection is made. Only redirects of a document within its origin are followed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mcp::{RawObject, method, request_line};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{RequestBuilder, Response, StatusCode};
use url::{Host, Url};

use super::challenge::Challenge;
use super::endpoint::Server;
use super::error::Error;
use super::zone::{Said, Zone};
use understudy::http::{builder, error_chain, is_loopback};

/// How long a request may take, its answer included.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the server may take to send its challenge; without one, its metadata is looked up at the well-known URLs.
const PATIENCE_WITH_THE_CHALLENGE: Duration = Duration::from_secs(10);

/// How large a document may be.
const MOST: usize = 1024 * 1024;

/// The most redirects of a document that are followed.
const MOST_REDIRECTS: usize = 5;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// The client for URLs that a server names.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) server: Server,
    client: reqwest::Client,
    /// The client for this machine, without a proxy.
    direct: reqwest::Client,
}

/// An answer, read whole.
pub(super) struct Document {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Document {
    /// The answer as a JSON object.
    pub(super) fn object(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl Web {
    /// Resolves the server's name once: the addresses determine its zone, and stay its addresses for the whole login.
    pub(super) async fn of(url: &Url) -> Result<Self, Error> {
        let addresses = addresses(url).await;
        let zone = match Said::by(url) {
            Said::Loopback => Zone::Loopback,
            Said::Address(address) => Zone::of_all([address]),
            Said::Name => Zone::of_all(addresses.iter().map(SocketAddr::ip)),
        };
        let own = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let resolver = Arc::new(Resolver::new(zone, own, addresses, proxies()));
        let unable = |e: reqwest::Error| Error::Unreachable { url: url.clone(), reason: error_chain(&e) };
        let client = builder().timeout(PATIENCE).dns_resolver(Arc::clone(&resolver)).build().map_err(unable)?;
        let direct = builder().timeout(PATIENCE).dns_resolver(resolver).no_proxy().build().map_err(unable)?;
        Ok(Self { server: Server::new(url.clone(), zone), client, direct })
    }

    fn client(&self, url: &Url) -> &reqwest::Client {
        if is_loopback(url) { &self.direct } else { &self.client }
    }

    /// The server's answer to a request without a token.
    pub(super) async fn challenge(&self) -> Option<Challenge> {
        let url = self.server.url();
        let either = HeaderValue::from_static("application/json, text/event-stream");
        let post = self.client(url).post(url.clone()).header(CONTENT_TYPE, JSON);
        let post = post.body(request_line(b"0", method::PING, &RawObject::default()));
        for request in [post, self.client(url).get(url.clone())] {
            let request = request.header(ACCEPT, &either).timeout(PATIENCE_WITH_THE_CHALLENGE);
            let Ok(response) = request.send().await else { continue };
            if let Some(challenge) = Challenge::of(response.headers()) {
                return Some(challenge);
            }
        }
        None
    }

    /// A document; redirects within its origin are followed.
    pub(super) async fn get(&self, what: &'static str, url: &Url) -> Result<Document, Error> {
        let mut url = self.server.allows(what, url.as_str())?;
        for _ in 0..=MOST_REDIRECTS {
            let request = self.client(&url).get(url.clone()).header(ACCEPT, JSON);
            let response = sent(&url, request).await?;
            let to = response.headers().get(LOCATION).filter(|_| response.status().is_redirection());
            let Some(to) = to.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned()) else {
                let status = response.status();
                // Whether the server has the document isn't known, so no other document may take its place.
                if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
                    return Err(odd(&url, &format!("answers HTTP {status}")));
                }
                return read(&url, response).await;
            };
            let next = url.join(&to).ok().filter(|next| next.origin() == url.origin());
            let elsewhere = || odd(&url, "redirects to another origin, which is not followed");
            url = self.server.allows(what, next.ok_or_else(elsewhere)?.as_str())?;
        }
        Err(odd(&url, "redirects without end"))
    }

    /// Posts a JSON document.
    pub(super) async fn post(&self, what: &'static str, url: &Url, body: Vec<u8>) -> Result<Document, Error> {
        let url = self.server.allows(what, url.as_str())?;
        let request = self.client(&url).post(url.clone()).header(CONTENT_TYPE, JSON).header(ACCEPT, JSON).body(body);
        read(&url, sent(&url, request).await?).await
    }

    /// Posts a form, which may hold secrets.
    pub(super) async fn post_form(&self, what: &'static str, url: &Url, form: Form) -> Result<Document, Error> {
        let url = self.server.allows(what, url.as_str())?;
        let mut request = self.client(&url).post(url.clone()).header(CONTENT_TYPE, FORM).header(ACCEPT, JSON);
        if let Some(authorization) = form.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        read(&url, sent(&url, request.body(form.body)).await?).await
    }
}

/// A form, and the header that authenticates the client.
pub(super) struct Form {
    pub(super) body: String,
    pub(super) authorization: Option<HeaderValue>,
}

async fn sent(url: &Url, request: RequestBuilder) -> Result<Response, Error> {
    request.send().await.map_err(|e| Error::Unreachable { url: url.clone(), reason: error_chain(&e.without_url()) })
}

async fn read(url: &Url, response: Response) -> Result<Document, Error> {
    let status = response.status();
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|e| odd(url, &format!("breaks its answer off: {}", error_chain(&e.without_url()))))?;
        if body.len().saturating_add(piece.len()) > MOST {
            return Err(odd(url, &format!("answers with more than {MOST} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Document { status, body })
}

pub(super) fn odd(url: &Url, reason: &str) -> Error {
    Error::Odd { url: url.clone(), reason: reason.to_owned() }
}

/// The addresses of the server's name; none if it is an address itself, or a name that only a proxy can resolve.
async fn addresses(url: &Url) -> Vec<SocketAddr> {
    let Some(Host::Domain(name)) = url.host() else { return Vec::new() };
    let found = tokio::time::timeout(PATIENCE_WITH_THE_CHALLENGE, tokio::net::lookup_host((name, 0))).await;
    found.ok().and_then(Result::ok).map(Iterator::collect).unwrap_or_default()
}

/// The hosts of the proxies that the environment names. The address that a proxy connects to can't be checked here.
fn proxies() -> Vec<String> {
    let variables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let named = variables.iter().filter_map(|variable| std::env::var(variable).ok());
    let urls = named.map(|proxy| if proxy.contains("://") { proxy } else { format!("http://{proxy}") });
    urls.filter_map(|url| Some(Url::parse(&url).ok()?.host_str()?.to_ascii_lowercase())).collect()
}

/// None of a name's addresses may be named by the server.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` stands for {address}, an address that only a server of the same network may name")]
struct Prohibited {
    name: String,
    address: IpAddr,
}

/// Resolves names to the addresses that the server may name. The connection is made to one of these and no other.
#[derive(Debug, Clone)]
struct Resolver {
    zone: Zone,
    /// The server's own name and its addresses: the user has named it.
    own: String,
    addresses: Vec<SocketAddr>,
    proxies: Vec<String>,
}

impl Resolver {
    fn new(zone: Zone, own: String, addresses: Vec<SocketAddr>, proxies: Vec<String>) -> Self {
        let mut resolver = Self { zone, own: String::new(), addresses: Vec::new(), proxies };
        // A name with public and other addresses belongs to a public server: connect to the public ones only.
        resolver.addresses = resolver.allowed(&own, addresses.clone()).unwrap_or(addresses);
        resolver.own = own;
        resolver
    }

    /// The addresses of a name that may be connected to.
    fn allowed(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Prohibited> {
        if self.proxies.iter().any(|proxy| proxy == name) {
            return Ok(found);
        }
        let (allowed, refused): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|address| self.zone.may_name(address.ip()));
        match refused.first() {
            Some(address) if allowed.is_empty() => Err(Prohibited { name: name.to_owned(), address: address.ip() }),
            _ => Ok(allowed),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_ascii_lowercase();
        if name == self.own && !self.addresses.is_empty() {
            let own = self.addresses.clone();
            return Box::pin(async move { Ok(Box::new(own.into_iter()) as Addrs) });
        }
        let resolver = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(resolver.allowed(&name, found)?.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_connected_to_where_the_server_may_send_us() {
        let of = |zone, found: &[&str]| {
            let resolver = Resolver::new(zone, "own".to_owned(), Vec::new(), vec!["proxy".to_owned()]);
            let found = || found.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
            assert_eq!(resolver.allowed("proxy", found()).unwrap(), found());
            resolver.allowed("name", found()).map(|allowed| allowed.len()).map_err(|e| e.to_string())
        };
        assert_eq!(of(Zone::Public, &["10.0.0.1", "1.1.1.1"]), Ok(1));
        assert_eq!(of(Zone::Private, &["10.0.0.1", "1.1.1.1"]), Ok(2));
        assert!(of(Zone::Public, &["10.0.0.1"]).unwrap_err().contains("`name` stands for 10.0.0.1"));
        assert!(of(Zone::Private, &["127.0.0.1"]).is_err());
        assert!(of(Zone::Loopback, &["169.254.169.254", "fe80::1"]).is_err());
    }
}
