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
        self.check_for(rustix::process::geteuid().as_raw())
    }

    /// The same for a user.
    fn check_for(&self, user: u32) -> Result<(), String> {
        let shown = quoted(&self.file.to_string_lossy(), 4000);
        let owner = self.metadata.uid();
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn read(path: &Path, project: Option<&Path>) -> Result<ConfigTarget, String> {
        ConfigTarget::read(&FoundConfig { path: path.to_owned(), project: project.map(Path::to_owned) })
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_unless_it_has_changed_since_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.json");
        fs::write(&path, "\u{feff}{}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        let target = read(&path, None).unwrap();
        assert_eq!((target.check(), target.document().unwrap().text.as_str()), (Ok(()), "{}"));
        target.replace(&target.bytes_of("{ }")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "\u{feff}{ }");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o664);
        assert!(target.replace(b"{}").unwrap_err().contains("another program has changed it"));
        fs::remove_file(&path).unwrap();
        assert!(target.replace(b"{}").is_err() && !path.exists());
    }

    #[test]
    fn a_link_is_followed_but_in_a_project_only_within_it() {
        let folder = tempfile::tempdir().unwrap();
        let (project, kept) = (folder.path().join("project"), folder.path().join("dotfiles"));
        for folder in [&project, &kept] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(kept.join("mcp.json"), "{}").unwrap();
        let link = project.join(".mcp.json");
        symlink("../dotfiles/mcp.json", &link).unwrap();
        let target = read(&link, None).unwrap();
        target.replace(b"{ }").unwrap();
        assert_eq!(fs::read_to_string(kept.join("mcp.json")).unwrap(), "{ }");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "the link stays");
        assert!(read(&link, Some(&project)).unwrap_err().contains("leads out of this folder"));
        fs::write(project.join("inside.json"), "{}").unwrap();
        fs::remove_file(&link).unwrap();
        symlink("inside.json", &link).unwrap();
        assert_eq!(read(&link, Some(&project)).unwrap().check(), Ok(()));
        fs::remove_file(project.join("inside.json")).unwrap();
        assert!(read(&link, None).unwrap_err().contains("a link to `inside.json`, which can't be read"));
    }

    #[test]
    fn a_file_that_may_not_be_replaced_is_left_and_the_remedy_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.json");
        fs::write(&path, "{}").unwrap();
        let somebody = rustix::process::geteuid().as_raw() + 1;
        let refused = read(&path, None).unwrap().check_for(somebody).unwrap_err();
        assert!(
            refused.contains("belongs to another user (uid ") && refused.contains("run this as that user"),
            "{refused}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(read(&path, None).unwrap().check().unwrap_err().contains("`chmod u+w "));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::hard_link(&path, folder.path().join("other.json")).unwrap();
        assert!(read(&path, None).unwrap().check().unwrap_err().contains("hard links"));
        fs::write(&path, [b'{', 0xff, b'}']).unwrap();
        assert!(read(&path, None).unwrap().document().unwrap_err().contains("not UTF-8 (at byte 1)"));
        fs::File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(read(&path, None).unwrap_err().contains("more than 8388608 bytes"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(read(&path, None).unwrap_err(), "it is not a file");
    }
}
