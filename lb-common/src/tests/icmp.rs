//! ICMP errors: those about flows of VIPs go where the flow goes, those about
//! our own outer headers are noted.

use core::net::IpAddr;
use std::vec::Vec;

use super::{
    maps::{self, BACKEND4, BACKEND6, Maps},
    packets::{
        BOTH, OTHER4, OTHER6, PORT, Packet, VIP4, VIP6, client, error, header_len, icmp, octets, reply, segment,
        tcp_between, udp_from, unreachable,
    },
};
use crate::{
    abi::{
        member::ENCAP_IPIP_V4,
        path_mtu::PathMtuKey,
        vip::{MAPPED, SIPHASH, SOURCE_AFFINITY},
    },
    path::balance,
    verdict::Verdict,
};

fn maps() -> Maps {
    Maps::of(&maps::member(ENCAP_IPIP_V4))
}

fn verdict(frame: &[u8], maps: &Maps) -> Verdict {
    balance(&mut Packet::new(frame, 64, 0xa5).frame(), maps).verdict
}

/// Errors of the family that are about a packet.
const fn errors(vip: IpAddr) -> &'static [u8] {
    if vip.is_ipv4() { &[3, 11, 12] } else { &[1, 2, 3, 4] }
}

#[test]
fn error_goes_where_its_flow_goes() {
    for flags in [0, SOURCE_AFFINITY, SIPHASH, SIPHASH | SOURCE_AFFINITY] {
        let mut maps = Maps::shared_by_five();
        maps.publish_vips(flags, 0);
        for vip in BOTH {
            let mut members = [0; 6];
            for port in 30_000..30_100 {
                assert_eq!(verdict(&segment(vip, port, 16), &maps), Verdict::ForwardTx);
                let member = maps.take_member();
                for kind in errors(vip) {
                    let error = error(vip, *kind, 0, &reply(vip, port));
                    assert_eq!(verdict(&error, &maps), Verdict::ForwardTx);
                    assert_eq!(maps.take_member(), member, "{vip} {port}, type {kind}");
                }
                members[usize::from(member.expect("it was forwarded"))] += 1;
            }
            let used = members.iter().filter(|&&count| count > 0).count();
            assert_eq!(used, if flags & SOURCE_AFFINITY == 0 { 5 } else { 1 });
        }
    }
}

#[test]
fn error_about_a_datagram_goes_where_its_flow_goes() {
    let maps = Maps::shared_by_five();
    for vip in BOTH {
        for port in 30_000..30_050 {
            assert_eq!(verdict(&udp_from(vip, port, b"x"), &maps), Verdict::ForwardTx);
            let member = maps.take_member();
            let mut quoted = reply(vip, port);
            quoted[if vip.is_ipv4() { 9 } else { 6 }] = 17;
            assert_eq!(
                verdict(&error(vip, unreachable(vip), 3, &quoted), &maps),
                Verdict::ForwardTx
            );
            assert_eq!(maps.take_member(), member);
        }
    }
}

#[test]
fn eight_bytes_of_the_quoted_transport_header_are_enough_and_seven_are_not() {
    for vip in BOTH {
        let header = header_len(vip);
        for (len, expected) in [
            (header + 8, Verdict::ForwardTx),
            (header + 7, Verdict::DropIcmpQuote),
            (header, Verdict::DropIcmpQuote),
            (header - 1, Verdict::DropIcmpQuote),
            (0, Verdict::DropIcmpQuote),
        ] {
            let quoted = &reply(vip, 40_000)[..len];
            let frame = error(vip, unreachable(vip), 0, quoted);
            assert_eq!(verdict(&frame, &maps()), expected, "{vip} {len}");
            // Padding is no quote.
            let padded = [&frame[..], &[0; 64]].concat();
            assert_eq!(verdict(&padded, &maps()), expected, "{vip} {len}, padded");
        }
    }
}

