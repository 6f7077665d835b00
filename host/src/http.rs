//! HTTP clients: what every client of this program has in common, and the client that all provider plugins share.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `certificates` | TLS verification with the certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name |
//! | `resolver` | DNS resolution that only yields public addresses |

mod certificates;
pub mod resolver;

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Duration;

use url::Url;

use crate::environment::Environment;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// The HTTP client that all plugins share: connections are kept and HTTP/2 is used where offered.
#[derive(Debug)]
pub struct Http {
    client: OnceLock<Result<reqwest::Client, String>>,
    /// For loopback addresses: no proxy of the environment applies to them.
    direct: OnceLock<Result<reqwest::Client, String>>,
    environment: Environment,
}

impl Default for Http {
    fn default() -> Self {
        Self::in_environment(&Environment::process())
    }
}

impl Http {
    /// A client that takes proxies and certificates from an environment if that is the process's own, and else uses none but the system's.
    #[must_use]
    pub fn in_environment(environment: &Environment) -> Self {
        Self { client: OnceLock::new(), direct: OnceLock::new(), environment: environment.clone() }
    }

    /// The client, made at first use: reading the system's root certificates takes a while. `HTTPS_PROXY` and the like apply to every
    /// host but loopback.
    pub(crate) fn client(&self, url: &Url) -> Result<&reqwest::Client, String> {
        let here = is_loopback(url);
        let client = if here { &self.direct } else { &self.client };
        let client = client.get_or_init(|| {
            let builder = builder_in(&self.environment);
            let builder = if here { builder.no_proxy() } else { builder };
            builder.build().map_err(|e| error_chain(&e))
        });
        client.as_ref().map_err(Clone::clone)
    }
}

/// Whether a URL names a loopback host.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Installs `ring` as the cryptography of all TLS connections.
pub(crate) fn install_crypto_provider() {
    // An error means that the embedding program has installed another provider, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client builder; the client does not follow redirects. Proxies and certificates are those that the process's environment names.
pub fn builder() -> reqwest::ClientBuilder {
    builder_in(&Environment::process())
}

/// The same, but without proxies and certificates of the process's environment if another one is given.
pub(crate) fn builder_in(environment: &Environment) -> reqwest::ClientBuilder {
    install_crypto_provider();
    let client = if environment.is_process() {
        match certificates::named() {
            Some(config) => reqwest::Client::builder().tls_backend_preconfigured(config),
            None => reqwest::Client::builder(),
        }
    } else {
        reqwest::Client::builder().no_proxy()
    };
    client
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .user_agent(concat!("understudy/", env!("CARGO_PKG_VERSION")))
}

/// The error and its chain of causes, joined by colons.
#[must_use]
pub fn error_chain(error: &reqwest::Error) -> String {
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

/// Awaits the future, for at most `timeout`; `None` if that passes first.
pub(crate) async fn within<T>(timeout: Option<Duration>, wait: impl Future<Output = T>) -> Option<T> {
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, wait).await.ok(),
        None => Some(wait.await),
    }
}
