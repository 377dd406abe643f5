//! The way of a packet through the agent on a backend: what a balancer
//! encapsulated loses its outer headers and goes up; everything else is
//! untouched.

use crate::{
    abi::agent::{MAX_PEERS, Peers},
    checksum,
    frame::Frame,
    verdict::AgentVerdict,
    wire::{
        ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ethernet, GUE_LEN, GUE_PORT, Gue, IPV4_LEN, IPV6_LEN,
        IS_FRAGMENT, Ipv4, Ipv6, PROTOCOL_IPIP, PROTOCOL_IPV6, PROTOCOL_UDP, UDP_LEN, Udp, VERSION_IHL,
    },
};

/// The ECN field of a TOS byte, and its marks (RFC 3168 §5).
const ECN: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;

/// Of [`Gue::variant_length`]: variant 0, and no control message.
const GUE_KIND: u8 = 0b1110_0000;
/// Of [`Gue::variant_length`]: words of optional fields and private data.
const GUE_WORDS: u8 = 0b0001_1111;

/// Decides and decapsulates one packet.
#[inline(always)]
pub fn accept<F: Frame>(frame: &mut F, peers: &Peers) -> AgentVerdict {
    let Some(ethernet) = frame.load::<Ethernet>(0) else {
        return AgentVerdict::PassNotEncapsulated;
    };
    let outer = match ethernet.ethertype {
        ETHERTYPE_IPV4 => outer_v4(frame, peers),
        ETHERTYPE_IPV6 => outer_v6(frame, peers),
        _ => Err(AgentVerdict::PassNotEncapsulated),
    };
    let outer = match outer {
        Ok(outer) => outer,
        Err(verdict) => return verdict,
    };
    let inner = if outer.protocol == PROTOCOL_UDP {
        match inside_gue(frame, &outer) {
            Some(inner) => inner,
            None => return AgentVerdict::PassMalformed,
        }
    } else {
        Inside {
            offset: outer.payload,
            protocol: outer.protocol,
        }
    };
    match inner.protocol {
        PROTOCOL_IPIP => decapsulate_v4(frame, &ethernet, &outer, inner.offset),
        PROTOCOL_IPV6 => decapsulate_v6(frame, &ethernet, &outer, inner.offset),
        _ => AgentVerdict::PassMalformed,
    }
}

/// An outer IP header from a balancer.
struct Outer {
    tos: u8,
    /// 4, 41 or 17.
    protocol: u8,
    /// Offset of what follows it.
    payload: u32,
    /// Offset of the end of the outer packet.
    end: u32,
}

/// Where the inner packet is.
struct Inside {
    offset: u32,
    protocol: u8,
}

#[inline(always)]
fn outer_v4<F: Frame>(frame: &F, peers: &Peers) -> Result<Outer, AgentVerdict> {
    let Some(ip) = frame.load::<Ipv4>(ETHERNET_LEN) else {
        return Err(AgentVerdict::PassNotEncapsulated);
    };
    let encapsulated = match ip.protocol {
        PROTOCOL_IPIP | PROTOCOL_IPV6 => true,
        // A later fragment has no ports; the first one is malformed below.
        PROTOCOL_UDP => is_gue(frame, ETHERNET_LEN + IPV4_LEN),
        _ => false,
    };
    if !encapsulated {
        return Err(AgentVerdict::PassNotEncapsulated);
    }
    let mut trusted = false;
    for at in 0..MAX_PEERS {
        // No early exit: a loop the compiler unrolls to compares.
        trusted |= (at as u32) < peers.v4_count && peers.v4[at].contains(ip.source);
    }
    if !trusted {
        return Err(AgentVerdict::PassUntrusted);
    }
    let end = ETHERNET_LEN + u32::from(u16::from_be(ip.total_length));
    let whole = ip.version_ihl == VERSION_IHL
        && ip.fragment & IS_FRAGMENT == 0
        && checksum::finish(checksum::sum_ipv4(&ip)) == 0
        && end <= frame.total_len();
    if !whole {
        return Err(AgentVerdict::PassMalformed);
    }
    Ok(Outer {
        tos: ip.tos,
        protocol: ip.protocol,
        payload: ETHERNET_LEN + IPV4_LEN,
        end,
    })
}

#[inline(always)]
fn outer_v6<F: Frame>(frame: &F, peers: &Peers) -> Result<Outer, AgentVerdict> {
    let Some(ip) = frame.load::<Ipv6>(ETHERNET_LEN) else {
        return Err(AgentVerdict::PassNotEncapsulated);
    };
    let encapsulated = match ip.next_header {
        PROTOCOL_IPIP | PROTOCOL_IPV6 => true,
        PROTOCOL_UDP => is_gue(frame, ETHERNET_LEN + IPV6_LEN),
        _ => false,
    };
    if !encapsulated {
        return Err(AgentVerdict::PassNotEncapsulated);
    }
    let source = ip.source;
    let mut trusted = false;
    for at in 0..MAX_PEERS {
        trusted |= (at as u32) < peers.v6_count && peers.v6[at].contains(&source);
    }
    if !trusted {
        return Err(AgentVerdict::PassUntrusted);
    }
    let end = ETHERNET_LEN + IPV6_LEN + u32::from(u16::from_be(ip.payload_length));
    if ip.version() != 6 || end > frame.total_len() {
        return Err(AgentVerdict::PassMalformed);
    }
    Ok(Outer {
        tos: ip.traffic_class(),
        protocol: ip.next_header,
        payload: ETHERNET_LEN + IPV6_LEN,
        end,
    })
}

