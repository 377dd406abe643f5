//! Is it worse than before? Sans-I/O: what was counted, who is healthy and what
//! time it is are told, once a second.
//!
//! More drops that the change can cause, or fewer healthy backends, for some
//! seconds: it is worse. Less traffic is not: night is no accident, and whoever
//! could stop sending could take every change back.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use lb_common::{abi::counters::Counter, verdict::Verdict};

use super::baseline::{Baseline, Kept};

#[cfg(test)]
mod tests;

/// So many drops more a second are noise, at least.
const NOISE: u64 = 10;

/// So are so many percent of what the VIPs get.
const NOISE_PERCENT: u64 = 1;

/// Looks in a row, a second apart.
const LOOKS: u32 = 5;

/// What is closer together says nothing of a second.
const SHORTEST: Duration = Duration::from_millis(900);

/// Traffic has fallen if it is below half of what it was, for so many looks.
const FELL_LOOKS: u32 = 10;

/// Below so many packets a second it cannot fall.
const LITTLE: u64 = 10;

/// Why a trial ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worse {
    /// Packets a second, and of which verdict most of them are.
    Drops {
        now: u64,
        before: u64,
        most: Verdict,
    },
    Fewer {
        pool: String,
        now: u32,
        before: u32,
    },
}

impl fmt::Display for Worse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drops { now, before, most } => {
                write!(f, "{now} drops a second ({}), {before} before", most.name())
            }
            Self::Fewer { pool, now, before } => {
                write!(f, "pool {pool} has {now} healthy backends, {before} before")
            }
        }
    }
}

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing speaks against it.
    Well,
    /// Packets a second, now and before: said once in a trial.
    TrafficFell {
        now: u64,
        before: u64,
    },
    Worse(Worse),
}

/// What the looks before came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judge {
    last: Option<Counts>,
    /// Looks in a row with more drops.
    dropping: u32,
    /// Looks in a row with less traffic.
    falling: u32,
    /// Pools that have fewer healthy backends, since when.
    fewer: BTreeMap<String, Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    at: Instant,
    drops: Vec<(Verdict, u64)>,
    forwarded: u64,
}

impl Judge {
    /// `counters` begin with those of verdicts; `kept` are the pools as they are.
    pub fn look(
        &mut self,
        baseline: &Baseline,
        counters: &[Counter],
        kept: &BTreeMap<String, Kept>,
        now: Instant,
    ) -> Judgement {
        if let Some(fewer) = self.fewer(baseline, kept, now) {
            return Judgement::Worse(fewer);
        }
        let packets = |verdict: Verdict| counters.get(verdict as usize).map_or(0, |counter| counter.packets);
        let counts = Counts {
            at: now,
            drops: baseline
                .verdicts()
                .map(|(verdict, _)| (verdict, packets(verdict)))
                .collect(),
            forwarded: packets(Verdict::ForwardTx) + packets(Verdict::ForwardRedirect),
        };
        let Some(last) = &self.last else {
            self.last = Some(counts);
            return Judgement::Well;
        };
        let elapsed = now.saturating_duration_since(last.at);
        if elapsed < SHORTEST {
            return Judgement::Well;
        }
        let rates = Rates::between(last, &counts, elapsed);
        self.last = Some(counts);
        if let Some(worse) = self.drops(baseline, &rates) {
            return Judgement::Worse(worse);
        }
        self.traffic(baseline, &rates)
    }

    fn fewer(&mut self, baseline: &Baseline, kept: &BTreeMap<String, Kept>, now: Instant) -> Option<Worse> {
        let before = |pool: &str| baseline.healthy.get(pool).copied().unwrap_or(0);
        self.fewer
            .retain(|pool, _| kept.get(pool).is_some_and(|kept| kept.healthy < before(pool)));
        for (pool, kept) in kept {
            if kept.healthy >= before(pool) {
                continue;
            }
            let since = *self.fewer.entry(pool.clone()).or_insert(now);
            if now.saturating_duration_since(since) >= kept.patience {
                return Some(Worse::Fewer {
                    pool: pool.clone(),
                    now: kept.healthy,
                    before: before(pool),
                });
            }
        }
        None
    }

    fn drops(&mut self, baseline: &Baseline, rates: &Rates) -> Option<Worse> {
        let before: u64 = baseline.verdicts().map(|(_, pps)| pps).sum();
        let dropped: u64 = rates.drops.iter().map(|(_, pps)| pps).sum();
        if dropped <= tolerated(before, baseline.forwarded, dropped + rates.forwarded) {
            self.dropping = 0;
            return None;
        }
        self.dropping += 1;
        let most = rates.drops.iter().max_by_key(|(_, pps)| *pps)?.0;
        (self.dropping >= LOOKS).then_some(Worse::Drops {
            now: dropped,
            before,
            most,
        })
    }

    const fn traffic(&mut self, baseline: &Baseline, rates: &Rates) -> Judgement {
        let (now, before) = (rates.forwarded, baseline.forwarded);
        if before < LITTLE || now >= before / 2 {
            // Once said, it is not said again.
            if self.falling < FELL_LOOKS {
                self.falling = 0;
            }
            return Judgement::Well;
        }
        self.falling = self.falling.saturating_add(1);
        if self.falling == FELL_LOOKS {
            return Judgement::TrafficFell { now, before };
        }
        Judgement::Well
    }
}

/// Drops a second that are no more than before: as many as there were, or their
/// share of what comes now, and the noise.
fn tolerated(before: u64, forwarded: u64, traffic: u64) -> u64 {
    let share = u128::from(traffic) * u128::from(before) / u128::from((before + forwarded).max(1));
    let share = u64::try_from(share).unwrap_or(u64::MAX);
    let noise = (traffic / 100 * NOISE_PERCENT).max(NOISE);
    before.max(share).saturating_add(noise)
}

/// Packets a second.
struct Rates {
    drops: Vec<(Verdict, u64)>,
    forwarded: u64,
}

impl Rates {
    fn between(last: &Counts, now: &Counts, elapsed: Duration) -> Self {
        let rate = |last: u64, now: u64| {
            let counted = u128::from(now.saturating_sub(last)) * 1000 / elapsed.as_millis().max(1);
            u64::try_from(counted).unwrap_or(u64::MAX)
        };
        let drops = last.drops.iter().zip(&now.drops);
        Self {
            drops: drops
                .map(|((verdict, last), (_, now))| (*verdict, rate(*last, *now)))
                .collect(),
            forwarded: rate(last.forwarded, now.forwarded),
        }
    }
}
