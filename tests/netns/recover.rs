//! The state directory is deleted, cut, flipped, foreign, old or taken away: the
//! kernel goes on, the daemon changes nothing, and `holdfast recover` has the
//! history, the overrides, the lock and the hash key again, from the kernel alone.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use serde_json::Value;
use support::{
    addresses::Family,
    config::STREAMS,
    daemon::Outcome,
    rig::{Layout, Rig},
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
    wait,
};

const OPEN: usize = 32;
const SEEN: Duration = Duration::from_secs(5);

/// From the accident to what was taken being there again.
const HEALED: Duration = Duration::from_secs(1);

/// What happens to the state directory.
struct Damage {
    what: &'static str,
    /// A part of why the daemon is read-only then.
    reason: &'static str,
    happens: fn(&Rig) -> Result<()>,
}

/// While no daemon runs; the next one is read-only.
const DAMAGES: [Damage; 12] = [
    damage("directory deleted", "knows of none", |rig| {
        Ok(fs::remove_dir_all(&rig.installation.state)?)
    }),
    damage("directory and hash key deleted", "knows of none", |rig| {
        fs::remove_dir_all(&rig.installation.state)?;
        Ok(fs::remove_file(&rig.fleet.hash_key_file)?)
    }),
    damage("store deleted", "knows of none", |rig| Ok(fs::remove_file(store(rig))?)),
    damage("store cut in half", "cannot be used", |rig| cut(rig, 2)),
    damage("store empty", "cannot be used", |rig| cut(rig, u64::MAX)),
    damage("a bit flipped in its header", "cannot be used", |rig| flip(rig, 40, 19)),
    damage("bits flipped all over it", "cannot be used", |rig| flip(rig, 4096, 997)),
    damage("garbage after it", "cannot be used", |rig| {
        let file = OpenOptions::new().append(true).open(store(rig))?;
        Ok(std::io::Write::write_all(&mut &file, &[0x5a; 333])?)
    }),
    damage("of another host", "cannot be used", |rig| {
        let store = Connection::open(store(rig))?;
        store.execute("UPDATE identity SET host = ?1", ["ab".repeat(32)])?;
        Ok(())
    }),
    damage("an old backup", "the journal says generation 2", |rig| {
        fs::copy(backup(rig), store(rig))?;
        Ok(())
    }),
    damage("a directory in its place", "cannot be used", |rig| {
        fs::remove_file(store(rig))?;
        Ok(fs::create_dir(store(rig))?)
    }),
    damage("moved, and linked to", "is a symbolic link", |rig| {
        let moved = rig.directory().join("moved.db");
        fs::rename(store(rig), &moved)?;
        Ok(std::os::unix::fs::symlink(moved, store(rig))?)
    }),
];

const fn damage(what: &'static str, reason: &'static str, happens: fn(&Rig) -> Result<()>) -> Damage {
    Damage { what, reason, happens }
}

fn store(rig: &Rig) -> std::path::PathBuf {
    rig.installation.state.join("holdfast.db")
}

/// Of generation 2.
fn backup(rig: &Rig) -> std::path::PathBuf {
    rig.directory().join("backup.db")
}

fn cut(rig: &Rig, by: u64) -> Result<()> {
    let file = OpenOptions::new().write(true).open(store(rig))?;
    Ok(file.set_len(file.metadata()?.len() / by)?)
}

/// One bit in every `step` bytes from `first` on.
fn flip(rig: &Rig, first: u64, step: u64) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(store(rig))?;
    let end = file.metadata()?.len();
    let mut at = first;
    while at < end {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        file.write_all_at(&[byte[0] ^ 4], at)?;
        at += step;
    }
    Ok(())
}

/// What an operator can ask of the past and of the present.
#[derive(Debug, PartialEq)]
struct Truth {
    status: Value,
    history: Value,
    generations: Vec<Value>,
    key: Vec<u8>,
}

