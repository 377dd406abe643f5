//! ICMP and ICMPv6: echo requests to VIP addresses are answered, errors about
//! flows of VIPs go where the flow goes, and errors about our own outer headers
//! are noted.

use super::{
    odd::{Claim, Head, News, Odd, Quote},
    plain,
};
use crate::{
    abi::{
        path_mtu::{LEAST_PATH_MTU_V4, LEAST_PATH_MTU_V6, PathMtuKey},
        vip::{HAS_TCP, HAS_UDP, MAPPED, VipKey},
    },
    frame::Frame,
    hash::{FlowV4, FlowV6},
    verdict::Verdict,
    view::View,
    wire::{
        ETHERNET_LEN, ICMP_LEN, IPV4_LEN, IPV6_LEN, Icmp, Ipv4, Ipv6, NOT_FIRST_FRAGMENT, PROTOCOL_TCP, PROTOCOL_UDP,
        Ports,
    },
};

/// RFC 792.
const ECHO_V4: u8 = 8;
const UNREACHABLE_V4: u8 = 3;
const TOO_BIG_CODE_V4: u8 = 4;
const TIME_EXCEEDED_V4: u8 = 11;
const PARAMETER_V4: u8 = 12;
/// Source quench and redirect: of no use to anybody (RFC 6633).
const QUENCH_V4: u8 = 4;
const REDIRECT_V4: u8 = 5;

/// RFC 4443.
const ECHO_V6: u8 = 128;
const UNREACHABLE_V6: u8 = 1;
const TOO_BIG_V6: u8 = 2;
const PARAMETER_V6: u8 = 4;
/// RFC 4861 §4.5.
const REDIRECT_V6: u8 = 137;

/// Bytes of the transport header that an error quotes at least (RFC 792).
const QUOTED_L4: u32 = 8;

const ANY: u16 = HAS_TCP | HAS_UDP;

/// A message that may be for a VIP; others are the host's.
#[inline(always)]
pub const fn is_ours_v4(kind: u8) -> bool {
    is_error_v4(kind) || matches!(kind, ECHO_V4 | QUENCH_V4 | REDIRECT_V4)
}

#[inline(always)]
const fn is_error_v4(kind: u8) -> bool {
    matches!(kind, UNREACHABLE_V4 | TIME_EXCEEDED_V4 | PARAMETER_V4)
}

#[inline(always)]
const fn is_error_v6(kind: u8) -> bool {
    matches!(kind, UNREACHABLE_V6..=PARAMETER_V6)
}

/// An unfragmented, untagged packet without options.
#[inline(always)]
pub fn parse_v4<F: Frame, V: View>(frame: &F, view: &V, head: &Head, ip: &Ipv4, frame_len: u32) -> Odd {
    const L4: u32 = ETHERNET_LEN + IPV4_LEN;
    let length = u16::from_be(ip.total_length);
    let l4_len = u32::from(length) - IPV4_LEN;
    let claim = Claim {
        key: VipKey::v4_address(ip.destination),
        protocols: ANY,
    };
    let refused = |verdict| head.refused(claim, verdict, frame_len);
    let fated = |news| Odd { news, frame_len };
    if l4_len == 0 {
        return refused(Verdict::DropIcmp);
    }
    let Some(kind) = frame.load::<u8>(L4) else {
        return refused(Verdict::DropIcmp);
    };
    if !is_ours_v4(kind) {
        return Odd::settled(Verdict::PassNotVip, frame_len);
    }
    if l4_len < ICMP_LEN {
        return refused(Verdict::DropIcmp);
    }
    let Some(icmp) = frame.load::<Icmp>(L4) else {
        return refused(Verdict::DropIcmp);
    };
    if is_error_v4(kind) && is_about_outer_v4(frame, view, ip.destination, &icmp, l4_len) {
        return Odd::settled(Verdict::PassOuterError, frame_len);
    }
    if kind == QUENCH_V4 || kind == REDIRECT_V4 {
        return refused(Verdict::DropIcmp);
    }
    if let Some(refusal) = plain::refuse_v4(ip, head.group, kind != ECHO_V4) {
        return refused(refusal);
    }
    if kind == ECHO_V4 {
        return if icmp.code == 0 {
            fated(News::EchoV4(claim))
        } else {
            refused(Verdict::DropIcmp)
        };
    }
    let Some(flow) = quote_v4(frame, ip.destination, ETHERNET_LEN + u32::from(length)) else {
        return refused(Verdict::DropIcmpQuote);
    };
    fated(News::QuoteV4(Quote {
        flow,
        tos: ip.tos,
        length,
    }))
}

