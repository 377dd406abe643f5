//! Odd IPv6 packets. Extension headers are not walked yet: what has one is
//! asked for its address only.

use super::{
    icmp,
    odd::{Claim, Head, Odd, frame_len},
    plain,
};
use crate::{
    abi::vip::{HAS_TCP, HAS_UDP, VipKey},
    frame::Frame,
    verdict::Verdict,
    view::View,
    wire::{
        DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, IPV6_LEN, Ipv6, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, Ports,
        ROUTING, UDP_LEN,
    },
};

#[inline(always)]
pub fn parse<F: Frame, V: View>(frame: &F, view: &V, head: &Head) -> Odd {
    let linear = head.linear;
    let Some(ip) = frame.load_variable::<Ipv6>(head.l3) else {
        return Odd::settled(Verdict::DropShortL3, linear);
    };
    if ip.version() != 6 {
        return Odd::settled(Verdict::DropBadVersion, linear);
    }
    let payload = u32::from(u16::from_be(ip.payload_length));
    let stated = head.l3 + IPV6_LEN + payload;
    let frame_len = frame_len(frame, linear, stated);
    if !head.tagged && plain::v6(frame, head.group, |stated| stated <= frame_len).is_some() {
        return Odd::plain(frame_len);
    }
    if plain::is_mapped(ip.destination) {
        return Odd::settled(Verdict::PassNotVip, frame_len);
    }
    let by_address = |protocols| Claim {
        key: VipKey::v6_address(ip.destination),
        protocols,
    };
    let refused = |claim, verdict| head.refused(claim, verdict, frame_len);
    let any = by_address(HAS_TCP | HAS_UDP);
    if stated > frame_len {
        return refused(any, Verdict::DropTotalLength);
    }
    let protocols = match ip.next_header {
        PROTOCOL_TCP => HAS_TCP,
        PROTOCOL_UDP => HAS_UDP,
        PROTOCOL_ICMPV6 => return icmp::parse_v6(frame, view, head, &ip, frame_len),
        FRAGMENT => return refused(any, Verdict::DropFragment),
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => return refused(any, Verdict::DropExtension),
        _ => return Odd::settled(Verdict::PassNotVip, frame_len),
    };
    let ports = if payload >= size_of::<Ports>() as u32 {
        frame.load_variable::<Ports>(head.l3 + IPV6_LEN)
    } else {
        None
    };
    let Some(ports) = ports else {
        return refused(by_address(protocols), Verdict::DropShortL4);
    };
    let claim = Claim {
        key: VipKey::v6(ip.destination, ports.destination, ip.next_header),
        protocols: 0,
    };
    if payload < UDP_LEN {
        return refused(claim, Verdict::DropShortL4);
    }
    // It would be plain, were it not longer than any packet we could send.
    refused(claim, Verdict::DropTooBig)
}
