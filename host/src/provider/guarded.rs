//! The requests that a handler plugin makes itself: to origins that the config allows, and to their public addresses only.
//!
//! The rules are those of [`super::Destination`]: the host adds credential and fixed headers, follows no redirect, and cuts the
//! credential out of whatever comes back; hence an answer is read whole before the guest sees it. No proxy of the environment
//! is asked: it would resolve names by itself, and nobody would check the addresses.

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

use super::body::{self, Unread};
use super::credential::Credential;
use super::fixed_headers;
use super::origin;
use super::place::Place;
use super::reserved::{self, Why};
use super::secret::{self, Redact};
use super::visit::{Failed, Patience};
use crate::config::{self, ConfigError, Limits};
use crate::error::Error;
use crate::http::resolver::{Prohibited, Resolver};
use crate::http::{error_chain, within};
use crate::text::one_line;

/// Where a handler plugin may go, and what is added to its requests.
#[derive(Debug)]
pub struct Guarded {
    plugin: String,
    places: Vec<Place>,
    headers: HeaderMap,
    limits: Limits,
}

impl Guarded {
    /// What the config allows a plugin.
    ///
    /// # Errors
    /// If an origin, a header or a credential can't be used.
    pub fn new(config: &config::Plugin) -> Result<Self, ConfigError> {
        let mut places: Vec<Place> = Vec::new();
        for (i, allowed) in config.allow.iter().flatten().enumerate() {
            let wrong = |reason: String| ConfigError::Value {
                file: String::new(),
                key: format!("plugins.{}.allow[{i}]", config.name),
                reason,
            };
            let url = origin::parse(&allowed.origin).map_err(wrong)?;
            if places.iter().any(|place| place.url == url) {
                return Err(wrong("names an origin that stands in the list already".to_owned()));
            }
            let credential = allowed.credential.as_ref();
            let credential = credential.map(|credential| Credential::of_origin(config, credential)).transpose();
            let credential = credential.map_err(|reason| wrong(format!("has a `credential` that {reason}")))?;
            let resolver = Resolver::new(allowed.private || origin::says_its_address(&url));
            places.push(Place::new(url, allowed.private, credential, resolver, config.environment.clone()));
        }
        let headers = fixed_headers(config)?;
        Ok(Self { plugin: config.name.clone(), places, headers, limits: config.limits.clone() })
    }

    /// The one origin, its name resolved by this.
    #[cfg(test)]
    pub(super) fn resolving_by(origin: &str, private: bool, resolver: Resolver) -> Self {
        let url = origin::parse(origin).unwrap();
        let config = config::Config::default().plugin("echo", |_| None).unwrap();
        let place = Place::new(url, private, None, resolver, config.environment.clone());
        Self { places: vec![place], ..Self::new(&config).unwrap() }
    }

    pub(super) fn plugin(&self) -> &str {
        &self.plugin
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Each origin that is allowed, whether it may be private, and the credential that goes there.
    pub fn origins(&self) -> impl Iterator<Item = (String, bool, Option<&Credential>)> {
        self.places.iter().map(|place| (place.origin(), place.private, place.credential.as_ref()))
    }

    /// Their names alone.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.places.iter().map(Place::origin).collect()
    }

    /// What is missing of the credentials.
    pub fn missing_credentials(&self) -> impl Iterator<Item = String> {
        self.places.iter().filter_map(|place| place.credential.as_ref()?.trouble(true))
    }

    /// Says of a header whether a guest may not set it.
    pub fn forbids(&self) -> impl Fn(&HeaderName) -> bool + Send + Sync + 'static {
        let credentials: Vec<HeaderName> =
            self.places.iter().filter_map(|place| place.credential.as_ref()?.header()).collect();
        move |name| !reserved::is_said_by_itself(name) && reserved::header(name, credentials.iter()).is_some()
    }
}

