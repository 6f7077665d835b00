//! The stored logins: a file for each server in the user's config folder, which only the user can read.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::authority::Authority;
use super::error::Error;
use super::grant::{Client, Tokens};
use understudy::private;

/// How long another process may take to renew or make the login.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often the lock is tried: waiting for it in the kernel would block a thread.
const BETWEEN: Duration = Duration::from_millis(20);

/// The file of one server's login.
#[derive(Debug, Clone)]
pub(super) struct LoginStore {
    path: PathBuf,
    url: Url,
}

/// Its content.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The server.
    url: Url,
    /// The client's secret, if it has one: needed for each renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    pub(super) credentials: Credentials,
    /// The login's authorization server. Files of old versions, which took the token endpoint from the server's metadata at each renewal, have
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authority: Option<Authority>,
}

/// The tokens, and the client that they were given to.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Credentials {
    client_id: String,
    token_response: Option<Tokens>,
    #[serde(default)]
    pub(super) granted_scopes: Vec<String>,
    /// In seconds since 1970.
    #[serde(default)]
    token_received_at: Option<u64>,
    /// The issuer, where the server had metadata.
    #[serde(default)]
    pub(super) issuer: Option<String>,
}

impl Kept {
    /// A new login.
    pub(super) fn new(
        url: &Url,
        client: Client<'_>,
        authority: Authority,
        tokens: Tokens,
        scopes: Vec<String>,
    ) -> Self {
        let mut kept = Self {
            url: without_fragment(url),
            client_secret: client.secret.map(str::to_owned),
            credentials: Credentials {
                client_id: client.id.to_owned(),
                token_response: None,
                granted_scopes: scopes,
                token_received_at: None,
                issuer: Some(authority.issuer.clone()),
            },
            authority: Some(authority),
        };
        kept.take(tokens);
        kept
    }

    /// Takes the answer of a token endpoint. Without a new refresh token in it, the one before stays valid.
    pub(super) fn take(&mut self, mut tokens: Tokens) {
        let credentials = &mut self.credentials;
        let before = credentials.token_response.take().and_then(|tokens| tokens.refresh_token);
        tokens.refresh_token = tokens.refresh_token.filter(|token| !token.is_empty()).or(before);
        if let Some(scope) = &tokens.scope {
            credentials.granted_scopes = super::challenge::scopes(scope);
        }
        credentials.token_response = Some(tokens);
        credentials.token_received_at =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs());
    }

    pub(super) fn client(&self) -> Client<'_> {
        Client { id: &self.credentials.client_id, secret: self.client_secret.as_deref() }
    }

    pub(super) fn tokens(&self) -> Option<&Tokens> {
        self.credentials.token_response.as_ref()
    }

    /// When the access token expires, if that is known.
    pub(super) fn expires(&self) -> Option<SystemTime> {
        let lifetime = self.tokens()?.expires_in?;
        let received = self.credentials.token_received_at?;
        let seconds = received.saturating_add(lifetime).min(u64::from(u32::MAX));
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// The issuer that the login belongs to, if that is known.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.authority.as_ref().map(|authority| authority.issuer.as_str()).or(self.credentials.issuer.as_deref())
    }
}

/// The lock of a login: no other task or process changes it until this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: File,
}

impl LoginStore {
    /// The login at a URL; `None` where there is no config folder.
    pub(super) fn of(url: &Url) -> Option<Self> {
        Some(Self::in_folder(&dirs::config_dir()?.join("understudy").join("logins"), url))
    }

    fn in_folder(folder: &Path, url: &Url) -> Self {
        let url = without_fragment(url);
        let digest: [u8; 32] = Sha256::digest(url.as_str()).into();
        let digest = u64::from_be_bytes(*digest.first_chunk().unwrap_or(&[0; 8]));
        let host = url.host_str().unwrap_or_default().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        Self { path: folder.join(format!("{host}-{digest:016x}.json")), url }
    }

