//! What somebody takes away from a running daemon's directories: the API's socket and
//! the key of the journal's heads are there again within seconds, said and journaled; and a daemon
//! without descriptors says what is so.

use std::{
    fs,
    os::{
        fd::AsFd as _,
        unix::{
            fs::MetadataExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use holdfast::kernel::sys;
use rustix::{
    net::sockopt::socket_peercred,
    process::{Resource, Rlimit, getrlimit, prlimit},
};
use serde_json::Value;
use support::{
    rig::Rig,
    scrape::{self, Scrape},
    topology::Shape,
    wait,
};

/// It is looked for once a second.
const AGAIN: Duration = Duration::from_secs(3);

/// For what is only to be seen some time.
const SEEN: Duration = Duration::from_secs(10);

fn answers(rig: &Rig) -> Option<()> {
    let outcome = rig.installation.run(&["status"]).ok()?;
    (outcome.code == Some(0)).then_some(())
}

/// How often the journal names it.
fn drifts(rig: &Rig, what: &str) -> Result<usize> {
    let all = crate::drift::drifts(rig)?;
    Ok(all.iter().filter(|drift| drift["payload"]["what"] == what).count())
}

fn until_journaled(rig: &Rig, what: &str) -> Result<()> {
    wait::until(SEEN, what, || (drifts(rig, what).ok()? > 0).then_some(())).with_context(|| rig.daemon_log())
}

/// Lines of the daemon's log with both words.
fn lines(rig: &Rig, words: [&str; 2]) -> usize {
    let log = rig.daemon_log();
    let with_both = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
    with_both.count()
}

#[test]
fn socket_that_is_removed_is_there_again_within_seconds_and_who_was_connected_stays_so() -> Result<()> {
    let mut rig = Rig::start(Shape::OneArm, 1, 1)?;
    let socket = rig.installation.socket.clone();
    let mode = |path: &Path| fs::symlink_metadata(path).map(|found| found.mode());
    let (before, connected) = (mode(&socket)?, UnixStream::connect(&socket)?);
    connected.set_read_timeout(Some(SEEN))?;
    fs::remove_file(&socket)?;
    let refused = rig.installation.run(&["status"])?;
    if refused.code != Some(0) {
        // It may be there again already.
        ensure!(refused.stderr.contains("HF5001"), "{}", refused.said());
    }
    wait::until(AGAIN, "a socket", || answers(&rig)).with_context(|| rig.daemon_log())?;
    assert_eq!(mode(&socket)?, before);
    scrape::get(connected, "/v1/status").context("who was connected before")?;
    until_journaled(&rig, "SocketTaken")?;
    let count = "holdfast_drift_total{kind=\"socket\"}";
    ensure!(Scrape::of_socket(&socket)?.count(count)? == 1, "{count}");

    // Moved away: it is found under both names.
    let away = socket.with_extension("away");
    fs::rename(&socket, &away)?;
    wait::until(AGAIN, "a socket", || answers(&rig)).with_context(|| rig.daemon_log())?;
    let by_the_other_name = UnixStream::connect(&away)?;
    by_the_other_name.set_read_timeout(Some(SEEN))?;
    scrape::get(by_the_other_name, "/v1/status").context("by its other name")?;

    // Something that is no socket stays, and is in the way until it goes.
    fs::remove_file(&socket)?;
    fs::write(&socket, "precious")?;
    thread::sleep(AGAIN);
    assert_eq!(fs::read_to_string(&socket)?, "precious");
    assert_eq!(lines(&rig, ["NotHealed", "is not a socket"]), 1, "{}", rig.daemon_log());
    fs::remove_file(&socket)?;
    wait::until(AGAIN, "a socket", || answers(&rig)).with_context(|| rig.daemon_log())?;

    // Another's socket is not taken, nor removed at the end.
    fs::remove_file(&socket)?;
    let other = UnixListener::bind(&socket)?;
    other.set_nonblocking(true)?;
    thread::sleep(AGAIN);
    rig.stop_daemon()?;
    ensure!(socket.exists(), "the other's socket was removed");
    drop(other);
    // A start replaces it, since nobody serves it any more.
    rig.start_daemon()
}

#[test]
fn directory_of_the_socket_that_is_removed_is_made_again_with_it() -> Result<()> {
    let mut rig = Rig::start(Shape::OneArm, 1, 1)?;
    rig.stop_daemon()?;
    let directory = rig.directory().join("run");
    rig.installation.socket = directory.join("holdfastd.sock");
    rig.start_daemon()?;
    fs::remove_dir_all(&directory)?;
    wait::until(AGAIN, "a socket", || answers(&rig)).with_context(|| rig.daemon_log())?;
    rig.stop_daemon()?;
    ensure!(!rig.installation.socket.exists(), "the daemon's own socket is left");
    Ok(())
}

#[test]
fn key_of_the_journal_that_is_removed_is_written_again_unless_somebody_changes_it() -> Result<()> {
    let mut rig = Rig::start(Shape::OneArm, 1, 1)?;
    let path = rig.installation.state.join("journal.key");
    let key = fs::read(&path)?;
    fs::remove_file(&path)?;
    wait::until(AGAIN, "the key", || path.exists().then_some(())).with_context(|| rig.daemon_log())?;
    assert_eq!(fs::read(&path)?, key);
    until_journaled(&rig, "JournalKeyTaken")?;

    // As docs/journal.md has it.
    fs::rename(&path, path.with_extension("key.old"))?;
    thread::sleep(AGAIN);
    ensure!(!path.exists(), "somebody changes the key");
    rig.stop_daemon()?;
    rig.start_daemon()?;
    ensure!(fs::read(&path)? != key, "the same key");
    assert_eq!(
        lines(&rig, ["JournalKeyRotated", "handed_over=true"]),
        1,
        "{}",
        rig.daemon_log()
    );
    assert_eq!(drifts(&rig, "JournalKeyTaken")?, 1);
    Ok(())
}

#[test]
fn daemon_without_descriptors_says_so_seldom_and_nothing_that_is_not_so() -> Result<()> {
    let rig = Rig::start(Shape::TwoArm, 1, 1)?;
    let socket = rig.installation.socket.clone();
    let pid = socket_peercred(UnixStream::connect(&socket)?)?.pid;
    let none = Rlimit {
        current: Some(12),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(Some(pid), Resource::Nofile, none)?;
    // Whoever connects now waits.
    let waiting = UnixStream::connect(&socket)?;
    thread::sleep(Duration::from_secs(5));
    let log = rig.daemon_log();
    prlimit(Some(pid), Resource::Nofile, before)?;
    ensure!(!log.contains("PinLost"), "no pin was removed: {log}");
    ensure!(!log.contains("SocketTaken"), "the socket is there: {log}");
    ensure!(!log.contains("next hops could not be looked up"), "{log}");
    let refused = log.lines().filter(|line| line.contains("NoConnection")).count();
    assert_eq!(refused, 1, "{log}");
    drop(waiting);
    wait::until(SEEN, "answers", || answers(&rig)).with_context(|| rig.daemon_log())?;
    // What it could not look at it looks at again.
    wait::until(SEEN, "interfaces that are well", || {
        let log = rig.daemon_log();
        ["lb0", "lb1"]
            .iter()
            .all(|name| {
                let well = format!("InterfaceWell\"  interface=\"{name}\"");
                log.contains(&well)
            })
            .then_some(())
    })
    .with_context(|| rig.daemon_log())?;
    // Nothing is left of it: a link that is cut is attached again.
    let link = sys::open_pin(&rig.installation.pins.join("links/lb0"))?;
    sys::detach_link(link.as_fd())?;
    drop(link);
    wait::until(SEEN, "the program on lb0", || {
        let status: Value = rig.installation.ask(&["status"]).ok()?;
        let attached = status["interfaces"].as_array()?.iter().all(|one| one["progId"] != 0);
        (attached && rig.daemon_log().contains("LinkLost")).then_some(())
    })
    .with_context(|| rig.daemon_log())
}
