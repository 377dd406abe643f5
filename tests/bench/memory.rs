//! What a balancer takes of the kernel's memory, map by map, as the kernel
//! accounts it (`memlock` of `/proc/self/fdinfo`).

use std::{collections::BTreeMap, fs, os::fd::AsFd as _, path::Path};

use anyhow::{Context, Result};
use holdfast::kernel::{aya::MAPS, sys};
use serde::Serialize;

use crate::{
    goals::{self, Goal},
    progress::Progress,
    site::{Arm, Site, Size},
};

/// A configuration as small as they come in earnest.
const SMALL: Size = Size {
    pools: 2,
    backends_in_pool: 10,
    vips: 4,
};

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    pub parts: Vec<Part>,
    pub bytes: u64,
    pub goal: Goal,
}

/// Maps of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    pub name: String,
    pub maps: usize,
    pub bytes: u64,
}

/// Must be the first thing this process does with BPF: every map it holds is
/// counted.
pub fn measure(directory: &Path, progress: &Progress) -> Result<Memory> {
    progress.say("counting the memory of a small configuration");
    let mut site = Site::serving(&directory.join("memory"), vec![Arm::imagined(0)], SMALL)?;
    site.publisher.collect()?;
    let chunks = site.chunks()?;
    // Held, so that they are among this process's descriptors.
    let held = chunks
        .iter()
        .map(|id| sys::map_by_id(*id))
        .collect::<Result<Vec<_>, _>>()?;
    let mut names: BTreeMap<u32, String> = chunks.iter().map(|id| (*id, "chunks".to_owned())).collect();
    let maps = site.kernel().directory().join("maps");
    let mut pinned = Vec::new();
    for name in MAPS.iter().chain(&["PEERS", "AGENT_COUNTERS"]) {
        let map = sys::open_pin(&maps.join(name)).with_context(|| format!("opening the map {name}"))?;
        names.insert(sys::map_id(map.as_fd())?, (*name).to_owned());
        pinned.push(map);
    }
    let mut parts = BTreeMap::<String, Part>::new();
    for (id, bytes) in own_maps()? {
        let name = names.get(&id).map_or("private instance, blank chunk", String::as_str);
        let part = parts.entry(name.to_owned()).or_insert_with(|| Part {
            name: name.to_owned(),
            maps: 0,
            bytes: 0,
        });
        part.maps += 1;
        part.bytes += bytes;
    }
    drop((held, pinned));
    let mut parts: Vec<Part> = parts.into_values().collect();
    parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    let bytes = parts.iter().map(|part| part.bytes).sum();
    Ok(Memory {
        parts,
        bytes,
        goal: goals::of_memory(bytes),
    })
}

/// Bytes of every map this process has a descriptor of, by id.
fn own_maps() -> Result<BTreeMap<u32, u64>> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        // One that was closed meanwhile is the one of the folder itself.
        let Ok(text) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        maps.extend(map_of(&text));
    }
    Ok(maps)
}

/// Id and bytes, if the descriptor is of a map (the kernel's
/// `bpf_map_show_fdinfo`).
fn map_of(fdinfo: &str) -> Option<(u32, u64)> {
    let field = |name: &str| {
        let mut lines = fdinfo.lines().filter_map(|line| line.split_once(':'));
        Some(lines.find(|(key, _)| *key == name)?.1.trim())
    };
    Some((field("map_id")?.parse().ok()?, field("memlock")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::map_of;

    #[test]
    fn maps_are_told_from_other_descriptors() {
        let map = "pos:\t0\nflags:\t02000002\nmap_type:\t2\nmemlock:\t131408\nmap_id:\t17\nfrozen:\t1\n";
        assert_eq!(map_of(map), Some((17, 131_408)));
        let program = "pos:\t0\nprog_type:\t6\nmemlock:\t8192\nprog_id:\t17\n";
        assert_eq!(map_of(program), None);
        assert_eq!(map_of("pos:\t0\n"), None);
    }
}
