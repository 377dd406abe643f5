//! The flow hash: a keyed multiply for each word and a final one.
//!
//! Without the final multiply the distribution over slots is bad (chi² per
//! degree of freedom up to 4); with it, it is that of random numbers.
//!
//! Definition, for whoever writes a second implementation. `k0 … k3` are the
//! words of the key; all words are read little-endian from the wire bytes;
//! arithmetic is modulo 2^64:
//!
//! ```text
//! b = source port (16 bits) | destination port << 16 | protocol << 32
//!
//! IPv4: a = source address (32 bits) | destination address << 32
//!       h = (a ^ k0) * (k1 | 1);                h ^= h >> 32
//!       h = (h ^ b ^ k2) * (k3 | 1);            h ^= h >> 32
//!
//! IPv6: s0, s1 = bytes 0..8 and 8..16 of the source, d0, d1 of the destination
//!       p(s, k) = (low(s) + low(k)) * (high(s) + high(k)), low and high the halves
//!                 of a word, the sums modulo 2^32, the product of 64 bits
//!       h = p(s0, k0) + p(s1, k1)
//!       h = h ^ b ^ rotl(b, 40) ^ d0 ^ rotl(d1, 32) ^ k2
//!       h = h * (k3 | 1);                       h ^= h >> 32
//!
//! both: h = h * 0x9E3779B97F4A7C15;             h ^= h >> 29
//! slot = h >> 48     entropy of the outer source = (h >> 16) & 0xffffffff
//! ```
//!
//! `p` is NH of UMAC (Black et al., CRYPTO 1999): its two halves multiply each
//! other, so that sources in a grid, networks times hosts, spread as evenly as
//! random ones. A product of each half with a key of its own does not do that.
//!
//! By source alone: the destination, both ports and the protocol are zero.
//! Where a VIP asks for it, `h` is SipHash-1-3 instead ([`crate::siphash`]).

use crate::{abi::hash_key::HashKey, siphash::SipHash};

/// What a connection is told apart by, IPv4. Wire order, as loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowV4 {
    pub source: u32,
    pub destination: u32,
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: u8,
}

/// What a connection is told apart by, IPv6. Wire order, as loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowV6 {
    pub source: [u32; 4],
    pub destination: [u32; 4],
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: u8,
}

/// The hash of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash(pub u64);

impl FlowV4 {
    #[must_use]
    #[inline(always)]
    pub const fn hash(&self, key: &HashKey) -> FlowHash {
        let a = word(self.source) | word(self.destination) << 32;
        hash_v4(a, ports(self.source_port, self.destination_port, self.protocol), key)
    }

    /// Of the source address alone.
    #[must_use]
    #[inline(always)]
    pub const fn hash_source(&self, key: &HashKey) -> FlowHash {
        hash_v4(word(self.source), 0, key)
    }

    /// SipHash-1-3 over source, destination, both ports and protocol, as they
    /// stand on the wire: 13 bytes.
    #[must_use]
    #[inline(always)]
    pub const fn siphash(&self, key: &HashKey) -> FlowHash {
        let b = ports(self.source_port, self.destination_port, self.protocol);
        let hash = SipHash::new(key).word(word(self.source) | word(self.destination) << 32);
        FlowHash(hash.finish(b | 13 << 56))
    }

    /// SipHash-1-3 over the source address alone.
    #[must_use]
    #[inline(always)]
    pub const fn siphash_source(&self, key: &HashKey) -> FlowHash {
        FlowHash(SipHash::new(key).finish(word(self.source) | 4 << 56))
    }
}

impl FlowV6 {
    #[must_use]
    #[inline(always)]
    pub const fn hash(&self, key: &HashKey) -> FlowHash {
        let b = ports(self.source_port, self.destination_port, self.protocol);
        let d = double(&self.destination, 0) ^ double(&self.destination, 2).rotate_left(32);
        hash_v6(&self.source, b ^ b.rotate_left(40) ^ d, key)
    }

