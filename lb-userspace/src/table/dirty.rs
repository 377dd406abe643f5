//! The dirty slots of a pool: those that changed owner and may still have flows
//! of earlier owners. `lb_common::dirty` says what the program does in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, OnceLock},
};

use lb_common::abi::{
    chain::{CHAIN_LENGTH, CHAINS_PER_LINE, Chain, ChainIndex, ChainLine, MAX_CHAINS},
    flows::Seconds,
    member::MemberIndex,
    table::{DIRTY, SLOTS, Slot},
};

use super::{Table, copy_of, filled_with};
use crate::kernel::ChunkImage;

#[cfg(test)]
mod tests;

/// Chains by slot; a slot without one is clean. The owner of each chain is that
/// of its slot. A clone is another handle.
#[derive(Clone, Default)]
pub struct Dirty(Arc<Inner>);

#[derive(Default)]
struct Inner {
    chains: BTreeMap<u16, Chain>,
    written: OnceLock<Written>,
}

/// A table and its chains as chunks hold them.
#[derive(Clone, Debug)]
pub struct Written {
    /// Dirty slots have their mark and the number of a chain: a table in its
    /// form only.
    pub table: Table,
    /// `None`: no slot is dirty.
    pub chains: Option<ChunkImage>,
}

/// A change of owners, and who may still be sent packets after it.
pub struct Change<'a> {
    pub before: &'a Table,
    pub after: &'a Table,
    /// Members that can serve the flows they have.
    pub serving: &'a BTreeSet<MemberIndex>,
    pub now: Seconds,
}

impl Dirty {
    fn of(chains: BTreeMap<u16, Chain>) -> Self {
        Self(Arc::new(Inner {
            chains,
            written: OnceLock::new(),
        }))
    }

    /// What is dirty after a change. A slot that changed owner remembers the
    /// earlier one, if that one can still serve; of more than four, those in the
    /// middle are forgotten. More than [`MAX_CHAINS`] different chains do not
    /// fit: the rarest are cut, and their slots are clean.
    #[must_use]
    pub fn after(&self, change: &Change<'_>) -> Self {
        let mut chains = BTreeMap::new();
        let owners = change.before.slots().iter().zip(change.after.slots());
        for (slot, (&before, &after)) in (0..=u16::MAX).zip(owners) {
            let known = self.0.chains.get(&slot);
            if before == after && known.is_none() {
                continue;
            }
            if let Some(chain) = next_chain(known, before, after, change) {
                chains.insert(slot, chain);
            }
        }
        // What was written holds the owners of clean slots too.
        if chains == self.0.chains && change.before == change.after {
            return self.clone();
        }
        Self::of(cut(chains))
    }

    /// The same without these slots: they are clean again.
    #[must_use]
    pub fn without(&self, clean: &BTreeSet<u16>) -> Self {
        let mut chains = self.0.chains.clone();
        chains.retain(|slot, _| !clean.contains(slot));
        Self::of(chains)
    }

    /// The same without these members among earlier owners: the flows they have
    /// go on as those of the others do.
    #[must_use]
    pub fn forgetting(&self, members: &BTreeSet<MemberIndex>) -> Self {
        if members.is_empty() {
            return self.clone();
        }
        let chains = self.0.chains.iter();
        let chains = chains.filter_map(|(slot, chain)| Some((*slot, shortened(chain, |one| members.contains(&one))?)));
        Self::of(chains.collect())
    }

    /// The same without members among the earlier owners of single slots: other
    /// owners of these keep the flows they have. If more different chains came
    /// of it than fit, nothing is forgotten: nobody's flows are to break for it.
    #[must_use]
    pub fn forgetting_in(&self, slots: &BTreeMap<u16, Vec<MemberIndex>>) -> Self {
        if slots.is_empty() {
            return self.clone();
        }
        let chains = self.0.chains.iter().filter_map(|(slot, chain)| {
            let left = match slots.get(slot) {
                Some(members) => shortened(chain, |one| members.contains(&one))?,
                None => *chain,
            };
            Some((*slot, left))
        });
        let chains: BTreeMap<u16, Chain> = chains.collect();
        if chains.values().collect::<BTreeSet<_>>().len() > MAX_CHAINS {
            return self.clone();
        }
        Self::of(chains)
    }

    /// Chains by slot.
    #[must_use]
    pub fn chains(&self) -> &BTreeMap<u16, Chain> {
        &self.0.chains
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.chains.is_empty()
    }

