//! What differs between two contents, object by object.
//!
//! Objects are matched by name: one that is renamed is removed and added. The
//! order is the one in which plans are shown: node, interfaces, pools, backends,
//! VIPs, each by name. The environment is not a change: a plan for another one
//! is refused (`policy`).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Change, Content,
    overrides::{backend_of, vip_of},
};
use crate::config::{Backend, Config, Node, ObjectName, Pool, Vip};

/// Every difference. Empty if and only if both contents are equal, given that
/// they are of one environment. Without a base, all of the target is new.
#[must_use]
pub fn diff(base: Option<&Content>, target: &Content) -> Vec<Change> {
    let mut changes = node_changes(base.map(|base| &base.config.node), &target.config.node);
    changes.extend(access_changes(base, target));
    changes.extend(protection_changes(base, target));
    changes.extend(signers_changes(base, target));
    changes.extend(interface_changes(base, target));
    let pools = pair(
        base.map_or(&[][..], |base| &base.config.pools),
        &target.config.pools,
        |pool| &pool.name,
    );
    changes.extend(pools.iter().filter_map(pool_change));
    changes.extend(pools.iter().flat_map(backend_changes));
    changes.extend(override_changes(base, target));
    let vips = pair(
        base.map_or(&[][..], |base| &base.config.vips),
        &target.config.vips,
        |vip| &vip.name,
    );
    changes.extend(vips.iter().filter_map(vip_change));
    changes.extend(vip_override_changes(base, target));
    changes
}

/// The differences between what two configurations say of pools, backends and
/// VIPs; for those in force, what becomes of connections.
#[must_use]
pub fn of_objects(base: &Config, target: &Config) -> Vec<Change> {
    let pools = pair(&base.pools, &target.pools, |pool| &pool.name);
    let vips = pair(&base.vips, &target.vips, |vip| &vip.name);
    let mut changes: Vec<Change> = pools.iter().filter_map(pool_change).collect();
    changes.extend(pools.iter().flat_map(backend_changes));
    changes.extend(vips.iter().filter_map(vip_change));
    changes
}

/// What `base` becomes when `changes` are made: the inverse of [`diff`], which
/// shows that a diff says everything.
#[must_use]
pub fn apply_changes(base: &Content, changes: &[Change]) -> Content {
    let mut content = base.clone();
    for change in changes {
        apply_change(&mut content, change);
    }
    content
}

