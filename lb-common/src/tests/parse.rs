use core::net::IpAddr;
use proptest::prelude::*;
use std::vec::Vec;

use super::{
    maps::{self, Maps},
    packets::{
        ACK, BOTH, CLIENT_PORT, OTHER4, PORT, Packet, SYN, VIP4, VIP6, any_frame, echo, error, header_len, icmp,
        octets4, octets16, reply, segment, tagged, tcp, udp,
    },
};
use crate::{
    abi::{member::ENCAP_L2, vip::VipKey},
    frame::Frame,
    hash::{FlowV4, FlowV6},
    parse::{
        Opening,
        odd::{News, Odd, parse},
        plain::{self, Plain},
    },
    path::balance,
    verdict::Verdict,
};

fn maps() -> Maps {
    Maps::of(&maps::member(ENCAP_L2))
}

/// What the three parsers make of a frame; the plain ones are asked only where
/// the EtherType is theirs.
#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    v4: Option<Plain<FlowV4>>,
    v6: Option<Plain<FlowV6>>,
    odd: Odd,
}

fn parsed_in(packet: &mut Packet, maps: &Maps) -> Parsed {
    let frame = packet.frame();
    let len = frame.linear_len();
    let fits = |stated| stated <= len;
    let group = frame.load::<u8>(0).is_some_and(|first| first & 1 != 0);
    let ethertype = frame.load::<[u8; 2]>(12);
    Parsed {
        v4: plain::v4(&frame, group, fits)
            .filter(|_| ethertype == Some([0x08, 0x00]))
            .map(settled),
        v6: plain::v6(&frame, group, fits)
            .filter(|_| ethertype == Some([0x86, 0xdd]))
            .map(settled),
        odd: parse(&frame, maps),
    }
}

/// Nobody asks what a refused packet says of its flow.
fn settled<T>(plain: Plain<T>) -> Plain<T> {
    let opening = plain.refusal.map_or(plain.opening, |_| Opening::Datagram);
    Plain { opening, ..plain }
}

fn parsed(frame: &[u8]) -> Parsed {
    parsed_in(&mut Packet::new(frame, 0, 0xa5), &maps())
}

fn address_key(address: IpAddr) -> VipKey {
    match address {
        IpAddr::V4(_) => VipKey::v4_address(u32::from_ne_bytes(octets4(address))),
        IpAddr::V6(_) => VipKey::v6_address(bytemuck::cast(octets16(address))),
    }
}

/// The key and the fate of a packet that is refused if it is for a VIP.
fn refusal(frame: &[u8]) -> Option<(VipKey, Verdict)> {
    match parsed(frame).odd.news {
        News::Refuse(claim, verdict) => Some((claim.key, verdict)),
        News::Settled(_) | News::Plain | News::EchoV4(_) | News::EchoV6(_) | News::QuoteV4(_) | News::QuoteV6(_) => {
            None
        }
    }
}

#[test]
fn whole_packets_are_plain_and_their_flow_is_known() {
    for frame in [tcp(VIP4, b"hello"), udp(VIP4, b"hello")] {
        let parsed = parsed(&frame);
        let plain = parsed.v4.expect("it is plain");
        assert_eq!(parsed.odd.news, News::Plain);
        assert_eq!(plain.refusal, None);
        assert_eq!(plain.flow.destination.to_ne_bytes(), octets4(VIP4));
        assert_eq!(plain.flow.destination_port.to_ne_bytes(), PORT.to_be_bytes());
        assert_eq!(plain.flow.source_port.to_ne_bytes(), CLIENT_PORT.to_be_bytes());
        assert_eq!(plain.flow.protocol, frame[23]);
        assert_eq!(usize::from(plain.length), frame.len() - 14);
    }
    for frame in [tcp(VIP6, b"hello"), udp(VIP6, b"hello")] {
        let parsed = parsed(&frame);
        let plain = parsed.v6.expect("it is plain");
        assert_eq!(parsed.odd.news, News::Plain);
        assert_eq!(plain.refusal, None);
        assert_eq!(plain.flow.destination, bytemuck::cast::<_, [u32; 4]>(octets16(VIP6)));
        assert_eq!(plain.flow.destination_port.to_ne_bytes(), PORT.to_be_bytes());
        assert_eq!(plain.flow.source_port.to_ne_bytes(), CLIENT_PORT.to_be_bytes());
        assert_eq!(plain.flow.protocol, frame[20]);
        assert_eq!(usize::from(plain.length), frame.len() - 14);
    }
}

