//! The egress policy of a handler plugin: its own HTTP requests go to origins that the config allows, and to their public addresses only.
//!
//! The rules are those of [`super::ProviderClient`]: the host adds the credential and fixed headers, follows no redirect, and redacts the
//! credential in the response, which is therefore read whole before the guest sees it. Proxies of the environment aren't used: a proxy would
//! resolve names itself, and the addresses would go unchecked.

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

use super::allowed_origin::AllowedOrigin;
use super::credential::Credential;
use super::handler_http::{SendError, Timeouts};
use super::origin;
use super::outbound_request::configured_headers;
use super::read_body::{ReadBodyError, read_body};
use super::redact::{self, Redact};
use super::reserved::{self, Why};
use crate::config::{self, ConfigError, Limits};
use crate::error::Error;
use crate::http::resolver::{NotPublic, Resolver};
use crate::http::{error_chain, within};
use crate::text::one_line;

/// The origins that a handler plugin may reach, and what is added to its requests.
#[derive(Debug)]
pub struct EgressPolicy {
    plugin: String,
    allowed: Vec<AllowedOrigin>,
    headers: HeaderMap,
    limits: Limits,
}

impl EgressPolicy {
    /// The policy that the config gives a plugin.
    ///
    /// # Errors
    /// If an origin, a header or a credential can't be used.
    pub fn new(config: &config::PluginConfig) -> Result<Self, ConfigError> {
        let mut allowed: Vec<AllowedOrigin> = Vec::new();
        for (i, entry) in config.allow.iter().flatten().enumerate() {
            let wrong = |reason: String| ConfigError::Value {
                file: String::new(),
                key: format!("plugins.{}.allow[{i}]", config.name),
                reason,
            };
            let url = origin::parse(&entry.origin).map_err(wrong)?;
            if allowed.iter().any(|target| target.url == url) {
                return Err(wrong("names an origin that stands in the list already".to_owned()));
            }
            let credential = entry.credential.as_ref();
            let credential = credential.map(|credential| Credential::of_origin(config, credential)).transpose();
            let credential = credential.map_err(|reason| wrong(format!("has a `credential` that {reason}")))?;
            let resolver = Resolver::new(entry.private || origin::says_its_address(&url));
            allowed.push(AllowedOrigin::new(url, entry.private, credential, resolver, config.environment.clone()));
        }
        let headers = configured_headers(config)?;
        Ok(Self { plugin: config.name.clone(), allowed, headers, limits: config.limits.clone() })
    }

    /// The one origin, its name resolved by this.
    #[cfg(test)]
    pub(super) fn resolving_by(origin: &str, private: bool, resolver: Resolver) -> Self {
        let url = origin::parse(origin).unwrap();
        let config = config::Config::default().plugin("echo", |_| None).unwrap();
        let target = AllowedOrigin::new(url, private, None, resolver, config.environment.clone());
        Self { allowed: vec![target], ..Self::new(&config).unwrap() }
    }

    pub(super) fn plugin(&self) -> &str {
        &self.plugin
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Each allowed origin, whether its addresses may be private, and its credential.
    pub fn origins(&self) -> impl Iterator<Item = (String, bool, Option<&Credential>)> {
        self.allowed.iter().map(|target| (target.origin(), target.private, target.credential.as_ref()))
    }

    /// Their names alone.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.allowed.iter().map(AllowedOrigin::origin).collect()
    }

    /// What is missing of the credentials of its origins.
    pub fn missing_credentials(&self) -> impl Iterator<Item = String> {
        self.allowed.iter().filter_map(|target| target.credential.as_ref()?.trouble(true))
    }

    /// A predicate on header names: whether the guest may not set this one.
    pub fn forbids(&self) -> impl Fn(&HeaderName) -> bool + Send + Sync + 'static {
        let credentials: Vec<HeaderName> =
            self.allowed.iter().filter_map(|target| target.credential.as_ref()?.header()).collect();
        move |name| !reserved::is_said_by_itself(name) && reserved::header(name, credentials.iter()).is_some()
    }
}

/// A guest's request, without what the host adds.
#[derive(Clone)]
pub(super) struct GuestRequest {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl EgressPolicy {
    /// Checks a request: its URL, and the allowed origin that it goes to.
    pub(super) fn check(&self, request: &http::request::Parts) -> Result<(Url, &AllowedOrigin), String> {
        let name = &self.plugin;
        let shown = one_line(&request.uri.to_string(), 120);
        let url = Url::parse(&request.uri.to_string()).map_err(|e| format!("`{shown}` is not a URL: {e}"))?;
        let has_user = request.uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if has_user || !url.username().is_empty() || url.password().is_some() {
            return Err("its URL holds a user name or a password".to_owned());
        }
        if matches!(request.method, Method::CONNECT | Method::TRACE) {
            return Err(format!("the method {} is not for plugins", request.method));
        }
        let origin = url.origin();
        let Some(target) = self.allowed.iter().find(|target| target.url.origin() == origin) else {
            let origin = one_line(&origin.ascii_serialization(), 120);
            return Err(format!(
                "it wants {origin}, which `plugins.{name}.allow` doesn't name; add it there if the plugin may talk to it"
            ));
        };
        let own: Vec<&str> = self.allowed.iter().filter_map(|target| target.credential.as_ref()?.query_key()).collect();
        let path = request.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        if let Some(key) = reserved::query_key(path, &own) {
            return Err(Why::Account.in_words(&format!("the query key `{}`", one_line(&key, 60)), name));
        }
        Ok((url, target))
    }

