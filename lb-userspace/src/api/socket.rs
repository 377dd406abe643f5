//! The unix socket itself: made where nobody serves, never taken from a daemon
//! that lives.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use tokio::net::UnixListener;

/// Its owner and group may connect.
const MODE: u32 = 0o660;

/// Why there is no socket to serve on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("another daemon serves {}", .0.display())]
    Served(PathBuf),
    #[error("{} is there, and is not a socket", .0.display())]
    NotASocket(PathBuf),
    #[error("cannot make the directory {}", .directory.display())]
    Directory {
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot tell whether a daemon serves {}", .socket.display())]
    Probe {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot bind {}", .socket.display())]
    Bind {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Listens on `path`, whose directory is made if need be. A socket that nobody
/// serves any more is replaced.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let in_directory = |source| BindError::Directory {
        directory: directory.to_owned(),
        source,
    };
    fs::create_dir_all(directory).map_err(in_directory)?;
    // Two daemons that start together must not each find the other's socket
    // dead: one looks and listens before the other looks.
    let turn = fs::File::open(directory).map_err(in_directory)?;
    flock(&turn, FlockOperation::LockExclusive).map_err(|error| in_directory(error.into()))?;
    clear(path)?;
    let in_bind = |source| BindError::Bind {
        socket: path.to_owned(),
        source,
    };
    let listener = UnixListener::bind(path).map_err(in_bind)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(in_bind)?;
    Ok(listener)
}

/// Removes a dead socket; a live one, or anything else, is an error.
fn clear(path: &Path) -> Result<(), BindError> {
    let in_probe = |source| BindError::Probe {
        socket: path.to_owned(),
        source,
    };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(in_probe(error)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::Served(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(in_probe),
        Err(error) => Err(in_probe(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{BindError, bind};

    #[tokio::test]
    async fn live_socket_is_not_stolen_and_a_dead_one_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run/daemon.sock");
        let first = bind(&path).expect("a directory is made");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(bind(&path), Err(BindError::Served(at)) if at == path));
        drop(first);
        bind(&path).expect("nobody serves it any more");
    }

    #[tokio::test]
    async fn file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("precious");
        fs::write(&path, "text").expect("it can be written");
        assert!(matches!(bind(&path), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).expect("it is still there"), "text");
    }
}
