//! A plugin's request as it goes out: what the plugin may say of it, and what the host adds.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::Destination;
use super::credential::Credential;
use super::endpoint::Endpoint;
use super::reserved::{self, Why};
use super::secret::Redact;
use crate::error::Error;
use crate::text::one_line;
use crate::wit::understudy::plugin::types as wit;

/// A request, ready to go out.
pub(super) struct Outgoing {
    pub(super) url: Url,
    pub(super) method: reqwest::Method,
    pub(super) headers: HeaderMap,
}

impl Destination {
    /// The request as it goes out, and what must be cut out of whatever comes back.
    pub(super) async fn outgoing(
        &self,
        endpoint: &Endpoint,
        request: &wit::HttpRequest,
    ) -> Result<(Outgoing, Redact), Error> {
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
        Ok((Outgoing { url, method, headers }, Redact::new(secret)))
    }

    /// The endpoint with the plugin's path.
    pub(super) fn guests_url(&self, endpoint: &Endpoint, path: &str) -> Result<Url, String> {
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
