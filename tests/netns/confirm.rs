//! What nobody confirms in time is taken back: by time, by command, after a crash,
//! after a reboot; and no connection pays for it.

use std::{fs, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::{
    addresses::{BALANCER, Family},
    config::{Fleet, STREAMS},
    contract::Status,
    daemon::Outcome,
    rig::{Layout, Rig},
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
    wait,
};

/// A trial of some seconds ends within this, on a busy machine.
const ENDS: Duration = Duration::from_secs(15);

#[test]
fn change_that_nobody_confirms_is_taken_back_and_breaks_nothing() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::TwoArm, 3).beside())?;
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), 32);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(10), "open streams", |report| {
        report.open().count() == 32
    })?;
    let before = rig.installation.status()?;
    let outcome = apply(&rig, &reweighted(&rig), &["--confirm-within", "3s", "--wait"])?;
    assert_eq!(outcome.code, Some(6), "{}", outcome.said());
    let after = rig.installation.status()?;
    assert_eq!(
        (after.generation, &after.digest),
        (before.generation + 2, &before.digest)
    );
    assert_eq!(history(&rig, before.generation + 1)?["confirmed"], false);
    assert_eq!(history(&rig, before.generation + 2)?["cause"], "not confirmed in time");
    let report = load.stop()?;
    assert_eq!((report.connections(), report.completed()), (32, 32), "{report}");
    Ok(())
}

#[test]
fn change_on_trial_keeps_others_out_until_it_is_confirmed() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::OneArm, 2).beside())?;
    let before = rig.installation.status()?;
    let fleet = reweighted(&rig);
    ensure_ok(&apply(&rig, &fleet, &["--confirm-within", "1m"])?)?;
    let head = rig.installation.run(&["status"])?.stdout;
    ensure!(head.starts_with("▲ ON TRIAL generation"), "{head}");
    let other = fleet.clone().weighing("web", "be2", 9);
    let refused = apply(&rig, &other, &[])?;
    assert_eq!(refused.code, Some(3), "{}", refused.said());
    ensure!(refused.said().contains("HF2040"), "{}", refused.said());
    ensure_ok(&rig.installation.run(&["confirm"])?)?;
    assert_eq!(history(&rig, before.generation + 1)?["confirmed"], true);
    let twice = rig.installation.run(&["confirm"])?;
    assert_eq!(twice.code, Some(1), "{}", twice.said());
    ensure!(twice.said().contains("HF2041"), "{}", twice.said());
    ensure_ok(&apply(&rig, &other, &[])?)?;

    // On trial again, and somebody thinks better of it.
    let kept = rig.installation.status()?;
    ensure_ok(&apply(&rig, &fleet, &["--confirm-within", "1m"])?)?;
    ensure_ok(&rig.installation.run(&["abort"])?)?;
    let back = rig.installation.status()?;
    assert_eq!((back.generation, &back.digest), (kept.generation + 2, &kept.digest));
    // To go back from there is not to go to what was taken back, but before it.
    ensure_ok(&rig.installation.run(&["rollback"])?)?;
    let rolled = history(&rig, back.generation + 1)?;
    let meant = history(&rig, before.generation + 1)?;
    assert_eq!(
        (&rolled["cause"], &rolled["digest"]),
        (&"rollback".into(), &meant["digest"])
    );
    Ok(())
}

#[test]
fn daemon_killed_during_a_trial_ends_it_when_it_is_back() -> Result<()> {
    let mut rig = Rig::build(&Layout::of(Shape::OneArm, 2).beside())?;
    // The deadline passes while nobody is there, and while somebody is again.
    for (away, within) in [(6, "3s"), (0, "5s")] {
        let before = rig.installation.status()?;
        ensure_ok(&apply(&rig, &reweighted(&rig), &["--confirm-within", within])?)?;
        rig.kill_daemon()?;
        thread::sleep(Duration::from_secs(away));
        rig.start_daemon()?;
        let after = taken_back(&rig, &before)?;
        assert_eq!(after.generation, before.generation + 2);
    }
    Ok(())
}

#[test]
fn interface_detached_on_trial_is_attached_again() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::TwoArm, 2).beside())?;
    let before = rig.installation.status()?;
    let detached = rig.installation.run(&["detach", "lb1", "--confirm-within", "2s"])?;
    ensure_ok(&detached)?;
    let off = rig.installation.status()?;
    ensure!(
        off.interfaces.iter().any(|lb| lb.name == "lb1" && lb.prog_id == 0),
        "{off:?}"
    );
    let after = taken_back(&rig, &before)?;
    ensure!(after.interfaces.iter().all(|lb| lb.prog_id != 0), "{after:?}");
    Ok(())
}