#[test]
fn traffic_class_is_read_across_two_bytes() {
    let mut frame = tcp(VIP6, b"hello");
    frame[14..16].copy_from_slice(&[0x6a, 0xb7]);
    assert_eq!(parsed(&frame).v6.map(|plain| plain.tos), Some(0xab));
}

/// RFC 9293 §3.1: of the eight flags only these four say that a segment does
/// not begin a connection.
#[test]
fn syn_alone_begins_a_connection() {
    for vip in BOTH {
        for flags in 0..=255 {
            let frame = segment(vip, CLIENT_PORT, flags);
            let begins = flags & 0b0001_0111 == SYN;
            let expected = if begins { Opening::Syn } else { Opening::Segment };
            let parsed = parsed(&frame);
            let opening = parsed
                .v4
                .map(|plain| plain.opening)
                .or(parsed.v6.map(|plain| plain.opening));
            assert_eq!(opening, Some(expected), "{vip} {flags:#b}");
        }
        let parsed = parsed(&udp(vip, b"x"));
        let opening = parsed
            .v4
            .map(|plain| plain.opening)
            .or(parsed.v6.map(|plain| plain.opening));
        assert_eq!(opening, Some(Opening::Datagram));
    }
    assert_eq!(SYN | ACK, 0x12);
}

#[test]
fn tagged_packet_is_looked_up_and_refused() {
    let v4 = VipKey::v4(u32::from_ne_bytes(octets4(VIP4)), PORT.to_be(), 6);
    let v6 = VipKey::v6(bytemuck::cast(octets16(VIP6)), PORT.to_be(), 6);
    for (vip, key) in [(VIP4, v4), (VIP6, v6)] {
        assert_eq!(refusal(&tagged(&tcp(vip, b"hello"))), Some((key, Verdict::DropVlan)));
        let by_address = Some((address_key(vip), Verdict::DropVlan));
        assert_eq!(refusal(&tagged(&echo(vip, b"hello"))), by_address);
    }
}

/// RFC 8200 §4: not walked yet, so asked for the address only.
#[test]
fn extension_headers_are_refused_by_address() {
    let rows = [
        (0, Some(Verdict::DropExtension)),
        (43, Some(Verdict::DropExtension)),
        (60, Some(Verdict::DropExtension)),
        (44, Some(Verdict::DropFragment)),
        // No next header, ESP, authentication, SCTP, GRE: the host's.
        (59, None),
        (50, None),
        (51, None),
        (132, None),
        (47, None),
    ];
    for (next_header, expected) in rows {
        let mut frame = tcp(VIP6, b"hello");
        frame[20] = next_header;
        let expected = expected.map(|verdict| (address_key(VIP6), verdict));
        assert_eq!(refusal(&frame), expected, "{next_header}");
        if expected.is_none() {
            assert_eq!(parsed(&frame).odd.news, News::Settled(Verdict::PassNotVip));
        }
    }
}

