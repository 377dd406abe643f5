//! Dirty slots: whose is a flow in a slot that changed owner?
//!
//! A flow that FLOWS knows goes to its member. A new one goes to the new owner
//! and is noted; one that must be older goes to the owner from before the
//! change, and is noted too, so that the daemon can tell when the last of them
//! is gone. Nothing is kept for clean slots.
//!
//! The bound. When a flow finds no room, it goes to the oldest owner, new or not:
//! its later packets will not be found either, and go there too. So a flood can
//! put off the end of a drain, but break no TCP connection; each refusal is
//! counted. In a full line an entry may be taken over when nothing but its first
//! packet was seen, [`UNCONFIRMED`] ago: a flood of SYNs holds no room for long.

use crate::{
    abi::{
        chain::Chain,
        counters::FIRST_EVENT,
        flows::{FLOWS_PER_LINE, FlowEntry, FlowPlace, Seconds},
        member::MemberIndex,
    },
    hash::FlowHash,
    parse::Opening,
    verdict::FlowEvent,
    view::{FlowLine, View},
};

/// How long an entry is safe of which only the first packet was seen: two
/// retransmissions of a SYN (RFC 6298 §2).
pub const UNCONFIRMED: Seconds = 4;

/// UDP does not say whether a flow is new. One that was not heard of for so long
/// after the change is taken for new.
pub const DATAGRAM_LEARNING: Seconds = 30;

/// The member for a packet of the flow `hash` (over the five-tuple) in the dirty
/// slot `slot`.
#[inline(always)]
pub fn member<V: View>(view: &V, chain: &Chain, slot: u32, hash: FlowHash, opening: Opening) -> MemberIndex {
    let place = FlowPlace::of(slot, hash);
    let now = view.now();
    let oldest = match chain.oldest() {
        0 => chain.owner,
        oldest => oldest,
    };
    let Some(line) = view.flows(place.line) else {
        return oldest;
    };
    for at in 0..FLOWS_PER_LINE {
        let entry = line.load(at);
        if entry.tag() == place.tag && chain.names(entry.member()) && !entry.is_empty() {
            see(&line, at, entry, opening, now);
            return entry.member();
        }
    }
    let is_new = match opening {
        Opening::Syn => true,
        Opening::Segment => false,
        Opening::Datagram => now.wrapping_sub(chain.since) > DATAGRAM_LEARNING,
        Opening::Quote => return oldest,
    };
    let member = if is_new { chain.owner } else { oldest };
    let noted = note(&line, FlowEntry::new(place.tag, member, false, now), now);
    count(view, is_new, noted);
    // A datagram that is new stays so without being noted.
    if noted || opening == Opening::Datagram {
        member
    } else {
        oldest
    }
}

/// Seen again: at most one write a second, and one more when it is confirmed.
#[inline(always)]
fn see<L: FlowLine>(line: &L, at: usize, entry: FlowEntry, opening: Opening, now: Seconds) {
    if opening == Opening::Quote {
        return;
    }
    let confirmed = entry.confirmed() || opening != Opening::Syn;
    if entry.age(now) == 0 && confirmed == entry.confirmed() {
        return;
    }
    // Whoever was quicker has written the same or later news.
    let _ = line.exchange(at, entry, FlowEntry::new(entry.tag(), entry.member(), confirmed, now));
}

/// Puts an entry into a line. While there is an empty place, nobody is put out
/// of theirs.
#[inline(always)]
fn note<L: FlowLine>(line: &L, new: FlowEntry, now: Seconds) -> bool {
    // Places are looked at with constant numbers: one that was found and kept
    // costs the verifier a path of its own for each.
    for at in 0..FLOWS_PER_LINE {
        if line.load(at).is_empty() {
            return line.exchange(at, FlowEntry(0), new);
        }
    }
    for at in 0..FLOWS_PER_LINE {
        let entry = line.load(at);
        if is_stale(entry, now) {
            return line.exchange(at, entry, new);
        }
    }
    false
}

/// It may be taken over.
#[inline(always)]
const fn is_stale(entry: FlowEntry, now: Seconds) -> bool {
    !entry.confirmed() && entry.age(now) > UNCONFIRMED
}

#[inline(always)]
fn count<V: View>(view: &V, is_new: bool, noted: bool) {
    let event = match (is_new, noted) {
        (true, true) => FlowEvent::NotedNew,
        (false, true) => FlowEvent::NotedOld,
        (true, false) => FlowEvent::RefusedNew,
        (false, false) => FlowEvent::RefusedOld,
    };
    view.count(FIRST_EVENT + event as u32, 0);
}