impl Truth {
    fn of(rig: &Rig) -> Result<Self> {
        let full: Value = rig.installation.ask(&["status"])?;
        let mut status = Value::default();
        for name in ["environment", "generation", "digest", "mode", "inSync", "lock", "trial"] {
            status[name] = full[name].clone();
        }
        // What was refused meanwhile is no matter.
        if let Some(lock) = status["lock"].as_object_mut() {
            lock.remove("refusal");
            lock.remove("waiting");
        }
        if status["lock"].as_object().is_some_and(serde_json::Map::is_empty) {
            status["lock"] = Value::Null;
        }
        // Tables and overrides; not counters.
        let pools = full["pools"].as_array().context("pools")?;
        status["pools"] = pools
            .iter()
            .map(|pool| {
                let backends = pool["backends"].as_array().into_iter().flatten();
                let backends = backends.map(|backend| {
                    serde_json::json!([backend["name"], backend["slots"], backend["state"], backend["override"]])
                });
                serde_json::json!([pool["name"], pool["tableDigest"], backends.collect::<Vec<_>>()])
            })
            .collect();
        let history: Value = rig.installation.ask(&["history"])?;
        let numbers = history["generations"].as_array().context("generations")?;
        let generations = numbers.iter().map(|generation| {
            let number = generation["generation"].to_string();
            rig.installation.ask(&["show", &number])
        });
        Ok(Self {
            status,
            generations: generations.collect::<Result<_>>()?,
            history,
            key: fs::read(&rig.fleet.hash_key_file)?,
        })
    }
}

/// A balancer with a past: six generations of which one was confirmed, overrides,
/// a rollback.
fn lived() -> Result<Rig> {
    let rig = Rig::build(&Layout::of(Shape::OneArm, 4).beside())?;
    done(&rig, &["backend", "weight", "web/be1", "50", "-m", "a slow disk"])?;
    fs::copy(store(&rig), backup(&rig))?;
    on_trial(&rig, 70, "5m")?;
    done(&rig, &["confirm"])?;
    rig.installation.apply(&rig.fleet.clone().weighing("web", "be3", 90))?;
    done(&rig, &["backend", "drain", "web/be4", "-m", "maintenance"])?;
    done(&rig, &["rollback", "4"])?;
    rig.installation.write(&rig.fleet.clone().weighing("web", "be3", 90))?;
    Ok(rig)
}

/// be2 gets this weight, for so long.
fn on_trial(rig: &Rig, weight: u32, within: &str) -> Result<()> {
    let config = rig.directory().join("trial.yaml");
    fs::write(&config, rig.fleet.clone().weighing("web", "be2", weight).yaml())?;
    let config = config.display().to_string();
    done(rig, &["apply", "-f", &config, "--confirm-within", within]).map(drop)
}

fn done(rig: &Rig, arguments: &[&str]) -> Result<Outcome> {
    let outcome = rig.installation.run(arguments)?;
    ensure!(outcome.code == Some(0), "{arguments:?}: {}", outcome.said());
    Ok(outcome)
}

fn streams(rig: &Rig) -> Result<Load> {
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(SEEN, "open streams", |report| report.open().count() == OPEN)?;
    Ok(load)
}

/// How long the disk takes for a file.
fn fsync(rig: &Rig) -> Result<Duration> {
    let began = Instant::now();
    let file = File::create(rig.directory().join("fsync"))?;
    file.set_len(1 << 18)?;
    file.sync_all()?;
    Ok(began.elapsed())
}

/// Read-only for this reason, and nothing is changed that way.
fn ensure_read_only(rig: &Rig, reason: &str) -> Result<()> {
    let status: Value = rig.installation.ask(&["status"])?;
    assert_eq!(status["mode"], "read-only", "{status}");
    let said = status["modeReason"].as_str().unwrap_or_default();
    ensure!(said.contains(reason), "{said}");
    let config = rig.directory().join("less.yaml");
    fs::write(&config, rig.fleet.clone().without("web", "be2").yaml())?;
    let config = config.display().to_string();
    for wish in [
        vec!["apply", "-f", &config, "--remove", "backend/web/be2"],
        vec!["backend", "maint", "web/be1"],
        vec!["wipe", "--environment", "lab"],
    ] {
        ensure_refused(rig, &wish)?;
    }
    Ok(())
}

