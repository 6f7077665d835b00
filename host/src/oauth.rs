//! OAuth 2.1 towards servers that want to know who asks: the user says yes once, in a browser (`understudy auth`), and what comes of
//! that is kept in the user's config folder and renewed when it expires.
//!
//! The protocol itself is rmcp's: discovery (RFC 9728, RFC 8414), registration (RFC 7591), PKCE, resource indicators (RFC 8707).
//!
//! | module | what it holds |
//! | --- | --- |
//! | `store` | what is kept of a login |
//! | `callback` | where the browser comes back to |

mod callback;
mod store;

use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationRequest, AuthorizationSession, OAuthClientConfig,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use url::Url;

pub use callback::Callback;
use store::{Kept, Store};

use crate::provider::client;

/// A token that expires sooner than this is renewed first.
const MARGIN: Duration = Duration::from_secs(30);

/// A user's login at a server, whether there is one or not.
#[derive(Debug)]
pub struct Login {
    url: Url,
    store: Store,
    found: Mutex<Found>,
}

/// What is known of the login's token.
#[derive(Debug, Default)]
enum Found {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// There is none: asked for again only if the server wants one.
    None,
    /// This one.
    Some(Token),
}

/// A token that is kept and of no use any more.
struct Stale;

#[derive(Debug, Clone)]
struct Token {
    access: SecretString,
    expires: Option<SystemTime>,
}

impl Token {
    fn is_good(&self) -> bool {
        self.expires.is_none_or(|expires| SystemTime::now() + MARGIN < expires)
    }
}

/// How long a server may take to say what it wants; without that, it is looked for where such things usually are.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a login is to be.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The client that the user has registered with the authorization server; else one is registered.
    pub client_id: Option<String>,
    /// That client's secret, if it has one.
    pub client_secret: Option<SecretString>,
    /// The scopes to ask for, beside those of the login that there is; else those that the server names.
    pub scopes: Vec<String>,
}

impl Login {
    /// The login at the server at a URL. `None` where there is no config folder to keep it in.
    #[must_use]
    pub fn at(url: &Url) -> Option<Self> {
        Some(Self { url: url.clone(), store: Store::of(url)?, found: Mutex::default() })
    }

    /// The access token, renewed if it has expired.
    pub(crate) async fn token(&self) -> Option<SecretString> {
        let mut found = self.found.lock().await;
        match &*found {
            Found::Some(token) if token.is_good() => Some(token.access.clone()),
            Found::None => None,
            Found::Unknown | Found::Some(_) => self.find(&mut found, None).await,
        }
    }

    /// Another token than the one that the server has refused.
    pub(crate) async fn other_than(&self, refused: Option<&SecretString>) -> Option<SecretString> {
        let mut found = self.found.lock().await;
        match &*found {
            // Somebody else has been refused, and has found another meanwhile.
            Found::Some(token) if is_other(&token.access, refused) && token.is_good() => Some(token.access.clone()),
            _ => self.find(&mut found, refused).await,
        }
    }

    /// Reads the token that is kept, or renews it.
    async fn find(&self, found: &mut Found, refused: Option<&SecretString>) -> Option<SecretString> {
        let token = match self.kept(refused) {
            None => None,
            Some(Ok(token)) => Some(token),
            Some(Err(Stale)) => self.renew(refused).await,
        };
        let access = token.as_ref().map(|token| token.access.clone());
        *found = token.map_or(Found::None, Found::Some);
        access
    }

    /// The token that is kept, if a login is; an error if it is of no use any more.
    fn kept(&self, refused: Option<&SecretString>) -> Option<Result<Token, Stale>> {
        let token = self.store.read()?.token();
        let is_useful = |token: &Token| is_other(&token.access, refused) && token.is_good();
        Some(token.filter(is_useful).ok_or(Stale))
    }

    /// Makes a new token of the login. A renewal may end what the one before it has given, so there is one at a time, in whichever process.
    async fn renew(&self, refused: Option<&SecretString>) -> Option<Token> {
        let renew = async {
            let _turn = self.store.turn().await?;
            if let Some(Ok(token)) = self.kept(refused) {
                return Ok(Some(token));
            }
            let mut manager = self.manager().await?;
            if !manager.initialize_from_store().await? {
                return Err(AuthError::AuthorizationRequired);
            }
            if let Some(client) = self.store.read().and_then(|kept| kept.client()) {
                manager.configure_client(client)?;
            }
            manager.refresh_token().await?;
            Ok(self.store.read().and_then(|kept| kept.token()))
        };
        match renew.await {
            Ok(token) => token,
            Err(error) => {
                let reason = crate::text::one_line(&error.to_string(), 300);
                tracing::warn!("the login at {} can't be renewed: {reason}", self.url.origin().ascii_serialization());
                None
            }
        }
    }

