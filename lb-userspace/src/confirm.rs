//! Confirm or roll back: a generation that was applied on trial is taken back
//! unless somebody confirms it in time.
//!
//! Sans-I/O. The deadline stands in the journal's intent, so it is durable before
//! the switch, and a start finds it again: in the same boot it goes on, or is
//! over; after a reboot nobody can have confirmed, and the generation is not
//! served. It is measured by the monotonic clock of that boot, so that setting
//! the wall clock neither confirms nor takes back anything.
//!
//! Until then it is compared with how it was before the switch ([`baseline`]): what
//! is worse ([`judge`]) is taken back at once.

pub mod baseline;
pub mod countable;
pub mod judge;

use std::{collections::BTreeMap, time::Instant};

use jiff::{SignedDuration, Timestamp};
use lb_common::abi::{counters::Counter, flows::Seconds};
use serde::{Deserialize, Serialize};

use self::{
    baseline::{Baseline, Kept},
    judge::{Judge, Judgement, Worse},
};
use crate::{clock::Now, part::Part, plan::Content};

/// The longest trial, seconds: a day.
pub const LONGEST: u32 = 24 * 60 * 60;

/// Between two attempts to take a generation back, if one fails, [`Seconds`].
const AGAIN: Seconds = 10;

/// On which terms a generation was applied on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Term {
    /// As it was asked for, seconds.
    pub within: u32,
    /// When it is over, by the clock of `boot`.
    pub deadline: Seconds,
    /// The kernel's boot id.
    pub boot: String,
    /// The generation that was served before: confirmed, or never on trial.
    pub back_to: u64,
    /// How it was before; absent: not known, and only time ends the trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing, for so many [`Seconds`] yet.
    Wait(Seconds),
    /// Time is up.
    Overdue,
    /// It was applied before a reboot.
    Rebooted,
}

impl Term {
    /// From `now` for `within` seconds.
    #[must_use]
    pub fn from(now: Seconds, within: u32, boot: &str, back_to: u64) -> Self {
        let ticks = (u64::from(within) * 1_000_000_000).div_ceil(1 << 30);
        Self {
            within,
            deadline: now.saturating_add(u32::try_from(ticks).unwrap_or(u32::MAX)),
            boot: boot.to_owned(),
            back_to,
            baseline: None,
        }
    }

    /// Compared with how it was.
    #[must_use]
    pub fn compared(self, baseline: Option<Baseline>) -> Self {
        Self { baseline, ..self }
    }

    #[must_use]
    pub fn due(&self, now: Seconds, boot: &str) -> Due {
        if self.boot != boot {
            return Due::Rebooted;
        }
        match self.deadline.checked_sub(now) {
            None | Some(0) => Due::Overdue,
            Some(left) => Due::Wait(left),
        }
    }

    /// The deadline for people.
    #[must_use]
    pub fn until(&self, now: Now) -> Timestamp {
        let left = i64::from(self.deadline) - i64::from(now.coarse);
        let left = SignedDuration::from_nanos(left << 30);
        now.time.checked_add(left).unwrap_or(now.time)
    }
}

/// A generation on trial that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnTrial {
    pub generation: u64,
    /// Who applied it.
    pub author: String,
    pub term: Term,
    /// Not taken back before, because it failed.
    pub not_before: Seconds,
    /// The content that was served before; `None`: it cannot be read, and
    /// backends are not compared.
    pub before: Option<Part<Content>>,
    /// What it was found to be.
    pub worse: Option<Worse>,
    judge: Judge,
}

impl OnTrial {
    #[must_use]
    pub fn new(generation: u64, author: String, term: Term, before: Option<Part<Content>>) -> Self {
        Self {
            generation,
            author,
            term,
            not_before: 0,
            before,
            worse: None,
            judge: Judge::default(),
        }
    }

    /// Compares what is with what was, once a second. What was found worse
    /// once is to be taken back, whatever comes.
    pub fn look(&mut self, counters: &[Counter], kept: &BTreeMap<String, Kept>, now: Instant) -> Judgement {
        let (None, Some(baseline)) = (&self.worse, &self.term.baseline) else {
            return Judgement::Well;
        };
        let judgement = self.judge.look(baseline, counters, kept, now);
        if let Judgement::Worse(worse) = &judgement {
            self.worse = Some(worse.clone());
        }
        judgement
    }