fn ensure_refused(rig: &Rig, wish: &[&str]) -> Result<()> {
    let refused = rig.installation.run(wish)?;
    assert_eq!(refused.code, Some(3), "{wish:?}: {}", refused.said());
    ensure!(refused.said().contains("HF2019"), "{}", refused.said());
    Ok(())
}

fn recover(rig: &Rig) -> Result<Value> {
    let shown: Value = rig.installation.ask(&["recover", "--dry-run"])?;
    assert_eq!(shown["recovered"], false, "{shown}");
    let status: Value = rig.installation.ask(&["status"])?;
    assert_eq!(status["mode"], "read-only", "a dry run changes nothing");
    let recovery: Value = rig.installation.ask(&["recover"])?;
    assert_eq!(recovery["recovered"], true, "{recovery}");
    assert_eq!(recovery["rebuilt"], shown["rebuilt"], "{shown} {recovery}");
    assert_eq!(recovery["hashKey"], shown["hashKey"], "{shown} {recovery}");
    Ok(recovery)
}

fn ensure_verified(rig: &Rig) -> Result<()> {
    for check in [["journal", "verify"], ["bpf", "verify"]] {
        done(rig, &check)?;
    }
    Ok(())
}

#[test]
fn recover_has_history_overrides_and_hash_key_from_the_kernel_whatever_became_of_the_store() -> Result<()> {
    let mut rig = lived()?;
    let truth = Truth::of(&rig)?;
    ensure!(truth.generations.len() == 6, "{:?}", truth.history);
    let load = streams(&rig)?;
    for Damage { what, reason, happens } in &DAMAGES {
        println!("-- {what}");
        rig.kill_daemon()?;
        happens(&rig).with_context(|| *what)?;
        rig.start_daemon().with_context(|| *what)?;
        ensure_read_only(&rig, reason).with_context(|| *what)?;
        let recovery = recover(&rig).with_context(|| format!("{what}: {}", rig.daemon_log()))?;
        assert_eq!(recovery["rebuilt"], true, "{what}: {recovery}");
        assert_eq!(recovery["remembered"], 6, "{what}: {recovery}");
        // What was there is kept.
        let aside = recovery["aside"].as_str().map(Path::new);
        let gone = what.contains("deleted");
        ensure!(aside.is_some_and(Path::exists) != gone, "{what}: {recovery}");
        assert_eq!(recovery["mode"], "normal", "{what}: {recovery}");
        assert_eq!(Truth::of(&rig)?, truth, "{what}");
        ensure_verified(&rig).with_context(|| *what)?;
        // It is what the next daemon finds.
        rig.kill_daemon()?;
        rig.start_daemon()?;
        assert_eq!(Truth::of(&rig)?, truth, "{what}, and a restart");
    }
    let report = load.stop()?;
    assert_eq!((report.connections(), report.completed()), (OPEN, OPEN), "{report}");

    // The next change is the next generation, and goes back as it would have.
    let next = rig.installation.apply(&rig.fleet.clone().weighing("web", "be3", 30))?;
    assert_eq!(next.generation, 7);
    done(&rig, &["rollback", "6"])?;
    assert_eq!(rig.installation.status()?.generation, 8);
    ensure_verified(&rig)
}

#[test]
fn what_was_recovered_serves_again_after_the_pins_are_gone_with_the_same_tables() -> Result<()> {
    let mut rig = lived()?;
    let truth = Truth::of(&rig)?;
    rig.kill_daemon()?;
    fs::remove_dir_all(&rig.installation.state)?;
    fs::remove_file(&rig.fleet.hash_key_file)?;
    rig.start_daemon()?;
    recover(&rig)?;
    // As after a reboot: the kernel has nothing, the recovered store has it all.
    rig.kill_daemon()?;
    fs::remove_dir_all(&rig.installation.pins)?;
    rig.start_daemon()?;
    rig.wait_resolved()?;
    assert_eq!(Truth::of(&rig)?, truth);
    let load = streams(&rig)?;
    let report = load.stop()?;
    assert_eq!(report.completed(), OPEN, "{report}");
    Ok(())
}