#[test]
fn quote_of_a_packet_that_no_vip_sent_is_dropped() {
    let changed = |vip, at: usize, byte: u8| {
        let mut quoted = reply(vip, 40_000);
        quoted[at] = byte;
        (vip, quoted)
    };
    let of_other = |vip, other| {
        (
            vip,
            tcp_between((other, PORT), (client(vip), 40_000), b"").split_off(14),
        )
    };
    let rows = [
        ("version", changed(VIP4, 0, 0x65)),
        ("version", changed(VIP6, 0, 0x40)),
        ("header length", changed(VIP4, 0, 0x44)),
        ("header beyond the packet", changed(VIP4, 0, 0x4f)),
        ("later fragment", changed(VIP4, 7, 1)),
        ("protocol", changed(VIP4, 9, 1)),
        ("next header", changed(VIP6, 6, 44)),
        ("source is another VIP's", of_other(VIP4, OTHER4)),
        ("source is another VIP's", of_other(VIP6, OTHER6)),
        ("port", changed(VIP4, 21, 1)),
        ("port", changed(VIP6, 41, 1)),
    ];
    for (row, (vip, quoted)) in rows {
        let frame = error(vip, unreachable(vip), 0, &quoted);
        assert_eq!(verdict(&frame, &maps()), Verdict::DropIcmpQuote, "{vip}: {row}");
    }
}

#[test]
fn quoted_options_and_first_fragments_are_understood() {
    let mut quoted = reply(VIP4, 40_000);
    quoted[0] = 0x47;
    quoted.splice(20..20, [1; 8]);
    let plain = error(VIP4, 3, 4, &reply(VIP4, 40_000));
    let with_options = error(VIP4, 3, 4, &quoted);
    let mut quoted = reply(VIP4, 40_000);
    quoted[6] = 0x20;
    let first_fragment = error(VIP4, 3, 4, &quoted);
    let maps = Maps::shared_by_five();
    let [one, two, three] = [plain, with_options, first_fragment].map(|frame| {
        assert_eq!(verdict(&frame, &maps), Verdict::ForwardTx);
        maps.take_member()
    });
    assert_eq!((one, one), (two, three));
}

#[test]
fn error_to_an_address_without_vips_passes() {
    for other in [OTHER4, OTHER6] {
        for quoted in [reply(other, 40_000), Vec::new()] {
            let frame = error(other, unreachable(other), 0, &quoted);
            assert_eq!(verdict(&frame, &maps()), Verdict::PassNotVip);
        }
    }
}

#[test]
fn error_is_refused_as_other_packets_are() {
    for vip in BOTH {
        let whole = error(vip, unreachable(vip), 0, &reply(vip, 40_000));
        let (ttl, source) = if vip.is_ipv4() { (22, 26) } else { (21, 22) };
        let vip_octets = octets(vip);
        let with = |at: usize, bytes: &[u8]| {
            let mut frame = whole.clone();
            frame[at..at + bytes.len()].copy_from_slice(bytes);
            verdict(&frame, &maps())
        };
        assert_eq!(with(0, &[1]), Verdict::DropL2Multicast);
        assert_eq!(with(ttl, &[1]), Verdict::DropTtl);
        assert_eq!(with(ttl, &[2]), Verdict::ForwardTx);
        assert_eq!(with(source, &vip_octets), Verdict::DropLand);
        assert_eq!(
            with(source, &[if vip.is_ipv4() { 240 } else { 255 }]),
            Verdict::DropMartian
        );
    }
}

#[test]
fn quench_and_redirects_are_dropped() {
    for (vip, kind) in [(VIP4, 4), (VIP4, 5), (VIP6, 137)] {
        let frame = error(vip, kind, 0, &reply(vip, 40_000));
        assert_eq!(verdict(&frame, &maps()), Verdict::DropIcmp, "{kind}");
    }
    let short = icmp(VIP4, 3, 0, 0, b"");
    let mut shorter = short[..14 + 20 + 7].to_vec();
    shorter[17] = 27;
    assert_eq!(verdict(&shorter, &maps()), Verdict::DropIcmp);
}

/// A packet from one of our outer sources to a backend.
fn outer(source: &str, backend: &str) -> Vec<u8> {
    let [source, backend]: [IpAddr; 2] = [source, backend].map(|text| text.parse().expect("an address"));
    tcp_between((source, 1), (backend, 2), b"").split_off(14)
}

