//! The whole way of a packet through the balancer: parse, VIP, slot, member,
//! encapsulate, count. One exit; the caller turns the verdict into an action.
//!
//! There are three paths. [`fast`] knows packets of the common shape in clean
//! slots, and gives up without a trace on everything else; [`plain`] knows all
//! fates of packets of the common shape, [`odd`] all other packets. In the
//! kernel they are three programs, which call one another; elsewhere [`balance`]
//! is all of them.

mod carry;
mod either;
pub mod fast;
pub mod odd;
pub mod plain;

use crate::{frame::Frame, verdict::Verdict, view::View};

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
    pub const fn unforwarded(verdict: Verdict, frame_len: u32) -> Self {
        Self {
            verdict,
            frame_len,
            vip_counter: 0,
            member_counter: 0,
            ifindex: 0,
        }
    }
}

/// Which path goes on with a packet; nothing was written or counted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Plain,
    Odd,
}

/// Decides, rewrites and counts one packet.
pub fn balance<F: Frame, V: View>(frame: &mut F, view: &V) -> Outcome {
    match fast::balance(frame, view) {
        Ok(outcome) => outcome,
        Err(Next::Plain) => plain::balance(frame, view),
        Err(Next::Odd) => match odd::balance(frame, view) {
            Ok(outcome) => outcome,
            Err(_) => plain::balance(frame, view),
        },
    }
}

/// The one place where packets are counted.
#[inline(always)]
fn counted<V: View>(view: &V, outcome: Outcome) -> Outcome {
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