    /// Why it is taken back, when nobody asks for it.
    #[must_use]
    pub fn cause(&self) -> String {
        self.worse.as_ref().map_or_else(
            || "not confirmed in time".to_owned(),
            |worse| format!("taken back: {worse}"),
        )
    }

    /// It has to be taken back now.
    #[must_use]
    pub fn is_over(&self, now: Seconds, boot: &str) -> bool {
        let due = match self.term.due(now, boot) {
            Due::Wait(_) => self.worse.is_some(),
            Due::Overdue | Due::Rebooted => true,
        };
        due && now >= self.not_before
    }

    /// It could not be taken back now.
    pub const fn put_off(&mut self, now: Seconds) {
        self.not_before = now.saturating_add(AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        time::{Duration, Instant},
    };

    use super::{
        Due, OnTrial, Term,
        baseline::{Baseline, Kept},
        judge::Judgement,
    };

    fn term() -> Term {
        Term::from(1000, 120, "one", 7)
    }

    #[test]
    fn deadline_is_never_before_the_time_asked_for() {
        for within in [1, 2, 59, 120, 3600, super::LONGEST] {
            let term = Term::from(5, within, "one", 1);
            let nanoseconds = u64::from(term.deadline - 5) << 30;
            let asked = u64::from(within) * 1_000_000_000;
            assert!(nanoseconds >= asked && nanoseconds - asked < 1 << 30, "{within}");
        }
    }

    #[test]
    fn time_decides_within_a_boot_and_a_reboot_at_once() {
        let term = term();
        assert_eq!(term.due(1000, "one"), Due::Wait(term.deadline - 1000));
        assert_eq!(term.due(term.deadline - 1, "one"), Due::Wait(1));
        assert_eq!(term.due(term.deadline, "one"), Due::Overdue);
        assert_eq!(term.due(u32::MAX, "one"), Due::Overdue);
        // The clock of another boot says nothing.
        assert_eq!(term.due(3, "two"), Due::Rebooted);
    }

    #[test]
    fn what_is_worse_is_over_at_once_and_says_why() {
        let baseline = Baseline {
            healthy: [("web".to_owned(), 3)].into(),
            ..Baseline::default()
        };
        let kept = |healthy| {
            let kept = Kept {
                healthy,
                patience: Duration::from_secs(5),
            };
            [("web".to_owned(), kept)].into()
        };
        let mut trial = OnTrial::new(8, "ann".to_owned(), term().compared(Some(baseline)), None);
        assert_eq!(trial.cause(), "not confirmed in time");
        let start = Instant::now();
        for second in 0..5 {
            trial.look(&[], &kept(2), start + Duration::from_secs(second));
            assert!(!trial.is_over(1001, "one"));
        }
        trial.look(&[], &kept(2), start + Duration::from_secs(5));
        assert!(trial.is_over(1001, "one"));
        assert_eq!(trial.cause(), "taken back: pool web has 2 healthy backends, 3 before");
        // It stays worse, whatever comes, and a failure is tried again.
        trial.look(&[], &kept(3), start + Duration::from_secs(6));
        trial.put_off(1001);
        assert!(!trial.is_over(1010, "one") && trial.is_over(1011, "one"));
    }

    #[test]
    fn trial_without_a_baseline_ends_by_time_alone() {
        let mut trial = OnTrial::new(8, "ann".to_owned(), term(), None);
        let start = Instant::now();
        for second in 0..60 {
            let judged = trial.look(&[], &BTreeMap::new(), start + Duration::from_secs(second));
            assert_eq!(judged, Judgement::Well);
        }
        assert!(!trial.is_over(1001, "one"));
    }

    #[test]
    fn failure_to_take_back_is_tried_again_later_and_for_ever() {
        let mut trial = OnTrial::new(8, "ann".to_owned(), term(), None);
        let deadline = trial.term.deadline;
        assert!(!trial.is_over(deadline - 1, "one"));
        for at in [deadline, deadline + 10, deadline + 1000] {
            assert!(trial.is_over(at, "one"));
            trial.put_off(at);
            assert!(!trial.is_over(at + 9, "one"));
            assert!(trial.is_over(at + 10, "one"));
        }
    }
}
