//! Files that only their user can read or write.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::atomic_file;

/// The file's bytes, if nobody but the user can have written or read them; `None` if there is no such file. What is looked at is what was
/// opened: the folder, and the file in this very folder.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(format!("`{}` is no file", path.display()));
    };
    // Pipes don't block, and links aren't followed: another user could turn them.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty());
    let Some(opened) = found(folder, opened)? else { return Ok(None) };
    let opened = File::from(opened);
    is_mine(&opened, folder, "700")?;
    let Some(file) = found(path, rustix::fs::openat(opened.as_fd(), name, flags, Mode::empty()))? else {
        return Ok(None);
    };
    let mut file = File::from(file);
    is_mine(&file, path, "600")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok(Some(bytes))
}

fn found<T>(path: &Path, opened: rustix::io::Result<T>) -> Result<Option<T>, String> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(rustix::io::Errno::LOOP) => Err(format!("`{}` is a symbolic link", path.display())),
        // As for a symbolic link in the place of a folder.
        Err(rustix::io::Errno::NOTDIR) => Err(format!("`{}` is no folder", path.display())),
        Err(error) => Err(error.to_string()),
    }
}

/// An error unless only the user can access what was opened; `mode` is the remedy.
fn is_mine(opened: &File, path: &Path, mode: &str) -> Result<(), String> {
    let metadata = opened.metadata().map_err(|e| e.to_string())?;
    let path = path.display();
    if !(metadata.is_dir() || metadata.is_file()) {
        return Err(format!("`{path}` is no file"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("`{path}` belongs to another user (uid {})", metadata.uid()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!(
            "other users can read or write `{path}` (mode {:o}): `chmod {mode} {path}`",
            metadata.mode() & 0o777
        ));
    }
    Ok(())
}

/// Makes the folder, and checks that only the user can access it.
pub fn own_folder(folder: &Path) -> Result<(), String> {
    make_folder(folder).map_err(|e| e.to_string())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::DIRECTORY;
    let opened = found(folder, rustix::fs::open(folder, flags, Mode::empty()))?;
    opened.map_or(Ok(()), |opened| is_mine(&File::from(opened), folder, "700"))
}

/// Replaces the file with the concatenated parts, and makes its folder if need be; both are the user's alone.
pub fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    make_folder(path.parent().ok_or_else(|| io::Error::other("it has no folder"))?)?;
    atomic_file::replace(path, 0o600, parts)
}

/// Makes the folder, for the user alone, unless it is there.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Opens a lock file, for the user alone.
pub fn open_to_lock(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    File::options().create(true).append(true).mode(0o600).custom_flags(flags).open(path)
}

/// Opens a file to read it and to append to it, and makes it if need be; only the user can access it.
#[cfg(feature = "ledger")]
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let file = File::options().read(true).create(true).append(true).mode(0o600).custom_flags(flags).open(path)?;
    is_mine(&file, path, "600").map_err(io::Error::other)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_that_others_can_read_write_or_turn_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("folder");
        let file = folder.join("file");
        assert_eq!(read(&file), Ok(None));
        write(&file, &[b"a", b"b"]).unwrap();
        assert_eq!(read(&file), Ok(Some(b"ab".to_vec())));
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o777] {
            set(&file, mode);
            assert!(read(&file).unwrap_err().contains(&format!("`chmod 600 {}`", file.display())), "{mode:o}");
        }
        set(&file, 0o400);
        assert_eq!(read(&file), Ok(Some(b"ab".to_vec())));
        for mode in [0o755, 0o777, 0o1777, 0o750, 0o701] {
            set(&folder, mode);
            assert!(read(&file).unwrap_err().contains(&format!("`chmod 700 {}`", folder.display())), "{mode:o}");
        }
        set(&folder, 0o700);
        let link = folder.join("link");
        symlink(&file, &link).unwrap();
        assert!(read(&link).unwrap_err().contains("symbolic link"));
        let turned = place.path().join("turned");
        symlink(&folder, &turned).unwrap();
        assert!(read(&turned.join("file")).is_err());
        assert!(read(&folder).is_err());
    }
}
