//! A team: what one of them wants to remove goes when two others have read it.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::people::{
    NAMESPACE,
    Person::{self, Ann, Ben, Cy, Eve, Root},
    Team, ensure_flat, ensure_same, head, last_entry, scrape, streams, without_vip,
};

#[test]
fn removal_goes_when_two_others_approved_it_and_a_crash_in_between_forgets_nothing() -> Result<()> {
    let mut team = Team::build("")?;
    let load = streams(&team.rig)?;
    let before = team.rig.installation.status()?;
    let fleet = without_vip(&team.rig.fleet, "raw4");
    let (plan, digest) = team.planned(&fleet.yaml(), "raw4")?;
    team.is_refused(Ann, &["apply", &plan], 3, "HF2073")?;
    ensure_loud(&team, "HF2073")?;

    let own = team.key(Ann).to_string_lossy().into_owned();
    team.is_refused(Ann, &["approve", &digest, "--key", &own], 3, "HF2117")?;
    let nobody = team.key(Eve).to_string_lossy().into_owned();
    team.is_refused(Eve, &["approve", &digest, "--key", &nobody], 3, "HF21")?;

    team.approves(Ben, &digest[..8])?;
    team.approves(Ben, &digest)?;
    let said = team.is_refused(Ann, &["apply", &plan], 3, "HF2073")?;
    ensure!(said.contains("1 of 2 approvals"), "{said}");
    let said = team.is_refused(Ben, &["why-refused", &digest[..8]], 3, "HF2064")?;
    ensure!(
        said.contains("2 approvals by others, or break-glass") && said.contains("1 of 2"),
        "{said}"
    );
    ensure_same(&before, &team.rig.installation.status()?)?;

    team.rig.kill_daemon()?;
    team.start()?;
    team.rig.wait_resolved()?;
    let before = team.rig.installation.status()?;

    sign_by_ssh_keygen(&team, Cy, &digest)?;
    let waiting = team.does(Cy, &["approvals"])?;
    ensure!(waiting.contains("ben; cy@example.net"), "{waiting}");
    let said = team.does(Ann, &["apply", &plan])?;
    ensure!(said.contains("on trial until"), "{said}");
    let first = head(&team.rig)?;
    ensure!(first.starts_with("▲ ON TRIAL") && first.contains("of ann"), "{first}");
    let intent = last_entry(&team.rig, "intent")?;
    let by = &intent["payload"]["approvedBy"];
    ensure!(*by == serde_json::json!(["ben", "cy@example.net"]), "{intent}");
    team.does(Ann, &["confirm"])?;
    let after = team.rig.installation.status()?;
    assert_eq!(after.generation, before.generation + 1);
    ensure!(after.vips.iter().all(|vip| vip.name != "raw4"), "it is there yet");

    team.is_refused(Ann, &["apply", &plan], 4, "HF2003")?;
    ensure_same(&after, &team.rig.installation.status()?)?;
    ensure_kept_signature_is_sound(&team, &digest, &plan)?;
    ensure_flat(load)
}

/// What somebody was refused is seen wherever one looks.
fn ensure_loud(team: &Team, code: &str) -> Result<()> {
    let first = head(&team.rig)?;
    ensure!(
        first.starts_with("▲ REFUSED") && first.contains(code) && first.contains("ann, uid 70011"),
        "{first}"
    );
    let scrape = scrape(&team.rig)?;
    ensure!(
        scrape.count(&format!("holdfast_guard_refusals_total{{code=\"{code}\"}}"))? >= 1,
        "no metric"
    );
    ensure!(
        scrape.count("holdfast_events_total{event=\"PlanRefused\"}")? >= 1,
        "no event"
    );
    let entry = last_entry(&team.rig, "refused")?;
    ensure!(entry["payload"]["codes"][0] == code, "{entry}");
    ensure!(team.log().contains("a plan was refused"), "{}", team.log());
    Ok(())
}

/// In the two steps of somebody who has no daemon at hand.
fn sign_by_ssh_keygen(team: &Team, person: Person, digest: &str) -> Result<()> {
    let name = format!("{}.plan", person.name());
    team.does(person, &["approve", digest, "--out", &name])?;
    let output = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(team.key(person))
        .arg(team.desk.join(&name))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Signed here by root, with the key in the file.
    let signature = format!("{name}.sig");
    team.does(person, &["approve", &name, "--signature", &signature])?;
    Ok(())
}

