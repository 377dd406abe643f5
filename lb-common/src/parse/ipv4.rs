//! Odd IPv4 packets. But for ICMP none is balanced, so all that is asked is
//! whether it is for a VIP: with its ports if it has them, else by its address
//! and protocol.

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
    wire::{IPV4_LEN, IS_FRAGMENT, Ipv4, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, Ports, UDP_LEN},
};

#[inline(always)]
pub fn parse<F: Frame, V: View>(frame: &F, view: &V, head: &Head) -> Odd {
    let linear = head.linear;
    let Some(ip) = frame.load_variable::<Ipv4>(head.l3) else {
        return Odd::settled(Verdict::DropShortL3, linear);
    };
    if ip.version_ihl >> 4 != 4 {
        return Odd::settled(Verdict::DropBadVersion, linear);
    }
    let total_length = u16::from_be(ip.total_length);
    let stated = head.l3 + u32::from(total_length);
    let frame_len = frame_len(frame, linear, stated);
    if !head.tagged && plain::v4(frame, head.group, |stated| stated <= frame_len).is_some() {
        return Odd::plain(frame_len);
    }
    let header_len = u32::from(ip.version_ihl & 0xf) * 4;
    let l4 = head.l3 + header_len;
    let by_address = |protocols| Claim {
        key: VipKey::v4_address(ip.destination),
        protocols,
    };
    let refused = |claim, verdict| head.refused(claim, verdict, frame_len);
    let any = by_address(HAS_TCP | HAS_UDP);

    // RFC 1812 §5.2.2: a header of at least 20 bytes, a total length that
    // covers it, and a packet as long as its total length.
    if header_len < IPV4_LEN || l4 > linear {
        return refused(any, Verdict::DropHeaderLength);
    }
    if u32::from(total_length) < header_len || stated > frame_len {
        return refused(any, Verdict::DropTotalLength);
    }
    let fragment = ip.fragment & IS_FRAGMENT != 0;
    let protocols = match ip.protocol {
        PROTOCOL_TCP => HAS_TCP,
        PROTOCOL_UDP => HAS_UDP,
        PROTOCOL_ICMP if fragment => return refused(any, Verdict::DropFragment),
        PROTOCOL_ICMP if !head.tagged && header_len == IPV4_LEN => {
            return icmp::parse_v4(frame, view, head, &ip, frame_len);
        }
        PROTOCOL_ICMP => {
            // What follows the end of the packet is padding, not a type.
            let kind = if l4 < stated {
                frame.load_variable::<u8>(l4)
            } else {
                None
            };
            return match kind {
                Some(kind) if !icmp::is_ours_v4(kind) => Odd::settled(Verdict::PassNotVip, frame_len),
                Some(_) => refused(any, Verdict::DropOptions),
                None => refused(any, Verdict::DropIcmp),
            };
        }
        _ => return Odd::settled(Verdict::PassNotVip, frame_len),
    };
    if fragment {
        return refused(by_address(protocols), Verdict::DropFragment);
    }
    let l4_len = u32::from(total_length) - header_len;
    let ports = if l4_len >= size_of::<Ports>() as u32 {
        frame.load_variable::<Ports>(l4)
    } else {
        None
    };
    let Some(ports) = ports else {
        return refused(by_address(protocols), Verdict::DropShortL4);
    };
    let claim = Claim {
        key: VipKey::v4(ip.destination, ports.destination, ip.protocol),
        protocols: 0,
    };
    // Ports, but not the whole of the shorter header.
    if l4_len < UDP_LEN || header_len == IPV4_LEN {
        return refused(claim, Verdict::DropShortL4);
    }
    refused(claim, Verdict::DropOptions)
}
