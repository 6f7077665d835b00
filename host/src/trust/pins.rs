//! The digests of the files that a trusted config names: each file is compared with its digest after it has been read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::file;

/// The most bytes of a file that a trusted config names: those of the machine code of the largest component.
const LARGEST: u64 = 512 << 20;

/// Digests by path, in lower-case hexadecimal. A file without one didn't exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, String>);

impl Pins {
    /// The digests of these files as they are now.
    ///
    /// # Errors
    /// If one is there and can't be read: its path and the cause.
    pub fn of(files: impl IntoIterator<Item = PathBuf>) -> Result<Self, (PathBuf, String)> {
        let mut pins = BTreeMap::new();
        for path in files {
            match file::sha256(&path, LARGEST) {
                Ok(Some(digest)) => _ = pins.insert(path.to_string_lossy().into_owned(), digest),
                Ok(None) => {}
                Err(reason) => return Err((path, reason)),
            }
        }
        Ok(Self(pins))
    }

    pub(crate) fn new(files: BTreeMap<String, String>) -> Self {
        Self(files)
    }

    /// The digest of each file, by its path.
    #[must_use]
    pub fn into_files(self) -> BTreeMap<String, String> {
        self.0
    }

    /// The digests, by the paths of the files.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The first file that isn't the same as here.
    pub(crate) fn difference<'a>(&'a self, now: &'a Self) -> Option<&'a str> {
        let all = self.0.keys().chain(now.0.keys());
        all.map(String::as_str).find(|path| self.0.get(*path) != now.0.get(*path))
    }

    /// Compares what was read of a file with its digest.
    ///
    /// # Errors
    /// If the content differs, or the file has no digest.
    pub(crate) fn hold(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.0.get(path.to_string_lossy().as_ref()).is_some_and(|digest| *digest == super::sha256(bytes)) {
            return Ok(());
        }
        Err(io::Error::other(
            "it has changed since the config that names it was trusted; `understudy trust` allows it anew",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_held_to_what_was_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&a, "a").unwrap();
        let pins = Pins::of([a.clone(), b.clone()]).unwrap();
        assert!(pins.hold(&a, b"a").is_ok());
        for (path, bytes) in [(&a, b"b"), (&b, b"a")] {
            assert!(pins.hold(path, bytes).unwrap_err().to_string().contains("has changed"));
        }
        let now = Pins::of([a.clone(), b.clone()]).unwrap();
        assert_eq!(pins.difference(&now), None);
        std::fs::write(&b, "new").unwrap();
        let now = Pins::of([a, b.clone()]).unwrap();
        assert_eq!(pins.difference(&now), b.to_str());
        assert_eq!(now.difference(&pins), b.to_str());
    }
}
