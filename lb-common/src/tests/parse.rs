use proptest::prelude::*;
use std::vec::Vec;

use super::packets::{OTHER, PORT, Packet, VIP, any_frame, echo, tagged, tcp, udp};
use crate::{
    abi::vip::VipKey,
    frame::Frame,
    parse::parse,
    verdict::Verdict,
    wire::{ETHERNET_LEN, IPV4_LEN, PROTOCOL_TCP, PROTOCOL_UDP, VLAN_TAG_LEN},
};

fn parsed(frame: &[u8]) -> Result<crate::parse::Parsed, (Verdict, u32)> {
    parse(&Packet::new(frame, 0, 0xa5).frame())
}

#[test]
fn whole_tcp_and_udp_packets_are_looked_up_by_their_vip() {
    for (frame, protocol) in [(tcp(VIP, b"hello"), PROTOCOL_TCP), (udp(VIP, b"hello"), PROTOCOL_UDP)] {
        let parsed = parsed(&frame).expect("it is looked up");
        assert_eq!(parsed.key, VipKey::v4(u32::from_ne_bytes(VIP), PORT.to_be(), protocol));
        assert_eq!(parsed.refusal, None);
        assert_eq!(parsed.flow.source_port.to_ne_bytes(), 40_000_u16.to_be_bytes());
        assert_eq!(parsed.frame_len as usize, frame.len());
        assert_eq!(usize::from(parsed.total_length), frame.len() - 14);
    }
}

#[test]
fn tagged_packet_is_looked_up_and_refused() {
    let refusal = parsed(&tagged(&tcp(VIP, b"hello"))).map(|parsed| parsed.refusal);
    assert_eq!(refusal, Ok(Some(Verdict::DropVlan)));
}

/// An ICMP message of no bytes has no type, whatever the padding says.
#[test]
fn padding_is_no_icmp_type() {
    let mut frame = echo(OTHER, b"");
    frame.truncate((ETHERNET_LEN + IPV4_LEN) as usize);
    frame[16..18].copy_from_slice(&20_u16.to_be_bytes());
    for padding in [&[][..], &[0; 26], &[8; 26]] {
        let refusal = parsed(&[&frame, padding].concat()).map(|parsed| parsed.refusal);
        assert_eq!(refusal, Ok(Some(Verdict::DropIcmp)), "padding {padding:?}");
    }
}

/// Where the IP packet ends in a frame whose lengths are sound.
fn end_of_packet(frame: &[u8]) -> Option<usize> {
    let tag = if frame.get(12..14)? == [0x81, 0x00] {
        VLAN_TAG_LEN
    } else {
        0
    };
    let l3 = (ETHERNET_LEN + tag) as usize;
    let total_length = usize::from(u16::from_be_bytes([*frame.get(l3 + 2)?, *frame.get(l3 + 3)?]));
    let header_length = usize::from(frame[l3] & 0xf) * 4;
    (frame[l3 - 2..l3] == [0x08, 0x00] && total_length >= header_length.max(20)).then_some(l3 + total_length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn nothing_past_the_end_is_read(frame in any_frame()) {
        let one = parse(&Packet::new(&frame, 0, 0x00).frame());
        let other = parse(&Packet::new(&frame, 20, 0xff).frame());
        prop_assert_eq!(one, other);
    }

    #[test]
    fn padding_decides_nothing(frame in any_frame(), padding: u8) {
        let Some(end) = end_of_packet(&frame).filter(|&end| end < frame.len()) else {
            return Ok(());
        };
        let mut other: Vec<u8> = frame.clone();
        other[end..].fill(padding);
        prop_assert_eq!(parsed(&frame), parsed(&other));
    }

    #[test]
    fn every_prefix_of_a_frame_is_parsed_or_refused_with_its_length(frame in any_frame()) {
        for len in 0..=frame.len() {
            let (Ok(frame_len) | Err(frame_len)) =
                parsed(&frame[..len]).map(|parsed| parsed.frame_len).map_err(|(_, frame_len)| frame_len);
            prop_assert_eq!(frame_len as usize, len);
        }
    }

    #[test]
    fn load_and_store_end_with_the_frame(len in 0_usize..64, offset: u32) {
        let mut packet = Packet::new(&[1; 64][..len], 3, 0);
        let before = packet.buffer.clone();
        let inside = u64::from(offset) + 4 <= len as u64;
        prop_assert_eq!(packet.frame().load::<u32>(offset).is_some(), inside);
        prop_assert_eq!(packet.frame().store(offset, &0x0202_0202_u32), inside);
        prop_assert_eq!(packet.buffer == before, !inside);
    }
}
