use proptest::prelude::*;
use std::{vec, vec::Vec};

use super::{
    checksum::rfc_1071,
    maps::{self, BACKEND4, BACKEND6, ENCAPS},
    packets::{self, VIP4},
};
use crate::{
    abi::member::{ENCAP_GUE_V4, ENCAP_GUE_V6, ENCAP_IPIP_V4, ENCAP_IPIP_V6, ENCAP_L2, Member, encap_overhead},
    encap::{self, Inner},
    hash::FlowHash,
};

/// A member behind an outer source of `prefix` bits.
fn member(encap: u8, source: [u8; 16], prefix: u32) -> Member {
    let base = maps::member(encap);
    if base.outer_is_v4() {
        let host_bits = u32::MAX.checked_shr(prefix).unwrap_or(0).to_be();
        let source = u32::from_ne_bytes(*source.first_chunk().expect("4 of 16 bytes")) & !host_bits;
        return Member {
            source: [source, 0, 0, 0],
            presum: encap::presum_v4(source, base.destination[0]),
            entropy_mask: host_bits,
            ..base
        };
    }
    let network = u128::from_be_bytes(source) & !u128::MAX.checked_shr(prefix).unwrap_or(0);
    Member {
        source: bytemuck::cast(network.to_be_bytes()),
        entropy_mask: last_word_host_bits(prefix).to_be(),
        ..base
    }
}

/// Host bits of an IPv6 prefix, of the last 32 bits.
fn last_word_host_bits(prefix: u32) -> u32 {
    u128::MAX.checked_shr(prefix).unwrap_or(0) as u32
}

