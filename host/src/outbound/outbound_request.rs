//! A provider plugin's request as it is sent: what the plugin determines, and what the host adds.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::credential::Credential;
use super::endpoint::ProviderEndpoint;
use super::provider_client::ProviderClient;
use super::redact::Redact;
use super::reserved::{self, Why};
use crate::config::{self, ConfigError};
use crate::error::Error;
use crate::text::one_line;
use crate::wit::understudy::plugin::types as wit;

/// A request, ready to be sent.
pub(super) struct OutboundRequest {
    pub(super) url: Url,
    pub(super) method: reqwest::Method,
    pub(super) headers: HeaderMap,
}

/// The headers that the config adds to each request.
pub(super) fn configured_headers(config: &config::PluginConfig) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let wrong = |reason: &str| ConfigError::Value {
            file: String::new(),
            key: format!("plugins.{}.headers.{name}", config.name),
            reason: reason.to_owned(),
        };
        let header = HeaderName::try_from(name).map_err(|_| wrong("is not a header's name"))?;
        let value = HeaderValue::try_from(value).map_err(|_| wrong("holds characters that no header can"))?;
        headers.insert(header, value);
    }
    Ok(headers)
}

impl ProviderClient {
    /// The request as it is sent, and the redaction for its response.
    pub(super) async fn outbound_request(
        &self,
        endpoint: &ProviderEndpoint,
        request: &wit::HttpRequest,
    ) -> Result<(OutboundRequest, Redact), Error> {
        let refused = |reason: String| self.refused(reason);
        let mut url = self.guests_url(endpoint, &request.path).map_err(refused)?;
        let mut headers = self.guests_headers(&request.headers).map_err(refused)?;
        headers.extend(self.headers.clone());
        let missing = |reason| Error::Credential { plugin: self.plugin.clone(), reason };
        let secret = match &self.credential {
            Some(credential) => {
                let needed = request.endpoint.is_some() || !self.is_elsewhere;
                credential.value(needed).await.map_err(missing)?
            }
            None => None,
        };
        if let (Some(credential), Some(secret)) = (&self.credential, &secret) {
            credential.apply(secret, &mut url, &mut headers).map_err(missing)?;
        }
        let method = match request.method {
            wit::HttpMethod::Get => reqwest::Method::GET,
            wit::HttpMethod::Post => reqwest::Method::POST,
            wit::HttpMethod::Put => reqwest::Method::PUT,
            wit::HttpMethod::Patch => reqwest::Method::PATCH,
            wit::HttpMethod::Delete => reqwest::Method::DELETE,
        };
        Ok((OutboundRequest { url, method, headers }, Redact::new(secret)))
    }

    /// The endpoint with the plugin's path.
    pub(super) fn guests_url(&self, endpoint: &ProviderEndpoint, path: &str) -> Result<Url, String> {
        let own = self.credential.as_ref().and_then(Credential::query_key);
        if let Some(key) = reserved::query_key(path, own.as_slice()) {
            return Err(Why::Account.in_words(&format!("the query key `{}`", one_line(&key, 60)), &self.plugin));
        }
        endpoint.join(path)
    }

    pub(super) fn guests_headers(&self, headers: &[wit::Header]) -> Result<HeaderMap, String> {
        let mut map = HeaderMap::with_capacity(headers.len() + 2);
        let own = self.credential.as_ref().and_then(Credential::header);
        for header in headers {
            let shown = || one_line(&header.name, 60);
            let name =
                HeaderName::try_from(&header.name).map_err(|_| format!("`{}` is not a header's name", shown()))?;
            if let Some(why) = reserved::header(&name, own.iter()) {
                return Err(why.in_words(&format!("the header `{}`", shown()), &self.plugin));
            }
            let value = HeaderValue::try_from(&header.value)
                .map_err(|_| format!("the header `{}` holds characters that no header can", shown()))?;
            map.append(name, value);
        }
        Ok(map)
    }
}
