use proptest::prelude::*;
use std::{vec, vec::Vec};

use crate::{
    abi::hash_key::HashKey,
    hash::{FlowHash, FlowV4},
};

/// A second implementation, from the text of `hash` alone: wire bytes in,
/// arithmetic modulo 2^64 by way of 128 bits.
fn by_definition(source: [u8; 4], destination: [u8; 4], ports: [[u8; 2]; 2], protocol: u8, key: &[u8; 32]) -> u64 {
    let little_endian = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
    };
    let modulo = |number: u128| number % (1_u128 << 64);
    let k: Vec<u128> = key.chunks(8).map(little_endian).collect();

    let a = little_endian(&source) | little_endian(&destination) << 32;
    let b = little_endian(&ports[0]) | little_endian(&ports[1]) << 16 | u128::from(protocol) << 32;
    let mut h = modulo((a ^ k[0]) * (k[1] | 1));
    h ^= h >> 32;
    h = modulo((h ^ b ^ k[2]) * (k[3] | 1));
    h ^= h >> 32;
    h = modulo(h * 0x9E37_79B9_7F4A_7C15);
    h ^= h >> 29;
    h as u64
}

fn flow(source: [u8; 4], destination: [u8; 4], ports: [[u8; 2]; 2], protocol: u8) -> FlowV4 {
    FlowV4 {
        source: u32::from_ne_bytes(source),
        destination: u32::from_ne_bytes(destination),
        source_port: u16::from_ne_bytes(ports[0]),
        destination_port: u16::from_ne_bytes(ports[1]),
        protocol,
    }
}

/// Flow `source:port → 203.0.113.10:443`, TCP.
fn https(source: u32, port: u16) -> FlowV4 {
    flow(
        source.to_be_bytes(),
        [203, 0, 113, 10],
        [port.to_be_bytes(), 443_u16.to_be_bytes()],
        6,
    )
}

/// splitmix64 (Steele et al. 2014): random enough to test with.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

fn keys() -> impl Iterator<Item = HashKey> {
    let mut state = 2012;
    (0..8).map(move |_| HashKey {
        words: core::array::from_fn(|_| random(&mut state)),
    })
}

const FLOWS: u32 = 1_000_000;

/// Fails unless a million flows fall on the 65,536 slots as random numbers
/// would: chi² per degree of freedom is 1 ± 0.0055 (one standard deviation).
fn assert_spread(what: &str, mut flow: impl FnMut(u32) -> FlowV4) {
    for (at, key) in keys().enumerate() {
        let mut counts = vec![0_u32; 65_536];
        for number in 0..FLOWS {
            counts[FlowHash::v4(&flow(number), &key).slot() as usize] += 1;
        }
        let expected = f64::from(FLOWS) / 65_536.0;
        let chi2: f64 = counts
            .iter()
            .map(|&count| (f64::from(count) - expected).powi(2) / expected)
            .sum();
        let per_degree = chi2 / 65_535.0;
        assert!((0.95..=1.05).contains(&per_degree), "{what}, key {at}: {per_degree}");
    }
}

#[test]
fn random_flows_spread_like_random_numbers() {
    let mut state = 1;
    assert_spread("random", |_| {
        let bits = random(&mut state);
        https((bits >> 32) as u32, bits as u16)
    });
}

#[test]
fn consecutive_ports_of_neighbouring_clients_spread_like_random_numbers() {
    assert_spread("ports", |number| {
        https(0x0a01_0203 + number / 50_000, (10_000 + number % 50_000) as u16)
    });
}

#[test]
fn consecutive_client_addresses_spread_like_random_numbers() {
    assert_spread("addresses", |number| https(0x0a00_0000 + number, 40_000));
}

#[test]
fn consecutive_vip_addresses_spread_like_random_numbers() {
    assert_spread("destinations", |number| FlowV4 {
        destination: (0xc612_0000 + number).to_be(),
        ..https(0x0a01_0203, 40_000)
    });
}

#[test]
fn slot_and_entropy_are_bits_of_the_hash() {
    let hash = FlowHash(0x1234_5678_9abc_def0);
    assert_eq!(hash.slot(), 0x1234);
    // "Words are little-endian from the wire bytes".
    assert_eq!(hash.entropy().to_ne_bytes(), 0x5678_9abc_u32.to_le_bytes());
}

proptest! {
    #[test]
    fn hash_is_as_documented(
        source: [u8; 4],
        destination: [u8; 4],
        ports: [[u8; 2]; 2],
        protocol: u8,
        key: [u8; 32],
    ) {
        let hash = FlowHash::v4(&flow(source, destination, ports, protocol), &HashKey::from_bytes(&key));
        let expected = by_definition(source, destination, ports, protocol, &key);
        prop_assert_eq!(hash.0, expected);
        prop_assert_eq!(u64::from(hash.slot()), expected >> 48);
        prop_assert_eq!(u64::from(u32::from_le_bytes(hash.entropy().to_ne_bytes())), expected >> 16 & 0xffff_ffff);
    }
}
