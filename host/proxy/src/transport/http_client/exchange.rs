//! One HTTP exchange with the server, and what may go wrong with it.

use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::encoding;
use super::error::ClientError;
use super::refusal::MOST_OF_A_REFUSAL;
use super::session_loss::SessionContext;
use crate::oauth::{Challenge, Login};
use crate::transport::lines::line_of;
use understudy::http::{builder, error_chain, is_loopback};
use understudy::text::one_line;

/// How often a server is asked for a sign of life while it says nothing, and how many may stay away. Answers may take minutes, so
/// this is the only way to tell a server that thinks from one that is gone.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
const MISSED: u32 = 3;

/// So many redirects are followed.
const MOST_REDIRECTS: usize = 5;

/// Max bytes pre-allocated from `Content-Length`. 1 MiB.
const MOST_AT_ONCE: usize = 1024 * 1024;

const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// The way to a server.
#[derive(Debug)]
pub(super) struct HttpExchange {
    client: reqwest::Client,
    url: Url,
    /// Headers of the config's, for each request.
    headers: HeaderMap,
    /// The user's login, unless a header says who asks.
    login: Option<Login>,
}

impl HttpExchange {
    pub(super) fn new(url: Url, headers: HeaderMap) -> Result<Self, String> {
        let builder = if is_loopback(&url) { builder().no_proxy() } else { builder() };
        let builder = builder.tcp_keepalive(SIGN_OF_LIFE).tcp_keepalive_interval(SIGN_OF_LIFE / MISSED);
        let builder = builder.tcp_keepalive_retries(MISSED).http2_keep_alive_interval(SIGN_OF_LIFE);
        let client = builder.http2_keep_alive_while_idle(true).build().map_err(|e| error_chain(&e))?;
        let login = if headers.contains_key(AUTHORIZATION) { None } else { Login::at(&url) };
        Ok(Self { client, url, headers, login })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The server's address, fit to be shown: without what may be secret.
    pub(super) fn place(&self) -> String {
        place(&self.url)
    }

    /// Sends a message.
    pub(super) async fn post(
        &self,
        url: &Url,
        mut headers: HeaderMap,
        message: Bytes,
    ) -> Result<Response, ClientError> {
        headers.insert(ACCEPT, EITHER);
        headers.insert(CONTENT_TYPE, JSON);
        self.send(Method::POST, url, headers, message).await
    }

    /// Opens a stream.
    pub(super) async fn get(&self, mut headers: HeaderMap) -> Result<Response, ClientError> {
        headers.insert(ACCEPT, EVENTS);
        self.send(Method::GET, &self.url, headers, Bytes::new()).await
    }

    /// Ends a session.
    pub(super) async fn delete(&self, headers: HeaderMap) -> Result<Response, ClientError> {
        self.send(Method::DELETE, &self.url, headers, Bytes::new()).await
    }

    /// Sends a request, and again where a redirect within the server says.
    async fn send(&self, method: Method, url: &Url, ours: HeaderMap, body: Bytes) -> Result<Response, ClientError> {
        let mut headers = self.headers.clone();
        headers.extend(ours);
        let mut url = url.clone();
        let mut token = self.token().await;
        let mut may_renew = true;
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.client.request(method.clone(), url.clone()).headers(headers.clone());
            if let Some(token) = &token {
                request = request.bearer_auth(token.expose_secret());
            }
            let response = request.body(body.clone()).send().await.map_err(|e| self.unsent(e))?;
            if response.status() == StatusCode::UNAUTHORIZED && may_renew {
                may_renew = false;
                if let Some(other) = self.other_token(token.as_ref()).await {
                    token = Some(other);
                    continue;
                }
            }
            let Some(to) = redirect(&response) else { return Ok(response) };
            let status = response.status();
            url = self.within(&url, &to, status)?;
        }
        Err(self.odd("sends its clients from one URL to the next, without end"))
    }

    async fn token(&self) -> Option<SecretString> {
        self.login.as_ref()?.token().await
    }

    async fn other_token(&self, refused: Option<&SecretString>) -> Option<SecretString> {
        self.login.as_ref()?.other_than(refused).await
    }

    /// A URL of the server's, if it is within its origin: headers of the config's may be secrets, and are for this server alone.
    pub(super) fn within(&self, base: &Url, to: &str, status: StatusCode) -> Result<Url, ClientError> {
        let shown = match base.join(to) {
            Ok(url) if url.origin() == self.url.origin() => return Ok(url),
            Ok(other) => format!("{}{}", other.origin().ascii_serialization(), other.path()),
            Err(_) => to.to_owned(),
        };
        Err(ClientError::Elsewhere {
            place: self.place(),
            to: format!("`{}`", understudy::text::one_line(&shown, 200)),
            status,
        })
    }

