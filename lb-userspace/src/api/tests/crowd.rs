//! A socket at which so many wait that the kernel lets no more wait.

use std::{io, os::unix::net::UnixListener as Listener};

use tokio::net::UnixListener;

use super::*;

/// Where there is room for one who waits, and one waits.
struct Crowded {
    directory: TempDir,
    listener: Listener,
    _waits: UnixStream,
}

impl Crowded {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = Listener::bind(directory.path().join("s")).expect("a socket");
        rustix::net::listen(&listener, 0).expect("it listens");
        let waits = UnixStream::connect(directory.path().join("s")).await;
        let crowded = Self {
            directory,
            listener,
            _waits: waits.expect("the first one waits"),
        };
        let refused = UnixStream::connect(crowded.socket()).await.map(drop);
        let kind = refused.map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::WouldBlock), "there is room for more");
        crowded
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("s")
    }
}

#[tokio::test]
async fn client_waits_for_a_place_where_the_queue_is_full() {
    let Crowded {
        directory,
        listener,
        _waits,
    } = Crowded::new().await;
    let client = Client::new(directory.path().join("s")).expect("a client");
    let asking = tokio::spawn(async move { client.status().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asking.is_finished(), "it did not wait");
    listener.set_nonblocking(true).expect("it can be");
    let listener = UnixListener::from_std(listener).expect("a listener");
    let server = tokio::spawn(held::serve(listener, Arc::new(Fake::default()), std::future::pending()));
    let status = asking.await.expect("it does not panic").expect("it is let in");
    assert_eq!(status.body.generation, 41);
    server.abort();
}

#[tokio::test]
async fn client_that_is_never_let_in_says_so_after_some_seconds() {
    let crowded = Crowded::new().await;
    let client = Client::new(crowded.socket()).expect("a client");
    let begun = Instant::now();
    let failure = client.status().await.expect_err("nobody lets it in").into_failure();
    let (took, socket) = (begun.elapsed(), crowded.socket());
    assert!((4..20).contains(&took.as_secs()), "{took:?}");
    assert_eq!((failure.code.as_str(), failure.exit), ("HF5001", 5));
    assert_eq!(failure.message, format!("no daemon serves {}", socket.display()));
}

#[tokio::test]
async fn client_does_not_wait_where_nobody_listens() {
    let directory = tempfile::tempdir().expect("a directory");
    let dead = directory.path().join("dead");
    drop(Listener::bind(&dead).expect("a socket"));
    for socket in [dead, directory.path().join("nobody")] {
        let client = Client::new(&socket).expect("a client");
        let asked = tokio::time::timeout(Duration::from_secs(2), client.status()).await;
        let failure = asked.expect("at once").expect_err("nobody serves it").into_failure();
        assert_eq!(failure.code, "HF5001", "{socket:?}");
    }
}
