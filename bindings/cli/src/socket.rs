//! The control socket in the home folder: made for its owner only, replaced when stale, and
//! reachable however long the folder's path is.
//!
//! A Unix socket's path may have 107 bytes. Where ours is longer, the folder is opened and named as
//! `/proc/self/fd/<n>`, which is short; where there is no `/proc` such a home is refused.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use threephone::Home;
use tokio::net::{UnixListener, UnixStream};

/// `sun_path` has 104 bytes on the smallest system; the last is zero.
const PATH_LIMIT: usize = 103;

/// Listens; whatever had the socket's name before is replaced. Only for the holder of the home's
/// lock. Needs a runtime.
pub(crate) fn listen(home: &Home) -> io::Result<UnixListener> {
    let socket = home.control_socket();
    let new = socket.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let short = Short::of(&new)?;
    let listener = UnixListener::bind(&short.path)?;
    // Nobody can connect before the permissions are right: the name is not yet the known one.
    std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    std::fs::rename(&new, &socket)?;
    Ok(listener)
}

/// Connects to the daemon of a home.
///
/// # Errors
/// `NotFound` and `ConnectionRefused` mean that none is running.
pub(crate) async fn connect(home: &Home) -> io::Result<UnixStream> {
    let short = Short::of(&home.control_socket())?;
    UnixStream::connect(&short.path).await
}

/// A path short enough for a socket; valid while this lives.
struct Short {
    path: PathBuf,
    _folder: Option<File>,
}

impl Short {
    fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().as_bytes().len() <= PATH_LIMIT {
            return Ok(Self { path: path.to_owned(), _folder: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let folder = File::open(parent)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self { path: short, _folder: Some(folder) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_home_with_a_long_path_has_a_socket_too() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("x".repeat(200));
        std::fs::create_dir(&folder).unwrap();
        let home = Home::new(folder);
        let _listener = listen(&home).unwrap();
        connect(&home).await.unwrap();
        let mode = std::fs::metadata(home.control_socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_socket_that_a_killed_daemon_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        drop(listen(&home).unwrap());
        assert!(home.control_socket().exists());
        let gone = connect(&home).await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
        let _listener = listen(&home).unwrap();
        connect(&home).await.unwrap();
    }
}
