//! The API over a real unix socket, with a fake daemon behind it.

mod crowd;
mod openapi;
mod roles;
mod ways;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

use super::{
    body::{BODY_LIMIT, http_status},
    client::{Client, ClientError},
    fake::{Fake, failure, plan},
    held,
    model::{ApplyRequest, PlanRequest, RollbackRequest, WhyQuery},
    socket,
};
use crate::config::Protocol;

/// A fake daemon that serves until it is dropped.
struct Served {
    directory: TempDir,
    fake: Arc<Fake>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Served {
    fn new(fake: Fake) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = socket::bind(&directory.path().join("s")).expect("a socket");
        let fake = Arc::new(fake);
        let backing = Arc::clone(&fake);
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let ended = held::serve(listener, backing, async { drop(stopped.await) }).await;
            ended.expect("it serves to its end");
        });
        Self {
            directory,
            fake,
            stop,
            server,
        }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.directory.path().join("s")
    }

    fn client(&self) -> Client {
        Client::new(self.socket()).expect("a client")
    }
}

fn apply_request() -> ApplyRequest {
    let plan = plan("ann", &json!([]));
    ApplyRequest {
        digest: plan.digest(),
        plan,
        message: None,
        confirm_within: None,
    }
}

/// Sends bytes as they are and reads until the daemon closes.
async fn raw(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.expect("it is served");
    stream.write_all(request.as_bytes()).await.expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it is text");
    answer
}

#[tokio::test]
async fn every_route_answers_its_document() {
    let served = Served::new(Fake::default());
    let client = served.client();
    assert_eq!(client.status().await.expect("status").body.generation, 41);
    let query = WhyQuery {
        src: "198.51.100.7".parse().expect("an address"),
        sport: 40_000,
        dst: "2001:db8::1".parse().expect("an address"),
        dport: 443,
        proto: Protocol::Tcp,
    };
    assert_eq!(client.why(&query).await.expect("why").body.slot, Some(40_000));
    let request = PlanRequest {
        file: "f".into(),
        text: "vips: []".into(),
        remove: vec!["vip/dns".parse().expect("a name")],
    };
    let me = client.plan(&request).await.expect("plan").body.author;
    assert!(!me.is_empty(), "the author is whoever opened the socket");
    assert_eq!(client.apply(&apply_request()).await.expect("apply").body.generation, 42);
    let rollback = RollbackRequest { generation: Some(40) };
    assert_eq!(client.rollback(&rollback).await.expect("rollback").kind, "Plan");
    assert_eq!(client.history().await.expect("history").body.generations.len(), 1);
    assert_eq!(
        client.generation(40).await.expect("generation").body.summary.generation,
        40
    );
    assert_eq!(client.bpf_dump().await.expect("dump").body.chunks.len(), 1);
    assert!(!client.bpf_verify().await.expect("verify").body.ok);
    assert_eq!(client.journal().await.expect("journal").body.entries.len(), 1);
}

