//! The flow hash, from its definition: words are read little-endian from the
//! bytes of the wire, arithmetic is modulo 2^64.

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

/// What a connection is told apart by. Both addresses are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    pub source: IpAddr,
    pub source_port: u16,
    pub destination: IpAddr,
    pub destination_port: u16,
    pub protocol: u8,
}

/// What of a flow chooses its slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    #[default]
    Tuple,
    Source,
}

/// How a slot is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Function {
    #[default]
    Fast,
    /// SipHash-1-3 (Aumasson and Bernstein 2012).
    SipHash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash(u64);

impl FlowHash {
    #[must_use]
    pub fn of(flow: &Flow, affinity: Affinity, function: Function, key: &[u8; 32]) -> Self {
        Self(match function {
            Function::Fast => fast(flow, affinity, key),
            Function::SipHash => siphash(flow, affinity, key),
        })
    }

    /// The top 16 bits.
    #[must_use]
    pub const fn slot(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// 32 bits that are no part of the slot.
    #[must_use]
    pub const fn entropy(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

fn fast(flow: &Flow, affinity: Affinity, key: &[u8; 32]) -> u64 {
    let [k0, k1, k2, k3] = [0, 8, 16, 24].map(|at| little_endian(&key[at..at + 8]));
    let source = octets(flow.source);
    let (destination, ports, protocol) = match affinity {
        Affinity::Tuple => (octets(flow.destination), ports(flow), flow.protocol),
        Affinity::Source => (vec![0; source.len()], vec![0; 4], 0),
    };
    let b = little_endian(&ports) + (u64::from(protocol) << 32);
    let last = if flow.source.is_ipv4() {
        let a = little_endian(&[source, destination].concat());
        let h = folded(times(a ^ k0, k1 | 1), 32);
        folded(times(h ^ b ^ k2, k3 | 1), 32)
    } else {
        let word = |bytes: &[u8], nth: usize| little_endian(&bytes[nth * 8..][..8]);
        let (d0, d1) = (word(&destination, 0), word(&destination, 1));
        let h = plus(crosswise(word(&source, 0), k0), crosswise(word(&source, 1), k1));
        let mixed = h ^ b ^ b.rotate_left(40) ^ d0 ^ d1.rotate_left(32) ^ k2;
        folded(times(mixed, k3 | 1), 32)
    };
    folded(times(last, 0x9E37_79B9_7F4A_7C15), 29)
}

/// NH of UMAC: both halves of a word, each with its half of the key, multiplied.
const fn crosswise(word: u64, key: u64) -> u64 {
    const HALF: u64 = 1 << 32;
    let low = (word % HALF + key % HALF) % HALF;
    let high = (word / HALF + key / HALF) % HALF;
    low * high
}

fn siphash(flow: &Flow, affinity: Affinity, key: &[u8; 32]) -> u64 {
    let mut message = octets(flow.source);
    if affinity == Affinity::Tuple {
        message.extend(octets(flow.destination));
        message.extend(ports(flow));
        message.push(flow.protocol);
    }
    let key = key.first_chunk().expect("a key is longer than 16 bytes");
    SipHasher13::new_with_key(key).hash(&message)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Source and destination port, as on the wire.
fn ports(flow: &Flow) -> Vec<u8> {
    [flow.source_port.to_be_bytes(), flow.destination_port.to_be_bytes()].concat()
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

const fn folded(h: u64, by: u32) -> u64 {
    h ^ (h >> by)
}

fn plus(a: u64, b: u64) -> u64 {
    let sum = u128::from(a) + u128::from(b);
    (sum % (1 << 64)) as u64
}

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product % (1 << 64)) as u64
}
