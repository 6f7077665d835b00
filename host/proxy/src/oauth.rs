//! OAuth 2.1 towards servers that require it: the user consents once, in a browser (`understudy auth`). The tokens are stored in the user's config
//! folder, and renewed when they expire.
//!
//! A login belongs to the authorization server that issued it. Issuer, token endpoint, client and its authentication method are stored with the
//! login. A renewal holds secrets and goes to the stored endpoint; the server's current metadata is not consulted.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `challenge` | the challenge with which a server refuses a request without a token |
//! | `zone`, `endpoint` | the URLs that a server may name, and the pages that are opened |
//! | `web` | all requests of a login |
//! | `wish` | the options of a login |
//! | `discovery` | finding the authorization server (RFC 9728, RFC 8414) |
//! | `authority` | its metadata, and the part that is stored |
//! | `registration` | registering a client there (RFC 7591) |
//! | `pending` | a login that waits for its user: PKCE, resource indicators (RFC 8707), the answer's issuer (RFC 9207) |
//! | `callback` | the page to which the browser is redirected |
//! | `grant` | requests to the token endpoint |
//! | `store` | the file in which a login is stored |
//! | `error` | errors of a login |

mod authority;
mod callback;
mod challenge;
mod discovery;
mod endpoint;
mod error;
mod grant;
mod pending;
mod registration;
mod store;
mod web;
mod wish;
mod zone;

