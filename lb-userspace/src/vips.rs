//! Builds the content of VIP chunks; `lb_common::abi::vip` says how they are
//! read.
//!
//! Two keys of a home line stay in it. The others, if there are any, go to one
//! child chunk together, under a seed that gives each a vacancy there ("hash
//! and displace"; Belazzougui et al., ESA 2009). Lines with the most keys are
//! placed first, while there is room, each in the emptiest child it fits in.
//! When one fits nowhere, the search begins again with more children. 1,000
//! VIPs on as many addresses need one child, 16,384 ten, which takes a tenth of
//! a second.
//!
//! The result is a *shape* without chunk numbers, so that the same shape can be
//! rendered twice: for the active chunks, and for the fallback's.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr};

use bytemuck::Zeroable;
use lb_common::abi::{
    chunk::{ChunkId, LINES},
    vip::{
        ADDRESS_LEVEL, HAS_TCP, HAS_UDP, MAINT, MAX_VIP_CHILDREN, RECORDS_PER_LINE, SIPHASH, SOURCE_AFFINITY, VipKey,
        VipLine, VipRecord,
    },
};

use crate::config::{Affinity, HashKind, Protocol, Vip, VipState};

#[cfg(test)]
mod tests;

const CHUNK_LINES: usize = LINES as usize;

/// The lines of one VIP chunk.
pub type VipChunk = Box<[VipLine; CHUNK_LINES]>;

/// Where each key stands, and which seeds lead there. A pure function of the
/// keys; it does not depend on their order.
#[derive(Clone, Debug)]
pub struct VipTable {
    /// In the order of the keys given to [`Self::build`].
    places: Vec<(VipKey, Place)>,
    overflows: Vec<Overflow>,
    children: usize,
}

/// Why there is no such table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VipTableError {
    #[error("keys {first} and {second} are the same")]
    Duplicate { first: usize, second: usize },
    /// Its place would look empty.
    #[error("key {at} has neither port, protocol nor level")]
    EmptyTuple { at: usize },
    #[error("{keys} keys do not fit the first VIP chunk and {MAX_VIP_CHILDREN} children")]
    Full { keys: usize },
}

/// One of the two places of a line. Chunk 0 is the first one, its children
/// follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    chunk: usize,
    line: usize,
    at: usize,
}

/// Where the keys went that found no room in their home line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Overflow {
    home_line: usize,
    /// Counted from 0.
    child: usize,
    seed: u16,
}

/// The keys of a home line; `keys` are positions in the caller's slice.
struct Group {
    home_line: usize,
    keys: Vec<usize>,
}

impl VipTable {
    /// Finds a place for each of `keys`.
    pub fn build(keys: &[VipKey]) -> Result<Self, VipTableError> {
        let (resident, overflowing) = groups(keys)?;
        let overflowing_keys: usize = overflowing.iter().map(|group| group.keys.len()).sum();
        let fewest = overflowing_keys.div_ceil(CHUNK_LINES * RECORDS_PER_LINE);
        let (children, displaced) = std::iter::successors(Some(fewest), |children| Some(children + 1 + children / 8))
            .take_while(|&children| children <= MAX_VIP_CHILDREN)
            .find_map(|children| Some((children, displace(keys, &overflowing, children)?)))
            .ok_or(VipTableError::Full { keys: keys.len() })?;

        // Each key is in one group, so sorted by key they are in the order given.
        let mut placed = displaced.places;
        for group in &resident {
            let line = group.home_line;
            let places = (0..).map(|at| Place { chunk: 0, line, at });
            placed.extend(group.keys.iter().copied().zip(places));
        }
        placed.sort_unstable_by_key(|&(key, _)| key);
        let places = placed.into_iter().map(|(_, place)| place);
        Ok(Self {
            places: keys.iter().copied().zip(places).collect(),
            overflows: displaced.overflows,
            children,
        })
    }

    /// Chunks beside the first one.
    #[must_use]
    pub const fn children(&self) -> usize {
        self.children
    }

    /// The content of the first VIP chunk and then of its children, which will
    /// be installed in `child_slots`. `records` are those of the keys given to
    /// [`Self::build`], in the same order.
    ///
    /// # Panics
    /// If there is not one record for each key, or one slot for each child.
    #[must_use]
    pub fn render(&self, records: &[VipRecord], child_slots: &[ChunkId]) -> Vec<VipChunk> {
        assert_eq!(records.len(), self.places.len(), "one record for each key");
        assert_eq!(child_slots.len(), self.children, "one chunk slot for each child");
        let mut chunks: Vec<VipChunk> = (0..=self.children).map(|_| empty_chunk()).collect();
        for ((key, place), record) in self.places.iter().zip(records) {
            chunks[place.chunk][place.line].set(place.at, key, record);
        }
        for overflow in &self.overflows {
            let home = &mut chunks[0][overflow.home_line];
            home.child = child_slots[overflow.child];
            home.child_seed = overflow.seed;
        }
        chunks
    }
}

/// The key of a VIP.
#[must_use]
pub fn vip_key(vip: &Vip) -> VipKey {
    VipKey::v6(words(vip.address), vip.port.to_be(), vip.protocol.number())
}

