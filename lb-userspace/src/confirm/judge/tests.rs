use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lb_common::{abi::counters::Counter, verdict::Verdict};
use proptest::prelude::*;

use super::{Baseline, Judge, Judgement, Kept, LOOKS, Worse};

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

fn baseline(drops: u64, forwarded: u64, healthy: u32) -> Baseline {
    Baseline {
        drops: [("DropNoBackend".to_owned(), drops), ("DropTooBig".to_owned(), 0)].into(),
        forwarded,
        healthy: [("web".to_owned(), healthy)].into(),
    }
}

fn kept(healthy: u32) -> BTreeMap<String, Kept> {
    let kept = Kept {
        healthy,
        patience: PATIENCE,
    };
    [("web".to_owned(), kept)].into()
}

/// A trial, second by second.
struct Trial {
    judge: Judge,
    baseline: Baseline,
    counters: Vec<Counter>,
    now: Instant,
}

impl Trial {
    fn of(baseline: Baseline) -> Self {
        let mut trial = Self {
            judge: Judge::default(),
            baseline,
            counters: vec![Counter::default(); Verdict::ALL.len()],
            now: Instant::now(),
        };
        assert_eq!(trial.look(3), Judgement::Well);
        trial
    }

    fn look(&mut self, healthy: u32) -> Judgement {
        self.judge
            .look(&self.baseline, &self.counters, &kept(healthy), self.now)
    }

    /// A second in which this was counted.
    fn second(&mut self, counted: &[(Verdict, u64)], healthy: u32) -> Judgement {
        for (verdict, packets) in counted {
            self.counters[*verdict as usize].packets += packets;
        }
        self.now += SECOND;
        self.look(healthy)
    }

    /// The second, from 1, in which it is found worse; `None`: within a minute
    /// it is not.
    fn worse_after(&mut self, counted: &[(Verdict, u64)]) -> Option<u32> {
        (1..=60).find(|_| matches!(self.second(counted, 3), Judgement::Worse(_)))
    }
}

#[test]
fn drops_speak_against_a_change_above_the_noise_and_above_before() {
    use Verdict::{DropNoBackend, DropTooBig, ForwardTx};
    // Before: drops, forwarded. Now: drops, forwarded. Worse?
    let rows = [
        (0, 1000, 0, 1000, false),
        (0, 1000, 10, 1000, false),
        (0, 1000, 11, 1000, true),
        (0, 0, 10, 0, false),
        (0, 0, 11, 0, true),
        // One percent.
        (0, 100_000, 1000, 99_000, false),
        (0, 100_000, 1100, 99_000, true),
        // As before, and with as much more as traffic grew.
        (500, 1000, 505, 1000, false),
        (500, 1000, 1010, 2000, false),
        (500, 1000, 1100, 2000, true),
        (500, 1000, 700, 1000, true),
        // Traffic falls, and they do not.
        (500, 1000, 500, 10, false),
        // Everything was dropped, and is.
        (500, 0, 500, 0, false),
        (u64::MAX / 4, 0, 500, 0, false),
    ];
    for (drops_before, before, drops, forwarded, worse) in rows {
        let mut trial = Trial::of(baseline(drops_before, before, 3));
        let found = trial.worse_after(&[(DropNoBackend, drops), (ForwardTx, forwarded)]);
        let expected = worse.then_some(LOOKS);
        assert_eq!(found, expected, "{drops_before} {before} {drops} {forwarded}");
    }
    // They add up, and the worst is named.
    let mut trial = Trial::of(baseline(0, 1000, 3));
    let counted = [(DropNoBackend, 6), (DropTooBig, 300), (ForwardTx, 700)];
    assert_eq!(trial.worse_after(&counted), Some(LOOKS));
    let worse = trial.second(&counted, 3);
    let Judgement::Worse(worse) = worse else {
        panic!("{worse:?}");
    };
    assert_eq!(worse.to_string(), "306 drops a second (DropTooBig), 0 before");
}

#[test]
fn drops_that_nobody_counts_never_speak_against_a_change() {
    let counted = [
        Verdict::DropFragment,
        Verdict::DropTtl,
        Verdict::DropOptions,
        Verdict::DropTcpOffset,
    ];
    let mut trial = Trial::of(baseline(0, 1000, 3));
    assert_eq!(trial.worse_after(&counted.map(|verdict| (verdict, 1_000_000))), None);
    // Nor does what another version counted.
    let mut trial = Trial::of(Baseline {
        drops: [("DropOfTheFuture".to_owned(), 0)].into(),
        ..baseline(0, 1000, 3)
    });
    assert_eq!(trial.worse_after(&[(Verdict::DropNoBackend, 1000)]), None);
}

