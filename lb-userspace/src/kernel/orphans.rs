//! Maps whose pins were removed while no daemon held them: a program that is pinned, or
//! attached by a pinned link, still has them. What is made anew in their place would be
//! empty, and be taken for what serves: no key, no slots.

use std::{collections::BTreeMap, fs, os::fd::AsFd as _, path::Path};

use aya::{
    maps::MapInfo,
    programs::{ProgramInfo, loaded_programs},
};

use super::{
    KernelError,
    aya::{AGENT_MAPS, MAPS},
    pins::{map_error, map_path, program_path},
    sys,
};
use crate::event;

/// Maps that decide where packets go: rather no daemon than an empty one of these.
const DECIDING: [&str; 3] = ["HASH_KEY", "ACTIVE", "CHUNKS"];

/// Pins them again. Root alone gets a map by its id.
///
/// # Errors
/// When a map that decides is pinned nowhere, a program has it, and the kernel does not
/// give it.
pub fn pin_again(directory: &Path) -> Result<(), KernelError> {
    let names = MAPS.iter().chain(&AGENT_MAPS);
    let lost: Vec<&str> = names
        .copied()
        .filter(|name| !map_path(directory, name).exists())
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    // A first start, one that was cut short, or everything is gone: the balancer is
    // pinned last.
    let is_attached = fs::read_dir(directory.join("links")).is_ok_and(|mut links| links.next().is_some());
    if !is_attached && !program_path(directory, "balancer").exists() {
        return Ok(());
    }
    let found = maps(&programs(directory));
    for name in lost {
        let path = map_path(directory, name);
        match found.get(name) {
            Some(map) => {
                sys::pin(map.fd().map_err(map_error)?.as_fd(), &path).map_err(KernelError::call("BPF_OBJ_PIN"))?;
                let pin = path.display().to_string();
                event!(
                    error,
                    PinLost,
                    pin,
                    "a pin was removed while no daemon ran; pinned again"
                );
            }
            None if DECIDING.contains(&name) => return Err(KernelError::Orphan { path }),
            None => {}
        }
    }
    Ok(())
}

/// Those that are pinned, and those that pinned links have.
fn programs(directory: &Path) -> Vec<ProgramInfo> {
    let entries = |part: &str| fs::read_dir(directory.join(part)).into_iter().flatten().flatten();
    let mut programs = Vec::new();
    for entry in entries("prog") {
        if let Ok(program) = ProgramInfo::from_pin(entry.path()) {
            programs.push(program);
        }
    }
    let mut ids = Vec::new();
    for entry in entries("links") {
        if let Ok(link) = sys::open_pin(&entry.path())
            && let Ok(facts) = sys::link_facts(link.as_fd())
        {
            ids.push(facts.program_id);
        }
    }
    ids.retain(|id| programs.iter().all(|program| program.id() != *id));
    if !ids.is_empty() {
        // Without CAP_SYS_ADMIN none is got by its id; others end meanwhile.
        let loaded = loaded_programs().filter_map(Result::ok);
        programs.extend(loaded.filter(|program| ids.contains(&program.id())));
    }
    programs
}

/// By name, as far as the kernel tells.
fn maps(programs: &[ProgramInfo]) -> BTreeMap<String, MapInfo> {
    let mut maps = BTreeMap::new();
    for program in programs {
        // Without CAP_SYS_ADMIN neither a program nor a map is got by its id.
        let ids = program.map_ids().ok().flatten();
        for id in ids.unwrap_or_default() {
            if let Ok(map) = MapInfo::from_id(id)
                && let Some(name) = map.name_as_str()
            {
                maps.insert(name.to_owned(), map);
            }
        }
    }
    maps
}
