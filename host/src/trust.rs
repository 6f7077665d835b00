//! The configs that the user trusts: which files, with which content. A folder's config does nothing until the user has trusted it
//! (`understudy trust`), and nothing once it has changed.
//!
//! | module | what it holds |
//! | --- | --- |
//! | this one | the list, a file in the user's state folder |
//! | `file` | reading and writing files of untrusted folders: bounded, following no link, and never blocking |
//! | `pins` | the digests of the files that a trusted config names |

pub mod file;
pub mod pins;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::private;

const VERSION: u32 = 1;

/// One config that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// The digest of its text, in lower-case hexadecimal.
    pub sha256: String,
    /// The digests of the local files that it names, by path. A file without one didn't exist.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// When it was trusted, in seconds since 1970.
    #[serde(default)]
    pub since: u64,
}

impl Trusted {
    /// A config with this text that names files with these digests, trusted now.
    #[must_use]
    pub fn now(text: &[u8], files: BTreeMap<String, String>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { sha256: sha256(text), files, since }
    }
}

/// The content of the list's file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct TrustFile {
    version: u32,
    configs: BTreeMap<String, Trusted>,
}

/// The user's list of trusted configs.
#[derive(Debug, Clone)]
pub struct TrustList {
    path: PathBuf,
}

impl TrustList {
    /// The list in the user's state folder (`$XDG_STATE_HOME`, or else the local data folder); `None` where there is none.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        let folder = dirs::state_dir().or_else(dirs::data_local_dir).filter(|folder| folder.is_absolute())?;
        Some(Self::in_folder(&folder.join("understudy").join("trust")))
    }

    fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("configs.json") }
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its file, after making its folder, so that it can be watched.
    #[must_use]
    pub fn watched(&self) -> Option<&Path> {
        private::make_folder(self.path.parent()?).ok()?;
        Some(&self.path)
    }

    /// What is trusted of the config at this path.
    ///
    /// # Errors
    /// If the list can't be used.
    pub fn get(&self, config: &Path) -> Result<Option<Trusted>, String> {
        Ok(self.read()?.configs.remove(&name(config)))
    }

    /// All of them, by path.
    ///
    /// # Errors
    /// If the list can't be used.
    pub fn all(&self) -> Result<BTreeMap<String, Trusted>, String> {
        Ok(self.read()?.configs)
    }

    /// Adds a config.
    ///
    /// # Errors
    /// If the list can't be written.
    pub fn record(&self, config: &Path, trusted: Trusted) -> Result<(), String> {
        self.change(|configs| {
            configs.insert(name(config), trusted);
        })
    }

    /// Removes a config; whether it was trusted.
    ///
    /// # Errors
    /// If the list can't be written.
    pub fn forget(&self, config: &Path) -> Result<bool, String> {
        let mut was = false;
        self.change(|configs| was = configs.remove(&name(config)).is_some())?;
        Ok(was)
    }

    fn read(&self) -> Result<TrustFile, String> {
        let unusable =
            |why: &str| format!("the list of trusted configs, `{}`, can't be used: {why}", self.path.display());
        let Some(bytes) = private::read(&self.path).map_err(|why| unusable(&why))? else {
            return Ok(TrustFile { version: VERSION, ..TrustFile::default() });
        };
        let kept: TrustFile = serde_json::from_slice(&bytes)
            .map_err(|e| unusable(&format!("it is damaged ({e}); delete it, and trust anew what you trust")))?;
        if kept.version != VERSION {
            return Err(unusable(&format!("it is of version {}, and this Understudy knows {VERSION}", kept.version)));
        }
        Ok(kept)
    }

    /// Reads, changes and replaces the file under a lock that other processes respect.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Trusted>)) -> Result<(), String> {
        let failed = |e: io::Error| format!("`{}` can't be written: {e}", self.path.display());
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        private::make_folder(folder).map_err(failed)?;
        // The file is replaced at each change, so the folder is locked instead.
        let lock = File::open(folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut kept = self.read()?;
        change(&mut kept.configs);
        let text = serde_json::to_vec_pretty(&kept).map_err(|e| failed(e.into()))?;
        private::write(&self.path, &[&text]).map_err(failed)
    }
}

/// The key of a config: its folder's canonical path, and its name there. A link at that path isn't followed, so a folder can't borrow another's
/// trust by a link to a trusted file.
#[must_use]
pub fn place(config: &Path) -> PathBuf {
    let absolute = std::path::absolute(config).unwrap_or_else(|_| config.to_path_buf());
    match (absolute.parent().map(Path::canonicalize), absolute.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => absolute,
    }
}

/// A path as the list has it: different paths never have the same name.
fn name(config: &Path) -> String {
    match config.to_str() {
        Some(text) => text.to_owned(),
        None => format!("bytes:{}", hex::encode(config.as_os_str().as_encoded_bytes())),
    }
}

/// A digest, in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_trusted_is_kept_for_the_user_alone_and_can_be_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let list = TrustList::in_folder(&folder.path().join("state").join("trust"));
        let (a, b) = (Path::new("/a/understudy.json"), Path::new("/b/understudy.json"));
        assert_eq!(list.get(a), Ok(None));
        assert_eq!(list.forget(a), Ok(false));
        let trusted = Trusted::now(b"{}", BTreeMap::from([("/a/x.wasm".to_owned(), sha256(b"x"))]));
        list.record(a, trusted.clone()).unwrap();
        assert_eq!((list.get(a), list.get(b)), (Ok(Some(trusted)), Ok(None)));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(list.path()), mode(list.path().parent().unwrap())), (0o600, 0o700));
        assert_eq!((list.forget(a), list.get(a)), (Ok(true), Ok(None)));
    }

    #[test]
    fn a_list_that_others_can_have_written_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let list = TrustList::in_folder(&folder.path().join("trust"));
        let config = Path::new("/a/understudy.json");
        list.record(config, Trusted::now(b"{}", BTreeMap::new())).unwrap();
        fs::set_permissions(list.path(), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(list.get(config).unwrap_err().contains("chmod 600"));
        fs::set_permissions(list.path(), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(list.path(), "{").unwrap();
        assert!(list.get(config).unwrap_err().contains("is damaged"));
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let list = TrustList::in_folder(folder.path());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        std::thread::scope(|scope| {
            for n in 0..16 {
                let list = &list;
                let config = PathBuf::from(format!("/{n}/understudy.json"));
                scope.spawn(move || list.record(&config, Trusted::now(b"{}", BTreeMap::new())).unwrap());
            }
        });
        assert_eq!(list.all().unwrap().len(), 16);
    }

    #[test]
    fn two_places_never_have_one_name() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let odd = |byte: u8| name(Path::new(OsStr::from_bytes(&[b'/', byte])));
        assert_ne!(odd(0xfe), odd(0xff));
        assert_eq!(name(Path::new("/a")), "/a");
    }
}