#[test]
fn drops_must_go_on_for_seconds_in_a_row() {
    let bad = [(Verdict::DropNoBackend, 1000)];
    let mut trial = Trial::of(baseline(0, 1000, 3));
    for _ in 0..10 {
        for _ in 1..LOOKS {
            assert_eq!(trial.second(&bad, 3), Judgement::Well);
        }
        assert_eq!(trial.second(&[(Verdict::ForwardTx, 1000)], 3), Judgement::Well);
    }
    // Looks that come too early say nothing.
    for _ in 0..100 {
        assert_eq!(trial.look(3), Judgement::Well);
    }
}

#[test]
fn fewer_healthy_backends_speak_against_a_change_after_some_time() {
    // Before, now, the second in which it is worse.
    for (before, now, worse) in [
        (3, 3, None),
        (3, 2, Some(6)),
        (3, 0, Some(6)),
        (2, 3, None),
        (0, 0, None),
    ] {
        let mut trial = Trial::of(baseline(0, 0, before));
        let found = (1..=60).find(|_| matches!(trial.second(&[], now), Judgement::Worse(_)));
        assert_eq!(found, worse, "{before} {now}");
    }
    // Up again in between.
    let mut trial = Trial::of(baseline(0, 0, 3));
    for second in 0..60 {
        let healthy = if second % 5 == 4 { 3 } else { 1 };
        assert_eq!(trial.second(&[], healthy), Judgement::Well);
    }
    let worse = Worse::Fewer {
        pool: "web".to_owned(),
        now: 2,
        before: 3,
    };
    assert_eq!(worse.to_string(), "pool web has 2 healthy backends, 3 before");
}

#[test]
fn pool_that_the_change_removes_is_not_missed() {
    let mut judge = Judge::default();
    let (start, none) = (Instant::now(), BTreeMap::new());
    for second in 0..60 {
        let found = judge.look(&baseline(0, 0, 3), &[], &none, start + SECOND * second);
        assert_eq!(found, Judgement::Well);
    }
}

#[test]
fn traffic_that_falls_is_said_once_and_never_speaks_against_a_change() {
    let mut trial = Trial::of(baseline(0, 1000, 3));
    let found: Vec<Judgement> = (0..300).map(|_| trial.second(&[(Verdict::ForwardTx, 3)], 3)).collect();
    let fell = Judgement::TrafficFell { now: 3, before: 1000 };
    assert_eq!(found.iter().filter(|found| **found == fell).count(), 1);
    assert!(found.iter().all(|found| *found == fell || *found == Judgement::Well));
    // Half of it is enough, and what was little cannot fall.
    for (before, now) in [(1000, 500), (9, 0), (0, 0)] {
        let mut trial = Trial::of(baseline(0, before, 3));
        assert!((0..60).all(|_| trial.second(&[(Verdict::ForwardTx, now)], 3) == Judgement::Well));
    }
}

#[test]
fn next_daemon_goes_on_with_what_the_journal_says() {
    let baseline = baseline(7, 1000, 3);
    let text = serde_json::to_string(&baseline).expect("plain JSON");
    let read: Baseline = serde_json::from_str(&text).expect("as it was written");
    assert_eq!(read, baseline);
    // It has no look yet: the kernel's counters are not taken for a rate.
    let mut trial = Trial::of(read);
    trial.judge = Judge::default();
    trial.counters[Verdict::DropNoBackend as usize].packets = 1_000_000;
    assert_eq!(trial.second(&[], 3), Judgement::Well);
    assert_eq!(trial.worse_after(&[(Verdict::DropNoBackend, 500)]), Some(LOOKS));
}

proptest! {
    /// Whoever can only send packets that are forwarded, answered or dropped for
    /// what they are, ends no trial.
    #[test]
    fn nobody_ends_a_trial_by_sending(
        seconds in prop::collection::vec((0_u64..1_000_000, 0_u64..1_000_000, 0_u64..1_000_000), 0..40),
        forwarded in 0_u64..1_000_000,
    ) {
        let mut trial = Trial::of(baseline(0, forwarded, 3));
        for (junk, good, answered) in seconds {
            let counted = [
                (Verdict::DropFragment, junk),
                (Verdict::DropMartian, junk),
                (Verdict::ForwardTx, good),
                (Verdict::AnswerEcho, answered),
                (Verdict::PassNotVip, answered),
            ];
            prop_assert!(!matches!(trial.second(&counted, 3), Judgement::Worse(_)));
        }
    }
}
