//! Numbers that are handed out: counters, and members of a pool.

use lb_common::abi::{
    counters::{COUNTERS, FIRST_FREE},
    member::{MAX_MEMBERS, MemberIndex},
};

use super::{PoolState, PoolTables, Revision, RevisionError};

/// A set of indices into COUNTERS.
pub struct CounterSet(Box<[bool]>);

impl CounterSet {
    pub fn of(revision: Option<&Revision>) -> Self {
        let mut set = Self(vec![false; COUNTERS as usize].into_boxed_slice());
        if let Some(revision) = revision {
            revision
                .counters()
                .for_each(|counter| set.0[usize::from(counter)] = true);
        }
        set
    }

    pub fn holds(&self, counter: u16) -> bool {
        self.0[usize::from(counter)]
    }
}

/// Counters that nobody had in the revision before: one that was given back is
/// not given away in the same step, so that no packet counts for two.
pub struct FreeCounters<'p> {
    previous: Option<&'p Revision>,
    /// Found out when the first one is asked for: mostly none is.
    taken: Option<CounterSet>,
    next: u32,
}

impl<'p> FreeCounters<'p> {
    pub const fn beside(previous: Option<&'p Revision>) -> Self {
        Self {
            previous,
            taken: None,
            next: FIRST_FREE,
        }
    }

    pub fn take(&mut self) -> Result<u16, RevisionError> {
        let taken = self.taken.get_or_insert_with(|| CounterSet::of(self.previous));
        while self.next < COUNTERS {
            let counter = self.next as u16;
            self.next += 1;
            if !taken.holds(counter) {
                return Ok(counter);
            }
        }
        Err(RevisionError::Counters)
    }
}

/// Member numbers that no table of the pool holds.
pub struct FreeNumbers<'p> {
    before: Option<(&'p PoolState, &'p PoolTables)>,
    /// Found out when the first one is asked for: mostly none is.
    taken: Option<Vec<bool>>,
    next: MemberIndex,
}

impl<'p> FreeNumbers<'p> {
    pub const fn beside(before: Option<(&'p PoolState, &'p PoolTables)>) -> Self {
        Self {
            before,
            taken: None,
            next: 1,
        }
    }

    pub fn take(&mut self) -> Option<MemberIndex> {
        let taken = self.taken.get_or_insert_with(|| taken(self.before));
        while usize::from(self.next) <= MAX_MEMBERS {
            let number = self.next;
            self.next += 1;
            if !taken[usize::from(number)] {
                return Some(number);
            }
        }
        None
    }
}

fn taken(before: Option<(&PoolState, &PoolTables)>) -> Vec<bool> {
    let mut taken = vec![false; MAX_MEMBERS + 1];
    if let Some((state, tables)) = before {
        let named = state.members.values().map(|member| member.index);
        let owners = tables.current.counts().keys().chain(tables.home.counts().keys());
        for number in named.chain(owners.copied()) {
            taken[usize::from(number)] = true;
        }
    }
    taken
}