/// OpenSSH says the same of what the command line signed.
fn ensure_kept_signature_is_sound(team: &Team, digest: &str, plan: &str) -> Result<()> {
    let journal: Value = team.rig.installation.ask(&["journal", "list"])?;
    let entries = journal["entries"].as_array().context("entries")?;
    let given = entries
        .iter()
        .find(|entry| entry["kind"] == "approved" && entry["payload"]["plan"] == digest && entry["author"] == "ben");
    let given = &given.context("ben's approval")?["payload"]["given"];
    let signature = team.desk.join("kept.sig");
    fs::write(&signature, given["signature"].as_str().context("a signature")?)?;
    let output = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "ben", "-n", NAMESPACE, "-f"])
        .arg(team.approvers())
        .arg("-s")
        .arg(&signature)
        .stdin(fs::File::open(team.desk.join(plan))?)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.contains("Good"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn roots_plan_is_nobodys_until_it_is_signed_by_its_author() -> Result<()> {
    let team = Team::build("")?;
    let fleet = without_vip(&team.rig.fleet, "raw4");
    fs::write(&team.rig.installation.config, fleet.yaml())?;
    let (plan, digest) = team.planned_as(Root, "root")?;
    team.approves(Ben, &digest)?;
    team.approves(Cy, &digest)?;
    let said = team.is_refused(Root, &["apply", &plan], 3, "HF2073")?;
    ensure!(said.contains("nobody can tell who wants this"), "{said}");
    // With ben's key it is ben's: then his approval is his own.
    let key = |person| team.key(person).to_string_lossy().into_owned();
    team.does(Root, &["approve", &digest, "--key", &key(Ben), "--as-author"])?;
    let said = team.is_refused(Root, &["apply", &plan], 3, "HF2073")?;
    ensure!(said.contains("1 of 2 approvals"), "{said}");
    Ok(())
}

#[test]
fn roots_plan_signed_by_its_author_goes_by_two_others() -> Result<()> {
    let team = Team::build("")?;
    let fleet = without_vip(&team.rig.fleet, "raw4");
    fs::write(&team.rig.installation.config, fleet.yaml())?;
    let (plan, digest) = team.planned_as(Root, "root")?;
    let key = team.key(Root).to_string_lossy().into_owned();
    team.does(Root, &["approve", &digest, "--key", &key, "--as-author"])?;
    team.approves(Ben, &digest)?;
    team.is_refused(Root, &["apply", &plan], 3, "1 of 2 approvals")?;
    team.approves(Cy, &digest)?;
    team.does(Root, &["apply", &plan])?;
    team.does(Root, &["confirm"])?;
    Ok(())
}

#[test]
fn plan_that_somebody_rejects_is_never_applied() -> Result<()> {
    let team = Team::build("")?;
    let (plan, digest) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "raw4")?;
    team.approves(Ben, &digest)?;
    let before = team.rig.installation.status()?;
    team.is_refused(Ann, &["reject", &digest[..8]], 7, "HF5003")?;
    team.does(Cy, &["reject", &digest[..8], "-m", "not on a Friday"])?;
    let said = team.is_refused(Ann, &["apply", &plan], 3, "HF2075")?;
    ensure!(said.contains("not on a Friday") && said.contains("cy"), "{said}");
    let key = team.key(Cy).to_string_lossy().into_owned();
    team.is_refused(Cy, &["approve", &plan, "--key", &key], 3, "HF2075")?;
    ensure_same(&before, &team.rig.installation.status()?)?;
    let waiting = team.does(Ann, &["approvals"])?;
    ensure!(waiting.contains("no plan waits"), "{waiting}");
    Ok(())
}

#[test]
fn drain_takes_one_approval_and_what_takes_nothing_away_takes_none() -> Result<()> {
    let team = Team::build("")?;
    let load = streams(&team.rig)?;
    team.does(Ann, &["backend", "weight", "web/be1", "110"])?;
    let said = team.is_refused(Ann, &["backend", "drain", "web/be1"], 3, "HF2073")?;
    ensure!(said.contains("0 of 1 approvals"), "{said}");
    let approvals: Value = serde_json::from_str(&team.types(Ben, &["approvals", "-o", "json"])?.stdout)?;
    let digest = approvals["plans"][0]["plan"].as_str().context("it waits")?.to_owned();
    team.approves(Cy, &digest)?;
    // Ann has no file of it: she takes the one that waits.
    let said = team.does(Ann, &["apply", &digest])?;
    // It lasts longer than a trial would.
    ensure!(!said.contains("on trial"), "{said}");
    let first = head(&team.rig)?;
    ensure!(!first.contains("ON TRIAL"), "{first}");
    ensure_flat(load)
}
