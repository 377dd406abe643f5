//! What the balancer sends back to clients.

use core::net::IpAddr;
use proptest::prelude::*;
use std::vec::Vec;

use super::{
    checksum::rfc_1071,
    maps::{self, ENCAPS, Maps},
    packets::{
        BOTH, CLIENT_MAC, OTHER4, OTHER6, OUR_MAC, Packet, VIP4, client, echo, error, header_len, icmp, icmp_checksum,
        octets, reply, tcp, unreachable,
    },
};
use crate::{
    abi::member::{ENCAP_GUE_V6, ENCAP_IPIP_V4, Member},
    path::balance,
    verdict::Verdict,
};

/// The verdict, and the frame as it is sent.
fn balanced(frame: &[u8], headroom: usize, maps: &Maps) -> (Verdict, Vec<u8>) {
    let mut packet = Packet::new(frame, headroom, 0xa5);
    let mut frame = packet.frame();
    let verdict = balance(&mut frame, maps).verdict;
    (verdict, frame.bytes().to_vec())
}

fn plain_maps() -> Maps {
    Maps::of(&maps::member(ENCAP_IPIP_V4))
}

/// Ethernet and IP of an answer are right; what follows them.
fn message_to_client(frame: &[u8], vip: IpAddr) -> &[u8] {
    let l4 = 14 + header_len(vip);
    assert_eq!(frame[..6], CLIENT_MAC);
    assert_eq!(frame[6..12], OUR_MAC);
    let addresses = [octets(vip), octets(client(vip))].concat();
    let ip = &frame[14..l4];
    assert!(ip.ends_with(&addresses), "from the VIP to the client");
    if vip.is_ipv4() {
        assert_eq!(rfc_1071(ip), 0);
        assert_eq!((ip[8], ip[9]), (64, 1));
    } else {
        assert_eq!((ip[6], ip[7]), (58, 64));
    }
    &frame[l4..]
}

#[test]
fn echo_request_to_a_vip_comes_back_as_the_reply() {
    for vip in BOTH {
        for payload in [&b""[..], b"x", b"hello world", &[0xff; 1000]] {
            let request = echo(vip, payload);
            let (verdict, bytes) = balanced(&request, 0, &plain_maps());
            assert_eq!(verdict, Verdict::AnswerEcho);
            let message = message_to_client(&bytes, vip);
            let expected = if vip.is_ipv4() { 0 } else { 129 };
            assert_eq!(message[..2], [expected, 0]);
            assert_eq!(icmp_checksum(vip, client(vip), message), 0);
            // All the rest as it came: TOS, id, flags, identifier, data.
            let l4 = 14 + header_len(vip);
            assert_eq!(message[4..], request[l4 + 4..]);
            assert_eq!(bytes[12..20], request[12..20]);
        }
    }
}

/// RFC 1624 §5: the one sum for which the two zeros differ is that of zeros
/// alone.
#[test]
fn echo_reply_of_nothing_but_zeros_has_a_checksum_that_receivers_take() {
    let request = icmp(VIP4, 8, 0, 0, &[0; 16]);
    let (verdict, bytes) = balanced(&request, 0, &plain_maps());
    assert_eq!(verdict, Verdict::AnswerEcho);
    assert_eq!(rfc_1071(&bytes[34..]), 0);
}

#[test]
fn wrong_checksum_of_an_echo_request_stays_wrong() {
    for vip in BOTH {
        let at = 14 + header_len(vip) + 2;
        for change in [1, 0x80] {
            let mut request = echo(vip, b"hello");
            request[at] ^= change;
            let (verdict, bytes) = balanced(&request, 0, &plain_maps());
            assert_eq!(verdict, Verdict::AnswerEcho);
            let message = message_to_client(&bytes, vip);
            assert_ne!(icmp_checksum(vip, client(vip), message), 0);
        }
    }
}

#[test]
fn hop_limit_of_an_echo_request_does_not_matter() {
    for vip in BOTH {
        let at = if vip.is_ipv4() { 22 } else { 21 };
        let mut request = echo(vip, b"hello");
        request[at] = 1;
        if vip.is_ipv4() {
            super::outer::fix_checksum(&mut request);
        }
        let (verdict, bytes) = balanced(&request, 0, &plain_maps());
        assert_eq!(verdict, Verdict::AnswerEcho);
        message_to_client(&bytes, vip);
    }
}

