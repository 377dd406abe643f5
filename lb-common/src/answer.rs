//! ICMP messages that the balancer sends itself, back to the client.

use crate::{
    abi::member::Macs,
    checksum,
    encap::OUTER_TTL,
    frame::Frame,
    wire::{
        ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, EthernetIpv4, EthernetIpv6, EthernetWords, ICMP_LEN, IPV4_LEN,
        IPV6_LEN, Icmp, Ipv4, Ipv6, PROTOCOL_ICMP, PROTOCOL_ICMPV6, VERSION_IHL,
    },
};

/// Bytes of a packet that is too big which the answer quotes: all of it stays
/// within 576 bytes (RFC 1812 §4.3.2.3).
pub const QUOTED_V4: usize = 512;
/// As [`QUOTED_V4`], within 1,280 bytes (RFC 4443 §2.4 (c)). In two halves.
pub const QUOTED_V6: usize = 1024;

/// Echo request and its reply: RFC 792, RFC 4443 §4.
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;

/// Turns an echo request that stands at its constant place into the reply:
/// addresses swapped, checksums updated (RFC 1624), so that a wrong one stays
/// wrong. `false`, and the frame untouched, if it is not there.
#[must_use]
#[inline(always)]
pub fn echo_v4<F: Frame>(frame: &mut F) -> bool {
    const L4: u32 = ETHERNET_LEN + IPV4_LEN;
    let Some(head) = frame.load::<EthernetIpv4>(0) else {
        return false;
    };
    let Some(icmp) = frame.load::<Icmp>(L4) else {
        return false;
    };
    let ip = head.ip;
    let old = u16::from_ne_bytes([ip.ttl, ip.protocol]);
    let new = u16::from_ne_bytes([OUTER_TTL, ip.protocol]);
    let reply = EthernetIpv4 {
        ethernet: back(&head.ethernet),
        ip: Ipv4 {
            ttl: OUTER_TTL,
            checksum: checksum::update(ip.checksum, old, new),
            source: ip.destination,
            destination: ip.source,
            ..ip
        },
    };
    let mut icmp = retyped(&icmp, ECHO_REPLY_V4);
    // Both zeros say the same, but over a message of zeros alone, to which a
    // request with id, sequence and data of zero turns: there receivers take
    // this one only. In ICMPv6 the pseudo-header is never zero.
    if icmp.checksum == 0 {
        icmp.checksum = 0xffff;
    }
    frame.store(0, &reply) && frame.store(L4, &icmp)
}

/// As [`echo_v4`].
#[must_use]
#[inline(always)]
pub fn echo_v6<F: Frame>(frame: &mut F) -> bool {
    const L4: u32 = ETHERNET_LEN + IPV6_LEN;
    let Some(head) = frame.load::<EthernetIpv6>(0) else {
        return false;
    };
    let Some(icmp) = frame.load::<Icmp>(L4) else {
        return false;
    };
    let ip = head.ip;
    let reply = EthernetIpv6 {
        ethernet: back(&head.ethernet),
        ip: Ipv6 {
            hop_limit: OUTER_TTL,
            source: ip.destination,
            destination: ip.source,
            ..ip
        },
    };
    frame.store(0, &reply) && frame.store(L4, &retyped(&icmp, ECHO_REPLY_V6))
}

#[inline(always)]
const fn retyped(icmp: &Icmp, kind: u8) -> Icmp {
    let old = u16::from_ne_bytes([icmp.kind, icmp.code]);
    let new = u16::from_ne_bytes([kind, icmp.code]);
    Icmp {
        kind,
        checksum: checksum::update(icmp.checksum, old, new),
        ..*icmp
    }
}

