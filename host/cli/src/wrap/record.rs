//! What `wrap` has changed: for each file the text that it had before, so that `unwrap` brings it back to the byte, and the digest of what was written, by
//! which `unwrap` knows whether the file has changed since.
//!
//! It is kept in the user's state folder, for the user alone: a client's file may hold keys.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use understudy::private;
use understudy::runtime::state_folder;
use understudy::trust::sha256;

const VERSION: u32 = 1;

/// One file that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrappedFile {
    /// The client whose it is.
    pub(super) client: String,
    /// The name of the copy beside this record.
    pub(super) backup: String,
    /// The digest of the copy.
    pub(super) before: String,
    /// The digest of what was written.
    pub(super) after: String,
    /// Where the entries stand that were changed.
    pub(super) entries: Vec<String>,
}

/// The record's file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct RecordFile {
    version: u32,
    files: BTreeMap<String, WrappedFile>,
}

/// The record, which no other process changes while this one has it.
#[derive(Debug)]
pub(super) struct WrapRecord {
    folder: PathBuf,
    content: RecordFile,
    _lock: File,
}

impl WrapRecord {
    /// The user's, once nobody else has it.
    pub(super) fn of_user() -> Result<Self, String> {
        let state = state_folder().ok_or("there is no state folder to keep backups in: set HOME")?;
        Self::in_folder(state.join("wrapped"))
    }

    pub(super) fn in_folder(folder: PathBuf) -> Result<Self, String> {
        private::own_folder(&folder).map_err(|why| format!("`{}` can't be used: {why}", folder.display()))?;
        let failed = |error| format!("`{}` can't be locked: {error}", folder.display());
        let lock = File::open(&folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let path = folder.join("files.json");
        let unusable = |why: &str| format!("`{}` can't be used: {why}", path.display());
        let content = match private::read(&path).map_err(|why| unusable(&why))? {
            None => RecordFile { version: VERSION, ..RecordFile::default() },
            Some(bytes) => serde_json::from_slice::<RecordFile>(&bytes).map_err(|error| {
                unusable(&format!("it is damaged ({error}); move it away: the backups stay beside it"))
            })?,
        };
        if content.version != VERSION {
            let (version, known) = (content.version, VERSION);
            return Err(unusable(&format!("it is of version {version}, and this Understudy knows {known}")));
        }
        Ok(Self { folder, content, _lock: lock })
    }

    pub(super) fn get(&self, file: &Path) -> Option<&WrappedFile> {
        self.content.files.get(&name(file))
    }

    /// The text that a file had, if its copy is whole.
    pub(super) fn backup(&self, known: &WrappedFile) -> Option<Vec<u8>> {
        let bytes = private::read(&self.folder.join(&known.backup)).ok().flatten()?;
        (sha256(&bytes) == known.before).then_some(bytes)
    }

    /// Keeps what a file had before; where that is. The file itself must be written afterwards: a copy without a change does no harm.
    pub(super) fn keep(
        &mut self,
        file: &Path,
        client: &str,
        before: &[u8],
        after: &[u8],
        entries: Vec<String>,
    ) -> Result<PathBuf, String> {
        let digest = sha256(name(file).as_bytes());
        let end = file.file_name().unwrap_or_default().to_string_lossy();
        let backup = format!("{}-{end}", digest.get(..16).unwrap_or(&digest));
        let path = self.folder.join(&backup);
        private::write(&path, &[before])
            .map_err(|error| format!("the backup `{}` can't be written: {error}", path.display()))?;
        let known =
            WrappedFile { client: client.to_owned(), backup, before: sha256(before), after: sha256(after), entries };
        self.content.files.insert(name(file), known);
        self.write()?;
        Ok(path)
    }

    /// Forgets a file and its copy.
    pub(super) fn forget(&mut self, file: &Path) -> Result<(), String> {
        let Some(known) = self.content.files.remove(&name(file)) else { return Ok(()) };
        self.write()?;
        // One that stays is written over the next time.
        let _ = fs::remove_file(self.folder.join(&known.backup));
        Ok(())
    }

    fn write(&self) -> Result<(), String> {
        let path = self.folder.join("files.json");
        let text = serde_json::to_vec_pretty(&self.content).map_err(|error| error.to_string())?;
        private::write(&path, &[&text]).map_err(|error| format!("`{}` can't be written: {error}", path.display()))
    }
}

/// A path as the record has it.
fn name(file: &Path) -> String {
    file.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_copy_is_kept_for_the_user_alone_until_it_is_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("wrapped");
        let file = Path::new("/home/u/.cursor/mcp.json");
        let mut record = WrapRecord::in_folder(folder.clone()).unwrap();
        let path = record.keep(file, "cursor", b"before", b"after", vec!["mcpServers.a".to_owned()]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(record);
        let mut record = WrapRecord::in_folder(folder.clone()).unwrap();
        let known = record.get(file).unwrap().clone();
        assert_eq!(
            (known.after.as_str(), record.backup(&known)),
            (sha256(b"after").as_str(), Some(b"before".to_vec()))
        );
        fs::write(&path, "other").unwrap();
        assert_eq!(record.backup(&known), None, "a copy that isn't whole is none");
        record.forget(file).unwrap();
        assert!(record.get(file).is_none() && !path.exists());
        fs::write(folder.join("files.json"), "{").unwrap();
        drop(record);
        assert!(WrapRecord::in_folder(folder).unwrap_err().contains("is damaged"));
    }
}
