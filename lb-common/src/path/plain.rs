//! Packets of the common shape, with all their fates: in dirty slots, refused,
//! too big, or with the active revision damaged.

use super::{
    Outcome,
    carry::{Tuple, forward, refuse_member, way},
    counted,
    either::Either,
};
use crate::{
    answer,
    encap::Inner,
    frame::Frame,
    parse::{
        odd::frame_len,
        plain::{self, Plain},
    },
    verdict::Verdict,
    view::View,
    wire::{ETHERTYPE_IPV4, Ethernet},
};

/// A packet that [`super::fast`] or [`super::odd`] found to be plain.
#[inline(always)]
pub fn balance<F: Frame, V: View>(frame: &mut F, view: &V) -> Outcome {
    let outcome = decide(frame, view);
    counted(view, outcome)
}

#[inline(always)]
fn decide<F: Frame, V: View>(frame: &mut F, view: &V) -> Outcome {
    let linear = frame.linear_len();
    let Some(ethernet) = frame.load::<Ethernet>(0) else {
        return Outcome::unforwarded(Verdict::DropRunt, linear);
    };
    let group = ethernet.destination[0] & 1 != 0;
    let mut len = linear;
    let fits = |stated| {
        len = frame_len(frame, linear, stated);
        stated <= len
    };
    let plain = if ethernet.ethertype == ETHERTYPE_IPV4 {
        plain::v4(frame, group, fits).map(|plain| plain.map(Either::v4))
    } else {
        plain::v6(frame, group, fits).map(|plain| plain.map(Either::v6))
    };
    match plain {
        Some(plain) => carry(&plain, frame, view, len),
        // Nobody sends other packets here.
        None => Outcome::unforwarded(Verdict::DropShortL3, linear),
    }
}

#[inline(always)]
fn carry<F: Frame, V: View>(plain: &Plain<Either>, frame: &mut F, view: &V, frame_len: u32) -> Outcome {
    let way = match way(view, &plain.flow, plain.opening, plain.refusal) {
        Ok(way) => way,
        Err(verdict) => return Outcome::unforwarded(verdict, frame_len),
    };
    match refuse_member(&plain.flow, plain.length, way.member) {
        None => {}
        Some(Verdict::DropTooBig) => {
            let mtu = way.member.mtu.saturating_sub(u16::from(way.member.overhead));
            let verdict = if tell(plain, frame, view, mtu) {
                Verdict::AnswerTooBig
            } else {
                Verdict::DropTooBig
            };
            return Outcome::unforwarded(verdict, frame_len);
        }
        Some(verdict) => return Outcome::unforwarded(verdict, frame_len),
    }
    let inner = Inner {
        protocol: plain.flow.inner_protocol(),
        tos: plain.tos,
        length: plain.length,
    };
    forward(frame, &way, inner, frame_len)
}

/// Tells the client what fits. `false`: enough were told in this second, or the
/// frame cannot be turned into the answer.
#[inline(always)]
fn tell<F: Frame, V: View>(plain: &Plain<Either>, frame: &mut F, view: &V, mtu: u16) -> bool {
    let is_v6 = plain.flow.is_v6;
    let quoted = if is_v6 { answer::QUOTED_V6 } else { answer::QUOTED_V4 };
    // What is shorter is not answered: behind it there is only padding.
    if usize::from(plain.length) < quoted {
        return false;
    }
    let Some(node) = view.node() else {
        return false;
    };
    if !view.may_answer(node.answers_per_second) {
        return false;
    }
    if is_v6 {
        answer::too_big_v6(frame, mtu)
    } else {
        answer::too_big_v4(frame, mtu)
    }
}
