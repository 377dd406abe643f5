//! What the kernel said about the way to each address, and when to ask again.
//! Pure: the time is an argument.
//!
//! Answers hold until something is heard about routes, or for half a minute: a
//! notification can be lost. Questions are counted, so that a storm of route
//! changes costs a share of a processor and not all of it; what cannot be asked
//! now keeps its last answer, the longest unasked being next.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{Problem, Way};

/// An answer that nothing was heard against holds this long.
const HOLDS: Duration = Duration::from_secs(30);

/// Routes asked for in a second: with 32,000 backends, every one within two.
const QUESTIONS_PER_SECOND: usize = 16_384;

/// Neighbours that the kernel is made to look after in a second.
const USES_PER_SECOND: usize = 1024;

pub(super) struct Ways {
    known: BTreeMap<IpAddr, Known>,
    questions: Budget,
    /// When each neighbour was used last.
    used: BTreeMap<(u32, IpAddr), Instant>,
    uses: Budget,
}

struct Known {
    answer: Result<Way, Problem>,
    asked: Instant,
    /// Something was heard that may have changed it.
    doubted: bool,
}

impl Ways {
    pub const fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            questions: Budget::of(QUESTIONS_PER_SECOND),
            used: BTreeMap::new(),
            uses: Budget::of(USES_PER_SECOND),
        }
    }

    /// Routes may have changed.
    pub fn doubt(&mut self) {
        for known in self.known.values_mut() {
            known.doubted = true;
        }
    }

    /// The addresses to ask for now, each once; what was asked for the longest
    /// ago comes first. Answers about other addresses are forgotten when they
    /// do not hold any more.
    pub fn due(&mut self, addresses: impl Iterator<Item = IpAddr>, now: Instant) -> Vec<IpAddr> {
        let wanted: BTreeSet<IpAddr> = addresses.collect();
        let holds = |known: &Known| !known.doubted && now.saturating_duration_since(known.asked) < HOLDS;
        self.known
            .retain(|address, known| wanted.contains(address) || holds(known));
        let due = wanted.into_iter().filter_map(|address| match self.known.get(&address) {
            None => Some((None, address)),
            Some(known) => (!holds(known)).then_some((Some(known.asked), address)),
        });
        let mut due: Vec<(Option<Instant>, IpAddr)> = due.collect();
        due.sort_unstable();
        due.truncate(self.questions.take(due.len(), now));
        due.into_iter().map(|(_, address)| address).collect()
    }

    pub fn learn(&mut self, address: IpAddr, answer: Result<Way, Problem>, now: Instant) {
        let known = Known {
            answer,
            asked: now,
            doubted: false,
        };
        self.known.insert(address, known);
    }

    pub fn of(&self, address: IpAddr) -> Result<Way, Problem> {
        self.known
            .get(&address)
            .map_or(Err(Problem::NotAsked), |known| known.answer.clone())
    }

    /// Which of the neighbours that are in doubt to use now; the longest unused
    /// come first.
    pub fn use_now(&mut self, doubtful: BTreeSet<(u32, IpAddr)>, now: Instant) -> Vec<(u32, IpAddr)> {
        self.used.retain(|neighbour, _| doubtful.contains(neighbour));
        let mut due: Vec<_> = doubtful
            .into_iter()
            .map(|neighbour| (self.used.get(&neighbour).copied(), neighbour))
            .collect();
        due.sort_unstable();
        due.truncate(self.uses.take(due.len(), now));
        let due: Vec<_> = due.into_iter().map(|(_, neighbour)| neighbour).collect();
        self.used.extend(due.iter().map(|neighbour| (*neighbour, now)));
        due
    }
}

/// So many of something in a second.
struct Budget {
    per_second: usize,
    left: usize,
    since: Option<Instant>,
}

impl Budget {
    const fn of(per_second: usize) -> Self {
        Self {
            per_second,
            left: per_second,
            since: None,
        }
    }

    /// How many of `wanted` there may be now.
    fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let over = |since| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if self.since.is_none_or(over) {
            self.since = Some(now);
            self.left = self.per_second;
        }
        let taken = wanted.min(self.left);
        self.left -= taken;
        taken
    }
}

#[cfg(test)]
mod tests;