#[tokio::test]
async fn failure_of_the_daemon_comes_through_whole() {
    let served = Served::new(Fake::default());
    let mut request = apply_request();
    request.digest = crate::digest::Digest::of(b"another plan");
    let Err(ClientError::Failed(failure)) = served.client().apply(&request).await else {
        panic!("a plan with another digest was applied");
    };
    assert_eq!((failure.code.as_str(), failure.exit), ("HF2003", 4));
    assert!(served.fake.applied.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn apply_runs_to_its_end_when_the_client_goes_away() {
    let served = Served::new(Fake {
        gate: Some(Notify::new()),
        ..Fake::default()
    });
    let client = served.client();
    let asking = tokio::spawn(async move { drop(client.apply(&apply_request()).await) });
    served.fake.begun.notified().await;
    asking.abort();
    assert!(asking.await.is_err_and(|ended| ended.is_cancelled()));
    served.fake.gate.as_ref().expect("there is a gate").notify_one();
    served.fake.ended.notified().await;
    assert_eq!(served.fake.applied.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_failures_that_say_why() {
    let served = Served::new(Fake::default());
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let post = |path: &str, body: &str| {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let cases = [
        (get("/v2/status"), "404", "nothing answers at /v2/status"),
        (post("/v1/status", ""), "405", "does not take POST"),
        (get("/v1/generations/last"), "400", "does not name a whole number"),
        (get("/v1/why?src=1.2.3.4"), "400", "missing field `sport`"),
        (post("/v1/plan", "{"), "400", "EOF while parsing"),
        (
            post("/v1/plan", r#"{"file":"f","text":"","force":true}"#),
            "400",
            "unknown field `force`",
        ),
    ];
    for (request, status, said) in cases {
        let answer = raw(&served.socket(), &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        assert!(
            answer.contains(r#""kind":"Failure""#) && answer.contains("HF5002"),
            "{request}: {answer}"
        );
        assert!(answer.contains(said), "{request}: {answer}");
    }
}

#[tokio::test]
async fn body_over_the_limit_is_refused() {
    let served = Served::new(Fake::default());
    let request = PlanRequest {
        file: "f".into(),
        text: "#".repeat(BODY_LIMIT),
        remove: Vec::new(),
    };
    // The daemon answers before it has read it all, so that the client may see
    // a connection that breaks off instead of the failure.
    match served.client().plan(&request).await {
        Err(ClientError::Failed(failure)) => assert_eq!(failure.code, "HF5002"),
        Err(ClientError::BrokenOff { .. }) => {}
        other => panic!("it was taken: {other:?}"),
    }
    assert!(served.client().status().await.is_ok(), "and the daemon serves on");
}

#[tokio::test]
async fn silent_clients_leave_room_for_others() {
    let served = Served::new(Fake::default());
    let mut silent = Vec::new();
    for _ in 0..32 {
        silent.push(UnixStream::connect(served.socket()).await.expect("it is served"));
    }
    assert!(served.client().status().await.is_ok());
}

#[tokio::test]
async fn no_daemon_is_exit_5_with_the_next_command() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("nobody");
    let client = Client::new(&socket).expect("a client");
    let failure = client.status().await.expect_err("nobody serves it").into_failure();
    assert_eq!((failure.code.as_str(), failure.exit), ("HF5001", 5));
    assert!(
        failure.message.contains(&socket.display().to_string()),
        "{}",
        failure.message
    );
    let fix = failure.fix.expect("a next command");
    // A daemon may run all the same.
    assert!(fix.contains("--socket") && fix.contains("systemctl restart"), "{fix}");
}

#[tokio::test]
async fn shutdown_ends_the_server_and_frees_the_socket() {
    let served = Served::new(Fake::default());
    assert!(served.client().status().await.is_ok());
    let Served {
        directory,
        stop,
        server,
        ..
    } = served;
    stop.send(()).expect("it serves");
    server.await.expect("it ends");
    socket::bind(&directory.path().join("s")).expect("nobody serves it any more");
}

#[test]
fn http_status_tells_whose_fault_it_is() {
    let statuses = [
        ("HF1000", 1, 422),
        ("HF2000", 3, 409),
        ("HF2003", 4, 409),
        ("HF2041", 1, 409),
        ("HF2042", 6, 409),
        ("HF3001", 1, 500),
        ("HF4001", 1, 500),
        ("HF5002", 64, 400),
        ("HF5003", 7, 403),
        ("HF5004", 1, 404),
        ("HF5005", 1, 500),
        ("HF5007", 1, 404),
    ];
    for (code, exit, status) in statuses {
        assert_eq!(http_status(&failure(code, "", exit)), status, "{code}");
    }
}

#[tokio::test]
async fn slow_client_is_cut_off_and_the_next_one_is_served() {
    let served = Served::new(Fake::default());
    // It promises a body and sends half of it.
    let mut slow = UnixStream::connect(served.socket()).await.expect("it is served");
    let head = "POST /v1/plan HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n{\"file\":";
    slow.write_all(head.as_bytes()).await.expect("it is read");
    assert!(served.client().status().await.is_ok(), "others do not wait for it");
    let mut answer = vec![0; 1024];
    let read = slow.read(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.contains("408") && answer.contains("took longer"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away_at_once() {
    let served = Served::new(Fake::default());
    let mut held = Vec::new();
    for _ in 0..super::places::CONNECTIONS {
        held.push(UnixStream::connect(served.socket()).await.expect("it is served"));
    }
    let failure = match served.client().status().await {
        Err(error) => error.into_failure(),
        Ok(_) => panic!("there was no place"),
    };
    assert_eq!((failure.code.as_str(), failure.exit), ("HF5013", 5), "{failure:?}");
    held.clear();
    for _ in 0..100 {
        if served.client().status().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("places that were left are not free");
}

#[tokio::test]
async fn head_that_comes_a_byte_at_a_time_is_cut_off() {
    let served = Served::new(Fake::default());
    let mut slow = UnixStream::connect(served.socket()).await.expect("it is served");
    let begun = Instant::now();
    let head = "GET /v1/status HTTP/1.1\r\nhost: holdfast\r\nx-slow: ".bytes();
    for byte in head.chain(std::iter::repeat_n(b'a', 60)) {
        if slow.write_all(&[byte]).await.is_err() {
            assert!(begun.elapsed() > Duration::from_secs(5), "it had no time at all");
            assert!(served.client().status().await.is_ok(), "and the daemon serves on");
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("it was listened to for {:?}", begun.elapsed());
}

#[tokio::test]
async fn body_without_an_end_is_refused() {
    let served = Served::new(Fake::default());
    let mut endless = UnixStream::connect(served.socket()).await.expect("it is served");
    let head = "POST /v1/rollback HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    endless.write_all(head.as_bytes()).await.expect("it is read");
    let chunk = format!("1000\r\n{}\r\n", "#".repeat(0x1000));
    for _ in 0..1024 {
        if endless.write_all(chunk.as_bytes()).await.is_err() {
            let mut answer = vec![0; 4096];
            let read = endless.read(&mut answer).await.expect("an answer");
            let answer = String::from_utf8_lossy(&answer[..read]);
            assert!(
                answer.contains("413") && answer.contains("longer than 65536"),
                "{answer}"
            );
            return;
        }
    }
    panic!("it was read to no end");
}