#[test]
fn lengths_of_ipv6_are_refused_by_what_is_there() {
    let with_payload = |payload: usize, keep: usize| {
        let mut frame = udp(VIP6, b"0123456789");
        frame[18..20].copy_from_slice(&(payload as u16).to_be_bytes());
        frame.truncate(54 + keep);
        frame
    };
    let by_port = VipKey::v6(bytemuck::cast(octets16(VIP6)), PORT.to_be(), 17);
    let rows = [
        (with_payload(18, 17), address_key(VIP6), Verdict::DropTotalLength),
        (with_payload(0, 18), address_key(VIP6), Verdict::DropShortL4),
        (with_payload(3, 18), address_key(VIP6), Verdict::DropShortL4),
        (with_payload(4, 4), by_port, Verdict::DropShortL4),
        (with_payload(7, 18), by_port, Verdict::DropShortL4),
    ];
    for (frame, key, verdict) in rows {
        assert_eq!(refusal(&frame), Some((key, verdict)), "{frame:x?}");
    }
    let short = tcp(VIP6, b"")[..53].to_vec();
    assert_eq!(parsed(&short).odd.news, News::Settled(Verdict::DropShortL3));
    let mut version = tcp(VIP6, b"");
    version[14] = 0x40;
    assert_eq!(parsed(&version).odd.news, News::Settled(Verdict::DropBadVersion));
}

/// Longer than what could be encapsulated; a packet cannot state more.
#[test]
fn ipv6_packet_of_more_than_65535_bytes_is_too_big() {
    let longest = |payload: u16| {
        let mut frame = udp(VIP6, &std::vec![0; usize::from(payload) - 8][..]);
        frame[18..20].copy_from_slice(&payload.to_be_bytes());
        frame
    };
    let plain = parsed(&longest(65_495)).v6;
    assert_eq!(plain.map(|plain| plain.length), Some(65_535));
    let key = VipKey::v6(bytemuck::cast(octets16(VIP6)), PORT.to_be(), 17);
    assert_eq!(refusal(&longest(65_496)), Some((key, Verdict::DropTooBig)));
}

/// RFC 4291 §2.5.2, §2.5.3, §2.5.5.2, §2.7.
#[test]
fn sources_that_no_host_may_use_are_refused() {
    let v6 = |text: &str| text.parse::<core::net::Ipv6Addr>().expect("an address").octets();
    for source in ["::", "::1", "ff02::1", "ffff::1", "::ffff:192.0.2.1", "::ffff:0:0"] {
        let mut frame = tcp(VIP6, b"");
        frame[22..38].copy_from_slice(&v6(source));
        let refusal = parsed(&frame).v6.and_then(|plain| plain.refusal);
        assert_eq!(refusal, Some(Verdict::DropMartian), "{source}");
    }
    for source in [
        "::2",
        "1::",
        "fe80::1",
        "fd00::1",
        "::fffe:1.2.3.4",
        "::1:ffff:0:0",
        "::1:0:0",
        "::1:0:0:0:0",
    ] {
        let mut frame = tcp(VIP6, b"");
        frame[22..38].copy_from_slice(&v6(source));
        let refusal = parsed(&frame).v6.and_then(|plain| plain.refusal);
        assert_eq!(refusal, None, "{source}");
    }
    for (first, martian) in [
        (0, true),
        (127, true),
        (224, true),
        (240, true),
        (255, true),
        (1, false),
        (223, false),
    ] {
        let mut frame = tcp(VIP4, b"");
        frame[26] = first;
        let refusal = parsed(&frame).v4.and_then(|plain| plain.refusal);
        assert_eq!(refusal == Some(Verdict::DropMartian), martian, "{first}");
    }
}

/// An ICMP message of no bytes has no type, whatever the padding says.
#[test]
fn padding_is_no_icmp_type() {
    for vip in BOTH {
        let header = header_len(vip);
        let mut frame = echo(vip, b"");
        frame.truncate(14 + header);
        let (at, length) = if header == 20 { (16, 20_u16) } else { (18, 0) };
        frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
        for padding in [&[][..], &[0; 26], &[8; 26], &[128; 26]] {
            let expected = Some((address_key(vip), Verdict::DropIcmp));
            assert_eq!(refusal(&[&frame, padding].concat()), expected, "padding {padding:?}");
        }
    }
}