    pub(super) fn refused(&self, reason: String) -> (SendError, Error) {
        (SendError::Denied, Error::Refused { plugin: self.plugin.clone(), reason })
    }

    /// Sends the request, once more if a credential was refused that can be renewed, and reads the answer.
    pub(super) async fn exchange(
        &self,
        target: &AllowedOrigin,
        request: GuestRequest,
        timeouts: Timeouts,
    ) -> Result<http::Response<Vec<u8>>, (SendError, Error)> {
        let (response, redact) = self.send(target, request.clone(), timeouts).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(credential) = &target.credential
            && credential.refused(redact.secret()).await
        {
            let (response, redact) = self.send(target, request, timeouts).await?;
            return self.read(target, response, redact, timeouts).await;
        }
        self.read(target, response, redact, timeouts).await
    }

    async fn send(
        &self,
        target: &AllowedOrigin,
        request: GuestRequest,
        timeouts: Timeouts,
    ) -> Result<(reqwest::Response, Redact), (SendError, Error)> {
        let missing = |reason| (SendError::Denied, Error::Credential { plugin: self.plugin.clone(), reason });
        let GuestRequest { mut url, method, headers: guests, body } = request;
        let forbidden = self.forbids();
        let mut headers = HeaderMap::with_capacity(guests.len() + 2);
        for (name, value) in &guests {
            // The length is the body's, whatever the guest says of it.
            if !forbidden(name) && !reserved::is_said_by_itself(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.extend(self.headers.clone());
        let secret = match &target.credential {
            Some(credential) => credential.value(true).await.map_err(missing)?,
            None => None,
        };
        if let (Some(credential), Some(secret)) = (&target.credential, &secret) {
            credential.apply(secret, &mut url, &mut headers).map_err(missing)?;
            // In a compressed response nothing can be redacted.
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let redact = Redact::new(secret);
        let client = target.client().map_err(|reason| self.unreachable(target, reason))?;
        let sent = client.request(method, url).headers(headers).body(body).send();
        let response = within(timeouts.first_byte, sent).await.ok_or_else(|| self.timed_out(target))?;
        let response = response.map_err(|e| match not_public(&e) {
            Some(not_public) => {
                let name = &self.plugin;
                let reason = format!(
                    "{not_public}; if that is meant, write `{{\"origin\": \"{}\", \"private\": true}}` into `plugins.{name}.allow`",
                    target.origin()
                );
                (SendError::NotPublic, Error::Refused { plugin: name.clone(), reason })
            }
            None => self.unreachable(target, redact.words(error_chain(&e.without_url()))),
        })?;
        Ok((response, redact))
    }

    /// Reads the answer and cuts the credential out of it.
    async fn read(
        &self,
        target: &AllowedOrigin,
        response: reqwest::Response,
        redact: Redact,
        timeouts: Timeouts,
    ) -> Result<http::Response<Vec<u8>>, (SendError, Error)> {
        if redact.is_defeated_by(response.headers().get(header::CONTENT_ENCODING)) {
            return Err(self.refused(redact::compressed_reason(&target.origin())));
        }
        let most = self.limits.response_body;
        let (status, headers) = (response.status(), response.headers().clone());
        let body =
            read_body(response, Vec::new(), most, timeouts.between_bytes).await.map_err(|unread| match unread {
                ReadBodyError::TooLarge => {
                    let (plugin, origin) = (self.plugin.clone(), target.origin());
                    (SendError::ResponseTooLarge, Error::ResponseTooLarge { plugin, origin, most })
                }
                ReadBodyError::Broken(error) => {
                    let reason = format!("the answer broke off: {}", error_chain(&error.without_url()));
                    self.unreachable(target, redact.words(reason))
                }
                ReadBodyError::TimedOut => self.timed_out(target),
            })?;
        let body = redact.body(body).await;
        let headers = guest_headers(&headers, &redact, body.len());
        let mut answer = http::Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    fn unreachable(&self, target: &AllowedOrigin, reason: String) -> (SendError, Error) {
        let (plugin, origin) = (self.plugin.clone(), target.origin());
        (SendError::Unreachable, Error::Unreachable { plugin, origin, reason, sent: true })
    }

    fn timed_out(&self, target: &AllowedOrigin) -> (SendError, Error) {
        let (_, error) = self.unreachable(target, "it took longer than the plugin wants to wait".to_owned());
        (SendError::TimedOut, error)
    }
}

/// The answer's headers as the guest sees them. Those that speak of the connection say nothing of a body that was read whole.
fn guest_headers(headers: &HeaderMap, redact: &Redact, length: usize) -> HeaderMap {
    let dropped = [header::SET_COOKIE, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH];
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !dropped.contains(name) && redact.may_name(name.as_str())) {
        let text: String = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        let cut = redact.words(text.clone());
        let value = if cut == text { Ok(value.clone()) } else { HeaderValue::from_str(&cut) };
        if let Ok(value) = value {
            kept.append(name.clone(), value);
        }
    }
    kept.insert(header::CONTENT_LENGTH, length.into());
    kept
}

fn not_public(error: &reqwest::Error) -> Option<&NotPublic> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(not_public) = error.downcast_ref() {
            return Some(not_public);
        }
        cause = error.source();
    }
    None
}
