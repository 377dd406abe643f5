//! What the program is told of a backend.

use super::*;
use crate::{config::MacAddr, plan::samples, revision::MemberHealth};

fn source() -> EncapSource {
    EncapSource {
        v4: "10.255.0.0/16".parse().ok(),
        v6: "fd00:ff::/64".parse().ok(),
    }
}

fn member() -> MemberState {
    MemberState {
        leaving: None,
        health: MemberHealth::default(),
        guest: None,
        index: 2,
        counter: 77,
        hop: Some(Hop {
            mac: MacAddr([2, 0, 0, 0, 0, 0x11]),
            interface: "lb0".to_owned(),
            interface_mac: MacAddr([2, 0, 0, 0, 0, 0xaa]),
            ifindex: 7,
            mtu: 1500,
        }),
    }
}

fn record_of(encap: Encap, address: &str, source: &EncapSource) -> Member {
    let mut backend = samples::backend("be1", 11, 100);
    backend.address = address.parse().unwrap();
    record(encap, &backend, &member(), source)
}

/// On the wire.
fn bytes(words: [u32; 4]) -> [u8; 16] {
    bytemuck::cast(words)
}

#[test]
fn outer_header_is_of_the_backends_family() {
    let cases = [
        (Encap::Ipip, "10.0.1.11", ENCAP_IPIP_V4, 20),
        (Encap::Gue, "10.0.1.11", ENCAP_GUE_V4, 32),
        (Encap::Ipip, "fd00:1::11", ENCAP_IPIP_V6, 40),
        (Encap::Gue, "fd00:1::11", ENCAP_GUE_V6, 52),
        (Encap::L2, "10.0.1.11", ENCAP_L2, 0),
        (Encap::L2, "fd00:1::11", ENCAP_L2, 0),
    ];
    for (encap, address, code, overhead) in cases {
        let record = record_of(encap, address, &source());
        assert_eq!(
            (record.encap, record.overhead),
            (code, overhead),
            "{encap} to {address}"
        );
        assert_eq!((record.counter, record.mtu, record.ifindex), (77, 1500, 7));
        assert_eq!(record.flags, NEXT_HOP_KNOWN);
        assert_eq!(record.macs.split(), ([2, 0, 0, 0, 0, 0x11], [2, 0, 0, 0, 0, 0xaa]));
    }
}

#[test]
fn addresses_stand_as_on_the_wire() {
    let v4 = record_of(Encap::Gue, "10.0.1.11", &source());
    assert_eq!(bytes(v4.source), [10, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes(v4.destination)[..4], [10, 0, 1, 11]);
    assert_eq!(v4.entropy_mask.to_ne_bytes(), [0, 0, 0xff, 0xff]);
    let v6 = record_of(Encap::Ipip, "fd00:1::11", &source());
    assert_eq!(bytes(v6.source)[..8], [0xfd, 0, 0, 0xff, 0, 0, 0, 0]);
    assert_eq!(bytes(v6.destination)[14..], [0, 0x11]);
    assert_eq!(v6.entropy_mask.to_ne_bytes(), [0xff; 4]);
}

#[test]
fn entropy_fills_host_bits_and_no_others() {
    let mask = |prefix: &str| {
        let source = EncapSource {
            v4: None,
            v6: prefix.parse().ok(),
        };
        record_of(Encap::Ipip, "fd00:1::11", &source).entropy_mask.to_ne_bytes()
    };
    assert_eq!(mask("fd00:ff::/32"), [0xff; 4]);
    assert_eq!(mask("fd00:ff::/96"), [0xff; 4]);
    assert_eq!(mask("fd00:ff::/108"), [0, 0x0f, 0xff, 0xff]);
    assert_eq!(mask("fd00:ff::7/128"), [0; 4]);
}

#[test]
fn presum_completes_to_the_checksum_of_the_header() {
    let record = record_of(Encap::Ipip, "10.0.1.11", &source());
    // Protocol 4 beside TTL 64, TOS 0, total length 60, no entropy.
    let protocol = u32::from(u16::from_ne_bytes([0, 4]));
    let sum = record.presum + protocol + u32::from(60_u16.to_be());
    let checksum = lb_common::checksum::finish(sum);
    let mut header = [0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 4, 0, 0, 10, 255, 0, 0, 10, 0, 1, 11];
    header[10..12].copy_from_slice(&checksum.to_ne_bytes());
    let words = header
        .chunks(2)
        .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
    let sum: u32 = words.sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
}

#[test]
fn backend_without_a_source_of_its_family_is_unreachable_but_for_l2() {
    let none = EncapSource::default();
    for address in ["10.0.1.11", "fd00:1::11"] {
        assert_eq!(record_of(Encap::Ipip, address, &none).flags, 0);
        assert_eq!(record_of(Encap::Gue, address, &none).flags, 0);
        assert_eq!(record_of(Encap::L2, address, &none).flags, NEXT_HOP_KNOWN);
    }
}

#[test]
fn members_stand_at_their_numbers() {
    let pool = samples::pool("web", vec![samples::backend("be1", 11, 100)]);
    let members = BTreeMap::from([("be1".to_owned(), member())]);
    let lines = lines(&pool, &members, &source());
    assert_eq!(lines.len(), 3);
    assert_eq!([lines[0], lines[1]], [Member::zeroed(); 2]);
    assert_eq!(lines[2].counter, 77);
}
