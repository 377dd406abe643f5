//! Against real sockets on loopback: every address of 127/8 is one.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    time::Instant,
};

use super::Runner;
use crate::{
    config::{Check, Statuses, Tls},
    health::{Observed, Target, Via},
    revision::BackendId,
};

const SECOND: Duration = Duration::from_secs(1);
/// Backends of the large tests.
const MANY: u32 = 2000;
/// How long those watch.
const WATCH: Duration = Duration::from_secs(8);

fn id(number: u32) -> BackendId {
    BackendId {
        pool: "web".to_owned(),
        backend: format!("be{number}"),
    }
}

/// Backend `number` has an address of its own.
fn target(number: u32, check: Check) -> Target {
    let [_, b, c, d] = (number + 1).to_be_bytes();
    Target {
        address: IpAddr::V4(Ipv4Addr::new(127, b, c, d)),
        check: Arc::new(check),
        interval: SECOND,
        timeout: SECOND,
        via: Via::Direct,
    }
}

fn targets(count: u32, check: &Check) -> BTreeMap<BackendId, Target> {
    (0..count)
        .map(|number| (id(number), target(number, check.clone())))
        .collect()
}

/// A listener at every address of loopback; what each connection gets.
async fn serve(http: bool) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
        .await
        .expect("ports are free");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if !http {
                continue;
            }
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                if stream.read(&mut buffer).await.is_ok() {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                        .await
                        .ok();
                }
            });
        }
    });
    port
}

/// All that is observed for so long.
async fn watch(observations: &mut mpsc::Receiver<Observed>, time: Duration) -> Vec<Observed> {
    let end = Instant::now() + time;
    let mut seen = Vec::new();
    while let Ok(Some(observed)) = tokio::time::timeout_at(end, observations.recv()).await {
        seen.push(observed);
    }
    seen
}

/// 2,000 backends are each checked every second, and no check begins an
/// interval late.
async fn all_in_time(check: Check) {
    let (sender, mut observations) = mpsc::channel(64);
    let runner = Runner::start(sender, Arc::default());
    runner.set(targets(MANY, &check));
    let seen = watch(&mut observations, WATCH).await;
    drop(runner);
    let mut counts: BTreeMap<&BackendId, u32> = BTreeMap::new();
    for observed in &seen {
        assert!(observed.result.is_ok(), "{observed:?}");
        assert!(observed.late < SECOND, "{observed:?}");
        *counts.entry(&observed.backend).or_default() += 1;
    }
    let latest = seen.iter().map(|observed| observed.late).max().unwrap_or_default();
    let longest = seen.iter().map(|observed| observed.took).max().unwrap_or_default();
    println!("{check}: {} checks, latest {latest:?}, longest {longest:?}", seen.len());
    assert_eq!(counts.len(), MANY as usize);
    // Eight seconds hold 7 to 9 intervals of 0.9 to 1.1 s; the first began
    // within one, and the last may not have ended.
    let (fewest, most) = (counts.values().min(), counts.values().max());
    assert!(fewest >= Some(&6) && most <= Some(&9), "{fewest:?}..{most:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_tcp_backends_are_checked_every_second_in_time() {
    let port = serve(false).await;
    all_in_time(Check::Tcp { port }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_http_backends_are_checked_every_second_in_time() {
    let port = serve(true).await;
    all_in_time(Check::Http {
        port,
        path: "/".to_owned(),
        host: None,
        tls: Tls::Off,
        status: Statuses::default(),
    })
    .await;
}

/// 2,000 silent backends are as many sockets, held until the timeout; the one
/// that answers is not kept from being checked by them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_backends_do_not_hold_up_the_others() {
    let silent = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("ports are free");
    let port = silent.local_addr().expect("it is bound").port();
    let udp = Check::Udp {
        port,
        send: "x".to_owned(),
        expect: "y".to_owned(),
    };
    let mut all = targets(MANY, &udp);
    let answers = serve(false).await;
    all.insert(id(MANY), target(MANY, Check::Tcp { port: answers }));
    let (sender, mut observations) = mpsc::channel(64);
    let runner = Runner::start(sender, Arc::default());
    runner.set(all);
    let seen = watch(&mut observations, WATCH).await;
    drop(runner);
    let passed = seen.iter().filter(|observed| observed.backend == id(MANY));
    assert!(passed.clone().all(|observed| observed.result.is_ok()));
    assert!(passed.count() >= 6);
    assert!(seen.iter().all(|observed| observed.late < SECOND));
    assert!(seen.len() as u32 > MANY * 5, "{}", seen.len());
}

#[tokio::test]
async fn what_is_no_longer_asked_for_is_no_longer_checked() {
    let port = serve(false).await;
    let (sender, mut observations) = mpsc::channel(64);
    let runner = Runner::start(sender, Arc::default());
    let fast = |number| Target {
        interval: SECOND / 20,
        ..target(number, Check::Tcp { port })
    };
    runner.set([(id(0), fast(0)), (id(1), fast(1))].into());
    let seen = watch(&mut observations, SECOND).await;
    assert!(seen.iter().any(|observed| observed.backend == id(0)));
    runner.set([(id(1), fast(1))].into());
    // What had ended before is still under way to us.
    watch(&mut observations, SECOND / 10).await;
    let seen = watch(&mut observations, SECOND).await;
    assert!(!seen.is_empty() && seen.iter().all(|observed| observed.backend == id(1)));
}

#[tokio::test]
async fn check_of_an_unchanged_target_goes_on_and_of_a_changed_one_is_forgotten() {
    // Answers half a second after it was asked, on one connection after the
    // other.
    let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("ports are free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream?;
                let read = stream.read(&mut [0; 1024])?;
                std::thread::sleep(SECOND / 2);
                stream.write_all(if read > 0 { b"HTTP/1.1 200 OK\r\n\r\n" } else { b"" })
            });
        }
    });
    let slow = |number| Target {
        interval: SECOND * 60,
        timeout: SECOND * 30,
        ..target(
            number,
            Check::Http {
                port,
                path: "/".to_owned(),
                host: None,
                tls: Tls::Off,
                status: Statuses::default(),
            },
        )
    };
    let (sender, mut observations) = mpsc::channel(64);
    let runner = Runner::start(sender, Arc::default());
    // One at a time, so that each is checked at once.
    runner.set([(id(0), slow(0))].into());
    tokio::time::sleep(SECOND / 4).await;
    // A second time: were it begun anew, it would take twice as long to come.
    runner.set([(id(0), slow(0))].into());
    let first = observations.recv().await.expect("it is checked");
    assert!(first.result.is_ok(), "{first:?}");
    runner.set([(id(0), slow(1))].into());
    tokio::time::sleep(SECOND / 4).await;
    runner.set([(id(0), slow(2))].into());
    let changed = watch(&mut observations, SECOND * 2).await;
    assert_eq!(changed.len(), 1, "the second of the two alone: {changed:?}");
}