    /// The stored login, if there is one.
    ///
    /// # Errors
    /// If the file can't be used; the error names it and the remedy.
    pub(super) fn read(&self) -> Result<Option<Kept>, Error> {
        let unusable = |why: &str| Error::Store(format!("the login in `{}` is not used: {why}", self.path.display()));
        let Some(bytes) = private::read(&self.path).map_err(|why| unusable(&why))? else { return Ok(None) };
        // The parser's error could show a token.
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| unusable("it is none"))?;
        Ok(Some(kept).filter(|kept| kept.url == self.url))
    }

    /// Writes a login, whose lock is held.
    pub(super) fn write(&self, _turn: &Turn, kept: &Kept) -> Result<(), Error> {
        let failed = |why: String| Error::Store(format!("the login can't be kept in `{}`: {why}", self.path.display()));
        let text = serde_json::to_vec(kept).map_err(|e| failed(e.to_string()))?;
        private::write(&self.path, &[&text]).map_err(|e| failed(e.to_string()))
    }

    /// Removes the stored login; whether there was one.
    pub(super) fn remove(&self, _turn: &Turn) -> Result<bool, Error> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::Store(format!("`{}` can't be removed: {error}", self.path.display()))),
        }
    }

    /// Waits for the lock of the login. A renewal invalidates the tokens before it, in every process, so an older answer must not overwrite a newer
    /// one.
    pub(super) async fn turn(&self) -> Result<Turn, Error> {
        let path = self.path.with_extension("lock");
        let failed = |why: String| Error::Store(format!("`{}` can't be locked: {why}", path.display()));
        private::own_folder(path.parent().unwrap_or(&path)).map_err(failed)?;
        let lock = private::open_to_lock(&path).map_err(|e| failed(e.to_string()))?;
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Turn { _lock: lock }),
                Err(std::fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < until => {
                    tokio::time::sleep(BETWEEN).await;
                }
                Err(error) => return Err(failed(error.to_string())),
            }
        }
    }
}

fn without_fragment(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::oauth::authority::Authentication;

    fn authority() -> Authority {
        Authority {
            issuer: "https://as.example".to_owned(),
            token_endpoint: Url::parse("https://as.example/token").unwrap(),
            authentication: Authentication::ClientSecretPost,
            resource: Some("https://mcp.example.com".to_owned()),
            registration_endpoint: None,
            revocation_endpoint: None,
        }
    }

    fn tokens(refresh_token: Option<&str>, scope: Option<&str>) -> Tokens {
        Tokens {
            access_token: "access".to_owned(),
            token_type: None,
            expires_in: Some(60),
            refresh_token: refresh_token.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn a_login_is_kept_with_its_issuer_client_and_secret_and_a_renewal_changes_its_tokens_alone() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::parse("https://mcp.example.com/a").unwrap();
        let store = LoginStore::in_folder(&folder.path().join("logins"), &url);
        let turn = store.turn().await.unwrap();
        let client = Client { id: "client", secret: Some("secret") };
        let mut kept = Kept::new(&url, client, authority(), tokens(Some("first"), None), vec!["a".to_owned()]);
        kept.take(tokens(None, Some("a b")));
        store.write(&turn, &kept).unwrap();
        let kept = store.read().unwrap().unwrap();
        assert_eq!((kept.client().id, kept.client().secret), ("client", Some("secret")));
        assert_eq!((kept.authority.as_ref(), kept.issuer()), (Some(&authority()), Some("https://as.example")));
        assert_eq!(kept.tokens().unwrap().refresh_token.as_deref(), Some("first"));
        assert_eq!(kept.credentials.granted_scopes, ["a", "b"]);
        assert!(kept.expires().unwrap() > SystemTime::now());
    }

    #[tokio::test]
    async fn a_login_of_an_older_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("logins");
        private::make_folder(&folder).unwrap();
        let store = LoginStore::in_folder(&folder, &Url::parse("https://mcp.example.com/a").unwrap());
        let text = r#"{"url":"https://mcp.example.com/a","credentials":{"client_id":"c","token_response":{"access_token":"a","token_type":"bearer",
            "expires_in":3600,"refresh_token":"r","scope":"x"},"granted_scopes":["x"],"token_received_at":1700000000,"issuer":"https://as.example"}}"#;
        std::fs::write(&store.path, text).unwrap();
        std::fs::set_permissions(&store.path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let kept = store.read().unwrap().unwrap();
        assert_eq!((kept.authority.as_ref(), kept.issuer()), (None, Some("https://as.example")));
        assert_eq!(kept.tokens().unwrap().access_token, "a");
    }

    #[tokio::test]
    async fn a_login_is_the_users_alone_and_of_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("logins");
        let url = |text: &str| Url::parse(text).unwrap();
        let store = LoginStore::in_folder(&folder, &url("https://mcp.example.com/a"));
        assert!(store.read().unwrap().is_none());
        let turn = store.turn().await.unwrap();
        let client = Client { id: "client", secret: None };
        let kept = Kept::new(&store.url, client, authority(), tokens(None, None), Vec::new());
        store.write(&turn, &kept).unwrap();
        assert_eq!(store.read().unwrap().unwrap().client().id, "client");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&store.path), mode(&folder)), (0o600, 0o700));
        assert!(LoginStore::in_folder(&folder, &url("https://mcp.example.com/b")).read().unwrap().is_none());
        assert!(LoginStore::in_folder(&folder, &url("https://mcp.example.com/a#x")).read().unwrap().is_some());
        for mode in [0o604, 0o640, 0o660, 0o622, 0o601] {
            std::fs::set_permissions(&store.path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = store.read().err().unwrap().to_string();
            assert!(error.contains(&format!("`chmod 600 {}`", store.path.display())), "{error}");
        }
        assert!(store.remove(&turn).unwrap());
        assert!(!store.remove(&turn).unwrap());
    }
}
