//! The fast path: packets of the common shape for clean slots, and packets that
//! are nobody's. Everything it meets on the way must be as usual.

use super::{
    Next, Outcome,
    carry::{Tuple, Way, forward, refuse_member},
    counted,
};
use crate::{
    abi::{
        hash_key::HashKey,
        member::Member,
        table::Slot,
        vip::{MAPPED, SIPHASH, SOURCE_AFFINITY, VipKey},
    },
    encap::Inner,
    frame::Frame,
    hash::{FlowHash, FlowV4, FlowV6},
    parse::plain::{self, Plain},
    select::{self, Miss},
    verdict::Verdict,
    view::View,
    wire::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, Ethernet, PROTOCOL_IPIP, PROTOCOL_IPV6},
};

/// # Errors
/// Another path goes on with it.
#[inline(always)]
pub fn balance<F: Frame, V: View>(frame: &mut F, view: &V) -> Result<Outcome, Next> {
    let outcome = decide(frame, view)?;
    Ok(counted(view, outcome))
}

#[inline(always)]
fn decide<F: Frame, V: View>(frame: &mut F, view: &V) -> Result<Outcome, Next> {
    let linear = frame.linear_len();
    let Some(ethernet) = frame.load::<Ethernet>(0) else {
        return Err(Next::Odd);
    };
    let group = ethernet.destination[0] & 1 != 0;
    let fits = |stated| stated <= linear;
    let plain = match ethernet.ethertype {
        ETHERTYPE_IPV4 => plain::v4(frame, group, fits).map(|plain| plain.map(Either::v4)),
        ETHERTYPE_IPV6 => plain::v6(frame, group, fits).map(|plain| plain.map(Either::v6)),
        ETHERTYPE_VLAN => return Err(Next::Odd),
        _ => return Ok(Outcome::unforwarded(Verdict::PassNotIp, linear)),
    };
    match plain {
        Some(plain) => carry(&plain, frame, view, linear).ok_or(Next::Plain),
        None => Err(Next::Odd),
    }
}

/// A flow of either family in one shape, so that one piece of code serves both.
#[derive(Clone, Copy)]
struct Either {
    /// IPv4 in the last word.
    source: [u32; 4],
    /// IPv4 mapped into IPv6.
    destination: [u32; 4],
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    is_v6: bool,
}

impl Either {
    #[inline(always)]
    const fn v4(flow: FlowV4) -> Self {
        Self {
            source: [0, 0, MAPPED, flow.source],
            destination: [0, 0, MAPPED, flow.destination],
            source_port: flow.source_port,
            destination_port: flow.destination_port,
            protocol: flow.protocol,
            is_v6: false,
        }
    }

    #[inline(always)]
    const fn v6(flow: FlowV6) -> Self {
        Self {
            source: flow.source,
            destination: flow.destination,
            source_port: flow.source_port,
            destination_port: flow.destination_port,
            protocol: flow.protocol,
            is_v6: true,
        }
    }

    #[inline(always)]
    const fn as_v4(&self) -> FlowV4 {
        FlowV4 {
            source: self.source[3],
            destination: self.destination[3],
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol: self.protocol,
        }
    }

    #[inline(always)]
    const fn as_v6(&self) -> FlowV6 {
        FlowV6 {
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol: self.protocol,
        }
    }
}

impl Tuple for Either {
    #[inline(always)]
    fn inner_protocol(&self) -> u8 {
        if self.is_v6 { PROTOCOL_IPV6 } else { PROTOCOL_IPIP }
    }

    #[inline(always)]
    fn key(&self) -> VipKey {
        VipKey::v6(self.destination, self.destination_port, self.protocol)
    }

    #[inline(always)]
    fn address(&self) -> VipKey {
        VipKey::v6_address(self.destination)
    }

    #[inline(always)]
    fn fast_hash(&self, key: &HashKey, by_source: bool) -> FlowHash {
        if self.is_v6 {
            self.as_v6().fast_hash(key, by_source)
        } else {
            self.as_v4().fast_hash(key, by_source)
        }
    }

    #[inline(always)]
    fn siphash(&self, key: &HashKey, by_source: bool) -> FlowHash {
        if self.is_v6 {
            Tuple::siphash(&self.as_v6(), key, by_source)
        } else {
            Tuple::siphash(&self.as_v4(), key, by_source)
        }
    }

    #[inline(always)]
    fn loops(&self, member: &Member) -> bool {
        if self.is_v6 {
            self.as_v6().loops(member)
        } else {
            self.as_v4().loops(member)
        }
    }
}

#[inline(always)]
fn carry<F: Frame, V: View, T: Tuple>(plain: &Plain<T>, frame: &mut F, view: &V, frame_len: u32) -> Option<Outcome> {
    if plain.refusal.is_some() {
        return None;
    }
    let active = view.active();
    if active.is_empty() {
        return None;
    }
    let vip = match select::vip(view, active.vips(), &plain.flow.key()) {
        Ok(vip) => vip,
        Err(Miss::Absent) => return Some(Outcome::unforwarded(Verdict::PassNotVip, frame_len)),
        Err(Miss::Unreadable) => return None,
    };
    if vip.flags & SIPHASH != 0 {
        return None;
    }
    let hash = plain.flow.fast_hash(view.hash_key()?, vip.flags & SOURCE_AFFINITY != 0);
    let Slot::Clean(member) = select::slot(view, &vip, hash.slot())? else {
        return None;
    };
    if member == 0 {
        return None;
    }
    let member = select::member(view, &vip, member)?;
    if refuse_member(&plain.flow, plain.length, member).is_some() {
        return None;
    }
    let inner = Inner {
        protocol: plain.flow.inner_protocol(),
        tos: plain.tos,
        length: plain.length,
    };
    let way = Way { vip, member, hash };
    Some(forward(frame, &way, inner, frame_len))
}
