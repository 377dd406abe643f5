//! Lookup tables: which member owns which of a pool's 65,536 slots.
//!
//! Two ways to build one: [`minmove`] starts from the table before and moves
//! as few slots as possible; [`maglev`] needs no history. Both meet the same
//! [`quotas`] exactly, and both are pure functions of their arguments.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use lb_common::abi::{
    member::{MAX_MEMBERS, MemberIndex},
    table::{SLOTS, TableLine},
};

use crate::digest::Digest;

pub mod away;
mod bits;
pub mod dirty;
pub mod maglev;
pub mod minmove;
pub mod packed;
mod quota;
#[cfg(test)]
mod tests;

pub use quota::quotas;

/// One owner for each slot: 1..=[`MAX_MEMBERS`], or 0 for nobody. No slot is
/// dirty. A clone is another handle of the same table, and what was counted or
/// hashed once is known.
#[derive(Clone)]
pub struct Table(Arc<Inner>);

/// The owners of all slots, by slot.
type Slots = [MemberIndex; SLOTS];

struct Inner {
    slots: Box<Slots>,
    digest: OnceLock<Digest>,
    counts: OnceLock<BTreeMap<MemberIndex, u32>>,
}

/// What a backend in service (ready, and with a next hop) may ask of the table.
///
/// In a slice of shares, members are distinct and in 1..=[`MAX_MEMBERS`], and
/// names are distinct. Weights relate to each other only; 0 gets no slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub member: MemberIndex,
    /// Of the backend. Ties are decided by it, so that the order of the shares
    /// decides nothing.
    pub name: String,
    pub weight: u32,
}

/// Bytes that are not a lookup table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATable {
    #[error("a lookup table has {} bytes, not {len}", SLOTS * 2)]
    Length { len: usize },
    #[error("slot {slot} names member {member}; the last one there can be is {MAX_MEMBERS}")]
    Member { slot: usize, member: u16 },
}

impl Table {
    /// The table before the first: every slot is nobody's.
    #[must_use]
    pub fn nobody() -> Self {
        Self::of(filled_with(0))
    }

    /// Reads a chunk: slots in the byte order of the host, as
    /// [`Self::as_bytes`] gives them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotATable> {
        if bytes.len() != SLOTS * 2 {
            return Err(NotATable::Length { len: bytes.len() });
        }
        let mut slots = filled_with(0);
        for (owner, bytes) in slots.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *owner = MemberIndex::from_ne_bytes(*bytes);
        }
        Self::from_slots(slots)
    }

    /// The content of a chunk: slots in the byte order of the host.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.slots().as_slice())
    }

    /// The content of a chunk, line by line: 2,048 of them.
    #[must_use]
    pub fn lines(&self) -> &[TableLine] {
        bytemuck::cast_slice(self.slots().as_slice())
    }

    /// The owner of each slot.
    #[must_use]
    pub fn slots(&self) -> &[MemberIndex; SLOTS] {
        &self.0.slots
    }

    /// SHA-256 over the slots as little-endian 16-bit words: the same for the
    /// same table on every host.
    #[must_use]
    pub fn digest(&self) -> Digest {
        *self.0.digest.get_or_init(|| {
            if cfg!(target_endian = "little") {
                return Digest::of(self.as_bytes());
            }
            let bytes: Vec<u8> = self.slots().iter().flat_map(|owner| owner.to_le_bytes()).collect();
            Digest::of(&bytes)
        })
    }

    /// How many slots each owner has, of those that have any; under 0 the
    /// slots of nobody.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<MemberIndex, u32> {
        self.0.counts.get_or_init(|| {
            let counts = self.counts_by_owner();
            (0..).zip(counts).filter(|&(_, count)| count > 0).collect()
        })
    }

    /// How many slots have another owner in `other`.
    #[must_use]
    pub fn moved(&self, other: &Self) -> u32 {
        if Arc::ptr_eq(&self.0, &other.0) {
            return 0;
        }
        let pairs = self.slots().iter().zip(other.slots());
        pairs.map(|(a, b)| u32::from(a != b)).sum()
    }

    /// Slots of each owner, by its index.
    fn counts_by_owner(&self) -> PerOwner {
        let mut counts = [0; MAX_MEMBERS + 1];
        for &owner in self.slots() {
            counts[usize::from(owner)] += 1;
        }
        counts
    }

    /// Slots of which nobody knows what they hold.
    fn from_slots(slots: Box<Slots>) -> Result<Self, NotATable> {
        match slots.iter().position(|owner| usize::from(*owner) > MAX_MEMBERS) {
            Some(slot) => Err(NotATable::Member {
                slot,
                member: slots[slot],
            }),
            None => Ok(Self::of(slots)),
        }
    }

    fn of(slots: Box<Slots>) -> Self {
        Self(Arc::new(Inner {
            slots,
            digest: OnceLock::new(),
            counts: OnceLock::new(),
        }))
    }
}

/// `owner` may be a mark that never leaves this module.
fn filled_with(owner: u16) -> Box<Slots> {
    let slots = vec![owner; SLOTS].into_boxed_slice();
    slots.try_into().expect("the slice was made with that length")
}

fn copy_of(table: &Table) -> Box<Slots> {
    let slots = table.slots().to_vec().into_boxed_slice();
    slots.try_into().expect("a table has that length")
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.slots() == other.slots()
    }
}

impl Eq for Table {}

impl Default for Table {
    fn default() -> Self {
        Self::nobody()
    }
}

/// 65,536 numbers help nobody who debugs: the digest does.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.digest().short())
    }
}

/// A number of slots for each owner, nobody (0) included.
type PerOwner = [u32; MAX_MEMBERS + 1];

/// The shares by name, each with its quota.
fn by_name(shares: &[Share]) -> Vec<(&Share, u32)> {
    let mut sorted: Vec<_> = shares.iter().zip(quotas(shares)).collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    sorted
}
