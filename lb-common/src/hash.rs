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
//! a = source address (32 bits) | destination address << 32
//! b = source port (16 bits) | destination port << 16 | protocol << 32
//! h = (a ^ k0) * (k1 | 1);            h ^= h >> 32
//! h = (h ^ b ^ k2) * (k3 | 1);        h ^= h >> 32
//! h = h * 0x9E3779B97F4A7C15;         h ^= h >> 29
//! slot = h >> 48     entropy of the outer source = (h >> 16) & 0xffffffff
//! ```

use crate::abi::hash_key::HashKey;

/// What a connection is told apart by. Wire order, as loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowV4 {
    pub source: u32,
    pub destination: u32,
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: u8,
}

/// The hash of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash(pub u64);

impl FlowHash {
    #[must_use]
    #[inline(always)]
    pub const fn v4(flow: &FlowV4, key: &HashKey) -> Self {
        let a = word(flow.source) | word(flow.destination) << 32;
        let b = half(flow.source_port) | half(flow.destination_port) << 16 | (flow.protocol as u64) << 32;
        let mut h = (a ^ key.words[0]).wrapping_mul(key.words[1] | 1);
        h ^= h >> 32;
        h = (h ^ b ^ key.words[2]).wrapping_mul(key.words[3] | 1);
        h ^= h >> 32;
        h = h.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self(h ^ h >> 29)
    }

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
}

#[inline(always)]
const fn word(wire: u32) -> u64 {
    u32::from_le(wire) as u64
}

#[inline(always)]
const fn half(wire: u16) -> u64 {
    u16::from_le(wire) as u64
}
