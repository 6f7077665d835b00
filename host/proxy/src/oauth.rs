//! OAuth 2.1 towards servers that want to know who asks: the user says yes once, in a browser (`understudy auth`), and what comes of
//! that is kept in the user's config folder and renewed when it expires.
//!
//! A login belongs to the authorization server that issued it. Issuer, token endpoint, client and its way to say who it is are kept with the login,
//! and a renewal, which holds secrets, goes to that very endpoint: what the server says of itself later is not asked for.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `challenge` | what a server says to who asks without a token |
//! | `zone`, `endpoint` | where a server may send us, and which pages are opened |
//! | `web` | all requests of a login |
//! | `wish` | what the user wants of a login |
//! | `discovery` | finding the authorization server (RFC 9728, RFC 8414) |
//! | `authority` | what is known of it, and kept |
//! | `registration` | a client of our own there (RFC 7591) |
//! | `pending` | a login in the making: PKCE, resource indicators (RFC 8707), the answer's issuer (RFC 9207) |
//! | `callback` | where the browser comes back to |
//! | `grant` | what is asked of the token endpoint |
//! | `store` | what is kept of a login |
//! | `error` | why there is no login |

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

/// A token that this process has just got isn't renewed again when the server refuses it: a server could keep its issuer busy otherwise.
const NEW: Duration = Duration::from_mins(1);

/// A user's login at a server, whether there is one or not.
#[derive(Debug)]
pub struct Login {
    url: Url,
    store: LoginStore,
    found: Mutex<TokenStatus>,
}

/// What is known of the login's token.
#[derive(Debug, Default)]
enum TokenStatus {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// There is none: asked for again only if the server wants one. With a login that is of no use, why that is.
    None(Option<String>),
    /// This one.
    Some(Token),
}

#[derive(Debug, Clone)]
struct Token {
    access: SecretString,
    expires: Option<SystemTime>,
    issuer: Option<String>,
    /// When this process got it, if it did.
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
    /// The login at the server at a URL. `None` where there is no config folder to keep it in.
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

    /// Another token than the one that the server has refused.
    pub(crate) async fn other_than(&self, refused: Option<&SecretString>) -> Option<SecretString> {
        let mut found = self.found.lock().await;
        match &*found {
            // Somebody else has been refused, and has found another meanwhile.
            TokenStatus::Some(token) if token.is_other_than(refused) && token.is_good() => Some(token.access.clone()),
            TokenStatus::Some(token) if !token.is_other_than(refused) && token.is_new() => {
                // Its user may have logged in again meanwhile, by another process.
                let token = self.kept_other_than(refused)?;
                let access = token.access.clone();
                *found = TokenStatus::Some(token);
                Some(access)
            }
            _ => self.find(&mut found, refused).await,
        }
    }

    /// The token that is kept, if it is another one than that, and good.
    fn kept_other_than(&self, refused: Option<&SecretString>) -> Option<Token> {
        let kept = self.store.read().ok()??;
        Token::of(&kept).filter(|token| token.is_other_than(refused) && token.is_good())
    }

    /// Why the server lets nobody in though there is a login; `None` without one.
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

    /// Reads the token that is kept, or renews it.
    async fn find(&self, found: &mut TokenStatus, refused: Option<&SecretString>) -> Option<SecretString> {
        // A renewal that has begun is finished even if its caller goes away: it ends what the one before has given.
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

    /// Begins a login; it ends where `callback` is.
    ///
    /// # Errors
    /// If the server wants none, or its authorization server isn't as it should be.
    pub async fn begin(&self, wish: &Wish, callback: &Callback) -> Result<Pending, Error> {
        Pending::begin(&self.url, &self.store, wish, callback).await
    }

    /// Forgets the login; whether there was one.
    ///
    /// # Errors
    /// If what is kept can't be removed.
    pub async fn forget(&self) -> Result<bool, Error> {
        let turn = self.store.turn().await?;
        self.store.remove(&turn)
    }
}

/// The token that is kept if it is of use, or else a new one; `None` without a login. One at a time makes a new one, in whichever process: who has
/// waited looks first whether the work is done.
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

/// Makes new tokens of a login, where it was made.
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

/// The authorization server of a login that an older version has kept without its endpoint: what its issuer itself says, and never what the server
/// says.
async fn of_older(web: &Web, kept: &Kept) -> Result<authority::Authority, Error> {
    let unknown = "an older version has kept it without the issuer that it belongs to";
    let issuer = kept.issuer().ok_or_else(|| Error::NoRenewal(unknown.to_owned()))?;
    let metadata = discovery::of_issuer(web, issuer).await?;
    let secret = kept.client().secret;
    let authentication = secret.map_or(authority::Authentication::None, |_| metadata.authentication());
    Ok(metadata.authority(authentication, None))
}
