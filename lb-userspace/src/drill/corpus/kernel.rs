//! What somebody else with root does to the kernel's objects.

use std::fs;

use crate::drill::{
    error::{DrillError, Result},
    network,
    scene::Scene,
    vandal,
};

/// Empties slots of CHUNKS that the active root names: not those of the fallback
/// root, which has its own.
fn delete(scene: &mut Scene, kind: &str) -> Result<()> {
    let dump = scene.chunks()?;
    let of_kind = dump
        .chunks
        .iter()
        .filter(|chunk| chunk.kind == kind && chunk.named_by.contains("active"));
    let slots: Vec<u32> = of_kind.map(|chunk| u32::from(chunk.slot)).collect();
    if slots.is_empty() {
        return Err(DrillError::Answer(format!("a chunk of kind {kind}")));
    }
    scene.settle_on_this()?;
    for slot in slots {
        scene.pins().delete("CHUNKS", slot)?;
    }
    scene.strike();
    Ok(())
}

pub fn root(scene: &mut Scene) -> Result<()> {
    delete(scene, "root")
}

pub fn vips(scene: &mut Scene) -> Result<()> {
    delete(scene, "vips")
}

pub fn tables(scene: &mut Scene) -> Result<()> {
    delete(scene, "table")
}

pub fn frozen(scene: &mut Scene) -> Result<()> {
    let dump = scene.chunks()?;
    for chunk in &dump.chunks {
        if vandal::update_chunk(chunk.map_id, 0, &[0xff; 64]).is_ok() {
            return Err(DrillError::Answer(format!(
                "the kernel let a {} chunk be overwritten",
                chunk.kind
            )));
        }
    }
    scene.strike();
    Ok(())
}

fn overwrite(scene: &mut Scene, map: &str, change: impl Fn(&mut Vec<u8>)) -> Result<()> {
    let mut value = scene.pins().value(map, 0)?;
    change(&mut value);
    scene.strike();
    scene.pins().update(map, 0, &value)
}

pub fn zeroed(scene: &mut Scene) -> Result<()> {
    overwrite(scene, "ACTIVE", |value| value.fill(0))
}

pub fn garbled(scene: &mut Scene) -> Result<()> {
    overwrite(scene, "ACTIVE", |value| value.iter_mut().for_each(|byte| *byte ^= 0x3d))
}

pub fn node(scene: &mut Scene) -> Result<()> {
    overwrite(scene, "NODE", |value| value.fill(0))
}

pub fn programs(scene: &mut Scene) -> Result<()> {
    scene.strike();
    for key in 0..2 {
        scene.pins().delete("PROGRAMS", key)?;
    }
    Ok(())
}

pub fn detached(scene: &mut Scene) -> Result<()> {
    scene.strike();
    for interface in scene.network.interfaces.clone() {
        scene.pins().detach(&interface)?;
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "accidents have one signature")]
pub fn xdp_off(scene: &mut Scene) -> Result<()> {
    for interface in &scene.network.interfaces {
        for kind in ["xdp", "xdpdrv", "xdpgeneric"] {
            // Whether it is refused is seen by what happens to the traffic.
            network::ip("lb", &format!("link set dev {interface} {kind} off")).ok();
        }
    }
    scene.strike();
    Ok(())
}

pub fn pins(scene: &mut Scene) -> Result<()> {
    scene.strike();
    for kind in ["maps", "links", "prog"] {
        scene.pins().remove(kind)?;
    }
    Ok(())
}

fn remove_directory(scene: &mut Scene) -> Result<()> {
    scene.strike();
    fs::remove_dir_all(scene.site.pins()).map_err(DrillError::io("removing the pins"))
}

pub fn directory(scene: &mut Scene) -> Result<()> {
    remove_directory(scene)
}

/// Nothing in the kernel is held by anything then, and all of it goes.
pub fn directory_and_killed(scene: &mut Scene) -> Result<()> {
    scene.site.kill();
    remove_directory(scene)?;
    scene.site.start(&[])
}

/// The next accident has the file system of the pins where it was.
pub fn unmounted(scene: &mut Scene) -> Result<()> {
    scene.spoil();
    scene.strike();
    scene.site.stage.unmount_pins()
}

pub fn covered(scene: &mut Scene) -> Result<()> {
    scene.spoil();
    scene.strike();
    scene.site.stage.cover_pins()
}