#[test]
fn echo_requests_that_are_not_answered() {
    for vip in BOTH {
        let kind = if vip.is_ipv4() { 8 } else { 128 };
        let with = |change: fn(&mut Vec<u8>, usize)| {
            let mut frame = echo(vip, b"hello");
            change(&mut frame, header_len(vip));
            frame
        };
        let rows = [
            (icmp(vip, kind, 1, 0, b""), Verdict::DropIcmp),
            (with(|frame, _| frame[0] |= 1), Verdict::DropL2Multicast),
            (
                with(|frame, _| frame.truncate(frame.len() - 1)),
                Verdict::DropTotalLength,
            ),
            (
                // The VIP itself as the source.
                with(|frame, header| {
                    let (source, len) = if header == 20 { (26, 4) } else { (22, 16) };
                    frame.copy_within(source + len..source + 2 * len, source);
                }),
                Verdict::DropLand,
            ),
            (
                with(|frame, header| frame[if header == 20 { 26 } else { 22 }] = if header == 20 { 127 } else { 0xff }),
                Verdict::DropMartian,
            ),
        ];
        for (frame, expected) in rows {
            let untouched = (expected, frame.clone());
            assert_eq!(balanced(&frame, 0, &plain_maps()), untouched, "{vip}");
        }
    }
    for other in [OTHER4, OTHER6] {
        let frame = echo(other, b"hello");
        assert_eq!(balanced(&frame, 0, &plain_maps()), (Verdict::PassNotVip, frame));
    }
}

fn small(encap: u8, mtu: u16) -> Maps {
    Maps::of(&Member {
        mtu,
        ..maps::member(encap)
    })
}

/// Bytes of a packet that the answer quotes, and of the whole answer.
const fn quoted(vip: IpAddr) -> (usize, usize) {
    if vip.is_ipv4() { (512, 540) } else { (1024, 1072) }
}

#[test]
fn client_of_a_packet_that_is_too_big_is_told_what_fits() {
    for vip in BOTH {
        for encap in ENCAPS {
            let maps = small(encap, 1400);
            let overhead = maps::member(encap).overhead;
            let frame = tcp(vip, &[0x77; 1380]);
            let (verdict, bytes) = balanced(&frame, 48, &maps);
            assert_eq!(verdict, Verdict::AnswerTooBig);
            let message = message_to_client(&bytes, vip);
            let (quote, length) = quoted(vip);
            assert_eq!(bytes.len(), 14 + length);
            let limit = if vip.is_ipv4() { 576 } else { 1280 };
            assert!(length <= limit, "RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c)");
            let kind = if vip.is_ipv4() { [3, 4] } else { [2, 0] };
            assert_eq!(message[..2], kind);
            assert_eq!(message[4..8], u32::from(1400 - u16::from(overhead)).to_be_bytes());
            assert_eq!(message[8..], frame[14..14 + quote]);
            assert_eq!(icmp_checksum(vip, client(vip), message), 0);
            let start: &[u8] = if vip.is_ipv4() {
                // Total length 540, id 0, no flags.
                &[0x08, 0x00, 0x45, 0, 0x02, 0x1c, 0, 0, 0, 0]
            } else {
                // Payload length 1032.
                &[0x86, 0xdd, 0x60, 0, 0, 0, 0x04, 0x08, 58, 64]
            };
            assert_eq!(&bytes[12..22], start);
        }
    }
}

#[test]
fn what_fits_exactly_is_forwarded() {
    for vip in BOTH {
        for encap in ENCAPS {
            let overhead = usize::from(maps::member(encap).overhead);
            let room = 1400 - overhead - header_len(vip) - 20;
            let maps = small(encap, 1400);
            let fits = tcp(vip, &[0; 1400][..room]);
            assert_eq!(balanced(&fits, 60, &maps).0, Verdict::ForwardTx, "{vip} {encap}");
            let one_more = tcp(vip, &[0; 1400][..=room]);
            assert_eq!(balanced(&one_more, 60, &maps).0, Verdict::AnswerTooBig, "{vip} {encap}");
        }
    }
}