use std::time::{Duration, Instant, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use url::Url;

pub use callback::Callback;
pub use challenge::Challenge;
pub use endpoint::{Server, is_same_issuer};
pub use error::Error;
pub use pending::Pending;
pub use zone::Zone;

use store::{Kept, LoginStore};
use web::Web;
pub use wish::Wish;

/// A token that expires sooner than this is renewed first.
const MARGIN: Duration = Duration::from_secs(30);

/// A token that this process got more recently than this isn't renewed when the server refuses it: otherwise a server could have the issuer flooded
/// with renewals.
const NEW: Duration = Duration::from_mins(1);

/// The user's login at a server, which may be missing.
#[derive(Debug)]
pub struct Login {
    url: Url,
    store: LoginStore,
    found: Mutex<TokenStatus>,
}

/// The state of the login's token.
#[derive(Debug, Default)]
enum TokenStatus {
    /// The file has not been read.
    #[default]
    Unknown,
    /// There is none; the file is read again only if the server requires a token. With the reason, if there is a login that can't be used.
    None(Option<String>),
    /// The token.
    Some(Token),
}

#[derive(Debug, Clone)]
struct Token {
    access: SecretString,
    expires: Option<SystemTime>,
    issuer: Option<String>,
    /// When this process got it; `None` if another process did.
    got: Option<Instant>,
}

impl Token {
    fn of(kept: &Kept) -> Option<Self> {
        let access = SecretString::from(kept.tokens()?.access_token.as_str());
        Some(Self { access, expires: kept.expires(), issuer: kept.issuer().map(str::to_owned), got: None })
    }

    fn is_good(&self) -> bool {
        self.expires.is_none_or(|expires| SystemTime::now() + MARGIN < expires)
    }

    fn is_new(&self) -> bool {
        self.got.is_some_and(|got| got.elapsed() < NEW)
    }

    fn is_other_than(&self, refused: Option<&SecretString>) -> bool {
        refused.is_none_or(|refused| refused.expose_secret() != self.access.expose_secret())
    }
}

impl Login {
    /// The login at the server at a URL. `None` where there is no config folder to store it in.
    #[must_use]
    pub fn at(url: &Url) -> Option<Self> {
        Some(Self { url: url.clone(), store: LoginStore::of(url)?, found: Mutex::default() })
    }

    /// The access token, renewed if it has expired.
    pub(crate) async fn token(&self) -> Option<SecretString> {
        let mut found = self.found.lock().await;
        match &*found {
            TokenStatus::Some(token) if token.is_good() => Some(token.access.clone()),
            TokenStatus::None(_) => None,
            TokenStatus::Unknown | TokenStatus::Some(_) => self.find(&mut found, None).await,
        }
    }

    /// A token to replace the one that the server has refused.
    pub(crate) async fn other_than(&self, refused: Option<&SecretString>) -> Option<SecretString> {
        let mut found = self.found.lock().await;
        match &*found {
            // Another request was refused as well, and has replaced it meanwhile.
            TokenStatus::Some(token) if token.is_other_than(refused) && token.is_good() => Some(token.access.clone()),
            TokenStatus::Some(token) if !token.is_other_than(refused) && token.is_new() => {
                // The user may have logged in again meanwhile, by another process.
                let token = self.kept_other_than(refused)?;
                let access = token.access.clone();
                *found = TokenStatus::Some(token);
                Some(access)
            }
            _ => self.find(&mut found, refused).await,
        }
    }

    /// The stored token, if it is another one and has not expired.
    fn kept_other_than(&self, refused: Option<&SecretString>) -> Option<Token> {
        let kept = self.store.read().ok()??;
        Token::of(&kept).filter(|token| token.is_other_than(refused) && token.is_good())
    }

    /// Why the login can't be used; `None` without a login.
    pub(crate) async fn trouble(&self) -> Option<String> {
        match &*self.found.lock().await {
            TokenStatus::Some(token) => {
                let issuer = token.issuer.as_deref().unwrap_or("an issuer that isn't known");
                Some(format!("it refuses the login that `{issuer}` has issued"))
            }
            TokenStatus::None(why) => why.clone(),
            TokenStatus::Unknown => None,
        }
    }

    /// Reads the stored token, or renews it.
    async fn find(&self, found: &mut TokenStatus, refused: Option<&SecretString>) -> Option<SecretString> {
        // A renewal that has begun is finished even if its caller is cancelled: it invalidates the refresh token before it.
        let renewal = tokio::spawn(renewed(self.store.clone(), self.url.clone(), refused.cloned()));
        let token = renewal.await.unwrap_or_else(|e| Err(Error::NoRenewal(e.to_string())));
        *found = match token {
            Ok(Some(token)) => TokenStatus::Some(token),
            Ok(None) => TokenStatus::None(None),
            Err(error) => {
                let why = understudy::text::one_line(&error.to_string(), 500);
                tracing::warn!("no login at {}: {why}", self.url.origin().ascii_serialization());
                TokenStatus::None(Some(why))
            }
        };
        match found {
            TokenStatus::Some(token) => Some(token.access.clone()),
            _ => None,
        }
    }

    /// Begins a login, which ends when the browser is redirected to `callback`.
    ///
    /// # Errors
    /// If the server requires none, or its authorization server can't be found or used.
    pub async fn begin(&self, wish: &Wish, callback: &Callback) -> Result<Pending, Error> {
        Pending::begin(&self.url, &self.store, wish, callback).await
    }

    /// Removes the login; whether there was one.
    ///
    /// # Errors
    /// If the file can't be removed.
    pub async fn forget(&self) -> Result<bool, Error> {
        let turn = self.store.turn().await?;
        self.store.remove(&turn)
    }
}

/// The stored token if it is valid, otherwise a new one; `None` without a login. One task at a time renews it, across all processes: a task that has
/// waited for its turn reads the file first.
async fn renewed(store: LoginStore, url: Url, refused: Option<SecretString>) -> Result<Option<Token>, Error> {
    let is_of_use = |token: &Token| token.is_other_than(refused.as_ref()) && token.is_good();
    let Some(kept) = store.read()? else { return Ok(None) };
    if let Some(token) = Token::of(&kept).filter(is_of_use) {
        return Ok(Some(token));
    }
    let turn = store.turn().await?;
    let Some(mut kept) = store.read()? else { return Ok(None) };
    if let Some(token) = Token::of(&kept).filter(is_of_use) {
        return Ok(Some(token));
    }
    let issuer = kept.issuer().unwrap_or("an issuer that isn't known").to_owned();
    renew(&url, &mut kept)
        .await
        .map_err(|why| Error::NoRenewal(format!("the login that `{issuer}` has issued can't be renewed: {why}")))?;
    store.write(&turn, &kept)?;
    Ok(Token::of(&kept).map(|token| Token { got: Some(Instant::now()), ..token }))
}

/// Renews the tokens of a login at the token endpoint that is stored with it.
async fn renew(url: &Url, kept: &mut Kept) -> Result<(), Error> {
    let refresh_token = kept.tokens().and_then(|tokens| tokens.refresh_token.clone()).filter(|token| !token.is_empty());
    let refresh_token = refresh_token.ok_or_else(|| Error::NoRenewal("it came without a refresh token".to_owned()))?;
    let web = Web::of(url).await?;
    let authority = match kept.authority.clone() {
        Some(authority) => authority,
        None => of_older(&web, kept).await?,
    };
    let scopes = kept.credentials.granted_scopes.clone();
    let tokens = grant::renew(&web, &authority, kept.client(), &refresh_token, &scopes).await?;
    kept.authority = Some(authority);
    kept.take(tokens);
    Ok(())
}

/// The authorization server of a login that an older version stored without its endpoint: from the issuer's own metadata, never from the server's.
async fn of_older(web: &Web, kept: &Kept) -> Result<authority::Authority, Error> {
    let unknown = "an older version has kept it without the issuer that it belongs to";
    let issuer = kept.issuer().ok_or_else(|| Error::NoRenewal(unknown.to_owned()))?;
    let metadata = discovery::of_issuer(web, issuer).await?;
    let secret = kept.client().secret;
    let authentication = secret.map_or(authority::Authentication::None, |_| metadata.authentication());
    Ok(metadata.authority(authentication, None))
}
