use proptest::prelude::*;
use std::vec::Vec;

use crate::{
    abi::hash_key::HashKey,
    hash::{FlowHash, FlowV4, FlowV6},
};

/// What a flow is made of, as it stands on the wire.
#[derive(Clone, Debug)]
pub struct WireFlow<const N: usize> {
    pub source: [u8; N],
    pub destination: [u8; N],
    pub ports: [[u8; 2]; 2],
    pub protocol: u8,
}

impl WireFlow<4> {
    pub const fn flow(&self) -> FlowV4 {
        FlowV4 {
            source: u32::from_ne_bytes(self.source),
            destination: u32::from_ne_bytes(self.destination),
            source_port: u16::from_ne_bytes(self.ports[0]),
            destination_port: u16::from_ne_bytes(self.ports[1]),
            protocol: self.protocol,
        }
    }
}

impl WireFlow<16> {
    pub const fn flow(&self) -> FlowV6 {
        FlowV6 {
            source: bytemuck::must_cast(self.source),
            destination: bytemuck::must_cast(self.destination),
            source_port: u16::from_ne_bytes(self.ports[0]),
            destination_port: u16::from_ne_bytes(self.ports[1]),
            protocol: self.protocol,
        }
    }
}

impl<const N: usize> WireFlow<N> {
    /// What is left of it where affinity is by source.
    pub const fn source_only(&self) -> Self {
        Self {
            source: self.source,
            destination: [0; N],
            ports: [[0; 2]; 2],
            protocol: 0,
        }
    }

    /// `b` of the definition.
    fn b(&self) -> u128 {
        little_endian(&self.ports[0]) | little_endian(&self.ports[1]) << 16 | u128::from(self.protocol) << 32
    }
}

pub fn wire_flow<const N: usize>() -> impl Strategy<Value = WireFlow<N>>
where
    [u8; N]: Arbitrary + Clone,
{
    let parts = any::<([u8; N], [u8; N], [[u8; 2]; 2], u8)>();
    parts.prop_map(|(source, destination, ports, protocol)| WireFlow {
        source,
        destination,
        ports,
        protocol,
    })
}

fn little_endian(bytes: &[u8]) -> u128 {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |number, byte| number << 8 | u128::from(*byte))
}

// A second implementation, from the text of `hash` alone: wire bytes in,
// arithmetic modulo 2^64 by way of 128 bits.

const MODULUS: u128 = 1 << 64;

fn words(key: &[u8; 32]) -> Vec<u128> {
    key.chunks(8).map(little_endian).collect()
}

fn last(h: u128) -> u64 {
    let h = h * 0x9E37_79B9_7F4A_7C15 % MODULUS;
    (h ^ h >> 29) as u64
}

fn rotl(number: u128, bits: u32) -> u128 {
    (number << bits | number >> (64 - bits)) % MODULUS
}

fn by_definition_v4(flow: &WireFlow<4>, key: &[u8; 32]) -> u64 {
    let k = words(key);
    let a = little_endian(&flow.source) | little_endian(&flow.destination) << 32;
    let mut h = (a ^ k[0]) * (k[1] | 1) % MODULUS;
    h ^= h >> 32;
    h = (h ^ flow.b() ^ k[2]) * (k[3] | 1) % MODULUS;
    h ^= h >> 32;
    last(h)
}

fn by_definition_v6(flow: &WireFlow<16>, key: &[u8; 32]) -> u64 {
    let k = words(key);
    let [s0, s1] = [little_endian(&flow.source[..8]), little_endian(&flow.source[8..])];
    let [d0, d1] = [
        little_endian(&flow.destination[..8]),
        little_endian(&flow.destination[8..]),
    ];
    let half = 1 << 32;
    let p = |s: u128, k: u128| (s % half + k % half) % half * ((s / half + k / half) % half);
    let mut h = (p(s0, k[0]) + p(s1, k[1])) % MODULUS;
    h ^= flow.b() ^ rotl(flow.b(), 40) ^ d0 ^ rotl(d1, 32) ^ k[2];
    h = h * (k[3] | 1) % MODULUS;
    h ^= h >> 32;
    last(h)
}

#[test]
fn slot_entropy_port_and_label_are_bits_of_the_hash() {
    let hash = FlowHash(0x1234_5678_9abc_def0);
    assert_eq!(hash.slot(), 0x1234);
    // "Words are little-endian from the wire bytes".
    assert_eq!(hash.entropy().to_ne_bytes(), 0x5678_9abc_u32.to_le_bytes());
    assert_eq!(
        u16::from_be(hash.source_port()),
        0xc000 | (0x5678_9abc_u32 >> 18) as u16
    );
    assert_eq!(hash.flow_label(), 0x56789);
}

/// Affinity by source: all connections of a client meet.
#[test]
fn by_source_only_the_source_counts() {
    let key = HashKey::from_bytes(&core::array::from_fn(|at| at as u8));
    let one = WireFlow {
        source: [192, 0, 2, 1],
        destination: [203, 0, 113, 10],
        ports: [[1, 2], [1, 187]],
        protocol: 6,
    };
    let other = WireFlow {
        destination: [203, 0, 113, 11],
        ports: [[3, 4], [0, 80]],
        protocol: 17,
        source: one.source,
    };
    assert_eq!(one.flow().hash_source(&key), other.flow().hash_source(&key));
    assert_eq!(one.flow().siphash_source(&key), other.flow().siphash_source(&key));
    assert_ne!(one.flow().hash(&key), other.flow().hash(&key));
    assert_ne!(one.flow().siphash(&key), other.flow().siphash(&key));
}

proptest! {
    #[test]
    fn hash_of_ipv4_is_as_documented(wire in wire_flow::<4>(), bytes: [u8; 32]) {
        let key = HashKey::from_bytes(&bytes);
        let hash = wire.flow().hash(&key);
        let expected = by_definition_v4(&wire, &bytes);
        prop_assert_eq!(hash.0, expected);
        prop_assert_eq!(u64::from(hash.slot()), expected >> 48);
        prop_assert_eq!(u64::from(u32::from_le_bytes(hash.entropy().to_ne_bytes())), expected >> 16 & 0xffff_ffff);
        prop_assert_eq!(wire.flow().hash_source(&key).0, by_definition_v4(&wire.source_only(), &bytes));
    }

    #[test]
    fn hash_of_ipv6_is_as_documented(wire in wire_flow::<16>(), bytes: [u8; 32]) {
        let key = HashKey::from_bytes(&bytes);
        prop_assert_eq!(wire.flow().hash(&key).0, by_definition_v6(&wire, &bytes));
        prop_assert_eq!(wire.flow().hash_source(&key).0, by_definition_v6(&wire.source_only(), &bytes));
    }

    #[test]
    fn every_part_of_a_flow_counts(wire in wire_flow::<16>(), bytes: [u8; 32], bit in 0_u32..37 * 8) {
        let mut other = wire.clone();
        let (at, bit) = ((bit / 8) as usize, 1 << (bit % 8));
        match at {
            0..16 => other.source[at] ^= bit,
            16..32 => other.destination[at - 16] ^= bit,
            32..36 => other.ports[(at - 32) / 2][at % 2] ^= bit,
            _ => other.protocol ^= bit,
        }
        let key = HashKey::from_bytes(&bytes);
        prop_assert_ne!(wire.flow().hash(&key), other.flow().hash(&key));
        prop_assert_ne!(wire.flow().siphash(&key), other.flow().siphash(&key));
    }
}
