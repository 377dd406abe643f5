//! To the backend: from a flow to its member, and out.

use super::Outcome;
use crate::{
    abi::{
        active::Active,
        chunk::ChunkId,
        hash_key::HashKey,
        member::{ENCAP_L2, Member, NEXT_HOP_KNOWN},
        table::Slot,
        vip::{MAINT, SIPHASH, SOURCE_AFFINITY, VipKey, VipRecord},
    },
    dirty,
    encap::{self, Inner},
    frame::Frame,
    hash::{FlowHash, FlowV4, FlowV6},
    parse::Opening,
    select::{self, Miss},
    verdict::Verdict,
    view::View,
    wire::{PROTOCOL_IPIP, PROTOCOL_IPV6},
};

/// A flow of one family.
pub trait Tuple: Copy {
    /// A packet of this family inside another one.
    fn inner_protocol(&self) -> u8;

    fn key(&self) -> VipKey;

    /// Its destination as a whole.
    fn address(&self) -> VipKey;

    fn fast_hash(&self, key: &HashKey, by_source: bool) -> FlowHash;

    fn siphash(&self, key: &HashKey, by_source: bool) -> FlowHash;

    /// It comes from where the member's outer headers come from.
    fn loops(&self, member: &Member) -> bool;
}

impl Tuple for FlowV4 {
    #[inline(always)]
    fn inner_protocol(&self) -> u8 {
        PROTOCOL_IPIP
    }

    #[inline(always)]
    fn key(&self) -> VipKey {
        VipKey::v4(self.destination, self.destination_port, self.protocol)
    }

    #[inline(always)]
    fn address(&self) -> VipKey {
        VipKey::v4_address(self.destination)
    }

    #[inline(always)]
    fn fast_hash(&self, key: &HashKey, by_source: bool) -> FlowHash {
        if by_source {
            self.hash_source(key)
        } else {
            self.hash(key)
        }
    }

    #[inline(always)]
    fn siphash(&self, key: &HashKey, by_source: bool) -> FlowHash {
        if by_source {
            self.siphash_source(key)
        } else {
            self.siphash(key)
        }
    }

    #[inline(always)]
    fn loops(&self, member: &Member) -> bool {
        member.outer_is_v4() && (self.source ^ member.source[0]) & !member.entropy_mask == 0
    }
}

impl Tuple for FlowV6 {
    #[inline(always)]
    fn inner_protocol(&self) -> u8 {
        PROTOCOL_IPV6
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
        if by_source {
            self.hash_source(key)
        } else {
            self.hash(key)
        }
    }

    #[inline(always)]
    fn siphash(&self, key: &HashKey, by_source: bool) -> FlowHash {
        if by_source {
            self.siphash_source(key)
        } else {
            self.siphash(key)
        }
    }

    #[inline(always)]
    fn loops(&self, member: &Member) -> bool {
        let [s0, s1, s2, s3] = self.source;
        let [m0, m1, m2, m3] = member.source;
        // We fill the last word only: where the prefix is shorter than 96 bits,
        // no source of ours has anything but zeros behind it.
        let differs = (s0 ^ m0) | (s1 ^ m1) | (s2 ^ m2) | (s3 ^ m3) & !member.entropy_mask;
        member.outer_is_v6() && differs == 0
    }
}

/// Where a packet goes.
pub struct Way<'v> {
    pub vip: VipRecord,
    pub member: &'v Member,
    pub hash: FlowHash,
}

/// The VIP and member of a flow; a second try, whole, in the fallback. A packet
/// that is to be refused is only looked up.
///
/// # Errors
/// The verdict of a packet that goes nowhere.
#[inline(always)]
pub fn way<'v, V: View, T: Tuple>(
    view: &'v V,
    flow: &T,
    opening: Opening,
    refusal: Option<Verdict>,
) -> Result<Way<'v>, Verdict> {
    let active = view.active();
    if active.is_empty() {
        return Err(Verdict::PassNoGeneration);
    }
    let mut unreadable = Verdict::PassUnreadable;
    for vips in tries(active) {
        match way_in(view, flow, opening, refusal, vips) {
            Ok(way) => return Ok(way),
            Err(Refused::Settled(verdict)) => return Err(verdict),
            Err(Refused::Unreadable(verdict)) => unreadable = verdict,
        }
    }
    Err(unreadable)
}

