//! Who owns which slot, read from published content.
//!
//! Bytes and offsets are those that the layout's documentation gives, written
//! down here once more:
//!
//! * ACTIVE: 64 bits; the lowest 16 are the active root's slot in CHUNKS.
//! * A chunk: 131,072 bytes.
//! * A root: `holdfast` at 0; the layout's version, 32 bits, at 8; the number
//!   of entries, 32 bits, at 12; entries from 128 on, 8 bytes each: kind (16
//!   bits: 2 a lookup table, 4 a piece of the state, 5 the chains of a pool),
//!   slot (16), ordinal (32; of tables and chains the pool's place).
//! * A lookup table: 65,536 numbers of 16 bits: a member, or with bit 15 set,
//!   a chain.
//! * Chains: 16 bytes each, from number 0 on: owner (16 bits), four earlier
//!   owners, the latest first, 0 for none (16 bits each), 16 bits of nothing,
//!   and since when (32 bits).
//! * The state, its pieces in order: groups, each from the start of a piece:
//!   its length, 64 bits little-endian, then lines of JSON. The first line is
//!   the content, the second the counters of VIPs, then there is one for each
//!   pool of `config.pools`: `members.BACKEND.index` is a member's number. That
//!   order is the one of pools' places, too.
//!
//! Numbers are in the byte order of the host, where nothing else is said.

use std::collections::BTreeMap;

use serde_json::Value;

/// The owners of all slots, by pool.
#[derive(Clone, Debug)]
pub struct Tables {
    by_pool: BTreeMap<String, Owners>,
}

#[derive(Clone, Debug)]
struct Owners {
    /// By slot.
    slots: Vec<Numbers>,
    names: BTreeMap<u16, String>,
}

/// The numbers of a slot's members; 0 is nobody.
#[derive(Clone, Debug)]
struct Numbers {
    owner: u16,
    /// Those before, the latest first; of a clean slot none.
    earlier: Vec<u16>,
}

/// What a slot says, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot<'t> {
    /// Nobody, if the pool has nobody for it.
    pub owner: Option<&'t str>,
    /// Who owned it before, the latest first: the slot is dirty if somebody
    /// did.
    pub earlier: Vec<&'t str>,
}

/// The published bytes are not what the documentation says.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("slot {0} of CHUNKS is empty")]
    Empty(u16),
    #[error("slot {0} holds no root")]
    NotARoot(u16),
    #[error("the state is no JSON with pools and members")]
    State,
    #[error("pool {0} has no table")]
    NoTable(String),
    #[error("pool {0} has a dirty slot without a chain")]
    NoChain(String),
}

const VERSION: u32 = 2;

const KIND_TABLE: u16 = 2;
const KIND_STATE: u16 = 4;
const KIND_CHAINS: u16 = 5;

/// Of a slot: the other bits are a chain's number.
const DIRTY: u16 = 0x8000;
const CHAIN_BYTES: usize = 16;
/// Owners that a chain remembers, beside the one there is.
const EARLIER: usize = 4;

impl Tables {
    /// Reads what the root in slot `root` leads to.
    pub fn read<'c>(root: u16, chunk: impl Fn(u16) -> Option<&'c [u8]>) -> Result<Self, Unreadable> {
        let read = |slot| chunk(slot).ok_or(Unreadable::Empty(slot));
        let root_bytes = read(root)?;
        if !root_bytes.starts_with(b"holdfast") || number(root_bytes, 8) != VERSION {
            return Err(Unreadable::NotARoot(root));
        }
        let mut pieces = BTreeMap::new();
        for entry in 0..number(root_bytes, 12) as usize {
            let at = 128 + entry * 8;
            let place = (half(root_bytes, at), number(root_bytes, at + 4));
            pieces.insert(place, read(half(root_bytes, at + 2))?);
        }
        let of_kind = |kind| pieces.range((kind, 0)..=(kind, u32::MAX)).map(|(_, bytes)| *bytes);
        let names = members(&of_kind(KIND_STATE).collect::<Vec<_>>().concat()).ok_or(Unreadable::State)?;
        let by_pool = (0..).zip(names).map(|(place, (pool, names))| {
            let table = pieces.get(&(KIND_TABLE, place));
            let table = table.ok_or_else(|| Unreadable::NoTable(pool.clone()))?;
            let chains = pieces.get(&(KIND_CHAINS, place)).copied();
            let slots = (0..65_536).map(|slot| numbers(half(table, slot * 2), chains));
            let slots = slots.collect::<Option<_>>();
            let slots = slots.ok_or_else(|| Unreadable::NoChain(pool.clone()))?;
            Ok((pool, Owners { slots, names }))
        });
        Ok(Self {
            by_pool: by_pool.collect::<Result<_, Unreadable>>()?,
        })
    }

    #[must_use]
    pub fn slot(&self, pool: &str, slot: u16) -> Option<Slot<'_>> {
        let owners = self.by_pool.get(pool)?;
        let name = |number: &u16| owners.names.get(number).map(String::as_str);
        let numbers = &owners.slots[usize::from(slot)];
        Some(Slot {
            owner: name(&numbers.owner),
            earlier: numbers.earlier.iter().filter_map(name).collect(),
        })
    }

    /// Name of the backend that owns a slot.
    #[must_use]
    pub fn owner(&self, pool: &str, slot: u16) -> Option<&str> {
        self.slot(pool, slot)?.owner
    }

    /// The owners of all slots of a pool, in their order.
    #[must_use]
    pub fn owners(&self, pool: &str) -> Vec<Option<&str>> {
        (0..=u16::MAX).map(|slot| self.owner(pool, slot)).collect()
    }

    /// Slots of each backend of a pool.
    #[must_use]
    pub fn shares(&self, pool: &str) -> BTreeMap<&str, u32> {
        let mut shares = BTreeMap::new();
        for owner in self.owners(pool).into_iter().flatten() {
            *shares.entry(owner).or_default() += 1;
        }
        shares
    }
}

/// What a slot says, with the chunk of chains if there is one.
fn numbers(slot: u16, chains: Option<&[u8]>) -> Option<Numbers> {
    if slot & DIRTY == 0 {
        return Some(Numbers {
            owner: slot,
            earlier: Vec::new(),
        });
    }
    let at = usize::from(slot & !DIRTY) * CHAIN_BYTES;
    let chain = chains?.get(at..at + CHAIN_BYTES)?;
    let earlier = (1..=EARLIER).map(|nth| half(chain, nth * 2));
    Some(Numbers {
        owner: half(chain, 0),
        earlier: earlier.filter(|&number| number != 0).collect(),
    })
}

/// The pools by their places, with the names of their members by number.
fn members(state: &[u8]) -> Option<Vec<(String, BTreeMap<u16, String>)>> {
    let mut lines = Vec::new();
    let mut rest = state;
    while let Some((length, bytes)) = rest.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let group = str::from_utf8(bytes.get(..length)?).ok()?;
        lines.extend(group.split('\n'));
        rest = rest.get((8 + length).next_multiple_of(131_072)..)?;
    }
    let content: Value = serde_json::from_str(lines.first()?).ok()?;
    let names = content["config"]["pools"].as_array()?;
    let pools = names.iter().zip(lines.get(2..)?).map(|(pool, line)| {
        let value: Value = serde_json::from_str(line).ok()?;
        let members = value["members"].as_object()?.iter().map(|(name, member)| {
            let index = u16::try_from(member["index"].as_u64()?).ok()?;
            Some((index, name.clone()))
        });
        Some((pool["name"].as_str()?.to_owned(), members.collect::<Option<_>>()?))
    });
    pools.collect()
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