    /// Of the source address alone.
    #[must_use]
    #[inline(always)]
    pub const fn hash_source(&self, key: &HashKey) -> FlowHash {
        hash_v6(&self.source, 0, key)
    }

    /// As [`FlowV4::siphash`], 37 bytes.
    #[must_use]
    #[inline(always)]
    pub const fn siphash(&self, key: &HashKey) -> FlowHash {
        let b = ports(self.source_port, self.destination_port, self.protocol);
        let hash = SipHash::new(key)
            .word(double(&self.source, 0))
            .word(double(&self.source, 2))
            .word(double(&self.destination, 0))
            .word(double(&self.destination, 2));
        FlowHash(hash.finish(b | 37 << 56))
    }

    /// SipHash-1-3 over the source address alone.
    #[must_use]
    #[inline(always)]
    pub const fn siphash_source(&self, key: &HashKey) -> FlowHash {
        let hash = SipHash::new(key)
            .word(double(&self.source, 0))
            .word(double(&self.source, 2));
        FlowHash(hash.finish(16 << 56))
    }
}

impl FlowHash {
    /// Slot in the pool's lookup table, 0..65,536.
    #[must_use]
    #[inline(always)]
    pub const fn slot(self) -> u32 {
        (self.0 >> 48) as u32
    }

    /// Bits for the outer source, to be masked; wire order.
    #[must_use]
    #[inline(always)]
    pub const fn entropy(self) -> u32 {
        ((self.0 >> 16) as u32).to_le()
    }

    /// Source port of an outer UDP header, 49,152..=65,535 (RFC 6335 §6), wire
    /// order.
    #[must_use]
    #[inline(always)]
    pub const fn source_port(self) -> u16 {
        (0xc000 | (self.0 >> 34) as u16 & 0x3fff).to_be()
    }

    /// Flow label of an outer IPv6 header (RFC 6438), 20 bits.
    #[must_use]
    #[inline(always)]
    pub const fn flow_label(self) -> u32 {
        (self.0 >> 28) as u32 & 0xf_ffff
    }
}

#[inline(always)]
const fn hash_v4(a: u64, b: u64, key: &HashKey) -> FlowHash {
    let mut h = (a ^ key.words[0]).wrapping_mul(key.words[1] | 1);
    h ^= h >> 32;
    h = (h ^ b ^ key.words[2]).wrapping_mul(key.words[3] | 1);
    h ^= h >> 32;
    last(h)
}

#[inline(always)]
const fn hash_v6(source: &[u32; 4], rest: u64, key: &HashKey) -> FlowHash {
    let h = product(double(source, 0), key.words[0]).wrapping_add(product(double(source, 2), key.words[1]));
    let mut h = (h ^ rest ^ key.words[2]).wrapping_mul(key.words[3] | 1);
    h ^= h >> 32;
    last(h)
}

#[inline(always)]
const fn product(word: u64, key: u64) -> u64 {
    let low = (word as u32).wrapping_add(key as u32);
    let high = ((word >> 32) as u32).wrapping_add((key >> 32) as u32);
    (low as u64).wrapping_mul(high as u64)
}

#[inline(always)]
const fn last(h: u64) -> FlowHash {
    let h = h.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    FlowHash(h ^ h >> 29)
}

/// Source and destination port, and protocol.
#[inline(always)]
const fn ports(source: u16, destination: u16, protocol: u8) -> u64 {
    half(source) | half(destination) << 16 | (protocol as u64) << 32
}

/// Words `at` and `at + 1` of an address.
#[inline(always)]
const fn double(address: &[u32; 4], at: usize) -> u64 {
    word(address[at]) | word(address[at + 1]) << 32
}

#[inline(always)]
const fn word(wire: u32) -> u64 {
    u32::from_le(wire) as u64
}

#[inline(always)]
const fn half(wire: u16) -> u64 {
    u16::from_le(wire) as u64
}
