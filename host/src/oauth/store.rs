//! What is kept of a login: a file of the user's alone for each server, in the user's config folder.

use std::fs::File;
use std::path::{Path, PathBuf};

use rmcp::transport::auth::{AuthError, CredentialStore, StoredCredentials};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use crate::private;

/// The file of one server's login.
#[derive(Debug, Clone)]
pub(super) struct Store {
    path: PathBuf,
    url: Url,
    /// The secret of the client that a login is being made for.
    client_secret: Option<SecretString>,
}

/// What is in it.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// The server.
    url: Url,
    /// The client's secret, if it has one: needed for each renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_secret: Option<String>,
    pub(super) credentials: StoredCredentials,
}

impl Store {
    /// The login at a URL; `None` where there is no config folder.
    pub(super) fn of(url: &Url) -> Option<Self> {
        Some(Self::in_folder(&dirs::config_dir()?.join("understudy").join("logins"), url))
    }

    fn in_folder(folder: &Path, url: &Url) -> Self {
        let mut url = url.clone();
        url.set_fragment(None);
        let digest: [u8; 32] = Sha256::digest(url.as_str()).into();
        let digest = u64::from_be_bytes(*digest.first_chunk().unwrap_or(&[0; 8]));
        let host = url.host_str().unwrap_or_default().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        Self { path: folder.join(format!("{host}-{digest:016x}.json")), url, client_secret: None }
    }

    /// The same, for a login by a client with this secret.
    pub(super) fn with_secret(&self, client_secret: Option<SecretString>) -> Self {
        Self { client_secret, ..self.clone() }
    }

    /// What is kept, if there is something and it can be used.
    pub(super) fn read(&self) -> Option<Kept> {
        if !self.path.exists() {
            return None;
        }
        let unusable = |why: &str| {
            tracing::warn!("`{}` is not used: {why}; `understudy auth` writes it anew", self.path.display());
        };
        let bytes = private::read(&self.path).map_err(|why| unusable(&why)).ok()?;
        // The reason could show what is in it.
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| unusable("it is no login")).ok()?;
        Some(kept).filter(|kept| kept.url == self.url)
    }

    fn write(&self, credentials: StoredCredentials) -> Result<(), String> {
        // A renewal knows nothing of the secret, which is kept for the same client.
        let known = || self.read().filter(|kept| kept.credentials.client_id == credentials.client_id)?.client_secret;
        let client_secret = self.client_secret.as_ref().map(|secret| secret.expose_secret().to_owned()).or_else(known);
        let kept = Kept { url: self.url.clone(), client_secret, credentials };
        let text = serde_json::to_vec(&kept).map_err(|e| e.to_string())?;
        private::write(&self.path, &[&text]).map_err(|e| format!("`{}`: {e}", self.path.display()))
    }

    /// Removes what is kept; whether there was something.
    pub(super) fn remove(&self) -> std::io::Result<bool> {
        match std::fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits for a turn to renew the login; it lasts until what this gives is dropped.
    pub(super) async fn turn(&self) -> Result<File, AuthError> {
        let store = self.clone();
        let locked = tokio::task::spawn_blocking(move || store.lock()).await.map_err(|e| failed(e.to_string()))?;
        locked.map_err(|e| failed(format!("`{}` can't be locked: {e}", self.path.display())))
    }

    fn lock(&self) -> std::io::Result<File> {
        let path = self.path.with_extension("lock");
        private::make_folder(path.parent().unwrap_or(&path))?;
        let file = File::options().create(true).append(true).open(path)?;
        file.lock()?;
        Ok(file)
    }
}

fn failed(reason: String) -> AuthError {
    AuthError::CredentialStoreError(reason)
}

#[async_trait::async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.read().map(|kept| kept.credentials))
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.write(credentials).map_err(failed)
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.remove().map(|_| ()).map_err(|e| failed(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_clients_secret_is_kept_for_its_renewals_and_for_no_other_client() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path(), &Url::parse("https://mcp.example.com/a").unwrap());
        let login = |client: &str| StoredCredentials::new(client.to_owned(), None, Vec::new(), None);
        let secret = || store.read().unwrap().client_secret;
        store.with_secret(Some("secret".into())).write(login("registered")).unwrap();
        store.write(login("registered")).unwrap();
        assert_eq!(secret().as_deref(), Some("secret"));
        store.write(login("another")).unwrap();
        assert_eq!(secret(), None);
    }

    #[test]
    fn a_login_is_the_users_alone_and_of_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("logins");
        let url = |text: &str| Url::parse(text).unwrap();
        let store = Store::in_folder(&folder, &url("https://mcp.example.com/a"));
        assert!(store.read().is_none());
        store.write(StoredCredentials::new("client".to_owned(), None, Vec::new(), None)).unwrap();
        assert_eq!(store.read().unwrap().credentials.client_id, "client");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&store.path), mode(&folder)), (0o600, 0o700));
        assert!(Store::in_folder(&folder, &url("https://mcp.example.com/b")).read().is_none());
        assert!(Store::in_folder(&folder, &url("https://mcp.example.com/a#x")).read().is_some());
        std::fs::set_permissions(&store.path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(store.read().is_none(), "anybody could have written it");
        assert!(store.remove().unwrap());
        assert!(!store.remove().unwrap());
    }
}