/// An error that came to one of our outer sources, and so is about a packet
/// that we sent to a backend. Notes it. `len`: bytes of the message.
#[inline(always)]
fn is_about_outer_v4<F: Frame, V: View>(frame: &F, view: &V, destination: u32, icmp: &Icmp, len: u32) -> bool {
    let Some(node) = view.node() else {
        return false;
    };
    if !node.sends_from_v4(destination) {
        return false;
    }
    // What follows the message is padding, and no quote.
    if len < ICMP_LEN + IPV4_LEN {
        return true;
    }
    let Some(quoted) = frame.load::<Ipv4>(ETHERNET_LEN + IPV4_LEN + ICMP_LEN) else {
        return true;
    };
    if node.sends_from_v4(quoted.source) {
        let too_big = icmp.kind == UNREACHABLE_V4 && icmp.code == TOO_BIG_CODE_V4;
        // RFC 1191 §4: the lower half of the word.
        let mtu = u32::from_be(icmp.word) as u16;
        let key = PathMtuKey {
            address: [0, 0, MAPPED, quoted.destination],
        };
        view.note_path(&key, learned(too_big, mtu, LEAST_PATH_MTU_V4));
    }
    true
}

/// The flow an error is about, as its client sends it: the quoted packet went
/// the other way. `end`: where the packet ends in the frame.
#[inline(always)]
fn quote_v4<F: Frame>(frame: &F, vip: u32, end: u32) -> Option<FlowV4> {
    const QUOTE: u32 = ETHERNET_LEN + IPV4_LEN + ICMP_LEN;
    let quoted = frame.load::<Ipv4>(QUOTE)?;
    let header_len = u32::from(quoted.version_ihl & 0xf) * 4;
    if quoted.version_ihl >> 4 != 4 || header_len < IPV4_LEN {
        return None;
    }
    if quoted.source != vip || quoted.fragment & NOT_FIRST_FRAGMENT != 0 {
        return None;
    }
    if quoted.protocol != PROTOCOL_TCP && quoted.protocol != PROTOCOL_UDP {
        return None;
    }
    let l4 = QUOTE + header_len;
    if l4 + QUOTED_L4 > end {
        return None;
    }
    let ports = frame.load_variable::<[Ports; 2]>(l4)?[0];
    Some(FlowV4 {
        source: quoted.destination,
        destination: quoted.source,
        source_port: ports.destination,
        destination_port: ports.source,
        protocol: quoted.protocol,
    })
}