#[inline(always)]
fn is_gue<F: Frame>(frame: &F, udp: u32) -> bool {
    // Bytes 2 and 3 of the UDP header.
    frame.load::<u16>(udp + 2) == Some(GUE_PORT)
}

/// draft-ietf-intarea-gue-09 §3.1: variant 0, a data message. Its optional
/// fields and private data are skipped.
#[inline(always)]
fn inside_gue<F: Frame>(frame: &F, outer: &Outer) -> Option<Inside> {
    let udp = frame.load_variable::<Udp>(outer.payload)?;
    let gue = frame.load_variable::<Gue>(outer.payload + UDP_LEN)?;
    if outer.payload + u32::from(u16::from_be(udp.length)) != outer.end {
        return None;
    }
    if gue.variant_length & GUE_KIND != 0 {
        return None;
    }
    Some(Inside {
        offset: outer.payload + UDP_LEN + GUE_LEN + u32::from(gue.variant_length & GUE_WORDS) * 4,
        protocol: gue.protocol,
    })
}

#[inline(always)]
fn decapsulate_v4<F: Frame>(frame: &mut F, ethernet: &Ethernet, outer: &Outer, offset: u32) -> AgentVerdict {
    let Some(inner) = frame.load_variable::<Ipv4>(offset) else {
        return AgentVerdict::PassMalformed;
    };
    let length = u32::from(u16::from_be(inner.total_length));
    let header_len = u32::from(inner.version_ihl & 0xf) * 4;
    if inner.version_ihl >> 4 != 4 || header_len < IPV4_LEN || length < header_len || offset + length > outer.end {
        return AgentVerdict::PassMalformed;
    }
    let Some(tos) = decapsulated_tos(outer.tos, inner.tos) else {
        return AgentVerdict::DropCongestion;
    };
    if !strip(frame, ethernet, offset, ETHERTYPE_IPV4) {
        return AgentVerdict::PassMalformed;
    }
    if tos != inner.tos {
        let old = u16::from_ne_bytes([inner.version_ihl, inner.tos]);
        let new = u16::from_ne_bytes([inner.version_ihl, tos]);
        let marked = Ipv4 {
            tos,
            checksum: checksum::update(inner.checksum, old, new),
            ..inner
        };
        if !frame.store(ETHERNET_LEN, &marked) {
            return AgentVerdict::PassMalformed;
        }
    }
    AgentVerdict::AcceptDecapsulated
}

#[inline(always)]
fn decapsulate_v6<F: Frame>(frame: &mut F, ethernet: &Ethernet, outer: &Outer, offset: u32) -> AgentVerdict {
    let Some(inner) = frame.load_variable::<Ipv6>(offset) else {
        return AgentVerdict::PassMalformed;
    };
    let length = IPV6_LEN + u32::from(u16::from_be(inner.payload_length));
    if inner.version() != 6 || offset + length > outer.end {
        return AgentVerdict::PassMalformed;
    }
    let class = inner.traffic_class();
    let Some(tos) = decapsulated_tos(outer.tos, class) else {
        return AgentVerdict::DropCongestion;
    };
    if !strip(frame, ethernet, offset, ETHERTYPE_IPV6) {
        return AgentVerdict::PassMalformed;
    }
    if tos != class {
        let word = u32::from_be(inner.version_class_label) & !(0xff << 20) | u32::from(tos) << 20;
        if !frame.store(ETHERNET_LEN, &word.to_be()) {
            return AgentVerdict::PassMalformed;
        }
    }
    AgentVerdict::AcceptDecapsulated
}

/// Takes off what stands between Ethernet and the inner packet at `offset`. It
/// was read before, so there is no way for this to fail.
#[inline(always)]
fn strip<F: Frame>(frame: &mut F, ethernet: &Ethernet, offset: u32, ethertype: u16) -> bool {
    let ethernet = Ethernet { ethertype, ..*ethernet };
    frame.adjust_head((offset - ETHERNET_LEN).cast_signed()) && frame.store(0, &ethernet)
}

/// RFC 6040 §4.2, figure 4: a mark set on the way is copied inward; where the
/// inner packet cannot carry it, the packet is dropped. ECT(1) over ECT(0) is
/// such a mark too: the milder of the two levels of PCN (RFC 6660).
#[inline(always)]
const fn decapsulated_tos(outer: u8, inner: u8) -> Option<u8> {
    match (outer & ECN, inner & ECN) {
        (CE, NOT_ECT) => None,
        (CE, _) => Some(inner | CE),
        (ECT_1, ECT_0) => Some(inner & !ECN | ECT_1),
        _ => Some(inner),
    }
}
