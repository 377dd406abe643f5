use proptest::prelude::*;

use super::{checksum::rfc_1071, maps, packets};
use crate::{
    abi::{agent::Peers, member::Member},
    agent, encap,
    frame::Frame,
    hash::FlowHash,
    verdict::AgentVerdict,
};

/// Trusts everybody.
fn anybody() -> Peers {
    Peers {
        count: 1,
        ..Peers::default()
    }
}

/// A member behind an outer source of `prefix` bits.
fn member(source: [u8; 4], prefix: u32, destination: [u8; 4]) -> Member {
    let host_bits = u32::MAX.checked_shr(prefix).unwrap_or(0).to_be();
    let source = u32::from_ne_bytes(source) & !host_bits;
    let destination = u32::from_ne_bytes(destination);
    Member {
        source: [source, 0, 0, 0],
        destination: [destination, 0, 0, 0],
        presum: encap::presum_v4(source, destination),
        entropy_mask: host_bits,
        ..maps::member()
    }
}

#[test]
fn without_room_the_frame_is_untouched() {
    for headroom in 0..20 {
        let mut packet = packets::Packet::new(&packets::tcp(packets::VIP, b"x"), headroom, 0xa5);
        let before = packet.buffer.clone();
        assert!(!encap::ipip_v4(
            &mut packet.frame(),
            &maps::member(),
            FlowHash(1),
            0,
            41
        ));
        assert_eq!(packet.buffer, before);
    }
}

#[test]
fn a_single_source_address_is_used_as_it_is() {
    let mut packet = packets::Packet::new(&packets::tcp(packets::VIP, b"x"), 20, 0);
    let member = member([10, 255, 0, 7], 32, [10, 0, 1, 11]);
    assert!(encap::ipip_v4(&mut packet.frame(), &member, FlowHash(u64::MAX), 0, 41));
    assert_eq!(packet.buffer[26..30], [10, 255, 0, 7]);
}

proptest! {
    #[test]
    fn outer_header_is_as_specified(
        source: [u8; 4],
        prefix in 0_u32..=32,
        destination: [u8; 4],
        hash: u64,
        tos: u8,
        total_length in 20_u16..=65_515,
    ) {
        let member = member(source, prefix, destination);
        let mut packet = packets::Packet::new(&packets::tcp(packets::VIP, b"payload"), 20, 0);
        let inner = packet.buffer[20 + 14..].to_vec();
        prop_assert!(encap::ipip_v4(&mut packet.frame(), &member, FlowHash(hash), tos, total_length));

        let (outer, rest) = packet.buffer.split_at(34);
        prop_assert_eq!(rest, inner);
        prop_assert_eq!(&outer[..6], member.next_hop_mac);
        prop_assert_eq!(&outer[6..12], member.interface_mac);
        prop_assert_eq!(&outer[12..14], [0x08, 0x00]);
        let header = &outer[14..];
        prop_assert_eq!(&header[..2], [0x45, tos]);
        prop_assert_eq!(&header[2..4], (total_length + 20).to_be_bytes());
        // Id 0, don't fragment, TTL 64, protocol 4.
        prop_assert_eq!(&header[4..10], [0, 0, 0x40, 0, 64, 4]);
        prop_assert_eq!(rfc_1071(header), 0);
        prop_assert_ne!(&header[10..12], [0xff, 0xff]);
        let host_bits = u32::MAX.checked_shr(prefix).unwrap_or(0);
        let entropy = u32::from_be_bytes(((hash >> 16) as u32).to_le_bytes());
        let expected = u32::from_be_bytes(source) & !host_bits | entropy & host_bits;
        prop_assert_eq!(&header[12..16], expected.to_be_bytes());
        prop_assert_eq!(&header[16..20], destination);
    }

    #[test]
    fn agent_takes_off_what_encap_put_on(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        hash: u64,
        tos: u8,
    ) {
        let mut frame = packets::udp(packets::VIP, &payload);
        frame[15] = tos;
        let total_length = (frame.len() - 14) as u16;
        let mut packet = packets::Packet::new(&frame, 20, 0);
        prop_assert!(encap::ipip_v4(&mut packet.frame(), &maps::member(), FlowHash(hash), tos, total_length));

        packet.headroom = 0;
        packet.len += 20;
        let mut encapsulated = packet.frame();
        prop_assert_eq!(agent::accept(&mut encapsulated, &anybody()), AgentVerdict::AcceptDecapsulated);
        prop_assert_eq!(encapsulated.linear_len() as usize, frame.len());
        prop_assert_eq!(&encapsulated.bytes()[14..], &frame[14..]);
        prop_assert_eq!(&encapsulated.bytes()[..6], maps::member().next_hop_mac);
    }
}
