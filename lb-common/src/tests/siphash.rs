use core::hash::Hasher as _;
use proptest::prelude::*;
use std::vec::Vec;

use siphasher::sip::SipHasher13;

use super::hash::{WireFlow, wire_flow};
use crate::{abi::hash_key::HashKey, siphash::SipHash};

/// SipHash-1-3 with key 00 01 … 0f of the message 00 01 02 … of so many bytes,
/// from the vectors that rust-siphash is tested with.
const VECTORS: [(u8, u64); 9] = [
    (0, 0xabac_0158_050f_c4dc),
    (1, 0xc9f4_9bf3_7d57_ca93),
    (4, 0xcf75_5760_88d3_8328),
    (7, 0xd392_7d98_9bb1_1140),
    (8, 0x3690_9511_8d29_9a8e),
    (13, 0x306f_760c_1229_ffa7),
    (16, 0xcc4f_dd1a_7d90_8b66),
    (37, 0xb610_1c2d_a3c3_3057),
    (63, 0x9d19_9062_b7bb_b3a8),
];

fn by_words(key: &HashKey, message: &[u8]) -> u64 {
    let (words, rest) = message.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = message.len() as u8;
    let hash = words
        .iter()
        .fold(SipHash::new(key), |hash, word| hash.word(u64::from_le_bytes(*word)));
    hash.finish(u64::from_le_bytes(last))
}

/// With the first 16 bytes of the key.
fn by_the_crate(key: &[u8; 32], message: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key.first_chunk().expect("16 of 32 bytes"));
    hasher.write(message);
    hasher.finish()
}

/// Source, destination, ports and protocol, as on the wire.
fn message<const N: usize>(wire: &WireFlow<N>) -> Vec<u8> {
    let ports = wire.ports.as_flattened();
    [&wire.source[..], &wire.destination, ports, &[wire.protocol]].concat()
}

#[test]
fn known_vectors() {
    let key = HashKey::from_bytes(&core::array::from_fn(|at| at as u8));
    for (len, expected) in VECTORS {
        let message: Vec<u8> = (0..len).collect();
        assert_eq!(by_words(&key, &message), expected, "{len} bytes");
    }
}

proptest! {
    #[test]
    fn any_message_is_hashed_as_by_the_crate(key: [u8; 32], message in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(by_words(&HashKey::from_bytes(&key), &message), by_the_crate(&key, &message));
    }

    #[test]
    fn flow_of_ipv4_is_13_bytes(wire in wire_flow::<4>(), bytes: [u8; 32]) {
        let key = HashKey::from_bytes(&bytes);
        let message = message(&wire);
        prop_assert_eq!(message.len(), 13);
        prop_assert_eq!(wire.flow().siphash(&key).0, by_the_crate(&bytes, &message));
        prop_assert_eq!(wire.flow().siphash_source(&key).0, by_the_crate(&bytes, &wire.source));
    }

    #[test]
    fn flow_of_ipv6_is_37_bytes(wire in wire_flow::<16>(), bytes: [u8; 32]) {
        let key = HashKey::from_bytes(&bytes);
        let message = message(&wire);
        prop_assert_eq!(message.len(), 37);
        prop_assert_eq!(wire.flow().siphash(&key).0, by_the_crate(&bytes, &message));
        prop_assert_eq!(wire.flow().siphash_source(&key).0, by_the_crate(&bytes, &wire.source));
    }
}
