//! Whether everything is as it was, by the drill's own eyes: what the daemon says,
//! and what is in the kernel.

use std::collections::{BTreeMap, BTreeSet};

use super::{error::Result, people::Person, scene::Scene};
use crate::{
    api::model::{BpfDump, Mode, Status},
    config::BackendState,
    digest::Digest,
};

/// How everything was.
#[derive(Clone, Debug)]
pub struct Before {
    pub status: Status,
    pins: Vec<String>,
    /// Values of maps that do not change by themselves.
    values: BTreeMap<(&'static str, u32), Vec<u8>>,
    /// What is installed, wherever: kind, whose it is, and digest.
    chunks: BTreeSet<(String, String, Digest)>,
}

/// Maps of which entries are compared, with their keys.
const COMPARED: [(&str, u32); 3] = [("NODE", 0), ("PROGRAMS", 0), ("PROGRAMS", 1)];

impl Before {
    /// # Errors
    /// When the daemon does not answer, or a map cannot be read.
    pub fn look(scene: &Scene) -> Result<Self> {
        let pins = scene.pins();
        let mut values = BTreeMap::new();
        for (map, key) in COMPARED {
            values.insert((map, key), pins.value(map, key)?);
        }
        Ok(Self {
            status: scene.site.status()?,
            pins: pins.all(),
            values,
            chunks: installed(&scene.chunks()?),
        })
    }
}

/// Roots and VIPs name slots, and the past grows by what happens: they are others
/// where the same revision was published anew.
fn installed(dump: &BpfDump) -> BTreeSet<(String, String, Digest)> {
    let chunks = dump.chunks.iter();
    let same = chunks.filter(|chunk| !["root", "vips", "past"].contains(&chunk.kind.as_str()));
    same.map(|chunk| (chunk.kind.clone(), chunk.of.clone(), chunk.digest))
        .collect()
}

/// What is not as it was; empty: everything is whole.
#[must_use]
pub fn amiss(scene: &Scene, before: &Before) -> Vec<String> {
    let now = match scene.site.status() {
        Ok(now) => now,
        Err(error) => return vec![format!("status: {error}")],
    };
    let mut amiss = of_status(&before.status, &now);
    // Asking more takes its time, and would find more of the same.
    if amiss.is_empty() {
        amiss.extend(of_kernel(scene, before, &now));
    }
    amiss
}

fn of_status(before: &Status, now: &Status) -> Vec<String> {
    let mut amiss = Vec::new();
    if now.mode != Mode::Normal {
        let why = now.mode_reason.clone().unwrap_or_default();
        amiss.push(format!("the daemon is {:?}: {why}", now.mode));
    }
    amiss.extend(now.damage.iter().map(|damage| format!("damaged: {damage}")));
    for interface in &now.interfaces {
        let known = before.interfaces.iter().find(|of| of.name == interface.name);
        let was = known.is_some_and(|of| of.prog_id != 0);
        if was && interface.prog_id == 0 {
            amiss.push(format!("{} has no program", interface.name));
        }
    }
    for pool in &now.pools {
        let known = before.pools.iter().find(|of| of.name == pool.name);
        for backend in &pool.backends {
            let was = known.and_then(|pool| pool.backends.iter().find(|of| of.name == backend.name));
            if was.is_some_and(|was| was.up) && !backend.up {
                amiss.push(format!("{}/{} is down", pool.name, backend.name));
            }
        }
    }
    amiss.extend(less(before, now));
    if before.trial.is_none() && now.trial.is_some() {
        amiss.push("a generation is on trial".to_owned());
    }
    amiss
}

fn of_kernel(scene: &Scene, before: &Before, now: &Status) -> Vec<String> {
    let mut amiss = Vec::new();
    let pins = scene.pins();
    for ((map, key), value) in &before.values {
        match pins.value(map, *key) {
            // Programs of a daemon that loaded them anew have other ids.
            Ok(now) if *map == "PROGRAMS" && !now.is_empty() => {}
            Ok(now) if now == *value => {}
            Ok(_) => amiss.push(format!("{map}[{key}] is not as it was")),
            Err(error) => amiss.push(error.to_string()),
        }
    }
    // Chunks are others with another revision, and all of them where everything
    // had to be made anew.
    let same = now.revision == before.status.revision && now.pins.maps == before.status.pins.maps;
    let there = pins.all();
    let wanted = before.pins.iter().filter(|pin| !pin.starts_with("chunks/"));
    let mut wanted: Vec<String> = wanted.cloned().collect();
    match scene.chunks() {
        Ok(dump) => {
            if same && installed(&dump) != before.chunks {
                amiss.push("other chunks are installed".to_owned());
            }
            wanted.extend(dump.chunks.iter().map(|chunk| format!("chunks/{}", chunk.map_id)));
        }
        Err(error) => amiss.push(error.to_string()),
    }
    let gone: Vec<&String> = wanted.iter().filter(|pin| !there.contains(pin)).collect();
    if let Some(first) = gone.first() {
        amiss.push(format!("{} pins are gone, {first} among them", gone.len()));
    }
    match scene.site.types(Person::Root, &["bpf", "verify"]) {
        Ok(ran) if ran.exit == Some(0) => {}
        Ok(ran) => amiss.push(format!("bpf verify: {}", ran.stdout.trim())),
        Err(error) => amiss.push(error.to_string()),
    }
    amiss
}

/// Objects that are served less: gone, lighter, or out of service.
#[must_use]
pub fn less(before: &Status, now: &Status) -> Vec<String> {
    let mut less = Vec::new();
    for vip in &before.vips {
        let same = |of: &&crate::api::model::VipStatus| of.name == vip.name;
        match now.vips.iter().find(same) {
            Some(of) if of.address == vip.address && of.port == vip.port && of.protocol == vip.protocol => {
                if of.pool != vip.pool || of.state != vip.state {
                    less.push(format!("vip/{} is not as it was", vip.name));
                }
            }
            Some(_) | None => less.push(format!("vip/{}", vip.name)),
        }
    }
    for pool in &before.pools {
        let known = now.pools.iter().find(|of| of.name == pool.name);
        for backend in &pool.backends {
            let name = format!("backend/{}/{}", pool.name, backend.name);
            match known.and_then(|pool| pool.backends.iter().find(|of| of.name == backend.name)) {
                None => less.push(name),
                Some(of) if of.address != backend.address => less.push(format!("{name} has another address")),
                Some(of) if of.weight < backend.weight => less.push(format!("{name} is lighter")),
                Some(of) if backend.state == BackendState::Ready && of.state != BackendState::Ready => {
                    less.push(format!("{name} is out of service"));
                }
                Some(_) => {}
            }
        }
    }
    less
}