/// One object on both sides; never absent on both.
enum Pair<'a, T> {
    Added(&'a T),
    Kept(&'a T, &'a T),
    Removed(&'a T),
}

fn pair<'a, T>(from: &'a [T], to: &'a [T], name: impl Fn(&T) -> &str) -> Vec<Pair<'a, T>> {
    let mut sides: BTreeMap<&'a str, Pair<'a, T>> = from
        .iter()
        .map(|object| (name(object), Pair::Removed(object)))
        .collect();
    for object in to {
        let pair = match sides.remove(name(object)) {
            Some(Pair::Removed(old) | Pair::Kept(old, _)) => Pair::Kept(old, object),
            Some(Pair::Added(_)) | None => Pair::Added(object),
        };
        sides.insert(name(object), pair);
    }
    sides.into_values().collect()
}

fn node_changes(from: Option<&Node>, to: &Node) -> Vec<Change> {
    from.filter(|from| *from != to)
        .map(|from| Change::ChangeNode {
            from: from.clone(),
            to: to.clone(),
        })
        .into_iter()
        .collect()
}

/// A first generation's is no change: it is that of the file.
fn access_changes(base: Option<&Content>, target: &Content) -> Option<Change> {
    let (from, to) = (&base?.config.access, &target.config.access);
    (from != to).then(|| Change::ChangeAccess {
        from: from.clone(),
        to: to.clone(),
    })
}

fn protection_changes(base: Option<&Content>, target: &Content) -> Option<Change> {
    let (from, to) = (&base?.config.protection, &target.config.protection);
    (from != to).then(|| Change::ChangeProtection {
        from: from.clone(),
        to: to.clone(),
    })
}

fn signers_changes(base: Option<&Content>, target: &Content) -> Option<Change> {
    let (from, to) = (&base?.signers, &target.signers);
    (from != to).then(|| Change::ChangeSigners {
        from: from.clone(),
        to: to.clone(),
    })
}

/// The overrides of `detach`. Without a base every interface is attached anew.
fn interface_changes(base: Option<&Content>, target: &Content) -> Vec<Change> {
    let detached = &target.overrides.detached;
    let attach = |interface: &String| Change::Attach {
        interface: interface.clone(),
    };
    let detach = |interface: &String| Change::Detach {
        interface: interface.clone(),
    };
    let Some(base) = base else {
        let interfaces = target.config.node.interfaces.iter().map(|interface| &interface.name);
        let attached = interfaces.filter(|name| !detached.contains(*name)).map(attach);
        return attached.chain(detached.iter().map(detach)).collect();
    };
    let before = &base.overrides.detached;
    let attached = before.difference(detached).map(attach);
    attached.chain(detached.difference(before).map(detach)).collect()
}

fn pool_change(pair: &Pair<'_, Pool>) -> Option<Change> {
    match *pair {
        Pair::Added(pool) => Some(Change::AddPool { pool: pool.clone() }),
        Pair::Removed(pool) => Some(Change::RemovePool { pool: pool.clone() }),
        Pair::Kept(from, to) => (without_backends(from) != without_backends(to)).then(|| Change::ChangePool {
            from: from.clone(),
            to: to.clone(),
        }),
    }
}

/// So that a field added to pools is compared without being named here.
fn without_backends(pool: &Pool) -> Pool {
    Pool {
        backends: Vec::new(),
        ..pool.clone()
    }
}

/// Backends of pools that stay; those of new and removed pools go with them.
fn backend_changes(pair: &Pair<'_, Pool>) -> Vec<Change> {
    let Pair::Kept(from, to) = *pair else {
        return Vec::new();
    };
    let backends = self::pair(&from.backends, &to.backends, |backend: &Backend| &backend.name);
    let pool = &to.name;
    backends.iter().filter_map(|pair| backend_change(pool, pair)).collect()
}

fn backend_change(pool: &str, pair: &Pair<'_, Backend>) -> Option<Change> {
    let pool = pool.to_owned();
    match *pair {
        Pair::Added(backend) => Some(Change::AddBackend {
            pool,
            backend: backend.clone(),
        }),
        Pair::Removed(backend) => Some(Change::RemoveBackend {
            pool,
            backend: backend.clone(),
        }),
        Pair::Kept(from, to) => (from != to).then(|| Change::ChangeBackend {
            pool,
            from: from.clone(),
            to: to.clone(),
        }),
    }
}

/// What operators decided about backends by command.
fn override_changes(base: Option<&Content>, target: &Content) -> Vec<Change> {
    let objects: BTreeSet<&ObjectName> = base
        .into_iter()
        .chain([target])
        .flat_map(|content| content.overrides.backends.keys())
        .collect();
    let of = |content: &Content, object| content.overrides.backends.get(object).copied().unwrap_or_default();
    let changes = objects.into_iter().filter_map(|object| {
        let (from, to) = (
            base.map(|base| of(base, object)).unwrap_or_default(),
            of(target, object),
        );
        // One of what is not there is refused elsewhere.
        let (pool, file) = backend_of(&target.config, object)
            .or_else(|error| base.map_or(Err(error), |base| backend_of(&base.config, object)))
            .ok()?;
        (from != to).then(|| Change::Override {
            pool: pool.name.clone(),
            file: file.clone(),
            from,
            to,
        })
    });
    changes.collect()
}

/// What operators decided about VIPs by command.
fn vip_override_changes(base: Option<&Content>, target: &Content) -> Vec<Change> {
    let contents = base.into_iter().chain([target]);
    let objects: BTreeSet<&ObjectName> = contents.flat_map(|content| content.overrides.vips.keys()).collect();
    let changes = objects.into_iter().filter_map(|object| {
        let from = base.and_then(|base| base.overrides.vips.get(object).copied());
        let to = target.overrides.vips.get(object).copied();
        // One of what is not there is refused elsewhere.
        let file = vip_of(&target.config, object)
            .or_else(|error| base.map_or(Err(error), |base| vip_of(&base.config, object)))
            .ok()?;
        let file = file.clone();
        (from != to).then_some(Change::OverrideVip { file, from, to })
    });
    changes.collect()
}

fn vip_change(pair: &Pair<'_, Vip>) -> Option<Change> {
    match *pair {
        Pair::Added(vip) => Some(Change::AddVip { vip: vip.clone() }),
        Pair::Removed(vip) => Some(Change::RemoveVip { vip: vip.clone() }),
        Pair::Kept(from, to) => (from != to).then(|| Change::ChangeVip {
            from: from.clone(),
            to: to.clone(),
        }),
    }
}

fn apply_change(content: &mut Content, change: &Change) {
    let config = &mut content.config;
    match change {
        Change::AddVip { vip } | Change::ChangeVip { to: vip, .. } => put(&mut config.vips, vip, |vip| &vip.name),
        Change::RemoveVip { vip } => config.vips.retain(|other| other.name != vip.name),
        Change::AddPool { pool } => put(&mut config.pools, pool, |pool| &pool.name),
        Change::ChangePool { to, .. } => {
            if let Some(pool) = config.pools.iter_mut().find(|pool| pool.name == to.name) {
                let backends = std::mem::take(&mut pool.backends);
                *pool = Pool { backends, ..to.clone() };
            }
        }
        Change::RemovePool { pool } => config.pools.retain(|other| other.name != pool.name),
        Change::AddBackend { pool, backend } | Change::ChangeBackend { pool, to: backend, .. } => {
            if let Some(pool) = config.pools.iter_mut().find(|other| other.name == *pool) {
                put(&mut pool.backends, backend, |backend| &backend.name);
            }
        }
        Change::RemoveBackend { pool, backend } => {
            if let Some(pool) = config.pools.iter_mut().find(|other| other.name == *pool) {
                pool.backends.retain(|other| other.name != backend.name);
            }
        }
        Change::ChangeNode { to, .. } => config.node = to.clone(),
        Change::ChangeAccess { to, .. } => config.access.clone_from(to),
        Change::ChangeSigners { to, .. } => content.signers.clone_from(to),
        Change::ChangeProtection { to, .. } => config.protection.clone_from(to),
        Change::Detach { interface } => {
            content.overrides.detached.insert(interface.clone());
        }
        Change::Attach { interface } => {
            content.overrides.detached.remove(interface);
        }
        Change::OverrideVip { file, to, .. } => {
            let object = ObjectName::Vip(file.name.clone());
            match to {
                Some(state) => content.overrides.vips.insert(object, *state),
                None => content.overrides.vips.remove(&object),
            };
        }
        Change::Override { pool, file, to, .. } => {
            let object = ObjectName::Backend {
                pool: pool.clone(),
                backend: file.name.clone(),
            };
            if to.is_empty() {
                content.overrides.backends.remove(&object);
            } else {
                content.overrides.backends.insert(object, *to);
            }
        }
    }
}

/// Replaces the object of that name, or inserts it where its name sorts.
fn put<T: Clone>(objects: &mut Vec<T>, object: &T, name: impl Fn(&T) -> &str) {
    match objects.binary_search_by(|other| name(other).cmp(name(object))) {
        Ok(at) => objects[at] = object.clone(),
        Err(at) => objects.insert(at, object.clone()),
    }
}

#[cfg(test)]
mod tests;
