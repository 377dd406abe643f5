//! What is refused changes nothing, says why, and ends with its exit code.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use support::{
    addresses::Family,
    config::STREAMS,
    contract::Status,
    daemon::Outcome,
    rig::Rig,
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
};

const OPEN: usize = 48;

#[test]
fn refusals_end_with_their_exit_codes_and_traffic_stays_flat() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 4, 4)?;
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(10), "open streams", |report| {
        report.open().count() == OPEN
    })?;
    let before = rig.installation.status()?;

    refused(&rig, "an empty file", "", 3, "HF2000")?;
    let nothing = emptied(&rig.fleet.yaml());
    refused(&rig, "a file without VIPs", &nothing, 3, "HF2000")?;
    let omission = rig.fleet.clone().omitting("web", "be3");
    refused(&rig, "an omission", &omission.yaml(), 3, "HF2002")?;
    let mut elsewhere = rig.fleet.clone();
    elsewhere.environment = "production".to_owned();
    refused(&rig, "another environment", &elsewhere.yaml(), 3, "HF2005")?;
    refused(&rig, "no configuration at all", "\u{0}{]", 1, "HF1")?;
    ensure_same(&before, &rig.installation.status()?)?;

    let report = load.stop()?;
    println!("{report}");
    assert_eq!((report.connections(), report.completed()), (OPEN, OPEN), "{report}");
    Ok(())
}

#[test]
fn plan_made_before_another_change_is_stale() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 2, 2)?;
    let lb = &rig.installation;
    let saved = lb.config.with_file_name("stale.plan");
    let saved = saved.to_str().context("a path of ASCII")?;
    lb.write(&rig.fleet.clone().weighing("web", "be1", 50))?;
    let config = lb.config.to_str().context("a path of ASCII")?;
    let planned = lb.run(&["plan", "-f", config, "--out", saved])?;
    expect(&planned, "a plan", 0, "")?;
    lb.apply(&rig.fleet.clone().weighing("web", "be1", 60))?;
    let before = lb.status()?;
    expect(&lb.run(&["apply", saved])?, "a stale plan", 4, "HF2003")?;
    ensure_same(&before, &lb.status()?)
}

#[test]
fn plan_is_applied_once_shown() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 2, 2)?;
    let lb = &rig.installation;
    let saved = lb.config.with_file_name("good.plan");
    let saved = saved.to_str().context("a path of ASCII")?;
    lb.write(&rig.fleet.clone().weighing("web", "be1", 50))?;
    let config = lb.config.to_str().context("a path of ASCII")?;
    let changes = ["plan", "-f", config, "--out", saved, "--detailed-exitcode"];
    expect(&lb.run(&changes)?, "a plan that changes something", 2, "")?;
    assert_eq!(lb.status()?.generation, 1, "planning applied it");
    expect(&lb.run(&["apply", saved])?, "the plan", 0, "")?;
    assert_eq!(lb.status()?.generation, 2);
    let changes = ["plan", "-f", config, "--detailed-exitcode"];
    expect(&lb.run(&changes)?, "a plan that changes nothing", 0, "")
}

#[test]
fn wrong_usage_and_absent_daemon_have_exit_codes_of_their_own() -> Result<()> {
    let mut rig = Rig::start(Shape::OneArm, 1, 1)?;
    expect(
        &rig.installation.run(&["status", "--no-such-flag"])?,
        "a flag there is not",
        64,
        "",
    )?;
    expect(
        &rig.installation.run(&["no-such-command"])?,
        "a command there is not",
        64,
        "",
    )?;
    rig.kill_daemon()?;
    let asked = Instant::now();
    expect(&rig.installation.run(&["status"])?, "no daemon", 5, "")?;
    ensure!(asked.elapsed() < Duration::from_secs(5), "took {:?}", asked.elapsed());
    Ok(())
}

/// `apply -f` of this text is refused with this code, and by name.
fn refused(rig: &Rig, what: &str, text: &str, code: i32, name: &str) -> Result<()> {
    let file = rig.installation.config.with_file_name("refused.yaml");
    fs::write(&file, text)?;
    let outcome = rig.installation.run(&["apply", "-f", &file.to_string_lossy()])?;
    expect(&outcome, what, code, name)?;
    // Time for damage to show.
    thread::sleep(Duration::from_millis(300));
    Ok(())
}

fn expect(outcome: &Outcome, what: &str, code: i32, name: &str) -> Result<()> {
    ensure!(
        outcome.code == Some(code) && outcome.said().contains(name),
        "{what}: expected exit {code} and {name:?}, got {:?} and:\n{}",
        outcome.code,
        outcome.said()
    );
    Ok(())
}

/// The same configuration without pools and VIPs.
fn emptied(yaml: &str) -> String {
    let head = yaml.split("pools:").next().unwrap_or_default();
    format!("{head}pools: []\nvips: []\n")
}

fn ensure_same(before: &Status, after: &Status) -> Result<()> {
    ensure!(
        (after.generation, after.revision, &after.digest) == (before.generation, before.revision, &before.digest),
        "generation {} revision {} became generation {} revision {}",
        before.generation,
        before.revision,
        after.generation,
        after.revision
    );
    let tables = |status: &Status| -> Vec<String> {
        let pools = status.pools.iter();
        pools.map(|pool| pool.table_digest.clone()).collect()
    };
    ensure!(tables(before) == tables(after), "a lookup table changed");
    Ok(())
}
