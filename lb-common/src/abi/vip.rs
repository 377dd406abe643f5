//! VIP chunks: a hash table with two records in a line and at most two probes.
//!
//! A key's home line is in the first VIP chunk. Where more than two keys share
//! a home line, the line names a child chunk and a seed, with which the keys
//! that found no room were hashed again. The daemon searches the seed when it
//! builds the table, so the program never walks further.
//!
//! Addresses are 16 bytes, IPv4 mapped into IPv6 (RFC 4291 §2.5.5.2).

use bytemuck::{Pod, Zeroable};

use super::chunk::{ChunkId, LINES, Line};

/// Records in a line.
pub const RECORDS_PER_LINE: usize = 2;

/// Child chunks of one VIP table: with them it holds any number of VIPs that
/// COUNTERS has room for, each on an address of its own. A table that needs
/// more is refused by the daemon.
pub const MAX_VIP_CHILDREN: usize = 127;

/// Third word of an IPv4-mapped address: the bytes `00 00 ff ff`.
pub const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

/// Byte 3 of a tuple: the record stands for the address as a whole, for
/// packets that have no ports of their own (fragments, ICMP, malformed).
pub const ADDRESS_LEVEL: u8 = 1;

/// `flags` of an address record: some VIP on this address is TCP.
pub const HAS_TCP: u16 = 1;
/// `flags` of an address record: some VIP on this address is UDP.
pub const HAS_UDP: u16 = 2;
/// `flags` of a VIP: a slot is chosen by the source address alone.
pub const SOURCE_AFFINITY: u16 = 4;
/// `flags` of a VIP: flows are hashed with SipHash-1-3.
pub const SIPHASH: u16 = 8;
/// `flags` of a VIP: an operator took it out of service.
pub const MAINT: u16 = 16;

/// A placement holds the line of member 0 in its lower bits, flags above.
const BASE_BITS: u32 = LINES.trailing_zeros();
/// `flags` of a record, at most.
pub const FLAGS_MAX: u16 = (1 << (u16::BITS - BASE_BITS)) - 1;

/// What a packet is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VipKey {
    /// Wire order.
    pub address: [u32; 4],
    /// Four bytes: port (two, wire order), protocol, level.
    pub tuple: u32,
}

impl VipKey {
    /// `address` and `port` in wire order, as loaded.
    #[must_use]
    #[inline(always)]
    pub const fn v4(address: u32, port: u16, protocol: u8) -> Self {
        Self {
            address: [0, 0, MAPPED, address],
            tuple: tuple(port, protocol, 0),
        }
    }

    /// `address` and `port` in wire order, as loaded.
    #[must_use]
    #[inline(always)]
    pub const fn v6(address: [u32; 4], port: u16, protocol: u8) -> Self {
        Self {
            address,
            tuple: tuple(port, protocol, 0),
        }
    }

    /// The address as a whole.
    #[must_use]
    #[inline(always)]
    pub const fn v6_address(address: [u32; 4]) -> Self {
        Self {
            address,
            tuple: tuple(0, 0, ADDRESS_LEVEL),
        }
    }

    /// The address as a whole.
    #[must_use]
    #[inline(always)]
    pub const fn v4_address(address: u32) -> Self {
        Self {
            address: [0, 0, MAPPED, address],
            tuple: tuple(0, 0, ADDRESS_LEVEL),
        }
    }

    /// Line of this key in the first VIP chunk.
    #[must_use]
    #[inline(always)]
    pub const fn home_line(&self) -> u32 {
        (self.hash(0) >> 53) as u32 & (LINES - 1)
    }

    /// Line of this key in a child chunk.
    #[must_use]
    #[inline(always)]
    pub const fn child_line(&self, seed: u16) -> u32 {
        (self.hash(seed as u64 + 1) >> 53) as u32 & (LINES - 1)
    }

