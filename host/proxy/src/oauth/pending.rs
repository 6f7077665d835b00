//! A login that waits for its user: the page to open, and the redirect that ends it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;
use url::form_urlencoded;

use super::authority::{Authentication, Metadata};
use super::callback::Callback;
use super::challenge::{Challenge, scopes};
use super::discovery::{DiscoveredServer, discover};
use super::endpoint::is_same_issuer;
use super::error::Error;
use super::grant::{Client, exchange};
use super::registration::{Registered, register};
use super::store::{Kept, LoginStore};
use super::web::Web;
use super::wish::Wish;
use understudy::text::one_line;

/// A login that waits for its user.
pub struct Pending {
    web: Web,
    store: LoginStore,
    metadata: Metadata,
    client: Registered,
    resource: String,
    scopes: Vec<String>,
    page: Url,
    state: String,
    verifier: SecretString,
    callback: String,
    before: Option<String>,
}

impl Pending {
    pub(super) async fn begin(url: &Url, store: &LoginStore, wish: &Wish, callback: &Callback) -> Result<Self, Error> {
        // A login that can't be stored isn't begun.
        drop(store.turn().await?);
        let web = Web::of(url).await?;
        let challenge = web.challenge().await;
        let found = discover(&web, challenge.as_ref()).await?;
        // A stored login that can't be read will be replaced.
        let kept = store.read().unwrap_or_default();
        let before =
            kept.as_ref().and_then(Kept::issuer).filter(|before| !is_same_issuer(before, &found.metadata.issuer));
        if let Some(before) = before {
            stays(before, &found, wish)?;
        }
        let before = before.map(str::to_owned);
        let granted = kept.filter(|_| before.is_none()).map(|kept| kept.credentials.granted_scopes).unwrap_or_default();
        let scopes = choose(wish, granted, challenge.unwrap_or_default(), &found);
        let DiscoveredServer { metadata, resource, .. } = found;
        let callback = callback.url();
        let client = match &wish.client_id {
            Some(id) => registered(id, wish.client_secret.as_ref(), &metadata),
            None => register(&web, &metadata, &callback, &scopes).await?,
        };
        let (state, verifier) = (random()?, random()?);
        let mut page = metadata.authorization_endpoint.clone();
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let mut query = page.query_pairs_mut();
        query.extend_pairs([
            ("response_type", "code"),
            ("client_id", &client.id),
            ("redirect_uri", &callback),
            ("state", &state),
            ("code_challenge", &digest),
            ("code_challenge_method", "S256"),
            ("resource", &resource),
        ]);
        if !scopes.is_empty() {
            query.append_pair("scope", &scopes.join(" "));
        }
        drop(query);
        let page = web.server.page("authorization page", page.as_str())?;
        let (store, verifier) = (store.clone(), verifier.into());
        Ok(Self { web, store, metadata, client, resource, scopes, page, state, verifier, callback, before })
    }

    /// The web page on which the user consents.
    #[must_use]
    pub fn page(&self) -> &Url {
        &self.page
    }

    /// The secret that only the answer to this login contains.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The issuer of the login.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.metadata.issuer
    }

    /// The issuer of the stored login, if it is another: the server, or an attacker, has changed it.
    #[must_use]
    pub fn issuer_before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// Ends the login with the query of the browser's redirect: exchanges its code, and stores the tokens.
    ///
    /// # Errors
    /// If the user refused, or the answer isn't this authorization server's.
    pub async fn finish(self, query: &str) -> Result<(), Error> {
        let issuer = &self.metadata.issuer;
        let wrong = |reason: String| Error::Callback { issuer: issuer.clone(), reason };
        let of = |wanted: &str| {
            let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == wanted);
            values.next().map(|(_, value)| value.into_owned())
        };
        match of("iss") {
            // Character by character (RFC 9207 section 2.4).
            Some(named) if &named != issuer => {
                return Err(wrong(format!("it names the issuer `{}`", one_line(&named, 200))));
            }
            None if self.metadata.names_issuer => return Err(wrong("it names no issuer (`iss`)".to_owned())),
            _ => {}
        }
        if let Some(error) = of("error") {
            let error = one_line(&error, 100);
            let reason = match of("error_description") {
                Some(description) => format!("{error} ({})", one_line(&description, 200)),
                None => error,
            };
            return Err(Error::Denied { issuer: issuer.clone(), reason });
        }
        let code = of("code").ok_or_else(|| wrong("it holds no code".to_owned()))?;
        let mut authority = self.metadata.authority(self.client.authentication, Some(self.resource));
        let client = Client { id: &self.client.id, secret: self.client.secret.as_deref() };
        let verifier = self.verifier.expose_secret();
        let mut tokens = exchange(&self.web, &authority, client, &code, verifier, &self.callback).await;
        let is_guessed =
            self.metadata.authentications.is_none() && authority.authentication == Authentication::ClientSecretBasic;
        if is_guessed && matches!(&tokens, Err(Error::Denied { reason, .. }) if reason.starts_with("invalid_client")) {
            // Each server must accept the header, and yet some accept the form only. Both go to the same endpoint.
            authority.authentication = Authentication::ClientSecretPost;
            tokens = exchange(&self.web, &authority, client, &code, verifier, &self.callback).await;
        }
        let tokens = tokens?;
        let granted = tokens.scope.as_deref().map_or(self.scopes, scopes);
        let kept = Kept::new(self.web.server.url(), client, authority, tokens, granted);
        let turn = self.store.turn().await?;
        self.store.write(&turn, &kept)
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

/// The server names another issuer than the login's. The login's client secret and scopes must not go to another issuer, nor to the server itself if
/// it has stopped naming one. The user has to make a new login, with a new client.
fn stays(before: &str, found: &DiscoveredServer, wish: &Wish) -> Result<(), Error> {
    let what = if wish.client_secret.is_some() {
        "the client's secret"
    } else if !wish.scopes.is_empty() {
        "the wish for more scopes"
    } else if found.is_assumed {
        "the login"
    } else {
        return Ok(());
    };
    let now = if found.is_assumed {
        "names none any more".to_owned()
    } else {
        format!("names `{}` now", one_line(&found.metadata.issuer, 200))
    };
    Err(Error::OtherIssuer { kept: before.to_owned(), now, what })
}

/// The scopes to ask for: the user's and those granted already, so that asking for more loses none; without these, the scopes that the server's
/// challenge or metadata names.
fn choose(wish: &Wish, granted: Vec<String>, challenge: Challenge, found: &DiscoveredServer) -> Vec<String> {
    let mut chosen = wish.scopes.clone();
    if chosen.is_empty() {
        chosen = if challenge.scopes.is_empty() { found.scopes.clone() } else { challenge.scopes };
    } else {
        chosen.extend(granted);
    }
    let offline = "offline_access";
    // Without this scope some servers give no refresh token.
    if !chosen.is_empty() && found.metadata.scopes.iter().any(|scope| scope == offline) {
        chosen.push(offline.to_owned());
    }
    scopes(&chosen.join(" "))
}

fn registered(id: &str, secret: Option<&SecretString>, metadata: &Metadata) -> Registered {
    let authentication = if secret.is_some() { metadata.authentication() } else { Authentication::None };
    let secret = secret.map(|secret| secret.expose_secret().to_owned());
    Registered { id: id.to_owned(), secret, authentication }
}

/// 256 random bits, as text.
fn random() -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| Error::Store(format!("no random numbers: {e}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