#[test]
fn icmp_types_that_are_nobodys_business_pass() {
    for kind in 0..=255 {
        let frame = icmp(VIP4, kind, 0, 0, b"12345678");
        let passes = parsed(&frame).odd.news == News::Settled(Verdict::PassNotVip);
        assert_eq!(passes, ![3, 4, 5, 8, 11, 12].contains(&kind), "ICMP {kind}");
        let frame = icmp(VIP6, kind, 0, 0, b"12345678");
        let passes = parsed(&frame).odd.news == News::Settled(Verdict::PassNotVip);
        assert_eq!(passes, ![1, 2, 3, 4, 128, 137].contains(&kind), "ICMPv6 {kind}");
    }
    let frame = icmp(OTHER4, 13, 0, 0, b"");
    assert_eq!(parsed(&frame).odd.news, News::Settled(Verdict::PassNotVip));
}

/// IPv4 VIPs are kept mapped into IPv6 (RFC 4291 §2.5.5.2), which is no address
/// of a host on the wire.
#[test]
fn ipv6_packet_to_the_mapped_address_of_an_ipv4_vip_is_nobodys() {
    let mapped = octets4(VIP4);
    let mapped = IpAddr::V6(core::net::Ipv4Addr::from(mapped).to_ipv6_mapped());
    let frames = [
        tcp(mapped, b"hello"),
        udp(mapped, b"hello"),
        echo(mapped, b"hello"),
        tagged(&tcp(mapped, b"hello")),
        error(mapped, 1, 0, &reply(mapped, CLIENT_PORT)),
    ];
    for frame in frames {
        let outcome = balance(&mut Packet::new(&frame, 64, 0xa5).frame(), &maps());
        assert_eq!(outcome.verdict, Verdict::PassNotVip);
    }
}

/// Where the IP packet ends in a frame whose lengths are sound.
pub fn end_of_packet(frame: &[u8]) -> Option<usize> {
    let tag = if frame.get(12..14)? == [0x81, 0x00] { 4 } else { 0 };
    let l3 = 14 + tag;
    let word = |at: usize| Some(usize::from(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?])));
    match word(l3 - 2)? {
        0x0800 => {
            let header = usize::from(*frame.get(l3)? & 0xf) * 4;
            word(l3 + 2)
                .filter(|&length| length >= header.max(20))
                .map(|length| l3 + length)
        }
        0x86dd => word(l3 + 4).map(|length| l3 + 40 + length),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn nothing_past_the_end_is_read(frame in any_frame()) {
        let maps = maps();
        let one = parsed_in(&mut Packet::new(&frame, 0, 0x00), &maps);
        let other = parsed_in(&mut Packet::new(&frame, 20, 0xff), &maps);
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
    fn plain_packets_are_plain_to_the_odd_parser_too(frame in any_frame()) {
        let parsed = parsed(&frame);
        let plain = parsed.v4.is_some() || parsed.v6.is_some();
        prop_assert_eq!(parsed.odd.news == News::Plain, plain);
        prop_assert_eq!(parsed.odd.frame_len as usize, frame.len());
    }

    #[test]
    fn load_store_and_sum_end_with_the_frame(len in 0_usize..64, offset in prop_oneof![0_u32..80, any::<u32>()]) {
        let mut packet = Packet::new(&[1; 64][..len], 3, 0);
        let before = packet.buffer.clone();
        let inside = u64::from(offset) + 4 <= len as u64;
        prop_assert_eq!(packet.frame().load::<u32>(offset).is_some(), inside);
        prop_assert_eq!(packet.frame().sum::<4>(offset), inside.then_some(0x0202));
        prop_assert_eq!(packet.frame().store(offset, &0x0202_0202_u32), inside);
        prop_assert_eq!(packet.buffer == before, !inside);
    }

    #[test]
    fn truncating_only_shortens(len in 0_usize..64, to in 0_u32..80) {
        let mut packet = Packet::new(&[1; 64][..len], 3, 0);
        let mut frame = packet.frame();
        prop_assert_eq!(frame.truncate(to), to as usize <= len);
        prop_assert_eq!(frame.linear_len() as usize, len.min(to as usize));
    }
}
