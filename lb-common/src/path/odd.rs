//! Packets that are not of the common shape: refused if they are for a VIP, but
//! for ICMP, which is answered or sent where its flow goes.

use super::{
    Next, Outcome,
    carry::{Tuple, forward, refuse_member, tries, way},
    counted,
};
use crate::{
    answer,
    encap::Inner,
    frame::Frame,
    parse::{
        Opening,
        odd::{Claim, News, Quote, parse},
    },
    select::{self, Miss},
    verdict::Verdict,
    view::View,
};

/// # Errors
/// It is plain: its header states more than the first buffer holds, but other
/// buffers have it.
#[inline(always)]
pub fn balance<F: Frame, V: View>(frame: &mut F, view: &V) -> Result<Outcome, Next> {
    let outcome = decide(frame, view)?;
    Ok(counted(view, outcome))
}

#[inline(always)]
fn decide<F: Frame, V: View>(frame: &mut F, view: &V) -> Result<Outcome, Next> {
    let odd = parse(frame, view);
    let frame_len = odd.frame_len;
    let verdict = match odd.news {
        News::Plain => return Err(Next::Plain),
        News::Settled(verdict) => verdict,
        News::Refuse(claim, verdict) => judged(view, &claim, verdict),
        News::EchoV4(claim) => {
            let verdict = judged(view, &claim, Verdict::AnswerEcho);
            if verdict == Verdict::AnswerEcho {
                answered(answer::echo_v4(frame))
            } else {
                verdict
            }
        }
        News::EchoV6(claim) => {
            let verdict = judged(view, &claim, Verdict::AnswerEcho);
            if verdict == Verdict::AnswerEcho {
                answered(answer::echo_v6(frame))
            } else {
                verdict
            }
        }
        News::QuoteV4(quote) => return Ok(carry(&quote, frame, view, frame_len)),
        News::QuoteV6(quote) => return Ok(carry(&quote, frame, view, frame_len)),
    };
    Ok(Outcome::unforwarded(verdict, frame_len))
}

/// `verdict`, if the packet is for a VIP.
#[inline(always)]
fn judged<V: View>(view: &V, claim: &Claim, verdict: Verdict) -> Verdict {
    let active = view.active();
    if active.is_empty() {
        return Verdict::PassNoGeneration;
    }
    for vips in tries(active) {
        match select::vip(view, vips, &claim.key) {
            // An address record counts only for the protocols it has VIPs of.
            Ok(vip) if claim.protocols == 0 || vip.flags & claim.protocols != 0 => return verdict,
            Ok(_) | Err(Miss::Absent) => return Verdict::PassNotVip,
            Err(Miss::Unreadable) => {}
        }
    }
    Verdict::PassUnreadable
}

#[inline(always)]
const fn answered(done: bool) -> Verdict {
    if done { Verdict::AnswerEcho } else { Verdict::DropIcmp }
}

#[inline(always)]
fn carry<F: Frame, V: View, T: Tuple>(quote: &Quote<T>, frame: &mut F, view: &V, frame_len: u32) -> Outcome {
    let way = match way(view, &quote.flow, Opening::Quote, None) {
        Ok(way) => way,
        Err(verdict) => return Outcome::unforwarded(verdict, frame_len),
    };
    // An error about an error is never sent (RFC 1122 §3.2.2), so a packet that
    // is too big is dropped.
    if let Some(verdict) = refuse_member(&quote.flow, quote.length, way.member) {
        return Outcome::unforwarded(verdict, frame_len);
    }
    let inner = Inner {
        protocol: quote.flow.inner_protocol(),
        tos: quote.tos,
        length: quote.length,
    };
    forward(frame, &way, inner, frame_len)
}
