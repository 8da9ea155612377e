//! The socket in the file system: made, and removed again.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf, absolute};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use rpmacct_plugin::OpenError;

use crate::keys::Settings;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// A socket that is ours.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    /// Device and inode, by which we know it again.
    identity: (u64, u64),
}

/// Binds the socket. One that a dead daemon left is replaced, one that is in use is an error, and what is no
/// socket is never removed.
pub(crate) fn open(settings: &Settings) -> Result<(Socket, UnixListener), OpenError> {
    let path = &settings.path;
    let failed = |doing: &str, source| OpenError::Io { doing: format!("{doing} {}", path.display()), source };
    make_way(path)?;
    let socket = stream(SockFlag::empty()).map_err(|error| failed("making a socket for", error))?;
    let address = UnixAddr::new(path).map_err(|error| failed("binding", error.into()))?;
    bind(socket.as_raw_fd(), &address).map_err(|error| failed("binding", error.into()))?;
    let ready = share(path, settings).and_then(|identity| {
        // Nobody can connect before this, so nobody slips in under the mode that the umask gave.
        listen(&socket, Backlog::new(BACKLOG)?)?;
        Ok(Socket { path: absolute(path)?, identity })
    });
    match ready {
        Ok(ours) => Ok((ours, socket.into())),
        Err(error) => {
            let _ = fs::remove_file(path);
            Err(failed("opening", error))
        }
    }
}

impl Socket {
    /// Removes the socket, unless another one has taken its path.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match identity(&self.path) {
            Ok(identity) if identity == self.identity => fs::remove_file(&self.path),
            _ => Ok(()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Gives the socket its mode and group, and returns its identity.
fn share(path: &Path, settings: &Settings) -> io::Result<(u64, u64)> {
    if let Some(group) = &settings.group {
        chown(path, None, Some(group.gid.as_raw()))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(settings.mode))?;
    identity(path)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Makes sure that nothing is at `path`.
fn make_way(path: &Path) -> Result<(), OpenError> {
    let failed = |doing: &str, source| OpenError::Io { doing: format!("{doing} {}", path.display()), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("looking at", error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(OpenError::Other(format!("{} exists and is not a socket", path.display())));
        }
        Ok(_) => {}
    }
    match knock(path) {
        Ok(()) | Err(Errno::EAGAIN) => {
            Err(OpenError::Other(format!("{} is in use by another daemon or plugin", path.display())))
        }
        Err(Errno::ECONNREFUSED) => {
            fs::remove_file(path).map_err(|error| failed("removing the stale", error))
        }
        Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(failed("finding out who uses", error.into())),
    }
}

/// Connects without waiting: even a daemon that hangs is found.
fn knock(path: &Path) -> Result<(), Errno> {
    let socket = stream(SockFlag::SOCK_NONBLOCK)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
}

fn stream(flags: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Unix, SockType::Stream, flags | SockFlag::SOCK_CLOEXEC, None)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn settings(path: &Path, mode: u32) -> Settings {
        Settings { path: path.to_owned(), mode, group: None, buckets: 1, table_size: None, since_size: 0 }
    }

    #[test]
    fn the_mode_does_not_depend_on_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        for mode in [0o777, 0o600] {
            let (socket, listener) = open(&settings(&path, mode)).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
            assert!(UnixStream::connect(&path).is_ok());
            drop(listener);
            socket.remove().unwrap();
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = open(&settings(&path, 0o777)).unwrap();
        let error = open(&settings(&path, 0o777)).unwrap_err().to_string();
        assert_eq!(error, format!("{} is in use by another daemon or plugin", path.display()));
        drop(first); // its file stays, as after a crash
        assert!(path.exists());
        assert!(open(&settings(&path, 0o777)).is_ok());
    }

    #[test]
    fn only_sockets_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        fs::write(&path, "precious").unwrap();
        let error = open(&settings(&path, 0o777)).unwrap_err().to_string();
        assert_eq!(error, format!("{} exists and is not a socket", path.display()));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open(&settings(&link, 0o777)).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_socket_that_took_our_path_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (ours, listener) = open(&settings(&path, 0o777)).unwrap();
        fs::remove_file(&path).unwrap();
        let theirs = open(&settings(&path, 0o777)).unwrap();
        drop(listener);
        ours.remove().unwrap();
        assert!(path.exists());
        theirs.0.remove().unwrap();
    }

    #[test]
    fn paths_that_can_not_be() {
        let error = |path: &Path| open(&settings(path, 0o777)).unwrap_err().to_string();
        assert!(error(Path::new("/nonexistent/s")).starts_with("binding /nonexistent/s: No such file"));
        assert!(error(Path::new(&format!("/tmp/{}", "s".repeat(200)))).starts_with("binding"));
    }
}
