//! Reading a file of an untrusted folder: a regular file of bounded size, never blocking. And writing a file where such a folder may hold a link.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

/// The most that a config may have that wasn't named by its user: 4 MiB.
pub const LARGEST: u64 = 4 << 20;

/// The file's bytes; `None` if there is no file, or a dangling link.
///
/// # Errors
/// If it is no regular file, has more than `most` bytes, or can't be read.
pub fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, String> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    if bytes.len() as u64 > most { Err(format!("it has more than {most} bytes")) } else { Ok(Some(bytes)) }
}

/// The file's digest in hexadecimal; `None` if there is no file.
///
/// # Errors
/// As with `read`.
pub(crate) fn sha256(path: &Path, most: u64) -> Result<Option<String>, String> {
    let Some(file) = open(path)? else { return Ok(None) };
    let (mut file, mut digest, mut size) = (file.take(most.saturating_add(1)), Sha256::new(), 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = file.read(&mut buffer).map_err(|e| unreadable(&e))?;
        let Some(piece) = buffer.get(..n).filter(|piece| !piece.is_empty()) else { break };
        digest.update(piece);
        size += n as u64;
    }
    if size > most { Err(format!("it has more than {most} bytes")) } else { Ok(Some(hex::encode(digest.finalize()))) }
}

/// Writes a file at just this place: where a link stands, it isn't followed, and a pipe isn't waited for.
///
/// # Errors
/// If it can't be written, as over a link.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // As for any file: less the umask.
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
    match rustix::fs::open(path, flags, mode) {
        Ok(file) => File::from(file).write_all(bytes),
        Err(rustix::io::Errno::LOOP) => Err(io::Error::other("it is a link, and what it leads to isn't written over")),
        Err(e) => Err(e.into()),
    }
}

/// Opens a regular file. What it is is seen before, since opening a device may do something, and again afterwards, since it may have been
/// swapped for a pipe meanwhile: opening one doesn't wait for its writer.
fn open(path: &Path) -> Result<Option<File>, String> {
    let is_file = |metadata: fs::Metadata| if metadata.is_file() { Ok(()) } else { Err("it is not a file".to_owned()) };
    match fs::metadata(path) {
        Ok(metadata) => is_file(metadata)?,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(unreadable(&e)),
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|e| unreadable(&e.into()))?);
    is_file(file.metadata().map_err(|e| unreadable(&e))?)?;
    Ok(Some(file))
}

fn unreadable(error: &io::Error) -> String {
    format!("it can't be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "1234").unwrap();
        assert_eq!(read(&at("file"), 4), Ok(Some(b"1234".to_vec())));
        assert_eq!(sha256(&at("file"), 4), Ok(Some(crate::trust::sha256(b"1234"))));
        assert!(read(&at("file"), 3).unwrap_err().contains("more than 3 bytes"));
        assert!(sha256(&at("file"), 3).unwrap_err().contains("more than 3 bytes"));
        assert_eq!(read(&at("none"), 4), Ok(None));
        assert_eq!(read(&at("file").join("inside"), 4), Ok(None));
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        assert_eq!(read(&at("dangling"), 4), Ok(None));
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        assert!(read(&at("loop"), 4).unwrap_err().contains("can't be read"));
        fs::create_dir(at("folder")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("device")).unwrap();
        write(&at("new"), b"new").unwrap();
        write(&at("new"), b"n").unwrap();
        assert_eq!(read(&at("new"), 4), Ok(Some(b"n".to_vec())));
        assert!(write(&at("dangling"), b"x").unwrap_err().to_string().contains("it is a link"));
        assert!(write(&at("pipe"), b"x").is_err() && !at("nowhere").exists());
        for name in ["folder", "pipe", "device"] {
            assert_eq!(read(&at(name), 4).unwrap_err(), "it is not a file", "{name}");
        }
    }
}