/// The flags of a VIP's record.
#[must_use]
pub const fn vip_flags(vip: &Vip) -> u16 {
    let affinity = match vip.affinity {
        Affinity::Tuple => 0,
        Affinity::Source => SOURCE_AFFINITY,
    };
    let hash = match vip.hash {
        HashKind::Fast => 0,
        HashKind::Siphash => SIPHASH,
    };
    let state = match vip.state {
        VipState::Ready => 0,
        VipState::Maint => MAINT,
    };
    affinity | hash | state
}

/// An address as keys hold it: 16 bytes on the wire, IPv4 mapped.
fn words(address: IpAddr) -> [u32; 4] {
    let bytes = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    bytemuck::cast(bytes.octets())
}

/// One key for each address that has a VIP, and the `HAS_*` flags of its
/// record; sorted by address.
#[must_use]
pub fn address_records(vips: &[Vip]) -> Vec<(VipKey, u16)> {
    let mut flags = BTreeMap::new();
    for vip in vips {
        *flags.entry(vip.address).or_insert(0) |= match vip.protocol {
            Protocol::Tcp => HAS_TCP,
            Protocol::Udp => HAS_UDP,
        };
    }
    let key = |address| VipKey::v6_address(words(address));
    flags
        .into_iter()
        .map(|(address, flags)| (key(address), flags))
        .collect()
}

/// The keys of each home line: those that stay, and those that must go. The
/// largest of the latter come first.
fn groups(keys: &[VipKey]) -> Result<(Vec<Group>, Vec<Group>), VipTableError> {
    let mut sorted: Vec<usize> = (0..keys.len()).collect();
    sorted.sort_by_key(|&at| rank(&keys[at]));
    if let Some(&at) = sorted.iter().find(|&&at| keys[at].tuple == 0) {
        return Err(VipTableError::EmptyTuple { at });
    }
    if let Some(&[first, second]) = sorted.array_windows().find(|[a, b]| keys[*a] == keys[*b]) {
        return Err(VipTableError::Duplicate { first, second });
    }

    let mut by_line = vec![Vec::new(); CHUNK_LINES];
    for at in sorted {
        by_line[keys[at].home_line() as usize].push(at);
    }
    let mut resident = Vec::new();
    let mut overflowing = Vec::new();
    for (home_line, mut keys) in by_line.into_iter().enumerate() {
        let rest = keys.split_off(keys.len().min(RECORDS_PER_LINE));
        resident.push(Group { home_line, keys });
        if !rest.is_empty() {
            overflowing.push(Group { home_line, keys: rest });
        }
    }
    overflowing.sort_by_key(|group| Reverse(group.keys.len()));
    Ok((resident, overflowing))
}

/// VIPs before addresses, so that those of the fast path rather stay in their
/// home line; then in an order that is the same on every host.
fn rank(key: &VipKey) -> (bool, [u32; 4], u32) {
    let [.., level] = key.tuple.to_ne_bytes();
    (
        level == ADDRESS_LEVEL,
        key.address.map(u32::from_be),
        u32::from_be(key.tuple),
    )
}

/// What a search for seeds found.
struct Displaced {
    places: Vec<(usize, Place)>,
    overflows: Vec<Overflow>,
}

/// Tries to find a child and a seed for each group; `None` if `children` are
/// not enough.
fn displace(keys: &[VipKey], groups: &[Group], children: usize) -> Option<Displaced> {
    let mut occupied = vec![[0_u8; CHUNK_LINES]; children];
    let mut taken = vec![0; children];
    let mut found = Displaced {
        places: Vec::new(),
        overflows: Vec::new(),
    };
    for group in groups {
        let mut emptiest: Vec<usize> = (0..children).collect();
        emptiest.sort_by_key(|&child| taken[child]);
        let (child, seed) = emptiest
            .into_iter()
            .find_map(|child| Some((child, seed_for(keys, group, &occupied[child])?)))?;
        taken[child] += group.keys.len();
        for &key in &group.keys {
            let line = keys[key].child_line(seed) as usize;
            let at = usize::from(occupied[child][line]);
            let chunk = child + 1;
            found.places.push((key, Place { chunk, line, at }));
            occupied[child][line] += 1;
        }
        found.overflows.push(Overflow {
            home_line: group.home_line,
            child,
            seed,
        });
    }
    Some(found)
}

/// Seeds tried for a group in one child. All 65,536 would save one child of ten
/// for 16,384 VIPs, and take ten times as long.
const SEEDS: u16 = 1_024;

/// The first seed under which every key of the group finds a vacancy.
fn seed_for(keys: &[VipKey], group: &Group, occupied: &[u8; CHUNK_LINES]) -> Option<u16> {
    let mut lines = Vec::with_capacity(group.keys.len());
    (0..SEEDS).find(|&seed| {
        lines.clear();
        group.keys.iter().all(|&key| {
            let line = keys[key].child_line(seed);
            // Keys of the group that were sent to the same line count too;
            // groups are so small that looking through them is quickest.
            let siblings = lines.iter().filter(|&&other| other == line).count();
            lines.push(line);
            usize::from(occupied[line as usize]) + siblings < RECORDS_PER_LINE
        })
    })
}

fn empty_chunk() -> VipChunk {
    let lines = vec![VipLine::zeroed(); CHUNK_LINES].into_boxed_slice();
    lines.try_into().expect("the slice was made with that length")
}
