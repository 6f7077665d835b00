//! HTTP clients: what all of them have in common, and the one that provider plugins share.

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Duration;

use url::Url;

use super::certificates;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// The HTTP client that all plugins share: connections are kept and HTTP/2 is used where offered.
#[derive(Debug, Default)]
pub struct Http {
    client: OnceLock<Result<reqwest::Client, String>>,
    /// For this machine, which no proxy is asked about.
    direct: OnceLock<Result<reqwest::Client, String>>,
}

impl Http {
    /// The client, made at first use: reading the system's root certificates takes a while. The environment's `HTTPS_PROXY` and the
    /// like hold for all but this machine.
    pub(super) fn client(&self, url: &Url) -> Result<&reqwest::Client, String> {
        let here = is_here(url);
        let client = if here { &self.direct } else { &self.client };
        let client = client.get_or_init(|| {
            let builder = if here { builder().no_proxy() } else { builder() };
            builder.build().map_err(|e| causes(&e))
        });
        client.as_ref().map_err(Clone::clone)
    }
}

/// Whether a URL is of this machine.
pub(crate) fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Chooses the cryptography of all TLS connections.
pub(crate) fn choose_crypto() {
    // Another default can only have been set by who embeds this library, and is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client in the making: redirects are answers like others.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    choose_crypto();
    let client = match certificates::named() {
        Some(config) => reqwest::Client::builder().tls_backend_preconfigured(config),
        None => reqwest::Client::builder(),
    };
    client
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .user_agent(concat!("understudy/", env!("CARGO_PKG_VERSION")))
}

/// An error and what caused it.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
