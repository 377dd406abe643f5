//! Packets of the common shape, with all their fates: in dirty slots, refused,
//! too big, or with the active revision damaged.

use super::{
    Outcome,
    carry::{Tuple, forward, refuse_member, way},
    counted,
};
use crate::{
    answer,
    encap::Inner,
    frame::Frame,
    hash::{FlowV4, FlowV6},
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
    let outcome = if ethernet.ethertype == ETHERTYPE_IPV4 {
        plain::v4(frame, group, fits).map(|plain| carry(&plain, frame, view, len))
    } else {
        plain::v6(frame, group, fits).map(|plain| carry(&plain, frame, view, len))
    };
    // Nobody sends other packets here.
    outcome.unwrap_or(Outcome::unforwarded(Verdict::DropShortL3, linear))
}

#[inline(always)]
fn carry<F: Frame, V: View, T: Tuple + TooBig>(plain: &Plain<T>, frame: &mut F, view: &V, frame_len: u32) -> Outcome {
    let way = match way(view, &plain.flow, plain.opening, plain.refusal) {
        Ok(way) => way,
        Err(verdict) => return Outcome::unforwarded(verdict, frame_len),
    };
    match refuse_member(&plain.flow, plain.length, way.member) {
        None => {}
        Some(Verdict::DropTooBig) => {
            let mtu = way.member.mtu.saturating_sub(u16::from(way.member.overhead));
            let told = plain.length >= T::QUOTED && may_tell(view) && T::tell(frame, mtu);
            let verdict = if told {
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

/// Not more than so many in a second are told.
#[inline(always)]
fn may_tell<V: View>(view: &V) -> bool {
    match view.node() {
        Some(node) => view.may_answer(node.answers_per_second),
        None => false,
    }
}

/// How a client of this family is told what fits.
trait TooBig {
    /// Bytes of the packet that the answer quotes. What is shorter is not
    /// answered: behind it there is only padding.
    const QUOTED: u16;

    /// `false`: the frame cannot be turned into the answer.
    fn tell<F: Frame>(frame: &mut F, mtu: u16) -> bool;
}

impl TooBig for FlowV4 {
    const QUOTED: u16 = answer::QUOTED_V4 as u16;

    #[inline(always)]
    fn tell<F: Frame>(frame: &mut F, mtu: u16) -> bool {
        answer::too_big_v4(frame, mtu)
    }
}

impl TooBig for FlowV6 {
    const QUOTED: u16 = answer::QUOTED_V6 as u16;

    #[inline(always)]
    fn tell<F: Frame>(frame: &mut F, mtu: u16) -> bool {
        answer::too_big_v6(frame, mtu)
    }
}
