//! An origin that a handler may send requests to, with its credential, resolver and client.

use std::sync::{Arc, OnceLock};

use url::Url;

use super::credential::Credential;
use crate::environment::Environment;
use crate::http::resolver::Resolver;
use crate::http::{builder_in, error_chain};

/// An allowed origin.
#[derive(Debug)]
pub(super) struct AllowedOrigin {
    pub(super) url: Url,
    pub(super) private: bool,
    pub(super) credential: Option<Credential>,
    resolver: Resolver,
    environment: Environment,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl AllowedOrigin {
    pub(super) fn new(
        url: Url,
        private: bool,
        credential: Option<Credential>,
        resolver: Resolver,
        environment: Environment,
    ) -> Self {
        Self { url, private, credential, resolver, environment, client: OnceLock::new() }
    }

    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The client for this origin alone, made at first use.
    pub(super) fn client(&self) -> Result<&reqwest::Client, String> {
        let client = self.client.get_or_init(|| {
            let builder = builder_in(&self.environment).no_proxy().dns_resolver(Arc::new(self.resolver.clone()));
            builder.build().map_err(|e| error_chain(&e))
        });
        client.as_ref().map_err(Clone::clone)
    }
}
