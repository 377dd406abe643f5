//! FLOWS: the flows of dirty slots, and whose they are.
//!
//! A bounded table of 65,536 lines with eight entries of eight bytes each, so
//! that an entry is read and written whole, by compare-and-exchange. It is
//! written by the program, for packets in dirty slots only, and by the daemon,
//! which takes out what is idle or no longer in a dirty slot.
//!
//! ```text
//! entry = tag << 32 | member << 17 | confirmed << 16 | last seen (16 bits of Seconds)
//! tag   = low half of the five-tuple's hash
//! line  = slot ^ low 16 bits of the tag
//! ```
//!
//! So an entry's slot follows from its place. Its pool does not: an entry counts
//! for every pool in which that slot is dirty and its chain names the member.

use super::member::MemberIndex;
use crate::hash::FlowHash;

/// Lines of FLOWS: a power of two, and at least as many as there are slots.
pub const FLOW_LINES: u32 = if cfg!(feature = "relaid") { 131_072 } else { 65_536 };

/// Entries in a line.
pub const FLOWS_PER_LINE: usize = 8;

/// One line of FLOWS, 4 MiB in all.
pub type RawFlows = [u64; FLOWS_PER_LINE];

/// `CLOCK_MONOTONIC_COARSE` in units of 2^30 ns (1.07 s).
pub type Seconds = u32;

/// Nanoseconds of the clock in [`Seconds`].
#[must_use]
#[inline(always)]
pub const fn seconds(nanoseconds: u64) -> Seconds {
    (nanoseconds >> 30) as Seconds
}

/// A flow, as FLOWS tells it apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPlace {
    pub tag: u32,
    pub line: u32,
}

impl FlowPlace {
    /// `hash` is over the five-tuple, also where the slot is by source alone.
    #[must_use]
    #[inline(always)]
    pub const fn of(slot: u32, hash: FlowHash) -> Self {
        let tag = hash.0 as u32;
        Self {
            tag,
            line: (slot ^ tag) & (FLOW_LINES - 1),
        }
    }
}

/// The line of a flow where there are `lines` of them, which may be another
/// version's number.
#[must_use]
pub const fn line_among(lines: u32, slot: u16, tag: u32) -> u32 {
    (slot as u32 ^ tag) & (lines - 1)
}

/// An entry; zero is an empty place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowEntry(pub u64);

impl FlowEntry {
    /// `confirmed`: more than a SYN was seen of it.
    #[must_use]
    #[inline(always)]
    pub const fn new(tag: u32, member: MemberIndex, confirmed: bool, now: Seconds) -> Self {
        Self((tag as u64) << 32 | (member as u64) << 17 | (confirmed as u64) << 16 | (now & 0xffff) as u64)
    }

    #[must_use]
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    #[inline(always)]
    pub const fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[must_use]
    #[inline(always)]
    pub const fn member(self) -> MemberIndex {
        (self.0 >> 17) as MemberIndex & 0x7fff
    }

    #[must_use]
    #[inline(always)]
    pub const fn confirmed(self) -> bool {
        self.0 >> 16 & 1 == 1
    }

    /// It was seen after `other`, which was seen within nine hours of it.
    #[must_use]
    pub const fn is_later_than(self, other: Self) -> bool {
        let after = (self.0 as u16).wrapping_sub(other.0 as u16);
        after != 0 && after < 1 << 15
    }

    /// How long ago it was seen, to 65,535: what is older wraps, so the daemon
    /// takes entries out long before.
    #[must_use]
    #[inline(always)]
    pub const fn age(self, now: Seconds) -> u32 {
        now.wrapping_sub(self.0 as u32) & 0xffff
    }

    /// The slot of an entry in line `line`.
    #[must_use]
    #[inline(always)]
    pub const fn slot(self, line: u32) -> u16 {
        (line ^ self.tag()) as u16
    }
}

const _: () = assert!(FLOW_LINES as usize >= super::table::SLOTS && FLOW_LINES.is_power_of_two());
const _: () = assert!(size_of::<RawFlows>() == 64);
