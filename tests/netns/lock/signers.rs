//! Who may approve is of the running generation: the file can only take away.

use std::fs;

use anyhow::{Result, ensure};

use super::people::{
    Person::{Ann, Ben, Cy, Eve},
    Team, ensure_same, without_vip,
};

#[test]
fn approval_of_somebody_whose_line_was_removed_counts_no_more() -> Result<()> {
    let team = Team::build("")?;
    let (plan, digest) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "raw4")?;
    team.approves(Ben, &digest)?;
    team.approves(Cy, &digest)?;
    let before = team.rig.installation.status()?;
    team.write_approvers_without(Cy)?;
    let said = team.is_refused(Ann, &["apply", &plan], 3, "HF2073")?;
    ensure!(said.contains("1 of 2 approvals"), "{said}");
    // No file at all, or one that is none: nobody may.
    fs::write(team.approvers(), "ben namespaces=\"holdfast-plan-v1\" ssh-ed25519\n")?;
    team.is_refused(Ann, &["apply", &plan], 1, "HF21")?;
    fs::remove_file(team.approvers())?;
    team.is_refused(Ann, &["apply", &plan], 1, "HF2100")?;
    ensure_same(&before, &team.rig.installation.status()?)?;
    // What the generation knows is still what counts.
    team.write_all_approvers()?;
    team.does(Ann, &["apply", &plan])?;
    team.does(Ann, &["confirm"])?;
    Ok(())
}

#[test]
fn line_added_to_the_file_approves_nothing_until_a_plan_of_it_was_approved() -> Result<()> {
    let team = Team::build("")?;
    let (_, digest) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "raw4")?;
    let before = team.rig.installation.status()?;
    team.write_approvers_and("eve", Eve)?;
    let eve = team.key(Eve).to_string_lossy().into_owned();
    team.is_refused(Eve, &["approve", &digest, "--key", &eve], 3, "HF2107")?;

    // Now by a plan: it takes two of those who may already.
    let (plan, digest) = team.planned(&team.rig.fleet.yaml(), "signers")?;
    let said = team.is_refused(Ann, &["apply", &plan], 3, "HF2073")?;
    ensure!(said.contains("who may approve"), "{said}");
    team.is_refused(Eve, &["approve", &digest, "--key", &eve], 3, "HF2107")?;
    team.approves(Ben, &digest)?;
    team.is_refused(Ann, &["apply", &plan], 3, "1 of 2 approvals")?;
    ensure_same(&before, &team.rig.installation.status()?)?;
    team.approves(Cy, &digest)?;
    // Of the rules, nothing shows in traffic: it is not on trial.
    let said = team.does(Ann, &["apply", &plan])?;
    ensure!(!said.contains("on trial"), "{said}");

    let (plan, digest) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "again")?;
    team.approves(Eve, &digest)?;
    team.approves(Ben, &digest)?;
    team.does(Ann, &["apply", &plan])?;
    team.does(Ann, &["confirm"])?;
    Ok(())
}

#[test]
fn weaker_protection_takes_the_approvals_of_the_protection_that_runs() -> Result<()> {
    let team = Team::build("")?;
    let yaml = team
        .rig
        .fleet
        .yaml()
        .replace("remove: 2, drain: 1", "remove: 0, drain: 0");
    let (plan, digest) = team.planned(&yaml, "weaker")?;
    let said = team.is_refused(Ann, &["apply", &plan], 3, "HF2073")?;
    ensure!(said.contains("0 of 2 approvals"), "{said}");
    team.approves(Ben, &digest)?;
    team.is_refused(Ann, &["apply", &plan], 3, "1 of 2 approvals")?;
    team.approves(Cy, &digest)?;
    team.does(Ann, &["apply", &plan])?;
    Ok(())
}
