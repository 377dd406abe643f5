//! At night, alone: the lock is opened, loudly, and shuts again; changes are frozen.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use support::wait;

use super::people::{
    Person::{Ann, Ben, Root},
    SOON, Team, ensure_flat, ensure_same, head, last_entry, scrape, streams, without_vip,
};

const WHY: &str = "INC-4711: nobody else is awake";

#[test]
fn broken_glass_opens_the_lock_loudly_and_mended_it_is_shut() -> Result<()> {
    let mut team = Team::build("")?;
    let load = streams(&team.rig)?;
    let (plan, _) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "raw4")?;
    team.is_refused(Ann, &["apply", &plan], 3, "HF2073")?;
    team.is_refused(Ann, &["break-glass", "-m", WHY], 7, "HF5003")?;
    team.is_refused(Root, &["break-glass", "-m", WHY, "--within", "5h"], 64, "")?;
    let said = team.does(Root, &["break-glass", "-m", WHY])?;
    ensure!(said.contains("▲ GLASS BROKEN by root"), "{said}");
    ensure_glass_is_loud(&team)?;

    // A crash does not shut it, and nothing is forgotten.
    team.rig.kill_daemon()?;
    team.start()?;
    team.rig.wait_resolved()?;
    let first = head(&team.rig)?;
    ensure!(first.contains("GLASS BROKEN by root") && first.contains(WHY), "{first}");
    let before = team.rig.installation.status()?;
    let empty = team.desk.join("empty.yaml");
    fs::write(&empty, "")?;
    team.is_refused(Ann, &["apply", "-f", "empty.yaml"], 3, "HF2000")?;
    let nothing = team.rig.fleet.yaml();
    let nothing = &nothing[..nothing.find("pools:").context("pools")?];
    fs::write(&empty, format!("{nothing}pools: []\nvips: []\n"))?;
    team.is_refused(Ann, &["apply", "-f", "empty.yaml"], 3, "HF2000")?;
    ensure_same(&before, &team.rig.installation.status()?)?;

    team.does(Ann, &["apply", &plan])?;
    let intent = last_entry(&team.rig, "intent")?;
    ensure!(intent["payload"]["glass"] == true, "{intent}");
    team.does(Ann, &["confirm"])?;

    team.does(Ann, &["break-glass", "--end"])?;
    last_entry(&team.rig, "glassMended")?;
    ensure!(scrape(&team.rig)?.count("holdfast_guard_glass")? == 0, "it is open yet");
    let fleet = without_vip(&without_vip(&team.rig.fleet, "raw4"), "raw6");
    let (plan, _) = team.planned(&fleet.yaml(), "raw6")?;
    team.is_refused(Ann, &["apply", &plan], 3, "HF2073")?;
    ensure_flat(load)
}

fn ensure_glass_is_loud(team: &Team) -> Result<()> {
    let first = head(&team.rig)?;
    ensure!(first.starts_with("▲ GLASS BROKEN") && first.contains(WHY), "{first}");
    let entry = last_entry(&team.rig, "glassBroken")?;
    ensure!(entry["author"] == "root" && entry["payload"]["why"] == WHY, "{entry}");
    let scrape = scrape(&team.rig)?;
    for (sample, value) in [
        ("holdfast_guard_glass", 1),
        ("holdfast_guard_break_glass_total", 1),
        ("holdfast_events_total{event=\"GlassBroken\"}", 1),
    ] {
        assert_eq!(scrape.count(sample)?, value, "{sample}");
    }
    ensure!(
        team.log().contains("the glass is broken: the lock is open"),
        "{}",
        team.log()
    );
    Ok(())
}

#[test]
fn broken_glass_ends_by_itself_and_opens_limits_too() -> Result<()> {
    // VIPs, backends and limits: as somebody alone has them by default.
    let team = Team::build("")?;
    let load = streams(&team.rig)?;
    let gone = without_vip(&team.rig.fleet, "web4").yaml();
    fs::write(&team.rig.installation.config, &gone)?;
    let config = team.rig.installation.config.to_string_lossy().into_owned();
    team.is_refused(Ann, &["apply", "-f", &config], 3, "HF2001")?;
    let first = head(&team.rig)?;
    ensure!(
        first.contains("HF2001"),
        "a refusal that the plan had is told, too: {first}"
    );
    let before = team.rig.installation.status()?;

    team.does(Root, &["break-glass", "-m", WHY, "--within", "4s"])?;
    wait::until(SOON, "it is shut by itself", || {
        head(&team.rig)
            .is_ok_and(|first| !first.contains("GLASS"))
            .then_some(())
    })?;
    team.is_refused(Ann, &["apply", "-f", &config], 3, "HF2001")?;
    ensure_same(&before, &team.rig.installation.status()?)?;
    load.wait(SOON, "streams that go on", |report| report.broken().count() == 0)?;

    team.does(Root, &["break-glass", "-m", WHY])?;
    let said = team.does(Ann, &["apply", "-f", &config])?;
    ensure!(said.contains("HF2001") && said.contains("on trial"), "{said}");
    let after = team.rig.installation.status()?;
    ensure!(after.vips.iter().all(|vip| vip.name != "web4"), "it is there yet");
    // Taken back, it is there again; and so are its connections.
    team.does(Ann, &["abort"])?;
    let report = load.wait(Duration::from_secs(30), "streams again", |report| {
        report.open().count() > 0
    })?;
    println!("{report}");
    Ok(())
}

#[test]
fn while_changes_are_on_hold_none_is_made_and_trials_end_all_the_same() -> Result<()> {
    let team = Team::build("  confirm: { default: 5s }\n")?;
    let load = streams(&team.rig)?;
    let first = team.rig.installation.status()?;
    let config = team.rig.installation.config.to_string_lossy().into_owned();
    fs::write(&config, team.rig.fleet.clone().weighing("web", "be1", 110).yaml())?;
    team.does(Ann, &["apply", "-f", &config, "--confirm-within", "8s"])?;
    team.is_refused(Ben, &["hold", "-m", "I may not"], 7, "HF5003")?;
    let said = team.does(Ann, &["hold", "-m", "the other site is ill"])?;
    ensure!(said.contains("ON TRIAL") || said.contains("ON HOLD"), "{said}");
    wait::until(SOON, "what was on trial is taken back", || {
        let status = team.rig.installation.status().ok()?;
        (status.generation == first.generation + 2 && status.digest == first.digest).then_some(())
    })?;
    let said = head(&team.rig)?;
    ensure!(said.starts_with("▲ ON HOLD by ann: the other site is ill"), "{said}");
    assert_eq!(scrape(&team.rig)?.count("holdfast_guard_hold")?, 1);
    let before = team.rig.installation.status()?;
    team.is_refused(Ann, &["backend", "weight", "web/be1", "110"], 3, "HF2076")?;
    team.is_refused(Root, &["rollback", "2"], 3, "HF2076")?;
    ensure_same(&before, &team.rig.installation.status()?)?;
    team.does(Ann, &["resume"])?;
    assert_eq!(scrape(&team.rig)?.count("holdfast_guard_hold")?, 0);
    team.does(Ann, &["backend", "weight", "web/be1", "110"])?;
    let said = head(&team.rig)?;
    ensure!(!said.contains("HOLD"), "{said}");
    last_entry(&team.rig, "held")?;
    last_entry(&team.rig, "resumed")?;
    ensure_flat(load)
}