/// As [`parse_v4`]; a tagged packet too.
#[inline(always)]
pub fn parse_v6<F: Frame, V: View>(frame: &F, view: &V, head: &Head, ip: &Ipv6, frame_len: u32) -> Odd {
    const L4: u32 = ETHERNET_LEN + IPV6_LEN;
    let payload = u16::from_be(ip.payload_length);
    let claim = Claim {
        key: VipKey::v6_address(ip.destination),
        protocols: ANY,
    };
    let refused = |verdict| head.refused(claim, verdict, frame_len);
    let fated = |news| Odd { news, frame_len };
    let kind = if payload == 0 {
        None
    } else {
        frame.load_variable::<u8>(head.l3 + IPV6_LEN)
    };
    let Some(kind) = kind else {
        return refused(Verdict::DropIcmp);
    };
    if !is_error_v6(kind) && kind != ECHO_V6 && kind != REDIRECT_V6 {
        return Odd::settled(Verdict::PassNotVip, frame_len);
    }
    if head.tagged || u32::from(payload) < ICMP_LEN {
        return refused(Verdict::DropIcmp);
    }
    let Some(icmp) = frame.load::<Icmp>(L4) else {
        return refused(Verdict::DropIcmp);
    };
    let vip = ip.destination;
    if is_error_v6(kind) && is_about_outer_v6(frame, view, &vip, &icmp, payload.into()) {
        return Odd::settled(Verdict::PassOuterError, frame_len);
    }
    if kind == REDIRECT_V6 {
        return refused(Verdict::DropIcmp);
    }
    if let Some(refusal) = plain::refuse_v6(ip, head.group, kind != ECHO_V6) {
        return refused(refusal);
    }
    if kind == ECHO_V6 {
        return if icmp.code == 0 {
            fated(News::EchoV6(claim))
        } else {
            refused(Verdict::DropIcmp)
        };
    }
    let Some(flow) = quote_v6(frame, &vip, L4 + u32::from(payload)) else {
        return refused(Verdict::DropIcmpQuote);
    };
    fated(News::QuoteV6(Quote {
        flow,
        tos: ip.traffic_class(),
        length: payload.saturating_add(IPV6_LEN as u16),
    }))
}

/// As [`is_about_outer_v4`].
#[inline(always)]
fn is_about_outer_v6<F: Frame, V: View>(frame: &F, view: &V, destination: &[u32; 4], icmp: &Icmp, len: u32) -> bool {
    let Some(node) = view.node() else {
        return false;
    };
    if !node.sends_from_v6(destination) {
        return false;
    }
    if len < ICMP_LEN + IPV6_LEN {
        return true;
    }
    let Some(quoted) = frame.load::<Ipv6>(ETHERNET_LEN + IPV6_LEN + ICMP_LEN) else {
        return true;
    };
    let source = quoted.source;
    if node.sends_from_v6(&source) {
        let mtu = u32::from_be(icmp.word).min(u32::from(u16::MAX)) as u16;
        let key = PathMtuKey {
            address: quoted.destination,
        };
        view.note_path(&key, learned(icmp.kind == TOO_BIG_V6, mtu, LEAST_PATH_MTU_V6));
    }
    true
}

/// As [`quote_v4`].
#[inline(always)]
fn quote_v6<F: Frame>(frame: &F, vip: &[u32; 4], end: u32) -> Option<FlowV6> {
    const QUOTE: u32 = ETHERNET_LEN + IPV6_LEN + ICMP_LEN;
    let quoted = frame.load::<Ipv6>(QUOTE)?;
    let source = quoted.source;
    let other = (source[0] ^ vip[0]) | (source[1] ^ vip[1]) | (source[2] ^ vip[2]) | (source[3] ^ vip[3]);
    if quoted.version() != 6 || other != 0 {
        return None;
    }
    if quoted.next_header != PROTOCOL_TCP && quoted.next_header != PROTOCOL_UDP {
        return None;
    }
    if QUOTE + IPV6_LEN + QUOTED_L4 > end {
        return None;
    }
    let ports = frame.load::<[Ports; 2]>(QUOTE + IPV6_LEN)?[0];
    Some(FlowV6 {
        source: quoted.destination,
        destination: source,
        source_port: ports.destination,
        destination_port: ports.source,
        protocol: quoted.next_header,
    })
}

/// What a too-big teaches; 0: nothing.
#[inline(always)]
const fn learned(too_big: bool, mtu: u16, least: u16) -> u16 {
    if !too_big {
        0
    } else if mtu < least {
        least
    } else {
        mtu
    }
}
