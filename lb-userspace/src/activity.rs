//! What is live now: which VIPs and members carried packets lately, how many,
//! and for how long it is known. Sans-I/O: counters and times are told.
//!
//! Objects have no names here: a counter has one owner in a revision, and
//! [`Activity::of`] finds it by that revision. A counter that gets another owner
//! is zeroed in the kernel, and forgotten here at the same place
//! ([`Activity::forget`]).
//!
//! What is not known is taken for live. A start knows nothing: whatever was
//! counted before it was counted now. Only a counter that is zero says more: it
//! never carried a packet since it has its owner, for the kernel keeps counters
//! when the daemon ends. One that somebody else cleared says nothing, nor does one
//! that was made anew with all that serves ([`Activity::of_owners_before`]).
//!
//! At 16,384 VIPs and 32,000 members: 120 bytes for each of 48,448 counters, 5.8 MB,
//! and 0.8 ms a second, measured by the wall clock on a 2-core virtual machine with
//! a load of 15 (`cargo test -p lb-userspace activity -- --nocapture`), beside the
//! one batched read of COUNTERS.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use lb_common::{abi::counters::Counter, verdict::Verdict};

use crate::{
    config::Config,
    revision::{State, guest_name},
};

#[cfg(test)]
mod tests;

/// "Now" is at least as long as this.
const NOW: Duration = Duration::from_secs(10);

/// Between two snapshots.
const SPACING: Duration = Duration::from_secs(5);

/// Snapshots kept: the oldest is a minute old, at least.
const SNAPSHOTS: usize = 13;

/// Of the times kept for each counter: in ten of them a second, 13 years.
const TICK: Duration = Duration::from_millis(100);

/// More packets a second come nowhere: where somebody wrote garbage to counters, sums over all of
/// them have room all the same.
const MOST: u64 = 1 << 44;

/// Not looked at since it has its owner.
const UNKNOWN: u32 = u32::MAX;

/// No packet since it has its owner.
const NEVER: u32 = u32::MAX;

/// The traffic of one object, as of the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Packets a second, over the last 10 to 15 seconds; rounded up, so that 0
    /// is none.
    pub pps_now: u64,
    /// The same over a minute.
    pub pps_minute: u64,
    /// No packet came for so long, never more than [`Self::known_for`]; `None`:
    /// none since it has its counter.
    pub quiet_for: Option<Duration>,
    /// It is looked at for so long.
    pub known_for: Duration,
}

impl Live {
    /// Nothing is known: a packet may have come just now.
    pub const UNKNOWN: Self = Self {
        pps_now: 0,
        pps_minute: 0,
        quiet_for: Some(Duration::ZERO),
        known_for: Duration::ZERO,
    };

    /// No packet came for `long`, as far as is known: what is not known was
    /// not quiet.
    #[must_use]
    pub fn is_quiet_for(&self, long: Duration) -> bool {
        self.quiet_for.is_none_or(|quiet| quiet >= long)
    }

    /// Both at once: of an object with several counters.
    #[must_use]
    fn and(self, other: Self) -> Self {
        Self {
            pps_now: self.pps_now + other.pps_now,
            pps_minute: self.pps_minute + other.pps_minute,
            quiet_for: match (self.quiet_for, other.quiet_for) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            known_for: self.known_for.min(other.known_for),
        }
    }
}

/// What was counted, and when it was looked at.
#[derive(Debug, Default)]
pub struct Activity {
    /// Times below count from here.
    began: Option<Instant>,
    /// When it was looked last.
    at: Option<Instant>,
    /// By counter, as are the next two: packets.
    packets: Vec<u64>,
    /// When a packet was seen last.
    seen: Vec<u32>,
    /// Since when it is looked at.
    since: Vec<u32>,
    /// Packets by counter at earlier times, oldest first.
    snapshots: VecDeque<(Instant, Vec<u64>)>,
    /// Counters began with zero, and their owners did not.
    are_new: bool,
}

impl Activity {
    /// Of counters that were made anew, as after a reboot: what they count for may have carried
    /// packets until a moment ago.
    #[must_use]
    pub fn of_owners_before() -> Self {
        Self {
            are_new: true,
            ..Self::default()
        }
    }

    /// Looks at all counters in use. Once a second is often enough.
    pub fn look(&mut self, counters: &[Counter], now: Instant) {
        let began = *self.began.get_or_insert(now);
        let tick = ticks(now.saturating_duration_since(began));
        self.packets.resize(counters.len(), 0);
        self.seen.resize(counters.len(), NEVER);
        self.since.resize(counters.len(), UNKNOWN);
        for (index, counter) in counters.iter().enumerate() {
            let packets = counter.packets;
            let is_unknown = self.since[index] == UNKNOWN;
            // What fell was zeroed by somebody else, who cannot make it quiet.
            if is_unknown || packets < self.packets[index] {
                self.since[index] = tick;
                let has_carried_none = is_unknown && packets == 0 && !self.are_new;
                self.seen[index] = if has_carried_none { NEVER } else { tick };
                for (_, before) in &mut self.snapshots {
                    if before.len() <= index {
                        before.resize(index + 1, 0);
                    }
                    before[index] = packets;
                }
            } else if packets > self.packets[index] {
                self.seen[index] = tick;
            }
            self.packets[index] = packets;
        }
        self.at = Some(now);
        self.are_new = false;
        let due = |(at, _): &(Instant, Vec<u64>)| now.saturating_duration_since(*at) >= SPACING;
        if self.snapshots.back().is_none_or(due) {
            let mut snapshot = if self.snapshots.len() == SNAPSHOTS {
                self.snapshots.pop_front().map(|(_, oldest)| oldest).unwrap_or_default()
            } else {
                Vec::new()
            };
            snapshot.clone_from(&self.packets);
            self.snapshots.push_back((now, snapshot));
        }
    }