/// Turns a packet that is too big into the message that says so (RFC 1191 §4),
/// with the MTU that would fit. The packet is as long as what is to be quoted.
/// `false`, and the frame untouched, if its first buffer does not hold that, or
/// there is no room in front.
#[must_use]
#[inline(always)]
pub fn too_big_v4<F: Frame>(frame: &mut F, mtu: u16) -> bool {
    const MESSAGE: Icmp = Icmp {
        kind: 3,
        code: 4,
        checksum: 0,
        word: 0,
    };
    const ADDED: u32 = IPV4_LEN + ICMP_LEN;
    let Some(head) = frame.load::<EthernetIpv4>(0) else {
        return false;
    };
    let Some(quote) = frame.sum::<QUOTED_V4>(ETHERNET_LEN) else {
        return false;
    };
    let icmp = Icmp {
        word: u32::from(mtu).to_be(),
        ..MESSAGE
    };
    let icmp = Icmp {
        checksum: checksum::finish(sum_icmp(&icmp) + quote),
        ..icmp
    };
    let ip = Ipv4 {
        version_ihl: VERSION_IHL,
        tos: 0,
        total_length: ((ADDED as usize + QUOTED_V4) as u16).to_be(),
        id: 0,
        fragment: 0,
        ttl: OUTER_TTL,
        protocol: PROTOCOL_ICMP,
        checksum: 0,
        source: head.ip.destination,
        destination: head.ip.source,
    };
    let ip = Ipv4 {
        checksum: checksum::finish(checksum::sum_ipv4(&ip)),
        ..ip
    };
    let answer = EthernetIpv4 {
        ethernet: EthernetWords {
            ethertype: ETHERTYPE_IPV4,
            ..back(&head.ethernet)
        },
        ip,
    };
    // First what may fail, so that the frame is untouched then.
    frame.adjust_head(-ADDED.cast_signed())
        && frame.truncate(ETHERNET_LEN + ADDED + QUOTED_V4 as u32)
        && frame.store(0, &answer)
        && frame.store(ETHERNET_LEN + IPV4_LEN, &icmp)
}

/// As [`too_big_v4`] (RFC 4443 §3.2).
#[must_use]
#[inline(always)]
pub fn too_big_v6<F: Frame>(frame: &mut F, mtu: u16) -> bool {
    const HALF: usize = QUOTED_V6 / 2;
    const ADDED: u32 = IPV6_LEN + ICMP_LEN;
    const LENGTH: u16 = (ICMP_LEN as usize + QUOTED_V6) as u16;
    let Some(head) = frame.load::<EthernetIpv6>(0) else {
        return false;
    };
    let Some(first) = frame.sum::<HALF>(ETHERNET_LEN) else {
        return false;
    };
    let Some(second) = frame.sum::<HALF>(ETHERNET_LEN + HALF as u32) else {
        return false;
    };
    let icmp = Icmp {
        kind: 2,
        code: 0,
        checksum: 0,
        word: u32::from(mtu).to_be(),
    };
    let ip = Ipv6 {
        version_class_label: (6_u32 << 28).to_be(),
        payload_length: LENGTH.to_be(),
        next_header: PROTOCOL_ICMPV6,
        hop_limit: OUTER_TTL,
        source: head.ip.destination,
        destination: head.ip.source,
    };
    // The pseudo-header (RFC 8200 §8.1): addresses, length, next header.
    let pseudo = sum_address(ip.source)
        + sum_address(ip.destination)
        + u32::from(LENGTH.to_be())
        + u32::from(u16::from_ne_bytes([0, PROTOCOL_ICMPV6]));
    let icmp = Icmp {
        checksum: checksum::finish(sum_icmp(&icmp) + first + second + pseudo),
        ..icmp
    };
    let answer = EthernetIpv6 {
        ethernet: EthernetWords {
            ethertype: ETHERTYPE_IPV6,
            ..back(&head.ethernet)
        },
        ip,
    };
    frame.adjust_head(-ADDED.cast_signed())
        && frame.truncate(ETHERNET_LEN + ADDED + QUOTED_V6 as u32)
        && frame.store(0, &answer)
        && frame.store(ETHERNET_LEN + IPV6_LEN, &icmp)
}

/// The way it came.
#[inline(always)]
const fn back(ethernet: &EthernetWords) -> EthernetWords {
    let (destination, source) = Macs::of_words(ethernet.first, ethernet.second, ethernet.third).split();
    let (first, second, third) = Macs::new(source, destination).words();
    EthernetWords {
        first,
        second,
        third,
        ethertype: ethernet.ethertype,
    }
}

#[inline(always)]
fn sum_icmp(icmp: &Icmp) -> u32 {
    let words: [u16; 4] = bytemuck::cast(*icmp);
    words.iter().map(|word| u32::from(*word)).sum()
}

#[inline(always)]
const fn sum_address(address: [u32; 4]) -> u32 {
    let mut sum = 0;
    let mut at = 0;
    while at < 4 {
        sum += checksum::halves(address[at]);
        at += 1;
    }
    sum
}
