//! Somebody alone, with what holds where the file says nothing of protection.

use std::{collections::BTreeMap, fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use support::{
    api,
    config::Fleet,
    rig::{Layout, Rig},
    topology::Shape,
    wait,
};

use crate::drift::clear_counters;

use super::people::{alone, ensure_flat, ensure_same, head, last_entry, scrape, streams, without_vip};

/// The product's defaults, and what is short enough for a test.
fn rig(protection: &str) -> Result<Rig> {
    Rig::build_with(&Layout::of(Shape::OneArm, 4).beside(), |fleet| Fleet {
        protection: protection.to_owned(),
        ..fleet.draining("2s", "8s")
    })
}

fn config(rig: &Rig, fleet: &Fleet) -> Result<String> {
    rig.installation.write(fleet)?;
    Ok(rig.installation.config.to_string_lossy().into_owned())
}

#[test]
fn vip_with_traffic_stays_and_a_quiet_one_goes_on_trial() -> Result<()> {
    let rig = rig("")?;
    let load = streams(&rig)?;
    let before = rig.installation.status()?;
    let file = config(&rig, &without_vip(&rig.fleet, "web4"))?;
    let said = alone(&rig, &["plan", "-f", &file, "--out", "/dev/null"], 3, "HF2001")?;
    ensure!(
        said.contains("quiet (liveVipWindow)"),
        "it says what was measured: {said}"
    );
    alone(&rig, &["apply", "-f", &file], 3, "HF2001")?;
    ensure!(head(&rig)?.starts_with("▲ REFUSED HF2001"), "{}", head(&rig)?);
    let refused = scrape(&rig)?.count("holdfast_guard_refusals_total{code=\"HF2001\"}")?;
    assert_eq!(refused, 1, "refusals counted");
    ensure!(
        last_entry(&rig, "refused")?["payload"]["codes"][0] == "HF2001",
        "journal"
    );
    ensure_same(&before, &rig.installation.status()?)?;

    let file = config(&rig, &without_vip(&rig.fleet, "raw4"))?;
    let said = alone(&rig, &["apply", "-f", &file], 0, "HF2064")?;
    ensure!(said.contains("on trial until"), "{said}");
    alone(&rig, &["confirm"], 0, "")?;
    ensure_flat(load)
}

/// The VIP had its last packet a moment ago, and no counter says so any more.
#[test]
fn counters_that_somebody_cleared_or_that_began_anew_do_not_make_a_vip_quiet() -> Result<()> {
    let mut rig = rig("")?;
    ensure_flat(streams(&rig)?)?;
    let file = config(&rig, &without_vip(&rig.fleet, "web4"))?;
    let removal = ["plan", "-f", &file, "--out", "/dev/null"];
    alone(&rig, &removal, 3, "HF2001")?;
    clear_counters(&rig)?;
    // Looked at once a second.
    thread::sleep(Duration::from_millis(1500));
    alone(&rig, &removal, 3, "HF2001").context("after COUNTERS were cleared")?;
    rig.kill_daemon()?;
    fs::remove_dir_all(&rig.installation.pins)?;
    rig.start_daemon()?;
    thread::sleep(Duration::from_millis(1500));
    alone(&rig, &removal, 3, "HF2001").context("after the pins were lost")?;
    Ok(())
}

#[test]
fn what_nobody_confirms_comes_back_by_itself() -> Result<()> {
    let rig = rig("protection: { confirm: { default: 4s } }")?;
    let load = streams(&rig)?;
    let before = rig.installation.status()?;
    let file = config(&rig, &without_vip(&rig.fleet, "raw4"))?;
    alone(&rig, &["apply", "-f", &file], 0, "on trial until")?;
    let after = wait::until(Duration::from_secs(15), "it is taken back", || {
        let status = rig.installation.status().ok()?;
        (status.generation == before.generation + 2).then_some(status)
    })?;
    assert_eq!(after.digest, before.digest);
    ensure!(after.vips.iter().any(|vip| vip.name == "raw4"), "raw4 is there again");
    ensure_flat(load)
}

#[test]
fn protected_vip_goes_only_when_its_protection_went_before() -> Result<()> {
    let rig = rig("")?;
    let guard = |yaml: String| yaml.replace("name: raw4,", "name: raw4, protected: true,");
    let file = rig.installation.config.to_string_lossy().into_owned();
    fs::write(&file, guard(rig.fleet.yaml()))?;
    alone(&rig, &["apply", "-f", &file], 0, "")?;
    let before = rig.installation.status()?;
    fs::write(&file, without_vip(&rig.fleet, "raw4").yaml())?;
    alone(&rig, &["apply", "-f", &file], 3, "HF2060")?;
    alone(&rig, &["break-glass", "-m", "even so"], 0, "")?;
    alone(&rig, &["apply", "-f", &file], 3, "HF2060")?;
    alone(&rig, &["break-glass", "--end"], 0, "")?;
    ensure_same(&before, &rig.installation.status()?)?;
    fs::write(&file, rig.fleet.yaml())?;
    alone(&rig, &["apply", "-f", &file], 0, "HF2066")?;
    fs::write(&file, without_vip(&rig.fleet, "raw4").yaml())?;
    alone(&rig, &["apply", "-f", &file], 0, "on trial until")?;
    alone(&rig, &["confirm"], 0, "")?;
    Ok(())
}

#[test]
fn backend_with_connections_goes_once_it_is_drained() -> Result<()> {
    let rig = rig("")?;
    let load = streams(&rig)?;
    let before = rig.installation.status()?;
    let file = config(&rig, &rig.fleet.clone().without("web", "be1"))?;
    alone(&rig, &["apply", "-f", &file], 3, "HF2004")?;
    let said = alone(
        &rig,
        &["apply", "-f", &file],
        3,
        "holdfast backend drain web/be1 --wait",
    )?;
    ensure!(said.contains("is not drained"), "{said}");
    ensure_same(&before, &rig.installation.status()?)?;
    alone(&rig, &["backend", "drain", "web/be1", "--wait"], 0, "")?;
    alone(&rig, &["apply", "-f", &file], 0, "")?;
    let report = load.stop()?;
    let others = report
        .broken()
        .filter(|record| record.backend.as_deref() != Some("be1"))
        .count();
    assert_eq!(others, 0, "{report}");
    Ok(())
}

#[test]
fn second_backend_within_the_window_stays_until_the_first_is_back() -> Result<()> {
    let rig = rig("")?;
    let load = streams(&rig)?;
    alone(&rig, &["backend", "drain", "web/be1"], 0, "")?;
    let before = rig.installation.status()?;
    let said = alone(&rig, &["backend", "drain", "web/be2"], 3, "HF2062")?;
    ensure!(said.contains("2 of 4 backends of pool web"), "{said}");
    // Not by another name for it either.
    alone(&rig, &["backend", "weight", "web/be2", "10"], 3, "HF2062")?;
    alone(&rig, &["backend", "maint", "web/be2"], 3, "HF206")?;
    ensure_same(&before, &rig.installation.status()?)?;
    alone(&rig, &["backend", "ready", "web/be1"], 0, "")?;
    alone(&rig, &["backend", "drain", "web/be2"], 0, "")?;
    drop(load);
    Ok(())
}

#[test]
fn half_of_a_pool_is_left_whatever_the_limits_say() -> Result<()> {
    let rig = rig("protection: { maxBackendsRemoved: { percent: 100%, count: 1000 } }")?;
    alone(&rig, &["backend", "drain", "web/be1"], 0, "")?;
    alone(&rig, &["backend", "drain", "web/be2"], 0, "")?;
    let before = rig.installation.status()?;
    let said = alone(&rig, &["backend", "drain", "web/be3"], 3, "HF2063")?;
    ensure!(said.contains("minCapacityLeft"), "{said}");
    ensure_same(&before, &rig.installation.status()?)
}

#[test]
fn why_refused_says_rule_measure_limit_and_who_may_override() -> Result<()> {
    let rig = rig("")?;
    let load = streams(&rig)?;
    let plan = rig.installation.config.with_file_name("raw4.plan");
    let plan = plan.to_str().context("a path of ASCII")?.to_owned();
    let file = config(&rig, &without_vip(&rig.fleet, "raw4"))?;
    alone(&rig, &["plan", "-f", &file, "--out", &plan], 0, "HF2064")?;
    let said = alone(&rig, &["why-refused", &plan], 0, "HF2064")?;
    ensure!(
        said.contains("Applicable now") && said.contains("your own word, on trial"),
        "{said}"
    );
    alone(&rig, &["hold", "-m", "later"], 0, "")?;
    let said = alone(&rig, &["why-refused", &plan], 3, "HF2076")?;
    ensure!(said.contains("later"), "{said}");
    alone(&rig, &["resume"], 0, "")?;

    alone(&rig, &["backend", "drain", "web/be1"], 0, "")?;
    // Of a plan that was refused the command line keeps no file.
    let text = rig.fleet.clone().stating("web", "be2", "drain").yaml();
    let request = json!({ "file": "config.yaml", "text": text });
    let refused = api::ask(&rig.installation.socket, "POST", "/v1/plan", &request)?;
    fs::write(&plan, format!("{}\n", refused.body))?;
    let said = alone(&rig, &["why-refused", &plan], 3, "")?;
    let row = |code: &str| columns(&said, code).with_context(|| format!("no {code}: {said}"));
    let budget = row("HF2062")?;
    assert_eq!(budget["MEASURED"], "2 backends, 50 %");
    assert_eq!(budget["LIMIT"], "1 backends or 25%");
    assert_eq!(budget["WHO MAY OVERRIDE"], "break-glass");
    drop(load);
    Ok(())
}

/// A row of the table of rules, by its columns.
fn columns(said: &str, code: &str) -> Option<BTreeMap<String, String>> {
    let head = said.lines().find(|line| line.starts_with("RULE"))?;
    let row = said.lines().find(|line| line.starts_with(code))?;
    let names = ["RULE", "WHAT", "MEASURED", "LIMIT", "WHO MAY OVERRIDE"];
    let starts: Vec<usize> = names.iter().map(|name| head.find(name)).collect::<Option<_>>()?;
    let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
    let cells = starts.iter().zip(ends).map(|(start, end)| {
        let cell: String = row.chars().skip(*start).take(end - start).collect();
        cell.trim().to_owned()
    });
    Some(names.iter().map(|name| (*name).to_owned()).zip(cells).collect())
}
