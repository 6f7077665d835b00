//! The client of one provider plugin: its endpoints, its credential, and the exchanges it asks for.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use reqwest::header::HeaderMap;

use super::credential::Credential;
use super::endpoint::{self, ProviderEndpoint};
use super::outbound_request::{OutboundRequest, configured_headers};
use super::read_body::{ReadBodyError, read_body};
use super::redact::{self, Redact};
use super::stream::{EventStream, ProviderResponse, StreamError, beginning, is_streamed, is_whole};
use crate::config::{self, ConfigError, Limits};
use crate::error::Error;
use crate::http::{Http, error_chain};
use crate::wit::streaming::exports::understudy::plugin::streaming::ResponseHead;
use crate::wit::understudy::plugin::types as wit;

/// Sends the requests that a provider plugin asks for: to its endpoints, with its credential and fixed headers.
#[derive(Debug)]
pub struct ProviderClient {
    pub(super) plugin: String,
    main: Result<ProviderEndpoint, String>,
    named: BTreeMap<String, ProviderEndpoint>,
    pub(super) headers: HeaderMap,
    pub(super) credential: Option<Credential>,
    /// Whether the config or the environment names another endpoint than the one that the plugin is made for: it may be a server of the
    /// user's that needs no credential.
    pub(super) is_elsewhere: bool,
    /// The environment variable that names that endpoint.
    moved_by: Option<String>,
    limits: Limits,
}

impl ProviderClient {
    /// The client that the config gives a plugin; a built-in plugin's suggestions apply where the config is silent.
    ///
    /// # Errors
    /// If an endpoint, a header or a credential can't be used.
    pub fn new(
        config: &config::PluginConfig,
        description: &wit::Description,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let wrong = |key: &str, reason: String| ConfigError::Value {
            file: String::new(),
            key: format!("plugins.{}.{key}", config.name),
            reason,
        };
        let suggested = description.endpoint.as_ref();
        let trusted = config.built_in().and(suggested);
        let variable = trusted.and_then(|e| Some((e.env.as_deref()?, e.url.as_str())));
        let from_env = variable.and_then(|(name, made_for)| Some((name, env(name)?, made_for)));
        let from_env = from_env.filter(|(_, text, _)| config.endpoint.is_none() && !text.trim().is_empty());
        let moved_by = from_env.as_ref().map(|(name, ..)| (*name).to_owned());
        let main = match (&config.endpoint, from_env, trusted) {
            (Some(text), ..) => Ok(endpoint::parse(text).map_err(|reason| wrong("endpoint", reason))?),
            (None, Some((name, text, made_for)), _) => {
                let url = endpoint::from_env(&text, made_for);
                Ok(url.map_err(|reason| wrong("endpoint", format!("by the environment variable `{name}`, {reason}")))?)
            }
            (None, None, Some(suggested)) => {
                Ok(endpoint::parse(&suggested.url).map_err(|reason| wrong("endpoint", reason))?)
            }
            (None, None, None) => Err(no_endpoint(&config.name, suggested)),
        };
        let mut named = BTreeMap::new();
        for (name, text) in &config.endpoints {
            let url = endpoint::parse(text).map_err(|reason| wrong(&format!("endpoints.{name}"), reason))?;
            named.insert(name.clone(), url.into());
        }
        let headers = configured_headers(config)?;
        let credential = Credential::new(config, description, env).map_err(|reason| wrong("credential", reason))?;
        let main = main.map(ProviderEndpoint::from);
        let made_for = credential.as_ref().and_then(Credential::made_for);
        let is_elsewhere = matches!((made_for, &main), (Some(made_for), Ok(main)) if !main.is_where(made_for));
        let (plugin, limits) = (config.name.clone(), config.limits.clone());
        Ok(Self { plugin, main, named, headers, credential, is_elsewhere, moved_by, limits })
    }

    /// The main endpoint's scheme, host, port and path; or why there is none.
    ///
    /// # Errors
    /// If the config must name one.
    pub fn endpoint(&self) -> Result<String, &str> {
        self.main.as_ref().map(ProviderEndpoint::shown).map_err(String::as_str)
    }

