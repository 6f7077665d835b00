//! The store of fetched components: blobs by their digest, as in an OCI image layout, in the user's data folder.
//!
//! Every read checks the digest, so the store needn't be protected against other writers.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::RegistryError;
use super::signature::Signature;
use crate::private;
use crate::reference::Digest;

/// The user's store.
pub struct ComponentStore {
    folder: PathBuf,
}

impl ComponentStore {
    /// The store in the data folder of the user.
    ///
    /// # Errors
    /// [`RegistryError::Store`] if there is no such folder.
    pub fn of_user() -> Result<Self, RegistryError> {
        let missing = || RegistryError::Store("this user has no data folder; set `HOME` or `XDG_DATA_HOME`".to_owned());
        Ok(Self { folder: dirs::data_dir().ok_or_else(missing)?.join("understudy").join("components") })
    }

    /// The blob of this digest, if it is there, of at most `most` bytes.
    pub(crate) fn read(&self, digest: &Digest, most: usize) -> Result<Option<Vec<u8>>, RegistryError> {
        let path = self.blob(digest);
        let Some(bytes) = read(&path, most)? else { return Ok(None) };
        if Digest::of(&bytes) != *digest {
            return Err(damaged(&path, "its content isn't what its name says"));
        }
        Ok(Some(bytes))
    }

    /// Keeps a blob.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<Digest, RegistryError> {
        let digest = Digest::of(bytes);
        write(&self.blob(&digest), bytes)?;
        Ok(digest)
    }

    /// The signatures that were beside this manifest when it was fetched.
    pub(crate) fn signatures(&self, manifest: &Digest) -> Result<Vec<Signature>, RegistryError> {
        let path = self.beside(manifest);
        let Some(bytes) = read(&path, Signature::MOST)? else { return Ok(Vec::new()) };
        serde_json::from_slice(&bytes).map_err(|e| damaged(&path, &e.to_string()))
    }

    /// Keeps the signatures of a manifest.
    pub(crate) fn keep_signatures(&self, manifest: &Digest, signatures: &[Signature]) -> Result<(), RegistryError> {
        let bytes = serde_json::to_vec(signatures).map_err(|e| RegistryError::Store(e.to_string()))?;
        write(&self.beside(manifest), &bytes)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join("sha256").join(digest.hex())
    }

    fn beside(&self, manifest: &Digest) -> PathBuf {
        self.folder.join("signatures").join(format!("{}.json", manifest.hex()))
    }
}

/// The file, if there is one, of at most `most` bytes.
fn read(path: &Path, most: usize) -> Result<Option<Vec<u8>>, RegistryError> {
    let failed = |e: std::io::Error| RegistryError::Store(format!("`{}` can't be read: {e}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let mut bytes = Vec::new();
    file.take((most as u64).saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most { Err(damaged(path, &format!("it has more than {most} bytes"))) } else { Ok(Some(bytes)) }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    let failed = |e: std::io::Error| RegistryError::Store(format!("`{}` can't be written: {e}", path.display()));
    private::write(path, &[bytes]).map_err(failed)
}

fn damaged(path: &Path, why: &str) -> RegistryError {
    RegistryError::Store(format!("`{}` is damaged: {why}; `understudy plugin pull` mends it", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_what_was_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = ComponentStore { folder: folder.path().to_path_buf() };
        assert!(store.read(&Digest::of(b"blob"), 100).unwrap().is_none());
        let digest = store.keep(b"blob").unwrap();
        assert_eq!(store.read(&digest, 100).unwrap().unwrap(), b"blob");
        assert!(store.signatures(&digest).unwrap().is_empty());
        std::fs::write(store.blob(&digest), "bl0b").unwrap();
        assert!(store.read(&digest, 100).unwrap_err().to_string().contains("is damaged"));
        store.keep(b"blob").unwrap();
        assert_eq!(store.read(&digest, 4).unwrap().unwrap(), b"blob");
        assert!(store.read(&digest, 3).unwrap_err().to_string().contains("more than 3 bytes"));
    }
}