/// A guest's request, without what the host adds.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Guarded {
    /// Whether, and by what right, a request may go out.
    pub(super) fn place(&self, request: &http::request::Parts) -> Result<(Url, &Place), String> {
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
        let Some(place) = self.places.iter().find(|place| place.url.origin() == origin) else {
            let origin = one_line(&origin.ascii_serialization(), 120);
            return Err(format!(
                "it wants {origin}, which `plugins.{name}.allow` doesn't name; add it there if the plugin may talk to it"
            ));
        };
        let own: Vec<&str> = self.places.iter().filter_map(|place| place.credential.as_ref()?.query_key()).collect();
        let path = request.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        if let Some(key) = reserved::query_key(path, &own) {
            return Err(Why::Account.in_words(&format!("the query key `{}`", one_line(&key, 60)), name));
        }
        Ok((url, place))
    }

    pub(super) fn refused(&self, reason: String) -> (Failed, Error) {
        (Failed::Denied, Error::Refused { plugin: self.plugin.clone(), reason })
    }

    /// Sends the request, once more if a credential was refused that can be renewed, and reads the answer.
    pub(super) async fn exchange(
        &self,
        place: &Place,
        outgoing: Outgoing,
        patience: Patience,
    ) -> Result<http::Response<Vec<u8>>, (Failed, Error)> {
        let (response, redact) = self.send(place, outgoing.clone(), patience).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(credential) = &place.credential
            && credential.refused(redact.secret()).await
        {
            let (response, redact) = self.send(place, outgoing, patience).await?;
            return self.read(place, response, redact, patience).await;
        }
        self.read(place, response, redact, patience).await
    }

    async fn send(
        &self,
        place: &Place,
        outgoing: Outgoing,
        patience: Patience,
    ) -> Result<(reqwest::Response, Redact), (Failed, Error)> {
        let missing = |reason| (Failed::Denied, Error::Credential { plugin: self.plugin.clone(), reason });
        let Outgoing { mut url, method, headers: guests, body } = outgoing;
        let forbidden = self.forbids();
        let mut headers = HeaderMap::with_capacity(guests.len() + 2);
        for (name, value) in &guests {
            // The length is the body's, whatever the guest says of it.
            if !forbidden(name) && !reserved::is_said_by_itself(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.extend(self.headers.clone());
        let secret = match &place.credential {
            Some(credential) => credential.value(true).await.map_err(missing)?,
            None => None,
        };
        if let (Some(credential), Some(secret)) = (&place.credential, &secret) {
            credential.apply(secret, &mut url, &mut headers).map_err(missing)?;
            // Out of a compressed answer nothing can be cut.
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let redact = Redact::new(secret);
        let client = place.client().map_err(|reason| self.unreachable(place, reason))?;
        let sent = client.request(method, url).headers(headers).body(body).send();
        let response = within(patience.first, sent).await.ok_or_else(|| self.timed_out(place))?;
        let response = response.map_err(|e| match prohibited(&e) {
            Some(prohibited) => {
                let name = &self.plugin;
                let reason = format!(
                    "{prohibited}; if that is meant, write `{{\"origin\": \"{}\", \"private\": true}}` into `plugins.{name}.allow`",
                    place.origin()
                );
                (Failed::Prohibited, Error::Refused { plugin: name.clone(), reason })
            }
            None => self.unreachable(place, redact.words(error_chain(&e.without_url()))),
        })?;
        Ok((response, redact))
    }

    /// Reads the answer and cuts the credential out of it.
    async fn read(
        &self,
        place: &Place,
        response: reqwest::Response,
        redact: Redact,
        patience: Patience,
    ) -> Result<http::Response<Vec<u8>>, (Failed, Error)> {
        if redact.is_hidden_by(response.headers().get(header::CONTENT_ENCODING)) {
            return Err(self.refused(secret::hidden(&place.origin())));
        }
        let most = self.limits.response_body;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = body::read(response, Vec::new(), most, patience.between).await.map_err(|unread| match unread {
            Unread::TooLarge => {
                let (plugin, origin) = (self.plugin.clone(), place.origin());
                (Failed::ResponseTooLarge, Error::ResponseTooLarge { plugin, origin, most })
            }
            Unread::Broken(error) => {
                let reason = format!("the answer broke off: {}", error_chain(&error.without_url()));
                self.unreachable(place, redact.words(reason))
            }
            Unread::TimedOut => self.timed_out(place),
        })?;
        let body = redact.body(body).await;
        let headers = answered(&headers, &redact, body.len());
        let mut answer = http::Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    fn unreachable(&self, place: &Place, reason: String) -> (Failed, Error) {
        let (plugin, origin) = (self.plugin.clone(), place.origin());
        (Failed::Unreachable, Error::Unreachable { plugin, origin, reason })
    }

    fn timed_out(&self, place: &Place) -> (Failed, Error) {
        let (_, error) = self.unreachable(place, "it took longer than the plugin wants to wait".to_owned());
        (Failed::TimedOut, error)
    }
}

/// The answer's headers as the guest sees them. Those that speak of the connection say nothing of a body that was read whole.
fn answered(headers: &HeaderMap, redact: &Redact, length: usize) -> HeaderMap {
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

fn prohibited(error: &reqwest::Error) -> Option<&Prohibited> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(prohibited) = error.downcast_ref() {
            return Some(prohibited);
        }
        cause = error.source();
    }
    None
}