    /// Dirty slots.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.chains.len()
    }

    /// Members that some chain names as earlier owners.
    #[must_use]
    pub fn earlier(&self) -> BTreeSet<MemberIndex> {
        let earlier = self.0.chains.values().flat_map(|chain| chain.earlier);
        earlier.filter(|member| *member != 0).collect()
    }

    /// As chunks hold it, with `current`, the owners of the slots.
    #[must_use]
    pub fn written(&self, current: &Table) -> &Written {
        self.0.written.get_or_init(|| write(&self.0.chains, current))
    }

    /// Reads what [`Self::written`] wrote; `None`: it is something else.
    #[must_use]
    pub fn read(table: &[u8], chains: Option<&ChunkImage>) -> Option<(Table, Self)> {
        if table.len() != SLOTS * 2 {
            return None;
        }
        let mut slots = filled_with(0);
        let mut found = BTreeMap::new();
        let mut raw = filled_with(0);
        for (slot, bytes) in table.as_chunks::<2>().0.iter().enumerate() {
            raw[slot] = u16::from_ne_bytes(*bytes);
            slots[slot] = match Slot::of(raw[slot]) {
                Slot::Clean(owner) => owner,
                Slot::Dirty(index) => {
                    let chain = chain_at(chains?, index)?;
                    found.insert(slot as u16, chain);
                    chain.owner
                }
            };
        }
        let table = Table::from_slots(slots).ok()?;
        let dirty = Self::of(found);
        let written = Written {
            table: if dirty.is_empty() {
                table.clone()
            } else {
                Table::of(raw)
            },
            chains: chains.cloned(),
        };
        dirty.0.written.get_or_init(|| written);
        Some((table, dirty))
    }
}

impl PartialEq for Dirty {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.chains == other.0.chains
    }
}

impl Eq for Dirty {}

/// Thousands of chains help nobody who debugs.
impl fmt::Debug for Dirty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dirty({} slots)", self.len())
    }
}

/// A chain without some of its earlier owners; `None`: the slot is clean.
fn shortened(chain: &Chain, forgets: impl Fn(MemberIndex) -> bool) -> Option<Chain> {
    let mut earlier = chain.earlier.to_vec();
    earlier.retain(|member| *member != 0 && !forgets(*member));
    earlier.dedup();
    if earlier.iter().all(|member| *member == chain.owner) {
        return None;
    }
    let mut padded = [0; CHAIN_LENGTH];
    padded[..earlier.len()].copy_from_slice(&earlier);
    Some(Chain {
        earlier: padded,
        ..*chain
    })
}

/// `None`: the slot is clean.
fn next_chain(known: Option<&Chain>, before: MemberIndex, after: MemberIndex, change: &Change<'_>) -> Option<Chain> {
    let moved = before != after;
    let known_earlier = known.map_or([0; CHAIN_LENGTH], |chain| chain.earlier);
    let mut earlier: Vec<MemberIndex> = moved.then_some(before).into_iter().chain(known_earlier).collect();
    earlier.retain(|member| change.serving.contains(member));
    earlier.dedup();
    if earlier.iter().all(|member| *member == after) {
        return None;
    }
    if earlier.len() > CHAIN_LENGTH {
        // The oldest stays last: flows that nobody noted are theirs.
        earlier.drain(CHAIN_LENGTH - 1..earlier.len() - 1);
    }
    let mut padded = [0; CHAIN_LENGTH];
    padded[..earlier.len()].copy_from_slice(&earlier);
    Some(Chain {
        owner: after,
        earlier: padded,
        reserved: 0,
        since: match known {
            Some(chain) if !moved => chain.since,
            Some(_) | None => change.now,
        },
    })
}

/// Keeps the chains that most slots have, as many as fit.
fn cut(mut chains: BTreeMap<u16, Chain>) -> BTreeMap<u16, Chain> {
    let mut counts: BTreeMap<Chain, usize> = BTreeMap::new();
    for chain in chains.values() {
        *counts.entry(*chain).or_default() += 1;
    }
    if counts.len() > MAX_CHAINS {
        let mut rarest: Vec<(usize, Chain)> = counts.into_iter().map(|(chain, count)| (count, chain)).collect();
        rarest.sort_unstable();
        rarest.truncate(rarest.len() - MAX_CHAINS);
        let rarest: BTreeSet<Chain> = rarest.into_iter().map(|(_, chain)| chain).collect();
        chains.retain(|_, chain| !rarest.contains(chain));
    }
    chains
}

fn write(chains: &BTreeMap<u16, Chain>, current: &Table) -> Written {
    if chains.is_empty() {
        return Written {
            table: current.clone(),
            chains: None,
        };
    }
    let different: BTreeSet<Chain> = chains.values().copied().collect();
    let numbers: BTreeMap<Chain, ChainIndex> = different.into_iter().zip(1..).collect();
    let mut image = ChunkImage::zeroed();
    for (chain, number) in &numbers {
        let at = usize::from(*number);
        image.line_mut::<ChainLine>(at / CHAINS_PER_LINE).chains[at % CHAINS_PER_LINE] = *chain;
    }
    let mut slots = copy_of(current);
    for (slot, chain) in chains {
        slots[usize::from(*slot)] = DIRTY | numbers[chain];
    }
    Written {
        table: Table::of(slots),
        chains: Some(image),
    }
}

fn chain_at(image: &ChunkImage, index: ChainIndex) -> Option<Chain> {
    let at = usize::from(index);
    let chain = (1..=MAX_CHAINS)
        .contains(&at)
        .then(|| image.line::<ChainLine>(at / CHAINS_PER_LINE).chains[at % CHAINS_PER_LINE])?;
    let earlier = chain.earlier.iter().any(|member| *member != 0);
    (chain.owner != 0 && earlier).then_some(chain)
}