    /// What became of a request that has no answer.
    fn unsent(&self, error: reqwest::Error) -> ClientError {
        let place = self.place();
        let (is_connect, is_timeout) = (error.is_connect(), error.is_timeout());
        let is_refused = is_of_kind(&error, std::io::ErrorKind::ConnectionRefused);
        let reason = error_chain(&error.without_url());
        if !is_connect {
            return ClientError::Broken {
                place,
                how: format!("broke the connection off before it answered ({reason})"),
            };
        }
        let reason = match (is_refused, is_timeout) {
            (true, _) => "nothing listens there; is it running, and is the URL right?".to_owned(),
            (_, true) => "no connection within 10 s".to_owned(),
            _ if is_of_authority(&reason) => {
                "its certificate is that of an authority, as a self-signed one of `openssl req -x509` is: such a one is trusted if the file that `SSL_CERT_FILE` names holds this very certificate".to_owned()
            }
            _ if reason.contains("certificate") => {
                format!(
                    "{reason}; trusted is what the system trusts, or what the file that `SSL_CERT_FILE` names holds"
                )
            }
            _ => reason,
        };
        ClientError::Unreachable { place, reason }
    }

    /// Whether an answer is one, and else what it means.
    pub(super) async fn accepted(&self, response: Response, told: SessionContext) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let mut body = BytesMut::new();
        let challenge = Challenge::of(response.headers());
        // What could be read is what there is to show.
        if let Ok(pieces) = encoding::pieces(response) {
            let mut pieces = pin!(pieces);
            while let Some(Ok(piece)) = pieces.next().await {
                body.extend_from_slice(&piece);
                if body.len() > MOST_OF_A_REFUSAL {
                    break;
                }
            }
        }
        let place = self.place();
        if let Some(trouble) = ClientError::of_scopes(&place, status, challenge.as_ref(), &body) {
            return Err(trouble);
        }
        let why = match &self.login {
            Some(login) => login.trouble().await,
            None => None,
        };
        if let Some(trouble) = ClientError::of_login(&place, status, why, &body) {
            return Err(trouble);
        }
        let authorizes = self.headers.contains_key(AUTHORIZATION);
        Err(ClientError::refused(place, status, &body, told, authorizes))
    }

    /// An answer's body, as one line.
    pub(super) async fn body(&self, response: Response, limit: usize) -> Result<Bytes, ClientError> {
        let too_long = || ClientError::TooLong { place: self.place(), limit };
        let announced = response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        if announced > limit {
            return Err(too_long());
        }
        let mut body = Vec::with_capacity(announced.min(MOST_AT_ONCE) + 1);
        let mut pieces = pin!(encoding::pieces(response).map_err(|what| self.odd(what))?);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|reason| self.broken(&reason))?;
            if body.len() + piece.len() > limit {
                return Err(too_long());
            }
            body.extend_from_slice(&piece);
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(self.odd("answers with nothing"));
        }
        Ok(line_of(body))
    }

    /// The connection broke in the middle of an answer.
    pub(super) fn broken(&self, reason: &str) -> ClientError {
        ClientError::Broken { place: self.place(), how: format!("broke its answer off ({reason})") }
    }

    /// A stream ended, and there was nothing in it.
    pub(super) fn ended(&self) -> ClientError {
        ClientError::Ended { place: self.place() }
    }

    /// Something that is no message.
    pub(super) fn stray(&self, why: &str, line: &[u8]) -> ClientError {
        let start = String::from_utf8_lossy(line.get(..400).unwrap_or(line)).into_owned();
        ClientError::Stray { place: self.place(), what: format!("something that is {why}: `{}`", one_line(&start, 80)) }
    }

    pub(super) fn odd(&self, what: impl Into<String>) -> ClientError {
        ClientError::Odd { place: self.place(), what: what.into() }
    }
}

/// A server's address, fit to be shown: without what may be secret.
pub(super) fn place(url: &Url) -> String {
    format!("`{}{}`", url.origin().ascii_serialization(), url.path())
}

/// Where a redirect points to.
fn redirect(response: &Response) -> Option<String> {
    // A 303 wants a GET, and no message would arrive.
    let followed = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !followed.contains(&response.status()) {
        return None;
    }
    let to = response.headers().get(LOCATION)?;
    Some(String::from_utf8_lossy(to.as_bytes()).into_owned())
}

/// The kind of an answer, without its parameters, in lower case.
pub(super) fn content_type(response: &Response) -> String {
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = String::from_utf8_lossy(kind);
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether an I/O error of this kind is what it comes down to.
fn is_of_kind(error: &reqwest::Error, kind: std::io::ErrorKind) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == kind) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether a certificate is refused because it is an authority's.
fn is_of_authority(reason: &str) -> bool {
    reason.contains("CaUsedAsEndEntity")
}
