//! What comes out of a member's outer headers is what went in.

use std::net::IpAddr;

use bytemuck::Zeroable as _;
use lb_common::{
    abi::{
        agent::{Peers, PrefixV4, PrefixV6},
        member::{
            ENCAP_GUE_V4, ENCAP_GUE_V6, ENCAP_IPIP_V4, ENCAP_IPIP_V6, ENCAP_L2, Macs, Member, NEXT_HOP_KNOWN,
            encap_overhead,
        },
    },
    agent,
    encap::presum_v4,
    frame::BufferFrame,
    verdict::AgentVerdict,
};

use super::{Wayfarer, carry};

const FAR: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 0xaa];

fn member(encap: u8) -> Member {
    let v4 = |octets: [u8; 4]| u32::from_ne_bytes(octets);
    let (source, destination) = (v4([10, 255, 0, 0]), v4([10, 0, 1, 11]));
    let zeroed = Member {
        macs: Macs::new(FAR, NEAR),
        ifindex: 7,
        mtu: 1500,
        encap,
        flags: NEXT_HOP_KNOWN,
        overhead: encap_overhead(encap).expect("it is one"),
        ..Member::zeroed()
    };
    let outer = |octets: [u8; 16]| -> [u32; 4] { bytemuck::cast(octets) };
    if zeroed.outer_is_v4() {
        Member {
            source: [source, 0, 0, 0],
            destination: [destination, 0, 0, 0],
            presum: presum_v4(source, destination),
            entropy_mask: v4([0, 0, 255, 255]),
            ..zeroed
        }
    } else {
        Member {
            source: outer([0xfd, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            destination: outer([0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11]),
            entropy_mask: u32::MAX,
            ..zeroed
        }
    }
}

/// Trusts the sources above.
fn peers() -> Peers {
    let mut peers = Peers::default();
    let word = u32::from_ne_bytes;
    peers.v4[0] = PrefixV4 {
        network: word([10, 255, 0, 0]),
        mask: word([255, 255, 0, 0]),
    };
    peers.v4_count = 1;
    peers.v6[0] = PrefixV6 {
        network: bytemuck::cast([0xfd_u8, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        mask: [u32::MAX, u32::MAX, 0, 0],
    };
    peers.v6_count = 1;
    peers
}

/// From port 50,000, or with that id.
fn packet(is_v4: bool, protocol: u8) -> Vec<u8> {
    let payload = match protocol {
        1 | 58 => vec![8, 0, 0, 0, 0xc3, 0x50, 0, 1, b'h', b'i'],
        _ => vec![0xc3, 0x50, 0, 80, 0, 0, 0, 1, 0, 0],
    };
    let mut packet = if is_v4 {
        let length = 20 + payload.len() as u8;
        let mut header = vec![0x45, 0b10, 0, length, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        header.extend([192, 0, 2, 1, 203, 0, 113, 10]);
        header
    } else {
        let mut header = vec![0x60, 0x20, 0, 0, 0, payload.len() as u8, protocol, 64];
        header.extend([0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        header.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]);
        header
    };
    packet.extend(payload);
    packet
}

#[test]
fn wayfarer_is_known_by_source_protocol_and_port_or_id() {
    for (is_v4, protocol) in [(true, 6), (true, 17), (true, 1), (false, 6), (false, 17), (false, 58)] {
        let source: IpAddr = if is_v4 { "192.0.2.1" } else { "fd00:9::1" }
            .parse()
            .expect("it is one");
        let expected = Wayfarer {
            source,
            protocol,
            port: 50_000,
        };
        let packet = packet(is_v4, protocol);
        assert_eq!(carry::wayfarer(&packet), Some(expected));
        for length in 0..20 {
            assert_eq!(carry::wayfarer(&packet[..length]), None, "{length} bytes");
        }
    }
    assert_eq!(carry::wayfarer(&[0; 64]), None);
}

#[test]
fn agent_takes_the_same_packet_out_of_every_encapsulation() {
    for encap in [ENCAP_IPIP_V4, ENCAP_GUE_V4, ENCAP_IPIP_V6, ENCAP_GUE_V6] {
        for is_v4 in [true, false] {
            let packet = packet(is_v4, 6);
            let wayfarer = carry::wayfarer(&packet).expect("it is one");
            let mut frame = carry::frame(&packet, &wayfarer, &member(encap)).expect("it fits");
            let length = frame.len();
            assert_eq!(length, 14 + usize::from(member(encap).overhead) + packet.len());
            let mut received = BufferFrame::new(&mut frame, 0, length, 1);
            let verdict = agent::accept(&mut received, &peers());
            assert_eq!(verdict, AgentVerdict::AcceptDecapsulated, "{encap}, v4 {is_v4}");
            let bytes = received.bytes();
            assert_eq!(&bytes[14..], packet, "{encap}, v4 {is_v4}");
            assert_eq!(bytes[12..14], if is_v4 { [8, 0] } else { [0x86, 0xdd] });
        }
    }
}

#[test]
fn l2_changes_addresses_of_the_link_alone() {
    let packet = packet(true, 17);
    let wayfarer = carry::wayfarer(&packet).expect("it is one");
    let frame = carry::frame(&packet, &wayfarer, &member(ENCAP_L2)).expect("it fits");
    assert_eq!(frame, [&FAR[..], &NEAR[..], &[8, 0], &packet].concat());
}

#[test]
fn what_does_not_fit_the_path_is_not_sent() {
    let packet = packet(true, 6);
    let wayfarer = carry::wayfarer(&packet).expect("it is one");
    let with = |mtu: usize| Member {
        mtu: mtu as u16,
        ..member(ENCAP_GUE_V4)
    };
    assert!(carry::frame(&packet, &wayfarer, &with(packet.len() + 32)).is_some());
    assert!(carry::frame(&packet, &wayfarer, &with(packet.len() + 31)).is_none());
}