/// First VIP chunks: of the active revision, then of the fallback.
#[inline(always)]
pub const fn tries(active: Active) -> [ChunkId; 2] {
    [active.vips(), active.fallback_vips()]
}

enum Refused {
    Settled(Verdict),
    /// A chunk is missing; the verdict if no other root can be read either.
    Unreadable(Verdict),
}

#[inline(always)]
fn way_in<'v, V: View, T: Tuple>(
    view: &'v V,
    flow: &T,
    opening: Opening,
    refusal: Option<Verdict>,
    vips: ChunkId,
) -> Result<Way<'v>, Refused> {
    let vip = match select::vip(view, vips, &flow.key()) {
        Ok(vip) => vip,
        Err(Miss::Absent) => return Err(refuse_absent(view, flow, opening, vips)),
        Err(Miss::Unreadable) => return Err(Refused::Unreadable(Verdict::PassUnreadable)),
    };
    if let Some(refusal) = refusal {
        return Err(Refused::Settled(refusal));
    }
    if vip.flags & MAINT != 0 {
        return Err(Refused::Settled(Verdict::DropMaint));
    }
    let Some(key) = view.hash_key() else {
        return Err(Refused::Settled(Verdict::DropUnreadable));
    };
    let by_source = vip.flags & SOURCE_AFFINITY != 0;
    let hash = if vip.flags & SIPHASH == 0 {
        flow.fast_hash(key, by_source)
    } else {
        flow.siphash(key, by_source)
    };
    let member = match select::slot(view, &vip, hash.slot()) {
        None => return Err(Refused::Unreadable(Verdict::DropUnreadable)),
        Some(Slot::Clean(member)) => member,
        Some(Slot::Dirty(chain)) => {
            let Some(chain) = select::chain(view, &vip, chain) else {
                return Err(Refused::Unreadable(Verdict::DropUnreadable));
            };
            let tuple = if by_source { flow.fast_hash(key, false) } else { hash };
            dirty::member(view, chain, hash.slot(), tuple, opening)
        }
    };
    if member == 0 {
        return Err(Refused::Settled(Verdict::DropNoBackend));
    }
    match select::member(view, &vip, member) {
        Some(member) => Ok(Way { vip, member, hash }),
        None => Err(Refused::Unreadable(Verdict::DropUnreadable)),
    }
}

/// There is no such VIP. An ICMP error that quotes one which does not exist may
/// still have come to the address of another.
#[inline(always)]
fn refuse_absent<V: View, T: Tuple>(view: &V, flow: &T, opening: Opening, vips: ChunkId) -> Refused {
    if opening != Opening::Quote {
        return Refused::Settled(Verdict::PassNotVip);
    }
    match select::vip(view, vips, &flow.address()) {
        Ok(_) => Refused::Settled(Verdict::DropIcmpQuote),
        Err(Miss::Absent) => Refused::Settled(Verdict::PassNotVip),
        Err(Miss::Unreadable) => Refused::Unreadable(Verdict::PassUnreadable),
    }
}

/// Why a packet of `length` bytes cannot go to `member`. Asked before the first
/// byte is written.
#[inline(always)]
pub fn refuse_member<T: Tuple>(flow: &T, length: u16, member: &Member) -> Option<Verdict> {
    if member.flags & NEXT_HOP_KNOWN == 0 {
        return Some(Verdict::DropNoNextHop);
    }
    if member.encap == 0 || member.encap > ENCAP_L2 {
        return Some(Verdict::DropEncap);
    }
    if flow.loops(member) {
        return Some(Verdict::DropLoop);
    }
    if u32::from(length) + u32::from(member.overhead) > u32::from(member.mtu) {
        return Some(Verdict::DropTooBig);
    }
    None
}

/// Encapsulates the packet. Its fate after that is to be sent.
#[inline(always)]
pub fn forward<F: Frame>(frame: &mut F, way: &Way<'_>, inner: Inner, frame_len: u32) -> Outcome {
    let verdict = if frame.ingress_ifindex() == way.member.ifindex {
        Verdict::ForwardTx
    } else {
        Verdict::ForwardRedirect
    };
    if !encap::encapsulate(frame, way.member, way.hash, inner) {
        return Outcome::unforwarded(Verdict::DropNoHeadroom, frame_len);
    }
    Outcome {
        verdict,
        frame_len,
        vip_counter: way.vip.counter,
        member_counter: way.member.counter,
        ifindex: way.member.ifindex,
    }
}