    async fn manager(&self) -> Result<AuthorizationManager, AuthError> {
        client::choose_crypto();
        let mut manager = AuthorizationManager::new_allowing_private_addresses(self.url.clone()).await?;
        manager.set_credential_store(self.store.clone());
        Ok(manager)
    }

    /// Begins a login; it ends where `callback` is.
    ///
    /// # Errors
    /// If the server wants none, or its authorization server isn't as it should be.
    pub async fn begin(&self, wish: &Wish, callback: &Callback) -> Result<Pending, AuthError> {
        let mut manager = self.manager().await?;
        manager.set_credential_store(self.store.with_secret(wish.client_secret.clone()));
        let resolution = manager.resolve_metadata_from_challenge(self.challenge().await.as_deref()).await?;
        manager.set_metadata(resolution.metadata);
        let mut scopes = wish.scopes.clone();
        if !scopes.is_empty() {
            // What the user has granted already isn't to be lost by asking for more.
            let granted = self.store.read().map(|kept| kept.credentials.granted_scopes).unwrap_or_default();
            scopes.extend(granted.into_iter().filter(|scope| !wish.scopes.contains(scope)));
        }
        let mut request = AuthorizationRequest::new(callback.url())
            .with_client_name("Understudy")
            .with_scopes(scopes)
            .with_initial_scope_selection();
        if let Some(client) = &wish.client_id {
            request = request.with_preregistered_client(client);
        }
        if let Some(secret) = &wish.client_secret {
            request = request.with_client_secret(secret.expose_secret());
        }
        let session = AuthorizationSession::new(manager, request).await.map_err(|(_, error)| error)?;
        Ok(Pending { session })
    }

    /// What the server says to whoever asks without a token (`WWW-Authenticate`): where its metadata is, and which scopes it wants.
    async fn challenge(&self) -> Option<String> {
        let builder = client::builder();
        let builder = if client::is_here(&self.url) { builder.no_proxy() } else { builder };
        let request = builder.timeout(PATIENCE).build().ok()?.post(self.url.clone());
        let request =
            request.header(ACCEPT, "application/json, text/event-stream").header(CONTENT_TYPE, "application/json");
        let response = request.body(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#).send().await.ok()?;
        Some(response.headers().get(WWW_AUTHENTICATE)?.to_str().ok()?.to_owned())
    }

    /// Forgets the login; whether there was one.
    ///
    /// # Errors
    /// If what is kept can't be removed.
    pub fn forget(&self) -> std::io::Result<bool> {
        self.store.remove()
    }
}

fn is_other(access: &SecretString, refused: Option<&SecretString>) -> bool {
    refused.is_none_or(|refused| refused.expose_secret() != access.expose_secret())
}

/// A login that waits for its user.
pub struct Pending {
    session: AuthorizationSession,
}

impl Pending {
    /// Where the user says yes.
    #[must_use]
    pub fn url(&self) -> &str {
        self.session.get_authorization_url()
    }

    /// The browser has come back to this URL: the login is made and kept.
    ///
    /// # Errors
    /// If the user said no, or it isn't the answer to this login.
    pub async fn finish(self, came_back: &str) -> Result<(), AuthError> {
        self.session.handle_callback_url(came_back).await.map(|_| ())
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

impl Kept {
    /// The client, if it is one with a secret.
    fn client(&self) -> Option<OAuthClientConfig> {
        let secret = self.client_secret.clone()?;
        // A renewal goes back to nowhere.
        Some(OAuthClientConfig::new(&self.credentials.client_id, "http://127.0.0.1/").with_client_secret(secret))
    }

    fn token(&self) -> Option<Token> {
        let response = self.credentials.token_response.as_ref()?;
        let response = serde_json::to_value(response).ok()?;
        let access = SecretString::from(response.get("access_token")?.as_str()?);
        let lifetime = response.get("expires_in").and_then(serde_json::Value::as_u64);
        let expires = lifetime.zip(self.credentials.token_received_at).map(|(lifetime, received)| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(received.saturating_add(lifetime).min(u64::from(u32::MAX)))
        });
        Some(Token { access, expires })
    }
}
