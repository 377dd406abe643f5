//! A wall clock that jumps. The host's own cannot be set for a drill alone (there
//! are no namespaces of it): the daemon is started again with an offset.

use super::lock::approves;
use crate::drill::{
    error::Result,
    people::Person::{Ann, Ben, Cy},
    scene::Scene,
};

const DAY: i64 = 86_400;

fn jumps(scene: &mut Scene, seconds: i64) -> Result<()> {
    let plan = scene.removal("clock.plan")?;
    approves(scene, Ben, &plan)?;
    approves(scene, Cy, &plan)?;
    scene.settle_on_this()?;
    scene.spoil();
    scene.site.kill();
    scene.site.start(&[&format!("--wall-clock-offset={seconds}")])?;
    scene.refused(Ann, &["apply", &plan])
}

pub fn forward(scene: &mut Scene) -> Result<()> {
    jumps(scene, DAY)
}

pub fn back(scene: &mut Scene) -> Result<()> {
    jumps(scene, -3_652 * DAY)
}
