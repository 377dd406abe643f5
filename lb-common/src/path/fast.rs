//! The fast path: packets of the common shape for clean slots, and packets that
//! are nobody's. Everything it meets on the way must be as usual.

use super::{
    Next, Outcome,
    carry::{Tuple, Way, forward, refuse_member},
    counted,
    either::Either,
};
use crate::{
    abi::{
        table::Slot,
        vip::{MAINT, SIPHASH, SOURCE_AFFINITY},
    },
    encap::Inner,
    frame::Frame,
    parse::plain::{self, Plain},
    select::{self, Miss},
    verdict::Verdict,
    view::View,
    wire::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, Ethernet},
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
    // One test for both, as neither is usual.
    if vip.flags & (SIPHASH | MAINT) != 0 {
        // A flood ends here: nothing is hashed for it.
        return (vip.flags & MAINT != 0).then(|| Outcome::unforwarded(Verdict::DropMaint, frame_len));
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