fn backend4() -> PathMtuKey {
    PathMtuKey {
        address: [0, 0, MAPPED, u32::from_ne_bytes(BACKEND4)],
    }
}

fn backend6() -> PathMtuKey {
    PathMtuKey {
        address: bytemuck::cast(BACKEND6),
    }
}

#[test]
fn error_about_our_outer_header_is_noted_for_the_backend_and_passed() {
    let ours4: IpAddr = "10.255.77.1".parse().expect("an address");
    let ours6: IpAddr = "fd00:ff::1234:5678".parse().expect("an address");
    let quoted4 = outer("10.255.77.1", "10.0.1.11");
    let quoted6 = outer("fd00:ff::1234:5678", "fd00:1::11");
    // Type, code, what the message says, what is noted.
    let rows4 = [
        (3, 4, 1400, 1400),
        (3, 4, 0xffff_0578, 1400),
        (3, 4, 552, 552),
        (3, 4, 551, 552),
        (3, 4, 0, 552),
        (3, 1, 1400, 0),
        (11, 0, 1400, 0),
        (12, 4, 1400, 0),
    ];
    for (kind, code, word, noted) in rows4 {
        assert_noted(&icmp(ours4, kind, code, word, &quoted4), &[(backend4(), noted)]);
    }
    let rows6 = [
        (2, 0, 1400, 1400),
        (2, 0, 0x0001_0578, 65_535),
        (2, 0, 1280, 1280),
        (2, 0, 1279, 1280),
        (2, 0, 0, 1280),
        (1, 0, 1400, 0),
        (3, 0, 1400, 0),
        (4, 0, 1400, 0),
    ];
    for (kind, code, word, noted) in rows6 {
        assert_noted(&icmp(ours6, kind, code, word, &quoted6), &[(backend6(), noted)]);
    }
    // What does not quote a packet of ours is passed, and teaches nothing.
    for (to, kind, code, quoted) in [
        (ours4, 3, 4, outer("10.254.77.1", "10.0.1.11")),
        (ours6, 2, 0, outer("fd00:fe::1", "fd00:1::11")),
        (ours4, 3, 4, quoted4[..19].to_vec()),
        (ours6, 2, 0, quoted6[..39].to_vec()),
        (ours4, 3, 4, Vec::new()),
    ] {
        assert_noted(&icmp(to, kind, code, 1400, &quoted), &[]);
    }
}

/// Passed as it came, padded or not, with this noted.
fn assert_noted(frame: &[u8], expected: &[(PathMtuKey, u16)]) {
    // Padding that completes a cut quote must not be read as one.
    let padding = [&outer("10.255.77.1", "10.0.1.11")[19..], &[0; 40]].concat();
    for frame in [frame.to_vec(), [frame, &padding].concat()] {
        let maps = maps();
        let mut packet = Packet::new(&frame, 64, 0xa5);
        let before = packet.buffer.clone();
        assert_eq!(balance(&mut packet.frame(), &maps).verdict, Verdict::PassOuterError);
        assert_eq!(packet.buffer, before);
        assert_eq!(maps.noted.take(), expected);
    }
}

#[test]
fn other_messages_to_our_outer_sources_pass() {
    let ours4: IpAddr = "10.255.77.1".parse().expect("an address");
    let ours6: IpAddr = "fd00:ff::1".parse().expect("an address");
    for frame in [
        icmp(ours4, 8, 0, 0, b"x"),
        icmp(ours6, 128, 0, 0, b"x"),
        icmp(ours4, 5, 0, 0, b"x"),
    ] {
        let maps = maps();
        assert_eq!(verdict(&frame, &maps), Verdict::PassNotVip);
        assert_eq!(maps.noted.take(), []);
    }
    let mut unknown = maps();
    unknown.node = None;
    let frame = error(ours4, 3, 4, &outer("10.255.77.1", "10.0.1.11"));
    assert_eq!(verdict(&frame, &unknown), Verdict::PassNotVip);
}