#[test]
fn hold_and_trial_are_recovered_too_and_the_trial_ends_in_its_time() -> Result<()> {
    let mut rig = lived()?;
    let before = rig.installation.status()?;
    let within = Duration::from_secs(20);
    let began = Instant::now();
    on_trial(&rig, 10, "20s")?;
    done(&rig, &["hold", "-m", "nobody is here"])?;
    // The kernel remembers it within a second.
    std::thread::sleep(Duration::from_millis(2500));
    let truth = Truth::of(&rig)?;
    assert_eq!(truth.status["trial"]["generation"], before.generation + 1);
    rig.kill_daemon()?;
    fs::remove_dir_all(&rig.installation.state)?;
    rig.start_daemon()?;
    // Until then nobody looks after the trial; that there is one is said.
    let which = |trial: &Value| (trial["generation"].clone(), trial["backTo"].clone());
    let trial = which(&truth.status["trial"]);
    let status: Value = rig.installation.ask(&["status"])?;
    assert_eq!(which(&status["trial"]), trial, "{status}");
    for end in ["confirm", "abort"] {
        ensure_refused(&rig, &[end])?;
    }
    let said = format!("generation {} is on trial until", before.generation + 1);
    let shown = done(&rig, &["recover", "--dry-run"])?;
    ensure!(shown.stdout.contains(&said), "{}", shown.said());
    let recovery = recover(&rig)?;
    assert_eq!(which(&recovery["trial"]), trial, "{recovery}");
    assert_eq!(recovery["mode"], "hold", "{recovery}");
    let again = Truth::of(&rig)?;
    assert_eq!(again.status["mode"], "hold", "{again:?}");
    assert_eq!(again.status["lock"], truth.status["lock"]);
    assert_eq!(again.status["trial"]["generation"], truth.status["trial"]["generation"]);
    assert_eq!(
        (&again.history, &again.generations),
        (&truth.history, &truth.generations)
    );
    // Nobody confirms: the content before it is served again, by a generation more.
    let back = wait::until(within + SEEN, "the trial is over", || {
        let status = rig.installation.status().ok()?;
        (status.generation == before.generation + 2).then_some(status)
    })?;
    println!("taken back after {:?}", began.elapsed());
    assert_eq!(back.digest, before.digest);
    Ok(())
}

#[test]
fn store_taken_away_from_a_running_daemon_is_written_again_and_changes_wait() -> Result<()> {
    let rig = lived()?;
    let load = streams(&rig)?;
    let mut truth = Truth::of(&rig)?;
    for what in ["replaced", "file", "directory"] {
        println!("-- {what}");
        let entries = |rig: &Rig| -> Result<u64> {
            let verified: Value = rig.installation.ask(&["journal", "verify"])?;
            verified["entries"].as_u64().context("entries")
        };
        let before = entries(&rig)?;
        let key = fs::read(rig.installation.state.join("journal.key"))?;
        fs::copy(backup(&rig), rig.directory().join("other.db"))?;
        // A disk that is busy with somebody else's writes is nobody's fault here.
        let disk = fsync(&rig)?;
        let began = Instant::now();
        match what {
            "file" => fs::remove_file(store(&rig))?,
            "directory" => fs::remove_dir_all(&rig.installation.state)?,
            _ => fs::rename(rig.directory().join("other.db"), store(&rig))?,
        }
        wait::until(SEEN, "read-only", || {
            let status = rig.installation.status().ok()?;
            (status.mode == "read-only").then_some(())
        })?;
        let took = began.elapsed();
        println!("written again after {took:?}");
        ensure!(
            took <= HEALED + 10 * disk,
            "{what}: {took:?} (fsync: {disk:?}): {}",
            rig.daemon_log()
        );
        ensure_read_only(&rig, "was removed or replaced while the daemon ran")?;
        ensure!(entries(&rig)? > before, "{what}: entries are lost");
        assert_eq!(fs::read(rig.installation.state.join("journal.key"))?, key, "{what}");
        let recovery = recover(&rig)?;
        assert_eq!(
            (&recovery["rebuilt"], &recovery["hashKey"]),
            (&false.into(), &"same".into()),
            "{recovery}"
        );
        assert_eq!(Truth::of(&rig)?, truth, "{what}");
        ensure_verified(&rig)?;
        let weight = (31 + what.len()).to_string();
        done(&rig, &["backend", "weight", "web/be1", &weight])?;
        truth = Truth::of(&rig)?;
    }
    let report = load.stop()?;
    assert_eq!((report.connections(), report.completed()), (OPEN, OPEN), "{report}");
    Ok(())
}