#[test]
fn attaching_to_the_interface_of_ones_own_shell_is_on_trial() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::TwoArm, 2).beside())?;
    ensure_ok(&rig.installation.run(&["detach", "lb0"])?)?;
    let output = rig.network.balancer.run(|| {
        Command::new(rig.installation.binaries.holdfast())
            .arg("--socket")
            .arg(&rig.installation.socket)
            .args(["attach", "lb0"])
            .env("SSH_CONNECTION", format!("198.51.100.7 50022 {} 22", BALANCER.v4))
            .output()
    })??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.contains("your shell comes in by lb0"),
        "{said}"
    );
    let status: Value = rig.installation.ask(&["status"])?;
    ensure!(status["trial"]["until"].is_string(), "not on trial: {status}");
    ensure_ok(&rig.installation.run(&["confirm"])?)
}

#[test]
fn what_was_not_confirmed_is_not_served_after_a_reboot() -> Result<()> {
    let mut rig = Rig::build(&Layout::of(Shape::TwoArm, 3).beside())?;
    let before = rig.installation.status()?;
    // First: pins gone in the same boot, nothing on trial.
    lose_the_kernel(&mut rig)?;
    rig.start_daemon()?;
    let again = rig.wait_resolved()?;
    assert_eq!((again.generation, &again.digest), (before.generation, &before.digest));
    assert_eq!(tables(&again), tables(&before));
    assert_eq!(last_entry(&rig, "servedAgain")?["payload"]["rebooted"], false);

    // Then: a reboot during a trial.
    ensure_ok(&apply(&rig, &reweighted(&rig), &["--confirm-within", "1h"])?)?;
    lose_the_kernel(&mut rig)?;
    start_after_reboot(&mut rig)?;
    let after = rig.wait_resolved()?;
    assert_eq!(
        (after.generation, &after.digest),
        (before.generation + 2, &before.digest)
    );
    assert_eq!(last_entry(&rig, "servedAgain")?["payload"]["rebooted"], true);
    let status: Value = rig.installation.ask(&["status"])?;
    ensure!(status["trial"].is_null(), "{status}");
    Ok(())
}

/// What a reboot does to the kernel's side.
fn lose_the_kernel(rig: &mut Rig) -> Result<()> {
    rig.kill_daemon()?;
    for part in ["links", "prog", "maps"] {
        fs::remove_dir_all(rig.installation.pins.join(part)).with_context(|| format!("removing {part}"))?;
    }
    Ok(())
}

/// The daemon sees another boot id: one is mounted over the kernel's, for it alone.
fn start_after_reboot(rig: &mut Rig) -> Result<()> {
    let boot = rig.installation.state.join("boot_id");
    fs::write(&boot, "00000000-1111-2222-3333-444444444444\n")?;
    let script = format!(
        "mount --bind {} /proc/sys/kernel/random/boot_id && exec {} \"$@\"",
        boot.display(),
        rig.installation.binaries.holdfastd().display()
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    rig.start_daemon_by(command)
}

fn tables(status: &Status) -> Vec<&str> {
    status.pools.iter().map(|pool| pool.table_digest.as_str()).collect()
}

fn last_entry(rig: &Rig, kind: &str) -> Result<Value> {
    let journal: Value = rig.installation.ask(&["journal", "list"])?;
    let entries = journal["entries"].as_array().context("no entries")?;
    let found = entries.iter().rev().find(|entry| entry["kind"] == kind);
    found.cloned().with_context(|| format!("no {kind} in {journal}"))
}

fn history(rig: &Rig, generation: u64) -> Result<Value> {
    let history: Value = rig.installation.ask(&["history"])?;
    let generations = history["generations"].as_array().context("no generations")?;
    let found = generations.iter().find(|one| one["generation"] == generation);
    found.cloned().with_context(|| format!("no {generation} in {history}"))
}

fn reweighted(rig: &Rig) -> Fleet {
    rig.fleet.clone().weighing("web", "be1", 7)
}

fn apply(rig: &Rig, fleet: &Fleet, further: &[&str]) -> Result<Outcome> {
    rig.installation.write(fleet)?;
    let config = rig.installation.config.to_string_lossy();
    rig.installation.run(&[&["apply", "-f", &config], further].concat())
}

fn ensure_ok(outcome: &Outcome) -> Result<()> {
    ensure!(outcome.code == Some(0), "{:?}: {}", outcome.code, outcome.said());
    Ok(())
}

fn taken_back(rig: &Rig, before: &Status) -> Result<Status> {
    wait::until(ENDS, "the generation is taken back", || {
        let status = rig.installation.status().ok()?;
        (status.generation > before.generation + 1 && status.digest == before.digest).then_some(status)
    })
    .with_context(|| rig.daemon_log())
}
