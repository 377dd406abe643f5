//! The whole way of a packet through the balancer: parse, VIP, slot, member,
//! encapsulate, count. One exit; the caller turns the verdict into an action.

use crate::{
    abi::{
        member::{ENCAP_IPIP, Member, NEXT_HOP_KNOWN},
        vip::VipRecord,
    },
    encap,
    frame::Frame,
    hash::FlowHash,
    parse::{Parsed, parse},
    select::{self, Miss, Roots},
    verdict::Verdict,
    view::View,
    wire::IPV4_LEN,
};

/// What was decided, for the action and the counters.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub verdict: Verdict,
    /// Bytes of the frame as it came.
    pub frame_len: u32,
    /// Counters of the VIP and the member it was forwarded for; 0: none.
    pub vip_counter: u16,
    pub member_counter: u16,
    /// Where to send it, for [`Verdict::ForwardRedirect`].
    pub ifindex: u32,
}

impl Outcome {
    #[inline(always)]
    const fn unforwarded(verdict: Verdict, frame_len: u32) -> Self {
        Self {
            verdict,
            frame_len,
            vip_counter: 0,
            member_counter: 0,
            ifindex: 0,
        }
    }
}

/// Decides, rewrites and counts one packet.
#[inline(always)]
pub fn balance<F: Frame, V: View>(frame: &mut F, view: &V) -> Outcome {
    let outcome = decide(frame, view);
    let bytes = u64::from(outcome.frame_len);
    view.count(outcome.verdict as u32, bytes);
    if outcome.vip_counter != 0 {
        view.count(u32::from(outcome.vip_counter), bytes);
    }
    if outcome.member_counter != 0 {
        view.count(u32::from(outcome.member_counter), bytes);
    }
    outcome
}

#[inline(always)]
fn decide<F: Frame, V: View>(frame: &mut F, view: &V) -> Outcome {
    let parsed = match parse(frame) {
        Ok(parsed) => parsed,
        Err((verdict, frame_len)) => return Outcome::unforwarded(verdict, frame_len),
    };
    let active = view.active();
    if active.is_empty() {
        return Outcome::unforwarded(Verdict::PassNoGeneration, parsed.frame_len);
    }
    match choose(view, &parsed, Roots::of(active)) {
        Ok((vip, member, hash)) => forward(frame, view, &parsed, &vip, member, hash),
        Err(verdict) => Outcome::unforwarded(verdict, parsed.frame_len),
    }
}

/// The VIP and member for a packet; a second try, whole, in the fallback.
#[inline(always)]
fn choose<'v, V: View>(
    view: &'v V,
    parsed: &Parsed,
    roots: Roots,
) -> Result<(VipRecord, &'v Member, FlowHash), Verdict> {
    let mut vips = roots.vips;
    let mut unreadable = Verdict::PassUnreadable;
    // Twice at most: the active revision, then the fallback.
    for _ in 0..2 {
        match choose_in(view, parsed, vips) {
            Ok(chosen) => return Ok(chosen),
            Err(Refused::Settled(verdict)) => return Err(verdict),
            Err(Refused::Unreadable(verdict)) => unreadable = verdict,
        }
        vips = roots.fallback;
    }
    Err(unreadable)
}

enum Refused {
    Settled(Verdict),
    /// A chunk is missing; the verdict if no other root can be read either.
    Unreadable(Verdict),
}

#[inline(always)]
fn choose_in<'v, V: View>(
    view: &'v V,
    parsed: &Parsed,
    vips: u16,
) -> Result<(VipRecord, &'v Member, FlowHash), Refused> {
    let vip = match select::vip(view, vips, &parsed.key) {
        Ok(vip) => vip,
        Err(Miss::Absent | Miss::Nobody) => return Err(Refused::Settled(Verdict::PassNotVip)),
        Err(Miss::Unreadable) => return Err(Refused::Unreadable(Verdict::PassUnreadable)),
    };
    if let Some(refusal) = parsed.refusal {
        // An address record counts only for the protocols it has VIPs of.
        let ours = vip.flags == 0 || vip.flags & parsed.protocols != 0;
        return Err(Refused::Settled(if ours { refusal } else { Verdict::PassNotVip }));
    }
    let Some(key) = view.hash_key() else {
        return Err(Refused::Settled(Verdict::DropUnreadable));
    };
    let hash = FlowHash::v4(&parsed.flow, key);
    match select::member(view, &vip, hash) {
        Ok(member) => Ok((vip, member, hash)),
        Err(Miss::Absent | Miss::Nobody) => Err(Refused::Settled(Verdict::DropNoBackend)),
        Err(Miss::Unreadable) => Err(Refused::Unreadable(Verdict::DropUnreadable)),
    }
}

#[inline(always)]
fn forward<F: Frame, V: View>(
    frame: &mut F,
    view: &V,
    parsed: &Parsed,
    vip: &VipRecord,
    member: &Member,
    hash: FlowHash,
) -> Outcome {
    let frame_len = parsed.frame_len;
    if let Some(verdict) = refuse_member(parsed, member) {
        return Outcome::unforwarded(verdict, frame_len);
    }
    let verdict = egress(frame, view, member);
    if !encap::ipip_v4(frame, member, hash, parsed.tos, parsed.total_length) {
        return Outcome::unforwarded(Verdict::DropNoHeadroom, frame_len);
    }
    Outcome {
        verdict,
        frame_len,
        vip_counter: vip.counter,
        member_counter: member.counter,
        ifindex: member.ifindex,
    }
}

/// Checked before the first byte is written.
#[inline(always)]
fn refuse_member(parsed: &Parsed, member: &Member) -> Option<Verdict> {
    if member.flags & NEXT_HOP_KNOWN == 0 {
        return Some(Verdict::DropNoNextHop);
    }
    if member.encap != ENCAP_IPIP {
        return Some(Verdict::DropEncap);
    }
    if (parsed.flow.source ^ member.source[0]) & !member.entropy_mask == 0 {
        return Some(Verdict::DropLoop);
    }
    if u32::from(parsed.total_length) + IPV4_LEN > u32::from(member.mtu) {
        return Some(Verdict::DropTooBig);
    }
    None
}

/// Back out of the same interface, or out of another. A packet from an
/// interface that is not ours (a test run, say) is treated as if it had come
/// by the first of ours, so that its verdict is the real one.
#[inline(always)]
fn egress<F: Frame, V: View>(frame: &F, view: &V, member: &Member) -> Verdict {
    let ingress = frame.ingress_ifindex();
    if ingress == member.ifindex {
        return Verdict::ForwardTx;
    }
    let Some(interfaces) = view.interfaces() else {
        return Verdict::ForwardRedirect;
    };
    if interfaces.ifindex[0] != member.ifindex {
        return Verdict::ForwardRedirect;
    }
    for ours in interfaces.ifindex {
        if ours == ingress {
            return Verdict::ForwardRedirect;
        }
    }
    Verdict::ForwardTx
}
