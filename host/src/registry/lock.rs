//! The lock file beside the config: the digest that each tag had when it was fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RegistryError;
use crate::atomic_file;
use crate::reference::{Digest, Reference};

const VERSION: u32 = 1;

/// The lock file.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Lock {
    version: u32,
    /// The manifest's digest, by the reference with its tag.
    components: BTreeMap<String, String>,
}

impl Lock {
    /// The file's content; empty if there is none.
    pub(crate) fn read(path: &Path) -> Result<Self, RegistryError> {
        Self::read_held(path, |_| Ok(()))
    }

    /// The same, if its bytes are what they should be.
    pub fn read_held(path: &Path, hold: impl FnOnce(&[u8]) -> std::io::Result<()>) -> Result<Self, RegistryError> {
        let wrong = |reason: String| RegistryError::Lock { path: path.display().to_string(), reason };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { version: VERSION, ..Self::default() });
            }
            Err(e) => return Err(wrong(format!("can't be read: {e}"))),
        };
        hold(&text).map_err(|e| wrong(format!("can't be used: {e}")))?;
        let mend = "delete it, and `understudy plugin pull` writes it anew";
        let lock: Self = serde_json::from_slice(&text).map_err(|e| wrong(format!("is damaged ({e}); {mend}")))?;
        if lock.version != VERSION {
            let version = lock.version;
            return Err(wrong(format!("is of version {version}, and this Understudy knows version {VERSION}; {mend}")));
        }
        if let Some((name, digest)) = lock.components.iter().find(|(_, digest)| Digest::parse(digest).is_none()) {
            return Err(wrong(format!("says of `{name}` the digest `{digest}`, which is none; {mend}")));
        }
        Ok(lock)
    }

    /// What a reference's tag meant.
    #[must_use]
    pub fn digest(&self, reference: &Reference) -> Option<Digest> {
        self.components.get(&reference.to_string()).and_then(|digest| Digest::parse(digest))
    }

    /// Keeps what a reference's tag means.
    pub fn pin(&mut self, reference: &Reference, digest: &Digest) {
        self.components.insert(reference.to_string(), digest.to_string());
    }

    /// Forgets all but these.
    pub fn retain(&mut self, references: &[Reference]) {
        let kept: BTreeSet<String> = references.iter().map(ToString::to_string).collect();
        self.components.retain(|name, _| kept.contains(name));
    }

    /// Writes it, whole or not at all, if it differs from what is there.
    pub fn write(&self, path: &Path) -> Result<(), RegistryError> {
        if Self::read(path).is_ok_and(|there| there == *self) {
            return Ok(());
        }
        let failed = |e: std::io::Error| RegistryError::Lock {
            path: path.display().to_string(),
            reason: format!("can't be written: {e}"),
        };
        let text = serde_json::to_string_pretty(self).map_err(|e| failed(e.into()))?;
        atomic_file::replace(path, 0o644, &[text.as_bytes(), b"\n"]).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_is_found_again_and_a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("understudy.lock");
        let [a, b] = ["oci://ghcr.io/a/a:1", "oci://ghcr.io/a/b:1"].map(|text| Reference::parse(text).unwrap());
        let mut lock = Lock::read(&path).unwrap();
        assert_eq!(lock.digest(&a), None);
        lock.pin(&a, &Digest::of(b"a"));
        lock.pin(&b, &Digest::of(b"b"));
        lock.write(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap().digest(&a), Some(Digest::of(b"a")));
        lock.retain(std::slice::from_ref(&b));
        lock.write(&path).unwrap();
        let lock = Lock::read(&path).unwrap();
        assert_eq!((lock.digest(&a), lock.digest(&b)), (None, Some(Digest::of(b"b"))));
        let damaged = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Lock::read(&path).unwrap_err().to_string()
        };
        assert!(damaged("{").contains("is damaged"));
        assert!(damaged(r#"{"version": 2, "components": {}}"#).contains("is of version 2"));
        assert!(damaged(r#"{"version": 1, "components": {"oci://x/y:1": "sha256:../"}}"#).contains("which is none"));
    }
}