    /// These counters are zeroed, and get new owners.
    pub fn forget(&mut self, counters: &[u16]) {
        for counter in counters {
            if let Some(since) = self.since.get_mut(usize::from(*counter)) {
                *since = UNKNOWN;
            }
        }
    }

    /// By the names of a revision.
    #[must_use]
    pub const fn of<'a>(&'a self, state: &'a State) -> Lives<'a> {
        Lives { activity: self, state }
    }

    /// What one counter counts.
    #[must_use]
    pub fn counter(&self, counter: u16) -> Live {
        let index = usize::from(counter);
        let (Some(at), Some(since)) = (self.at, self.since.get(index).filter(|since| **since != UNKNOWN)) else {
            return Live::UNKNOWN;
        };
        let now = self.ticks(at);
        let known_for = TICK * (now - *since);
        let seen = self.seen[index];
        Live {
            pps_now: self.rate(index, NOW),
            pps_minute: self.rate(index, Duration::from_mins(1)),
            quiet_for: (seen != NEVER).then(|| TICK * (now - seen)),
            known_for,
        }
    }

    /// Packets a second for VIPs that are forwarded, now.
    #[must_use]
    pub fn total_pps(&self) -> u64 {
        self.pps_of(Verdict::ForwardTx) + self.pps_of(Verdict::ForwardRedirect)
    }

    /// Packets a second that are dropped, now, whatever for.
    #[must_use]
    pub fn drops_pps(&self) -> u64 {
        let verdicts = Verdict::ALL.iter().filter(|verdict| verdict.name().starts_with("Drop"));
        verdicts.map(|verdict| self.pps_of(*verdict)).sum()
    }

    /// Packets a second that come to this verdict, now.
    #[must_use]
    pub fn pps_of(&self, verdict: Verdict) -> u64 {
        self.rate(verdict as usize, NOW)
    }

    /// Packets a second since the newest snapshot that is as old as `window`, or
    /// the oldest one.
    fn rate(&self, index: usize, window: Duration) -> u64 {
        let (Some(at), Some(packets)) = (self.at, self.packets.get(index)) else {
            return 0;
        };
        let age = |snapshot: &(Instant, Vec<u64>)| at.saturating_duration_since(snapshot.0);
        let old = self.snapshots.iter().rev().find(|snapshot| age(snapshot) >= window);
        let Some(snapshot) = old.or_else(|| self.snapshots.front()) else {
            return 0;
        };
        // What has its counter since then began with nothing.
        let before = snapshot.1.get(index).copied().unwrap_or(0);
        let known_for = TICK * (self.ticks(at) - self.since[index].min(self.ticks(at)));
        let milliseconds = age(snapshot).min(known_for.max(TICK)).as_millis().max(1);
        let counted = u128::from(packets.saturating_sub(before));
        u64::try_from((counted * 1000).div_ceil(milliseconds)).map_or(MOST, |pps| pps.min(MOST))
    }

    fn ticks(&self, at: Instant) -> u32 {
        let began = self.began.unwrap_or(at);
        ticks(at.saturating_duration_since(began))
    }

    /// Bytes of memory it has for the counters.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        let snapshots = self.snapshots.iter().map(|(_, packets)| packets.capacity() * 8);
        self.packets.capacity() * 8 + (self.seen.capacity() + self.since.capacity()) * 4 + snapshots.sum::<usize>()
    }
}

fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis() / TICK.as_millis()).map_or(UNKNOWN - 1, |ticks| ticks.min(UNKNOWN - 1))
}

/// The traffic of what a revision has names for.
#[derive(Clone, Copy, Debug)]
pub struct Lives<'a> {
    activity: &'a Activity,
    state: &'a State,
}

impl Lives<'_> {
    /// Of a VIP; one that the revision has not is not known.
    #[must_use]
    pub fn vip(&self, name: &str) -> Live {
        let counter = self.state.vip_counters.get(name);
        counter.map_or(Live::UNKNOWN, |counter| self.activity.counter(*counter))
    }

    /// Of a backend, for its own pool and for those that fall back on it; one
    /// that the revision has not is not known.
    #[must_use]
    pub fn backend(&self, pool: &str, name: &str) -> Live {
        let config: &Config = self.state.content.in_force();
        let falling_back = config
            .pools
            .iter()
            .filter(|other| other.fallback_pool.as_deref() == Some(pool));
        let guest = guest_name(pool, name);
        let guests = falling_back.filter_map(|other| self.member(&other.name, &guest));
        let own = self.member(pool, name).unwrap_or(Live::UNKNOWN);
        guests.fold(own, Live::and)
    }

    /// Of one member of a pool: a backend of its own, or a guest.
    #[must_use]
    pub fn member(&self, pool: &str, name: &str) -> Option<Live> {
        let member = self.state.pools.get(pool)?.members.get(name)?;
        Some(self.activity.counter(member.counter))
    }
}
