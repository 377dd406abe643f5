//! Slots, counted in the tables themselves: exact, and without a packet.

use std::collections::BTreeSet;

use lb_common::abi::{member::MemberIndex, table::SLOTS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Sides;
use crate::revision::{PoolTables, Revision};

/// What becomes of a pool that both sides have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolPreview {
    pub pool: String,
    /// Of 65,536.
    pub slots_moved: u32,
    /// Of them, those whose established flows stay where they are.
    pub slots_kept: u32,
    /// Backends that own slots now.
    pub backends: u32,
    /// Of them, those that own none after it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub loses: BTreeSet<String>,
    /// Backends that own slots after it, and none now.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gains: BTreeSet<String>,
}

/// Of all pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub slots: u64,
    pub moved: u64,
    pub kept: u64,
    pub pools: Vec<PoolPreview>,
}

pub fn compare(sides: Sides<'_>) -> Counted {
    let mut counted = Counted::default();
    let Some(served) = sides.served else {
        return counted;
    };
    for pool in &sides.candidate.revision.config().pools {
        let before = served.revision.pool(&pool.name);
        let after = sides.candidate.revision.pool(&pool.name);
        let (Some((_, before)), Some((_, after))) = (before, after) else {
            continue;
        };
        counted.slots += SLOTS as u64;
        let moved = before.current.moved(&after.current);
        if moved == 0 {
            continue;
        }
        let kept = kept(before, after);
        counted.moved += u64::from(moved);
        counted.kept += u64::from(kept);
        let had = owners(served.revision, &pool.name, before);
        let has = owners(sides.candidate.revision, &pool.name, after);
        counted.pools.push(PoolPreview {
            pool: pool.name.clone(),
            slots_moved: moved,
            slots_kept: kept,
            backends: had.len() as u32,
            loses: had.difference(&has).cloned().collect(),
            gains: has.difference(&had).cloned().collect(),
        });
    }
    counted
}

/// Slots that move, and whose owner from before is in the chain.
fn kept(before: &PoolTables, after: &PoolTables) -> u32 {
    let chains = after.dirty.chains();
    let pairs = before.current.slots().iter().zip(after.current.slots());
    let moved = pairs.enumerate().filter(|(_, (was, is))| was != is);
    let kept = moved.filter(|(slot, (was, _))| {
        let chain = chains.get(&(*slot as u16));
        chain.is_some_and(|chain| chain.earlier.contains(was))
    });
    kept.count() as u32
}

/// Backends that own slots, by name.
fn owners(revision: &Revision, pool: &str, tables: &PoolTables) -> BTreeSet<String> {
    let owners: BTreeSet<MemberIndex> = tables.current.slots().iter().copied().collect();
    let names = owners.into_iter().filter_map(|owner| revision.member_name(pool, owner));
    names.map(str::to_owned).collect()
}
