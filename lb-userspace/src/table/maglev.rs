//! Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software
//! Network Load Balancer", NSDI 2016, §3.4): a table from names and weights
//! alone, so that balancers that never met agree on it.
//!
//! Each backend prefers the slots in an order of its own; in turns, each takes
//! the first slot of its order that is free. Where this is not the paper:
//!
//! * The size is 65,536, a power of two, where the paper's is a prime: every
//!   *odd* skip visits all slots. Offset and skip are 16 bits each of the
//!   SHA-256 of the name, where the paper takes two unnamed hashes.
//! * Turns are weighted (the paper leaves open how): a backend's turn *k*,
//!   counted from 0, comes at the time (*k* + 1) ÷ weight, compared exactly,
//!   ties by name.
//! * A backend that has its quota (see [`super::quotas`]) takes no more turns,
//!   so every share is exact. Without that, heavy backends would get more
//!   than theirs wherever there are many light ones.
//!
//! Removing a backend moves about one and a half times the slots it had, of
//! 100; six times, of 1,000. [`super::minmove`] moves just those.

use std::{cmp::Ordering, collections::BinaryHeap};

use lb_common::abi::{member::MemberIndex, table::SLOTS};
use sha2::{Digest as _, Sha256};

use super::{Share, Slots, Table, by_name, filled_with};

#[cfg(test)]
mod tests;

/// The table for `shares`, the backends in service. The order of the shares
/// does not matter, nor which backend has which member index.
#[must_use]
pub fn build(shares: &[Share]) -> Table {
    let mut turns: BinaryHeap<Turn> = by_name(shares)
        .into_iter()
        .enumerate()
        .filter(|&(_, (_, quota))| quota > 0)
        .map(|(rank, (share, quota))| Turn::first(rank, share, quota))
        .collect();
    // Quotas add up to all slots or to none, so all of them are filled, and a
    // turn always finds a free one.
    let mut slots = filled_with(NOBODY);
    while let Some(mut turn) = turns.pop() {
        slots[turn.preference.first_free(&slots)] = turn.member;
        turn.number += 1;
        if turn.number <= turn.quota {
            turns.push(turn);
        }
    }
    Table::of(slots)
}

/// The next turn of one backend. The greatest is the one that is due.
struct Turn {
    /// Counted from 1: its time is `number` ÷ `weight`.
    number: u32,
    weight: u32,
    /// Its place by name.
    rank: usize,
    /// The number of its last turn.
    quota: u32,
    member: MemberIndex,
    preference: Preference,
}

impl Turn {
    fn first(rank: usize, share: &Share, quota: u32) -> Self {
        Self {
            number: 1,
            weight: share.weight,
            rank,
            quota,
            member: share.member,
            preference: Preference::of(&share.name),
        }
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        // number ÷ weight, multiplied out; reversed, for the earliest first.
        let ours = u64::from(self.number) * u64::from(other.weight);
        let theirs = u64::from(other.number) * u64::from(self.weight);
        theirs.cmp(&ours).then(other.rank.cmp(&self.rank))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Turn {}

/// The slots in the order in which one backend wants them; endless.
struct Preference {
    at: u16,
    skip: u16,
}

impl Preference {
    fn of(name: &str) -> Self {
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(name));
        Self {
            at: u16::from_le_bytes([a, b]),
            skip: u16::from_le_bytes([c, d]) | 1,
        }
    }

    const fn next(&mut self) -> usize {
        let slot = self.at;
        self.at = self.at.wrapping_add(self.skip);
        slot as usize
    }

    /// The next slot that is nobody's. There must be one.
    const fn first_free(&mut self, slots: &Slots) -> usize {
        loop {
            let slot = self.next();
            if slots[slot] == NOBODY {
                return slot;
            }
        }
    }
}

const NOBODY: MemberIndex = 0;

// Sixteen bits wrap exactly where the table does.
const _: () = assert!(SLOTS == 1 << 16);
