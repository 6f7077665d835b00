//! Replacing a file: the only place that renames over one.
//!
//! The content is written to a temporary file in the same folder, synced, renamed over the old file, and the folder is synced. A reader
//! therefore sees the old file or the new one, and so does the next start after a power cut.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Replaces the file at `path`, or makes it, with the concatenated `parts`; its mode is `mode` less the umask.
///
/// # Errors
/// If the temporary file can't be made, written or synced, or not be renamed: then the old file is untouched. If the folder can't be synced,
/// though its file system could: then the file is replaced, and a power cut may bring the old one back.
pub(crate) fn replace(path: &Path, mode: u32, parts: &[&[u8]]) -> io::Result<()> {
    replace_with(path, mode, parts, |_| Ok(()))
}

/// Replaces another program's file of this user, which keeps its mode and its group.
///
/// # Errors
/// As with the module's other function; and if the group can't be kept.
pub fn replace_like(path: &Path, like: &Metadata, parts: &[&[u8]]) -> io::Result<()> {
    replace_with(path, 0o600, parts, |file| {
        if file.metadata()?.gid() != like.gid() {
            rustix::fs::fchown(file, None, Some(rustix::fs::Gid::from_raw(like.gid())))?;
        }
        file.set_permissions(like.permissions())
    })
}

fn replace_with(
    path: &Path,
    mode: u32,
    parts: &[&[u8]],
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    finish(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // A folder that may be written but not read, and file systems that don't sync folders.
        Err(e)
            if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (mode, parts) in [(0o600, [b"a".as_slice(), b"b"]), (0o400, [b"c", b""])] {
            replace(&path, mode, &parts).unwrap();
            assert_eq!(fs::read(&path).unwrap(), parts.concat());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        for mode in [0o664, 0o666, 0o640] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            replace_like(&path, &fs::metadata(&path).unwrap(), &[b"e"]).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode, "whatever the umask");
        }
        assert_eq!((fs::read(&path).unwrap(), fs::read_dir(folder.path()).unwrap().count()), (b"e".to_vec(), 1));
        assert!(replace(&folder.path().join("none").join("file"), 0o600, &[b"x"]).is_err());
        // A folder stands in the place: it stays, and no temporary file does.
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(replace(&folder.path().join("folder"), 0o600, &[b"x"]).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
