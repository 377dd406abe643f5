//! What was removed comes back, and all of it can go.

use anyhow::{Result, ensure};
use support::{
    config::{Fleet, RAW},
    rig::{Layout, Rig},
    topology::Shape,
};

use super::people::{
    Person::{Ann, Root},
    Team, alone, ensure_flat, ensure_same, streams, without_vip,
};

fn rig() -> Result<Rig> {
    Rig::build_with(&Layout::of(Shape::OneArm, 4).beside(), |fleet| Fleet {
        protection: String::new(),
        ..fleet
    })
}

#[test]
fn vip_that_was_removed_is_served_again_as_it_was() -> Result<()> {
    let rig = rig()?;
    let load = streams(&rig)?;
    let before = rig.installation.status()?;
    let file = rig.installation.config.to_string_lossy().into_owned();
    rig.installation.write(&without_vip(&rig.fleet, "raw4"))?;
    alone(&rig, &["apply", "-f", &file], 0, "on trial")?;
    alone(&rig, &["confirm"], 0, "")?;
    alone(&rig, &["undelete", "vip/nobody"], 1, "HF5004")?;
    alone(&rig, &["undelete", "vip/raw4", "-m", "it was the wrong one"], 0, "vip")?;
    let after = rig.installation.status()?;
    let raw = after.vips.iter().find(|vip| vip.name == "raw4");
    ensure!(
        raw.is_some_and(|vip| std::net::SocketAddr::new(vip.address, vip.port) == RAW.v4() && vip.pool == "web"),
        "{raw:?}"
    );
    assert_eq!(after.digest, before.digest, "the content is that of before");
    // What is there already is not put in twice.
    alone(&rig, &["undelete", "vip/raw4"], 1, "HF5004")?;
    ensure_flat(load)
}

#[test]
fn everything_goes_by_a_command_that_names_the_environment_if_nothing_is_live() -> Result<()> {
    let rig = rig()?;
    let load = streams(&rig)?;
    let before = rig.installation.status()?;
    alone(&rig, &["wipe", "--environment", "production"], 3, "HF2005")?;
    alone(&rig, &["wipe", "--environment", "lab"], 3, "HF2001")?;
    ensure_same(&before, &rig.installation.status()?)?;
    ensure_flat(load)
}

#[test]
fn wipe_of_what_is_quiet_empties_and_the_file_fills_again() -> Result<()> {
    let rig = rig()?;
    alone(
        &rig,
        &["wipe", "--environment", "lab", "-m", "given away"],
        0,
        "on trial",
    )?;
    alone(&rig, &["confirm"], 0, "")?;
    let empty = rig.installation.status()?;
    ensure!(empty.vips.is_empty() && empty.pools.is_empty(), "{empty:?}");
    let file = rig.installation.config.to_string_lossy().into_owned();
    alone(&rig, &["apply", "-f", &file], 0, "")?;
    rig.wait_resolved()?;
    ensure_flat(streams(&rig)?)
}

#[test]
fn wipe_is_of_admins_whoever_writes_the_plan() -> Result<()> {
    let team = Team::build("")?;
    team.is_refused(Ann, &["wipe", "--environment", "lab"], 7, "HF5003")?;
    let said = team.is_refused(Root, &["wipe", "--environment", "lab"], 3, "HF20")?;
    ensure!(said.contains("approvals") || said.contains("HF2001"), "{said}");
    Ok(())
}
