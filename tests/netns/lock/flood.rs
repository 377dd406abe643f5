//! A VIP under attack: its packets are dropped, and nothing else.

use anyhow::{Context as _, Result, ensure};
use support::{
    addresses::Family,
    config::{DATAGRAMS, Fleet},
    datagrams::{self, DatagramShape, Datagrams},
    rig::{Layout, Rig},
    topology::{Shape, Topology},
    wait,
};

use super::people::{
    Person::{Ann, Ben, Cy},
    SOON, Team, alone, ensure_flat, ensure_same, head, streams,
};

/// As much as a busy machine answers whole.
const PER_SECOND: u32 = 2_000;

/// Datagrams to the VIP `dns4`.
fn flood(rig: &Rig) -> Result<Datagrams> {
    let shape = DatagramShape {
        target: DATAGRAMS.v4(),
        sources: Topology::client_addresses(Family::V4),
        length: datagrams::SHORT,
        per_second: PER_SECOND,
        at_most: u64::MAX,
    };
    let flood = Datagrams::start(&rig.network.client, shape)?;
    answers(&flood, true)?;
    Ok(flood)
}

/// Answers come, or come no more.
fn answers(flood: &Datagrams, come: bool) -> Result<()> {
    let look = || {
        let before = flood.report().answered;
        std::thread::sleep(std::time::Duration::from_millis(500));
        (flood.report().answered > before) == come
    };
    let what = if come { "answers" } else { "no answers" };
    wait::until(SOON, what, || look().then_some(()))
}

fn dropped(rig: &Rig) -> Result<u64> {
    let verdicts = rig.installation.status()?.verdicts;
    Ok(verdicts.get("DropMaint").context("a verdict")?.packets)
}

fn state(rig: &Rig, vip: &str) -> Result<String> {
    let said = alone(rig, &["vip", "show", vip], 0, "")?;
    let line = said.lines().find(|line| line.trim_start().starts_with("State"));
    Ok(line.context("a state")?.trim().to_owned())
}

#[test]
fn vip_under_a_flood_is_taken_out_by_three_people_and_others_serve_on() -> Result<()> {
    let team = Team::build("")?;
    let load = streams(&team.rig)?;
    let flood = flood(&team.rig)?;
    let before = team.rig.installation.status()?;

    // Much more than the budget, and live: others open it all the same.
    let said = team.is_refused(Ann, &["vip", "maint", "dns4", "-m", "a flood"], 3, "HF2073")?;
    ensure!(said.contains("HF2061") && said.contains("HF2065"), "{said}");
    ensure_same(&before, &team.rig.installation.status()?)?;
    answers(&flood, true)?;
    let waiting = team.does(Ben, &["approvals", "-o", "json"])?;
    let waiting: serde_json::Value = serde_json::from_str(&waiting)?;
    let digest = waiting["plans"][0]["plan"].as_str().context("a plan waits")?.to_owned();
    team.approves(Ben, &digest)?;
    team.approves(Cy, &digest)?;
    // By what names it, as those who approved it did.
    let said = team.does(Ann, &["apply", &digest[..12], "-m", "a flood"])?;
    ensure!(said.contains("on trial until"), "{said}");
    answers(&flood, false)?;
    let first = dropped(&team.rig)?;
    ensure!(first > 0, "nothing was dropped");
    ensure!(
        state(&team.rig, "dns4")?.ends_with("maint (file: ready)"),
        "{}",
        state(&team.rig, "dns4")?
    );
    team.does(Ann, &["confirm"])?;

    // It takes nothing to serve again.
    ensure!(dropped(&team.rig)? > first, "it does not go on");
    team.does(Ann, &["vip", "reset", "dns4"])?;
    answers(&flood, true)?;
    let after = dropped(&team.rig)?;
    answers(&flood, true)?;
    assert_eq!(dropped(&team.rig)?, after, "dropped after it is back");
    flood.stop()?;
    ensure_flat(load)
}

#[test]
fn vip_in_maint_by_command_stays_over_files_and_kills_and_its_drops_end_no_trial() -> Result<()> {
    // Alone, and with all of it allowed.
    let mut rig = Rig::build_with(&Layout::of(Shape::OneArm, 4), |fleet| Fleet {
        protection: "protection: { maxTrafficAffected: 100%, confirm: { default: 30s } }".to_owned(),
        ..fleet
    })?;
    let load = streams(&rig)?;
    let flood = flood(&rig)?;
    let said = alone(&rig, &["vip", "maint", "dns4"], 0, "on trial until")?;
    ensure!(said.contains("HF2065"), "{said}");
    answers(&flood, false)?;
    // Longer than what is worse than before may be.
    std::thread::sleep(std::time::Duration::from_secs(8));
    ensure!(head(&rig)?.starts_with("▲ ON TRIAL"), "{}", head(&rig)?);
    alone(&rig, &["confirm"], 0, "")?;

    rig.kill_daemon()?;
    answers(&flood, false)?;
    rig.start_daemon()?;
    rig.wait_resolved()?;
    answers(&flood, false)?;
    let before = rig.installation.status()?;
    let file = rig.installation.config.to_string_lossy().into_owned();
    alone(&rig, &["apply", "-f", &file], 0, "no change")?;
    ensure_same(&before, &rig.installation.status()?)?;
    let said = alone(&rig, &["status"], 0, "")?;
    ensure!(said.contains("set by command: dns4 maint (file: ready)"), "{said}");
    let why = alone(
        &rig,
        &[
            "why",
            "198.51.100.7",
            "40000",
            &DATAGRAMS.v4().ip().to_string(),
            "53",
            "udp",
        ],
        0,
        "DropMaint",
    )?;
    ensure!(!why.contains("be1"), "{why}");

    alone(&rig, &["vip", "maint", "nobody"], 1, "HF5007")?;
    alone(&rig, &["vip", "ready", "dns4"], 0, "")?;
    answers(&flood, true)?;
    ensure!(state(&rig, "dns4")?.ends_with("ready"), "{}", state(&rig, "dns4")?);
    flood.stop()?;
    ensure_flat(load)
}

#[test]
fn plan_is_withdrawn_by_who_made_it_and_by_nobody_else() -> Result<()> {
    let team = Team::build("")?;
    team.is_refused(Ann, &["backend", "drain", "web/be1"], 3, "HF2073")?;
    let waiting = team.does(Ann, &["approvals", "-o", "json"])?;
    let waiting: serde_json::Value = serde_json::from_str(&waiting)?;
    let digest = waiting["plans"][0]["plan"].as_str().context("a plan waits")?.to_owned();
    team.is_refused(Ben, &["withdraw", &digest], 7, "HF5003")?;
    team.is_refused(Ann, &["reject", &digest], 7, "HF5003")?;
    team.does(Ann, &["withdraw", &digest[..8], "-m", "the wrong one"])?;
    team.is_refused(Ann, &["apply", &digest], 3, "HF2075")?;
    let key = team.key(Ben).to_string_lossy().into_owned();
    let late = team.types(Ben, &["approve", &digest, "--key", &key])?;
    ensure!(late.code != Some(0), "{}", late.said());
    let left = team.does(Ann, &["approvals"])?;
    ensure!(!left.contains(&digest[..8]), "{left}");
    Ok(())
}