    /// Not keyed: the keys are the operator's, not an attacker's. The constants
    /// are the golden ratio and two primes of splitmix64 (Steele et al. 2014).
    #[inline(always)]
    const fn hash(&self, seed: u64) -> u64 {
        let low = self.address[3] as u64 | (self.tuple as u64) << 32;
        let middle = self.address[1] as u64 | (self.address[2] as u64) << 32;
        let mut h = (low ^ seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        h ^= h >> 32;
        h = (h ^ middle ^ (self.address[0] as u64) << 16).wrapping_mul(0x94D0_49BB_1331_11EB);
        h ^= h >> 32;
        h.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

#[inline(always)]
const fn tuple(port: u16, protocol: u8, level: u8) -> u32 {
    let port = port.to_ne_bytes();
    u32::from_ne_bytes([port[0], port[1], protocol, level])
}

/// What a VIP, or an address, leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VipRecord {
    /// Chunk of the pool's lookup table.
    pub table: ChunkId,
    /// Chunk of the pool's members.
    pub members: ChunkId,
    /// Chunk of the pool's chains; 0: none of its slots is dirty.
    pub chains: ChunkId,
    /// Line of member 0 in the chunk of members (small pools share one).
    pub member_base: u16,
    /// `HAS_*` for an address record, `SOURCE_AFFINITY`, `SIPHASH` and
    /// `MAINT` for a VIP; at most [`FLAGS_MAX`].
    pub flags: u16,
    /// Index into COUNTERS.
    pub counter: u16,
}

/// Two records, field by field, so that nothing is padded. An all-zero tuple
/// is an empty place (protocol 0 is no VIP's).
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct VipLine {
    pub addresses: [[u32; 4]; RECORDS_PER_LINE],
    pub tuples: [u32; RECORDS_PER_LINE],
    pub tables: [ChunkId; RECORDS_PER_LINE],
    pub members: [ChunkId; RECORDS_PER_LINE],
    pub chains: [ChunkId; RECORDS_PER_LINE],
    /// Line of member 0, and flags above it.
    pub placements: [u16; RECORDS_PER_LINE],
    pub counters: [u16; RECORDS_PER_LINE],
    /// Chunk with the keys that found no room here; 0: there are none.
    pub child: ChunkId,
    pub child_seed: u16,
}

impl Line for VipLine {}

impl VipLine {
    /// The record for `key`, if it is one of the two.
    #[must_use]
    #[inline(always)]
    pub const fn find(&self, key: &VipKey) -> Option<VipRecord> {
        if self.holds(0, key) {
            return Some(self.record(0));
        }
        if self.holds(1, key) {
            return Some(self.record(1));
        }
        None
    }

    // Word by word: `==` on arrays becomes a call of `memcmp`, a subprogram.
    #[inline(always)]
    const fn holds(&self, at: usize, key: &VipKey) -> bool {
        self.tuples[at] == key.tuple
            && self.addresses[at][3] == key.address[3]
            && self.addresses[at][2] == key.address[2]
            && self.addresses[at][1] == key.address[1]
            && self.addresses[at][0] == key.address[0]
    }

    #[must_use]
    #[inline(always)]
    pub const fn record(&self, at: usize) -> VipRecord {
        VipRecord {
            table: self.tables[at],
            members: self.members[at],
            chains: self.chains[at],
            member_base: self.placements[at] & (LINES as u16 - 1),
            flags: self.placements[at] >> BASE_BITS,
            counter: self.counters[at],
        }
    }

    /// Writes a record into place `at` (0 or 1). For the daemon.
    pub const fn set(&mut self, at: usize, key: &VipKey, record: &VipRecord) {
        self.addresses[at] = key.address;
        self.tuples[at] = key.tuple;
        self.tables[at] = record.table;
        self.members[at] = record.members;
        self.chains[at] = record.chains;
        self.placements[at] = record.member_base | record.flags << BASE_BITS;
        self.counters[at] = record.counter;
    }

    /// The first empty place.
    #[must_use]
    pub fn vacancy(&self) -> Option<usize> {
        self.tuples.iter().position(|&tuple| tuple == 0)
    }
}

const _: () = assert!(size_of::<VipLine>() == 64);
const _: () = assert!(core::mem::offset_of!(VipLine, child) == 60);
const _: () = assert!((HAS_TCP | HAS_UDP | SOURCE_AFFINITY | SIPHASH) & !FLAGS_MAX == 0);
