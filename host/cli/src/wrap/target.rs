//! A client's file: read if it is one that `wrap` may edit, and replaced if it is still the same.
//!
//! A link is followed to a file of the user's own, since people keep their configs elsewhere and link to them. In a project, which others may have
//! written, it must not lead out of the folder.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::clients::{FoundConfig, format_of};
use super::document::ConfigDocument;
use understudy::atomic_file;
use understudy::text::quoted;
use understudy::trust::file;

/// The most that a client's file may have: 8 MiB. Claude Code keeps its history in it.
const LARGEST: u64 = 8 << 20;

/// The mark that some editors put in front of UTF-8.
const MARK: &str = "\u{feff}";

/// A file that may be edited.
#[derive(Debug)]
pub(super) struct ConfigTarget {
    /// Where the client looks for it.
    pub(super) path: PathBuf,
    /// The file itself, if that is a link.
    pub(super) file: PathBuf,
    pub(super) bytes: Vec<u8>,
    metadata: Metadata,
}

impl ConfigTarget {
    /// Reads it. Whether it may be replaced is another question.
    pub(super) fn read(found: &FoundConfig) -> Result<Self, String> {
        let file = resolved(found)?;
        let bytes = file::read(&file, LARGEST)?.ok_or_else(|| "it has gone meanwhile".to_owned())?;
        let metadata = fs::metadata(&file).map_err(|error| format!("it can't be read: {error}"))?;
        Ok(Self { path: found.path.clone(), file, bytes, metadata })
    }

    /// Its text, parsed.
    pub(super) fn document(&self) -> Result<ConfigDocument, String> {
        let text = std::str::from_utf8(&self.bytes).map_err(|error| {
            format!("it is not UTF-8 (at byte {}): save it as UTF-8 in your editor", error.valid_up_to())
        })?;
        let text = text.strip_prefix(MARK).unwrap_or(text);
        ConfigDocument::parse(format_of(&self.path), text.to_owned()).map_err(|fault| {
            format!("line {}, column {}: {}; mend it, and try again", fault.line, fault.column, fault.reason)
        })
    }

    /// The bytes of a text in this file.
    pub(super) fn bytes_of(&self, text: &str) -> Vec<u8> {
        let mark = if self.bytes.starts_with(MARK.as_bytes()) { MARK } else { "" };
        [mark.as_bytes(), text.as_bytes()].concat()
    }

    /// Why it may not be replaced.
    pub(super) fn check(&self) -> Result<(), String> {
        let shown = quoted(&self.file.to_string_lossy(), 4000);
        let (owner, user) = (self.metadata.uid(), rustix::process::geteuid().as_raw());
        if owner != user {
            return Err(format!("it belongs to another user (uid {owner}, and you are {user}): run this as that user"));
        }
        if self.metadata.mode() & 0o200 == 0 {
            return Err(format!("it is read-only: `chmod u+w {shown}`, if it is yours to change"));
        }
        if self.metadata.nlink() > 1 {
            return Err("it has several names (hard links), which replacing it would part: edit it by hand".to_owned());
        }
        Ok(())
    }

    /// Replaces it, unless it has changed since it was read.
    pub(super) fn replace(&self, bytes: &[u8]) -> Result<(), String> {
        let now = file::read(&self.file, LARGEST)?;
        if now.as_deref() != Some(&self.bytes) {
            return Err("another program has changed it meanwhile: close that, and try again".to_owned());
        }
        atomic_file::replace_like(&self.file, &self.metadata, &[bytes])
            .map_err(|error| format!("it can't be written: {error}"))
    }
}

/// The file behind the links.
fn resolved(found: &FoundConfig) -> Result<PathBuf, String> {
    let real = found.path.canonicalize().map_err(|error| match fs::read_link(&found.path) {
        Ok(target) => {
            format!("it is a link to `{}`, which can't be read: {error}", quoted(&target.to_string_lossy(), 4000))
        }
        Err(_) => format!("it can't be read: {error}"),
    })?;
    if let Some(project) = &found.project
        && !project.canonicalize().is_ok_and(|project| real.starts_with(project))
    {
        let shown = quoted(&real.to_string_lossy(), 4000);
        return Err(format!(
            "it is a link that leads out of this folder, to `{shown}`: edit that file, if you mean it"
        ));
    }
    Ok(real)
}
