//! A Unix socket to listen on, which is the user's alone.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use understudy::private;

/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;

/// A socket that is listened on. Dropping it removes its file.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
}

impl Socket {
    /// Listens at a path. A socket that a process left there, and that nobody listens on, is replaced.
    ///
    /// # Errors
    /// If something else is there, or the folder is not the user's alone.
    pub fn bind(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| error.to_string();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        private::make_folder(folder).map_err(failed)?;
        let own = fs::metadata(folder).map_err(failed)?;
        if own.uid() != geteuid().as_raw() || own.mode() & 0o022 != 0 {
            let (folder, mode) = (folder.display(), own.mode() & 0o777);
            return Err(format!(
                "others could replace it: the folder `{folder}` must be yours, and only you may write to it (its mode is {mode:o})"
            ));
        }
        // Of two that find the same socket left behind, one at a time replaces it.
        let lock = File::open(folder).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err("another process is about to listen there".to_owned()),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        clear(path)?;
        let socket = UnixSocket::new_stream().map_err(failed)?;
        socket.bind(path).map_err(failed)?;
        // Nobody can connect before it listens.
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        let file = identity(&fs::symlink_metadata(path).map_err(failed)?);
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned(), file })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection of this user's, or root's.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            // The mode keeps others away already, but not on every system.
            let peer = stream.peer_cred()?.uid();
            if peer == 0 || peer == geteuid().as_raw() {
                return Ok(stream);
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another process may listen there by now.
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Removes a socket that nobody listens on.
fn clear(path: &Path) -> Result<(), String> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if !there.file_type().is_socket() {
        return Err("something is there that is no socket".to_owned());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| error.to_string())
        }
        Ok(_) => Err("another process listens there".to_owned()),
        Err(error) => Err(format!("a socket is there that can't be looked at: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_the_users_alone_and_goes_when_it_is_not_listened_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("socket");
        let socket = Socket::bind(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(Socket::bind(&path).unwrap_err(), "another process listens there");
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_was_left_behind_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = Socket::bind(&path).unwrap();
        let client = std::os::unix::net::UnixStream::connect(&path);
        assert!(client.is_ok() && socket.accept().await.is_ok());
        // One that another process listens on by now stays.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "not ours").unwrap();
        drop(socket);
        assert_eq!(Socket::bind(&path).unwrap_err(), "something is there that is no socket");
        assert_eq!(fs::read(&path).unwrap(), b"not ours");
        let elsewhere = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &elsewhere).unwrap();
        assert!(Socket::bind(&elsewhere).is_err());
    }

    #[tokio::test]
    async fn no_socket_is_made_where_others_may_write() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let refused = Socket::bind(&folder.path().join("socket")).unwrap_err();
        assert!(refused.contains("others could replace it") && refused.contains("777"), "{refused}");
    }
}