/// What stands between Ethernet and the inner packet, by the texts alone.
fn expected_outer(encap: u8, source: [u8; 16], prefix: u32, hash: u64, inner: Inner) -> Vec<u8> {
    let entropy = (hash >> 16) as u32;
    let is_gue = matches!(encap, ENCAP_GUE_V4 | ENCAP_GUE_V6);
    let behind = if is_gue { inner.length + 12 } else { inner.length };
    let protocol = if is_gue { 17 } else { inner.protocol };
    let mut outer = match encap {
        ENCAP_IPIP_V4 | ENCAP_GUE_V4 => {
            let host_bits = u32::MAX.checked_shr(prefix).unwrap_or(0);
            let network = u32::from_be_bytes(*source.first_chunk().expect("4 of 16 bytes")) & !host_bits;
            let source = network | u32::from_be_bytes(entropy.to_le_bytes()) & host_bits;
            let mut header = vec![0x45, inner.tos];
            header.extend((behind + 20).to_be_bytes());
            // Id 0, don't fragment, TTL 64.
            header.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            header.extend(source.to_be_bytes());
            header.extend(BACKEND4);
            let sum = rfc_1071(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header
        }
        ENCAP_IPIP_V6 | ENCAP_GUE_V6 => {
            let host_bits = last_word_host_bits(prefix);
            let mut address = u128::from_be_bytes(source) & !u128::MAX.checked_shr(prefix).unwrap_or(0);
            address |= u128::from(u32::from_be_bytes(entropy.to_le_bytes()) & host_bits);
            let first = 6 << 28 | u32::from(inner.tos) << 20 | entropy >> 12;
            let mut header = first.to_be_bytes().to_vec();
            header.extend(behind.to_be_bytes());
            header.extend([protocol, 64]);
            header.extend(address.to_be_bytes());
            header.extend(BACKEND6);
            header
        }
        _ => return Vec::new(),
    };
    if is_gue {
        outer.extend((0xc000 | (entropy >> 18) as u16).to_be_bytes());
        outer.extend(6080_u16.to_be_bytes());
        outer.extend(behind.to_be_bytes());
        outer.extend([0, 0]);
        outer.extend([0, inner.protocol, 0, 0]);
    }
    outer
}

#[test]
fn overheads_are_those_of_the_headers() {
    let overheads = ENCAPS.map(encap_overhead);
    // IPv4 20, IPv6 40, UDP 8, GUE 4.
    assert_eq!(
        overheads,
        [Some(20), Some(20 + 8 + 4), Some(40), Some(40 + 8 + 4), Some(0)]
    );
    for unknown in [0, 6, 255] {
        assert_eq!(encap_overhead(unknown), None);
    }
}

const INNER: Inner = Inner {
    protocol: 4,
    tos: 0,
    length: 41,
};

#[test]
fn without_room_the_frame_is_untouched() {
    for encap in ENCAPS {
        let member = maps::member(encap);
        for headroom in 0..usize::from(member.overhead) {
            let mut packet = packets::Packet::new(&packets::tcp(VIP4, b"x"), headroom, 0xa5);
            let before = packet.buffer.clone();
            assert!(!encap::encapsulate(&mut packet.frame(), &member, FlowHash(1), INNER));
            assert_eq!(packet.buffer, before);
        }
    }
}

#[test]
fn a_single_source_address_is_used_as_it_is() {
    for (encap, at) in [(ENCAP_IPIP_V4, 26..30), (ENCAP_GUE_V4, 26..30)] {
        let mut source = [0; 16];
        source[..4].copy_from_slice(&[10, 255, 0, 7]);
        assert_eq!(first_bytes(encap, source, 32)[at], source[..4]);
    }
    for encap in [ENCAP_IPIP_V6, ENCAP_GUE_V6] {
        assert_eq!(first_bytes(encap, BACKEND6, 128)[22..38], BACKEND6);
    }
}

/// Of a frame encapsulated with all bits of the hash set.
fn first_bytes(encap: u8, source: [u8; 16], prefix: u32) -> Vec<u8> {
    let member = member(encap, source, prefix);
    let overhead = member.overhead.into();
    let mut packet = packets::Packet::new(&packets::tcp(VIP4, b"x"), overhead, 0);
    assert!(encap::encapsulate(
        &mut packet.frame(),
        &member,
        FlowHash(u64::MAX),
        INNER
    ));
    packet.buffer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn outer_headers_are_as_specified(
        encap in prop::sample::select(&ENCAPS[..]),
        source: [u8; 16],
        prefix in 0_u32..=128,
        hash: u64,
        tos: u8,
        protocol in prop_oneof![Just(4_u8), Just(41)],
        length in 20_u16..=65_483,
    ) {
        let prefix = if matches!(encap, ENCAP_IPIP_V4 | ENCAP_GUE_V4) { prefix / 4 } else { prefix };
        let member = member(encap, source, prefix);
        let inner = Inner { protocol, tos, length };
        let overhead = usize::from(member.overhead);
        let original = packets::tcp(VIP4, b"payload");
        let mut packet = packets::Packet::new(&original, overhead, 0);
        let behind = packet.buffer[overhead + 14..].to_vec();
        prop_assert!(encap::encapsulate(&mut packet.frame(), &member, FlowHash(hash), inner));

        let (outer, rest) = packet.buffer.split_at(14 + overhead);
        prop_assert_eq!(rest, behind);
        prop_assert_eq!(&outer[..6], maps::NEXT_HOP_MAC);
        prop_assert_eq!(&outer[6..12], maps::INTERFACE_MAC);
        let ethertype = match encap {
            ENCAP_IPIP_V4 | ENCAP_GUE_V4 => [0x08, 0x00],
            ENCAP_IPIP_V6 | ENCAP_GUE_V6 => [0x86, 0xdd],
            _ => [original[12], original[13]],
        };
        prop_assert_eq!(&outer[12..14], ethertype);
        prop_assert_eq!(&outer[14..], &expected_outer(encap, source, prefix, hash, inner));
        if ethertype == [0x08, 0x00] && encap != ENCAP_L2 {
            prop_assert_eq!(rfc_1071(&outer[14..34]), 0);
        }
    }
}
