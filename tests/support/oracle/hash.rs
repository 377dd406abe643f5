//! The flow hash, from its definition: words are read little-endian from the
//! bytes of the wire, arithmetic is modulo 2^64.

use std::net::Ipv4Addr;

/// What a connection is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub source: Ipv4Addr,
    pub source_port: u16,
    pub destination: Ipv4Addr,
    pub destination_port: u16,
    pub protocol: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash(u64);

impl FlowHash {
    #[must_use]
    pub fn of(flow: &Flow, key: &[u8; 32]) -> Self {
        let [k0, k1, k2, k3] = [0, 8, 16, 24].map(|at| little_endian(&key[at..at + 8]));
        let a = little_endian(&[flow.source.octets(), flow.destination.octets()].concat());
        let ports = [flow.source_port.to_be_bytes(), flow.destination_port.to_be_bytes()].concat();
        let b = little_endian(&ports) + (u64::from(flow.protocol) << 32);

        let mut h = times(a ^ k0, k1 | 1);
        h ^= h >> 32;
        h = times(h ^ b ^ k2, k3 | 1);
        h ^= h >> 32;
        h = times(h, 0x9E37_79B9_7F4A_7C15);
        Self(h ^ (h >> 29))
    }

    /// The top 16 bits.
    #[must_use]
    pub const fn slot(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Four bytes of the wire, for the host bits of the outer source.
    #[must_use]
    pub const fn entropy(self) -> [u8; 4] {
        ((self.0 >> 16) as u32).to_le_bytes()
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product % (1 << 64)) as u64
}