    /// The main endpoint's scheme, host and port, if there is one.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.main.as_ref().ok().map(ProviderEndpoint::origin)
    }

    /// The credential.
    #[must_use]
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// Whether a request of the plugin's would be sent, whatever its endpoint.
    ///
    /// # Errors
    /// Why it would be refused.
    pub fn validate_request(&self, request: &wit::HttpRequest) -> Result<(), String> {
        let somewhere = endpoint::parse("https://provider.invalid")?.into();
        self.guests_url(self.main.as_ref().unwrap_or(&somewhere), &request.path)?;
        self.guests_headers(&request.headers).map(|_| ())
    }

    /// What is missing of the credential, if the main endpoint needs one.
    #[must_use]
    pub fn missing_credential(&self) -> Option<String> {
        self.credential.as_ref()?.trouble(!self.is_elsewhere)
    }

    /// A remark on a credential that may be missing: a variable names an endpoint that may need one, and there is none.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let (variable, credential) = (self.moved_by.as_ref().filter(|_| self.is_elsewhere)?, self.credential.as_ref()?);
        credential.trouble(true)?;
        let (place, remedy) = (self.endpoint().ok()?, credential.remedy(credential.variable()?));
        Some(format!(
            "`{variable}` sends its requests to `{place}`, and they carry no credential; if one is wanted there, {remedy}"
        ))
    }

    /// Makes one HTTP exchange, with `body` as the request's body. The caller limits its time: dropping the future closes the connection.
    ///
    /// # Errors
    /// If the request is refused, the provider can't be reached, or its answer is too large.
    pub async fn exchange(&self, http: &Http, fetch: &wit::Fetch, body: Bytes) -> Result<ProviderResponse, Error> {
        let endpoint = self.endpoint_of(&fetch.request)?;
        let (response, redact) = self.send(http, endpoint, fetch, body.clone()).await?;
        let is_refused = response.status() == reqwest::StatusCode::UNAUTHORIZED;
        if is_refused
            && let Some(credential) = &self.credential
            && credential.refused(redact.secret()).await
        {
            let (response, redact) = self.send(http, endpoint, fetch, body).await?;
            return self.read(response, redact, endpoint, fetch).await;
        }
        self.read(response, redact, endpoint, fetch).await
    }

    /// Sends the request; the response's head, and the redaction for all of it.
    async fn send(
        &self,
        http: &Http,
        endpoint: &ProviderEndpoint,
        fetch: &wit::Fetch,
        body: Bytes,
    ) -> Result<(reqwest::Response, Redact), Error> {
        let (OutboundRequest { url, method, headers }, redact) =
            self.outbound_request(endpoint, &fetch.request).await?;
        let unreachable = |reason: String, sent: bool| Error::Unreachable {
            plugin: self.plugin.clone(),
            origin: endpoint.origin().to_owned(),
            reason: redact.words(reason),
            sent,
        };
        let client = http.client(&url).map_err(|reason| unreachable(reason, false))?;
        let response = client.request(method, url).headers(headers).body(body).send().await;
        let response = response.map_err(|e| {
            let sent = !e.is_connect() && !e.is_builder();
            unreachable(error_chain(&e.without_url()), sent)
        })?;
        Ok((response, redact))
    }

    /// Reads the response, or the beginning of a stream.
    async fn read(
        &self,
        response: reqwest::Response,
        redact: Redact,
        endpoint: &ProviderEndpoint,
        fetch: &wit::Fetch,
    ) -> Result<ProviderResponse, Error> {
        let status = response.status().as_u16();
        if redact.is_defeated_by(response.headers().get(reqwest::header::CONTENT_ENCODING)) {
            return Err(self.refused(redact::compressed_reason(endpoint.origin())));
        }
        let kept = response.headers().iter().filter(|(name, _)| *name != reqwest::header::SET_COOKIE);
        let kept = kept.filter(|(name, _)| redact.may_name(name.as_str()));
        let headers = kept.map(|(name, value)| wit::Header {
            name: name.as_str().to_owned(),
            value: redact.words(value.as_bytes().iter().map(|byte| char::from(*byte)).collect()),
        });
        let headers: Vec<wit::Header> = headers.collect();
        let origin = || endpoint.origin().to_owned();
        let broken = |reason: String| Error::Unreachable {
            plugin: self.plugin.clone(),
            origin: origin(),
            reason: redact.words(format!("the answer broke off: {reason}")),
            sent: true,
        };
        let mut begun = Bytes::new();
        let mut response = response;
        let mut is_stream = is_streamed(fetch.framing, &response);
        if is_stream && fetch.framing == wit::Framing::ServerSentEvents {
            begun = beginning(&mut response).await.map_err(|e| broken(error_chain(&e.without_url())))?;
            is_stream = !is_whole(&begun);
        }
        if is_stream {
            let body = response.bytes_stream().map_err(|e| StreamError::Broken(error_chain(&e.without_url())));
            let body = futures_util::stream::once(async { Ok(begun) }).chain(body);
            let head = ResponseHead { status, headers };
            let is_lines = fetch.framing == wit::Framing::Lines;
            let place = (self.plugin.clone(), endpoint.origin().to_owned(), self.limits.response_body);
            return Ok(ProviderResponse::Stream(EventStream::new(head, body, is_lines, redact, place)));
        }
        let most = self.limits.response_body;
        let body = read_body(response, begun.to_vec(), most, None).await.map_err(|unread| match unread {
            ReadBodyError::TooLarge => Error::ResponseTooLarge { plugin: self.plugin.clone(), origin: origin(), most },
            ReadBodyError::Broken(error) => broken(error_chain(&error.without_url())),
            // No timeout was given.
            ReadBodyError::TimedOut => broken("it paused for too long".to_owned()),
        })?;
        let body = redact.body(body).await;
        Ok(ProviderResponse::Whole(wit::HttpResponse { status, headers, body, extensions: "{}".to_owned() }))
    }

    /// The endpoint that a request names.
    fn endpoint_of(&self, request: &wit::HttpRequest) -> Result<&ProviderEndpoint, Error> {
        match &request.endpoint {
            None => self.main.as_ref().map_err(|reason| self.refused(reason.clone())),
            Some(name) => self.named.get(name).ok_or_else(|| {
                let name = crate::text::one_line(name, 60);
                self.refused(format!(
                    "it names the endpoint `{name}`, which `plugins.{}.endpoints` doesn't have",
                    self.plugin
                ))
            }),
        }
    }

    pub(super) fn refused(&self, reason: String) -> Error {
        Error::Refused { plugin: self.plugin.clone(), reason }
    }
}

fn no_endpoint(plugin: &str, suggested: Option<&wit::SuggestedEndpoint>) -> String {
    let suggestion = suggested.map(|e| format!(" (it suggests `{}`)", crate::text::one_line(&e.url, 200)));
    format!(
        "it has no endpoint; write `plugins.{plugin}.endpoint` into the config, or `--endpoint URL`{}",
        suggestion.unwrap_or_default()
    )
}