#[test]
fn recover_of_a_daemon_that_is_well_does_nothing_and_is_of_admins() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::OneArm, 2).beside())?;
    let entries = |rig: &Rig| -> Result<Value> { rig.installation.ask(&["journal", "list"]) };
    let before = entries(&rig)?;
    let recovery: Value = rig.installation.ask(&["recover"])?;
    assert_eq!(
        (&recovery["recovered"], &recovery["rebuilt"]),
        (&false.into(), &false.into())
    );
    ensure!(done(&rig, &["recover"])?.stdout.contains("nothing to recover"));
    assert_eq!(entries(&rig)?, before);
    Ok(())
}

/// What it is, and how it happens.
type Written = (&'static str, fn(&Rig) -> Result<()>);

/// What happens to the state directory while the daemon runs, and leaves the store's
/// file where it is.
const WRITTEN: [Written; 4] = [
    ("an older copy written over it", |rig| {
        Ok(fs::copy(backup(rig), store(rig)).map(drop)?)
    }),
    ("truncated", |rig| Ok(File::create(store(rig)).map(drop)?)),
    ("cut in half", |rig| cut(rig, 2)),
    ("its lock removed", |rig| {
        Ok(fs::remove_file(rig.installation.state.join("holdfast.lock"))?)
    }),
];

#[test]
fn store_that_somebody_writes_into_makes_a_running_daemon_read_only_until_recover() -> Result<()> {
    let rig = lived()?;
    let truth = Truth::of(&rig)?;
    for (what, happens) in WRITTEN {
        println!("-- {what}");
        happens(&rig)?;
        wait::until(HEALED, "a daemon that is read-only", || {
            let status: Value = rig.installation.ask(&["status"]).ok()?;
            (status["mode"] == "read-only").then_some(())
        })
        .with_context(|| format!("{what}: {}", rig.daemon_log()))?;
        ensure!(rig.installation.state.join("holdfast.lock").exists(), "{what}: no lock");
        let recovery: Value = rig.installation.ask(&["recover"]).with_context(|| what)?;
        assert_eq!(recovery["recovered"], true, "{what}: {recovery}");
        assert_eq!(Truth::of(&rig)?, truth, "{what}");
        ensure_verified(&rig).with_context(|| what)?;
    }
    Ok(())
}

/// The generation is the same, so nothing but what the kernel remembers says that the
/// store is an older one.
#[test]
fn backup_of_before_a_hold_or_a_confirmation_undoes_neither() -> Result<()> {
    type Step = fn(&Rig) -> Result<()>;
    let mut rig = lived()?;
    let before: [(&str, Step, Step); 2] = [
        (
            "hold",
            |_| Ok(()),
            |rig| done(rig, &["hold", "-m", "nobody is here"]).map(drop),
        ),
        (
            "confirm",
            |rig| {
                done(rig, &["resume"])?;
                on_trial(rig, 10, "20s")
            },
            |rig| done(rig, &["confirm"]).map(drop),
        ),
    ];
    for (what, prepare, happens) in before {
        prepare(&rig)?;
        rig.stop_daemon()?;
        fs::copy(store(&rig), backup(&rig))?;
        rig.start_daemon()?;
        happens(&rig)?;
        // The kernel remembers it within a second.
        std::thread::sleep(Duration::from_millis(2500));
        let truth = Truth::of(&rig)?;
        rig.kill_daemon()?;
        fs::copy(backup(&rig), store(&rig))?;
        rig.start_daemon()?;
        ensure_read_only(&rig, "the kernel remembers").with_context(|| what)?;
        recover(&rig).with_context(|| what)?;
        assert_eq!(Truth::of(&rig)?, truth, "{what}");
        ensure_verified(&rig)?;
    }
    Ok(())
}
