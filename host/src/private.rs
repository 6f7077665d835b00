//! Files that are the user's alone: nobody else can have written them, and nobody else can read them.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// The file's bytes, if nobody but the user can have written them.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    for place in [path.parent().unwrap_or(path), path] {
        let metadata = fs::symlink_metadata(place).map_err(|e| e.to_string())?;
        let mine = metadata.uid() == rustix::process::geteuid().as_raw();
        if !mine || metadata.is_symlink() || metadata.mode() & 0o022 != 0 {
            return Err(format!("`{}` is not the user's alone", place.display()));
        }
    }
    fs::read(path).map_err(|e| e.to_string())
}

/// Writes the file, of these parts, beside its place and moves it there, so that no reader sees half of it.
pub(crate) fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    written(path, parts)?.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// The same, and it is on the disk when this returns: a crash leaves the old file or the new one, and nothing else.
pub(crate) fn write_through(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let file = written(path, parts)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

/// A file of these parts beside its place.
fn written(path: &Path, parts: &[&[u8]]) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
    make_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
    for part in parts {
        file.write_all(part)?;
    }
    Ok(file)
}

/// Makes the folder, for the user alone, unless it is there.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
