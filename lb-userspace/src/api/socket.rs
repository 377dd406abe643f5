//! The unix socket itself: made where nobody serves, never taken from a daemon
//! that lives; and made again where somebody removed it.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
};

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

/// A socket by what no rename changes. As long as its listener lives, no other file gets
/// this number.
type Inode = (u64, u64);

fn inode(path: &Path) -> Option<Inode> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Where a daemon's socket is, and which one it made there last.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    ours: Mutex<Option<Inode>>,
}

impl Place {
    /// # Errors
    /// As of [`bind`].
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), BindError> {
        let listener = bind(path)?;
        let place = Self {
            path: path.to_owned(),
            ours: Mutex::new(inode(path)),
        };
        Ok((place, listener))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is there is the socket that was made last: nobody removed or replaced it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let found = inode(&self.path);
        found.is_some() && found == *self.ours()
    }

    /// Another socket where ours was. What somebody put there stays, unless it is a socket
    /// that nobody serves.
    ///
    /// # Errors
    /// As of [`bind`]; it waits for nobody.
    pub fn bind_again(&self) -> Result<UnixListener, BindError> {
        let listener = bind_by(&self.path, FlockOperation::NonBlockingLockExclusive)?;
        *self.ours() = inode(&self.path);
        Ok(listener)
    }

    /// Nobody serves it any more. What somebody else put there is theirs.
    pub fn remove(&self) {
        if self.is_ours()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "the socket was gone already");
        }
    }

    fn ours(&self) -> std::sync::MutexGuard<'_, Option<Inode>> {
        self.ours.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// All that connections come in by.
pub struct Doors {
    listener: UnixListener,
    /// Of the socket before, for who had found it already, or finds it under another name.
    before: Option<UnixListener>,
    /// Made again where somebody removed one.
    further: mpsc::Receiver<UnixListener>,
}

impl Doors {
    #[must_use]
    pub const fn new(listener: UnixListener, further: mpsc::Receiver<UnixListener>) -> Self {
        Self {
            listener,
            before: None,
            further,
        }
    }

    /// The next connection, by whichever.
    ///
    /// # Errors
    /// When none can be accepted, as when descriptors have run out.
    pub async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            let before = async {
                match &self.before {
                    Some(before) => before.accept().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                accepted = self.listener.accept() => return Ok(accepted?.0),
                accepted = before => return Ok(accepted?.0),
                Some(listener) = self.further.recv() => {
                    self.before = Some(std::mem::replace(&mut self.listener, listener));
                }
            }
        }
    }
}

impl From<UnixListener> for Doors {
    /// One that nobody makes again.
    fn from(listener: UnixListener) -> Self {
        Self::new(listener, mpsc::channel(1).1)
    }
}

/// Listens on `path`, whose directory is made if need be. A socket that nobody
/// serves any more is replaced.
///
/// # Errors
/// When somebody serves it, something else is there, or none can be made.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    bind_by(path, FlockOperation::LockExclusive)
}

fn bind_by(path: &Path, turn_by: FlockOperation) -> Result<UnixListener, BindError> {
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
    flock(&turn, turn_by).map_err(|error| in_directory(error.into()))?;
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
    match try_connect(path) {
        // It is served by one with a long queue, which is not waited for.
        Ok(()) | Err(Errno::AGAIN) => Err(BindError::Served(path.to_owned())),
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(in_probe),
        Err(errno) => Err(in_probe(errno.into())),
    }
}

fn try_connect(path: &Path) -> rustix::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&probe, &SocketAddrUnix::new(path)?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use tokio::{io::AsyncWriteExt, net::UnixStream, sync::mpsc};

    use super::{BindError, Doors, Place, bind};

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

    fn placed() -> (tempfile::TempDir, Place, tokio::net::UnixListener) {
        let directory = tempfile::tempdir().expect("a directory");
        let (place, listener) = Place::bind(&directory.path().join("run/daemon.sock")).expect("nobody is there");
        (directory, place, listener)
    }

    #[tokio::test]
    async fn socket_that_is_gone_is_made_again_like_the_first() {
        let (directory, place, _first) = placed();
        assert!(place.is_ours());
        fs::remove_dir_all(directory.path().join("run")).expect("it is there");
        assert!(!place.is_ours());
        let _second = place.bind_again().expect("nobody is there");
        assert!(place.is_ours());
        let mode = fs::metadata(place.path()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        place.remove();
        assert!(!place.path().exists());
    }

    #[tokio::test]
    async fn what_somebody_put_where_the_socket_was_is_theirs() {
        let (_directory, place, _first) = placed();
        fs::remove_file(place.path()).expect("it is there");
        let other = bind(place.path()).expect("nobody is there");
        assert!(!place.is_ours());
        assert!(matches!(place.bind_again(), Err(BindError::Served(_))));
        place.remove();
        assert!(place.path().exists(), "another daemon's socket was removed");
        drop(other);
        let _second = place.bind_again().expect("nobody serves it any more");
        fs::remove_file(place.path()).expect("it is there");
        fs::write(place.path(), "text").expect("it can be written");
        assert!(matches!(place.bind_again(), Err(BindError::NotASocket(_))));
        place.remove();
        assert_eq!(fs::read_to_string(place.path()).expect("it is still there"), "text");
    }

    #[tokio::test]
    async fn connections_come_in_by_the_socket_before_and_the_one_after() {
        let (directory, place, first) = placed();
        let away = directory.path().join("away");
        let (sender, further) = mpsc::channel(1);
        let mut doors = Doors::new(first, further);
        let waiting = connect(place.path()).await;
        fs::rename(place.path(), &away).expect("it is there");
        sender
            .send(place.bind_again().expect("nobody is there"))
            .await
            .expect("it is heard");
        let after = [connect(place.path()).await, connect(&away).await];
        for _ in 0..3 {
            doors.accept().await.expect("a connection");
        }
        drop((waiting, after));
    }

    async fn connect(path: &Path) -> UnixStream {
        let mut stream = UnixStream::connect(path).await.expect("somebody listens");
        stream.write_all(b"GET").await.expect("it takes some bytes");
        stream
    }
}
