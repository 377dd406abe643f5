//! The way of a packet through the agent on a backend: IP-in-IP from a
//! balancer loses its outer header and goes up; everything else is untouched.

use crate::{
    abi::agent::Peers,
    checksum,
    frame::Frame,
    verdict::AgentVerdict,
    wire::{
        ETHERNET_LEN, ETHERTYPE_IPV4, Ethernet, EthernetIpv4, IPV4_LEN, IS_FRAGMENT, Ipv4, PROTOCOL_IPIP, VERSION_IHL,
    },
};

/// The ECN field of a TOS byte, and its marks (RFC 3168 §5).
const ECN: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;

/// Decides and decapsulates one packet.
#[inline(always)]
pub fn accept<F: Frame>(frame: &mut F, peers: &Peers) -> AgentVerdict {
    let Some(outer) = frame.load::<EthernetIpv4>(0) else {
        return AgentVerdict::PassNotEncapsulated;
    };
    if outer.ethernet.ethertype != ETHERTYPE_IPV4 || outer.ip.protocol != PROTOCOL_IPIP {
        return AgentVerdict::PassNotEncapsulated;
    }
    if !trusts(peers, outer.ip.source) {
        return AgentVerdict::PassUntrusted;
    }
    let Some(inner) = inner_of(frame, &outer.ip) else {
        return AgentVerdict::PassMalformed;
    };
    let Some(tos) = decapsulated_tos(outer.ip.tos, inner.tos) else {
        return AgentVerdict::DropCongestion;
    };
    decapsulate(frame, &outer.ethernet, &inner, tos)
}

#[inline(always)]
fn trusts(peers: &Peers, source: u32) -> bool {
    let mut trusted = false;
    for (at, peer) in peers.peers.iter().enumerate() {
        // No early exit: a loop the compiler unrolls to compares.
        trusted |= (at as u32) < peers.count && source & peer.mask == peer.network;
    }
    trusted
}

/// The inner header, if the outer one is whole, not a fragment, and says the
/// length of a whole inner one.
#[inline(always)]
fn inner_of<F: Frame>(frame: &F, outer: &Ipv4) -> Option<Ipv4> {
    const INNER: u32 = ETHERNET_LEN + IPV4_LEN;
    let outer_length = u32::from(u16::from_be(outer.total_length));
    if outer.version_ihl != VERSION_IHL
        || outer.fragment & IS_FRAGMENT != 0
        || checksum::finish(checksum::sum_ipv4(outer)) != 0
        || ETHERNET_LEN + outer_length > frame.total_len()
    {
        return None;
    }
    let inner = frame.load::<Ipv4>(INNER)?;
    let inner_length = u32::from(u16::from_be(inner.total_length));
    let whole = inner.version_ihl >> 4 == 4
        && inner.version_ihl & 0xf >= 5
        && inner_length >= u32::from(inner.version_ihl & 0xf) * 4
        && inner_length + IPV4_LEN <= outer_length;
    whole.then_some(inner)
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

#[inline(always)]
fn decapsulate<F: Frame>(frame: &mut F, ethernet: &Ethernet, inner: &Ipv4, tos: u8) -> AgentVerdict {
    if tos != inner.tos {
        // RFC 1624 §3, eqn. 3: HC' = ~(~HC + ~m + m').
        let old = u32::from(u16::from_ne_bytes([inner.version_ihl, inner.tos]));
        let new = u32::from(u16::from_ne_bytes([inner.version_ihl, tos]));
        let sum = u32::from(!inner.checksum) + (old ^ 0xffff) + new;
        let marked = Ipv4 {
            tos,
            checksum: checksum::finish(sum),
            ..*inner
        };
        if !frame.store(ETHERNET_LEN + IPV4_LEN, &marked) {
            return AgentVerdict::PassMalformed;
        }
    }
    // The Ethernet header moves up against the inner packet first, so that a
    // refusal of the kernel's could only lose bytes that are not needed.
    if !frame.store(IPV4_LEN, ethernet) || !frame.adjust_head(IPV4_LEN.cast_signed()) {
        return AgentVerdict::PassMalformed;
    }
    AgentVerdict::AcceptDecapsulated
}
