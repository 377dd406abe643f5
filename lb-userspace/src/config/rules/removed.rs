//! Rules about `removed`.

use std::collections::{BTreeSet, HashMap};

use super::{Judge, values::is_name};
use crate::config::{
    ObjectName,
    file::{FileConfig, Text},
    limits::MAX_REMOVED,
    place::Place,
    problem::Problem,
};

/// The objects that may be missing. Naming one twice changes nothing.
pub fn removed(judge: &mut Judge, file: &FileConfig) -> BTreeSet<ObjectName> {
    if file.removed.is_empty() {
        return BTreeSet::new();
    }
    judge.at_most("entries of `removed`", MAX_REMOVED, &file.removed, |entry| entry);
    let present = present(file);
    let mut removed = BTreeSet::new();
    for entry in &file.removed {
        let Some(object) = object(judge, entry) else { continue };
        if let Some(&other) = present.get(&object) {
            let problem = Problem::PresentAndRemoved {
                object: object.to_string(),
                present_line: other.line,
            };
            judge.collide(problem, Place::of(entry), other);
        }
        removed.insert(object);
    }
    removed
}

fn object(judge: &mut Judge, entry: &Text) -> Option<ObjectName> {
    let object = entry.value.parse().ok().filter(|object| match object {
        ObjectName::Vip(name) | ObjectName::Pool(name) => is_name(name),
        ObjectName::Backend { pool, backend } => is_name(pool) && is_name(backend),
    });
    if object.is_none() {
        judge.refuse(Problem::ObjectInvalid(entry.value.clone()), Place::of(entry));
    }
    object
}

/// Every object that is written in the file, and where.
fn present(file: &FileConfig) -> HashMap<ObjectName, Place> {
    let vips = file
        .vips
        .iter()
        .map(|vip| (ObjectName::Vip(vip.name.value.clone()), Place::of(&vip.name)));
    let pools = file
        .pools
        .iter()
        .map(|pool| (ObjectName::Pool(pool.name.value.clone()), Place::of(&pool.name)));
    let backends = file.pools.iter().flat_map(|pool| {
        pool.backends.iter().map(|backend| {
            let object = ObjectName::Backend {
                pool: pool.name.value.clone(),
                backend: backend.name.value.clone(),
            };
            (object, Place::of(&backend.name))
        })
    });
    vips.chain(pools).chain(backends).collect()
}