/// The quote is of the packet, never of what happens to follow it.
#[test]
fn packet_that_is_shorter_than_the_quote_is_not_answered() {
    for vip in BOTH {
        let (quote, _) = quoted(vip);
        let room = quote - header_len(vip) - 20;
        let maps = small(ENCAP_IPIP_V4, 300);
        let whole = tcp(vip, &[0; 1500][..room]);
        assert_eq!(balanced(&whole, 60, &maps).0, Verdict::AnswerTooBig, "{vip}");
        let mut short = tcp(vip, &[0; 1500][..room - 1]);
        assert_eq!(
            balanced(&short, 60, &maps),
            (Verdict::DropTooBig, short.clone()),
            "{vip}"
        );
        short.extend([0; 100]);
        assert_eq!(
            balanced(&short, 60, &maps),
            (Verdict::DropTooBig, short.clone()),
            "{vip}, padded"
        );
    }
}

#[test]
fn without_room_for_the_answer_the_frame_is_untouched() {
    for vip in BOTH {
        let frame = tcp(vip, &[0; 1400]);
        let room = header_len(vip) + 8;
        let maps = small(ENCAP_IPIP_V4, 600);
        for headroom in 0..room {
            let untouched = (Verdict::DropTooBig, frame.clone());
            assert_eq!(balanced(&frame, headroom, &maps), untouched, "{vip}");
        }
        assert_eq!(balanced(&frame, room, &maps).0, Verdict::AnswerTooBig);
    }
}

#[test]
fn not_more_clients_are_told_than_the_limit_says() {
    let mut maps = small(ENCAP_GUE_V6, 1300);
    maps.node = Some(crate::abi::node::Node {
        answers_per_second: 3,
        ..maps::node()
    });
    let verdicts = |maps: &Maps| [0; 5].map(|_| balanced(&tcp(VIP4, &[0; 1400]), 60, maps).0);
    let [told, not] = [Verdict::AnswerTooBig, Verdict::DropTooBig];
    assert_eq!(verdicts(&maps), [told, told, told, not, not]);
    maps.now.set(maps.now.get() + 1);
    assert_eq!(verdicts(&maps), [told, told, told, not, not]);
    maps.node = None;
    maps.now.set(maps.now.get() + 1);
    assert_eq!(verdicts(&maps), [not; 5]);
}

/// What cannot be answered takes nothing from those that can.
#[test]
fn only_what_is_answered_counts_against_the_limit() {
    let mut maps = small(ENCAP_IPIP_V4, 300);
    maps.node = Some(crate::abi::node::Node {
        answers_per_second: 1,
        ..maps::node()
    });
    assert_eq!(balanced(&tcp(VIP4, &[0; 400]), 60, &maps).0, Verdict::DropTooBig);
    assert_eq!(balanced(&tcp(VIP4, &[0; 600]), 60, &maps).0, Verdict::AnswerTooBig);
}

#[test]
fn errors_are_never_answered() {
    for vip in BOTH {
        let quote = [&reply(vip, 40_000)[..], &[0; 1300]].concat();
        let frame = error(vip, unreachable(vip), 0, &quote);
        let untouched = (Verdict::DropTooBig, frame.clone());
        assert_eq!(balanced(&frame, 60, &small(ENCAP_IPIP_V4, 600)), untouched, "{vip}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn checksums_of_answers_are_right_whatever_the_packet(
        vip in prop::sample::select(&BOTH[..]),
        word: u32,
        payload in prop::collection::vec(any::<u8>(), 1100..1300),
    ) {
        let kind = if vip.is_ipv4() { 8 } else { 128 };
        let maps = small(ENCAP_IPIP_V4, 600);
        let frames = [(icmp(vip, kind, 0, word, &payload), Verdict::AnswerEcho), (tcp(vip, &payload), Verdict::AnswerTooBig)];
        for (frame, expected) in frames {
            let (verdict, bytes) = balanced(&frame, 48, &maps);
            prop_assert_eq!(verdict, expected);
            let message = message_to_client(&bytes, vip);
            prop_assert_eq!(icmp_checksum(vip, client(vip), message), 0);
        }
    }
}
