use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{Check, CheckVia, Damping, Initial, Milliseconds};

fn health(floor: u32, velocity: Option<Velocity>) -> Health {
    Health {
        via: CheckVia::Tunnel,
        check: Check::Icmp {},
        interval: Milliseconds(1000),
        timeout: Milliseconds(1000),
        rise: 2,
        fall: 3,
        initial: Initial::Down,
        slow_start: Milliseconds(0),
        floor: Percent::new(floor).unwrap(),
        velocity,
        damping: Damping::default(),
    }
}

fn begin() -> Moment {
    Moment::default() + Duration::from_secs(1000)
}

/// Backends of weight 100, `healthy` or failed so many seconds after the start.
fn seen(start: Moment, failed: &[Option<u64>]) -> BTreeMap<String, Seen> {
    let seen = failed.iter().enumerate().map(|(at, failed)| {
        let seen = Seen {
            weight: 100,
            healthy: failed.is_none(),
            since: start + Duration::from_secs(failed.unwrap_or(0)),
            share: FULL,
        };
        (format!("be{}", at + 1), seen)
    });
    seen.collect()
}

fn rules(health: &Health) -> Rules<'_> {
    Rules {
        health,
        panic_threshold: Percent::ZERO,
        fallback: false,
        suspicion: false,
    }
}

fn serving(stand: &Stand) -> Vec<&str> {
    let serving = stand.shares.iter().filter(|(_, share)| !share.is_zero());
    serving.map(|(name, _)| name.as_str()).collect()
}

#[test]
fn who_is_healthy_serves_and_panic_and_fallback_come_when_too_few_are() {
    let now = begin();
    let health = health(0, None);
    let mut memory = Memory::default();
    let two_of_four = seen(now, &[None, Some(1), None, Some(2)]);
    let stand = memory.stand(&rules(&health), &two_of_four, now);
    assert_eq!(serving(&stand), ["be1", "be3"]);
    assert!(stand.reasons.is_empty());
    let half = Rules {
        panic_threshold: Percent::new(51).unwrap(),
        ..rules(&health)
    };
    let panic = memory.stand(&half, &two_of_four, now);
    assert_eq!((serving(&panic).len(), panic.fallback), (4, false));
    assert_eq!(panic.reasons, [Reason::Panic].into());
    let fallback = memory.stand(&Rules { fallback: true, ..half }, &two_of_four, now);
    assert_eq!((serving(&fallback).len(), fallback.fallback), (0, true));
    assert_eq!(fallback.reasons, [Reason::Fallback].into());
    let none = seen(now, &[Some(1), Some(1)]);
    assert_eq!(
        memory.stand(&rules(&health), &none, now).reasons,
        [Reason::Panic].into()
    );
}

#[test]
fn floor_keeps_those_that_failed_last() {
    let now = begin();
    let health = health(60, None);
    let stand = Memory::default().stand(
        &rules(&health),
        &seen(now, &[Some(9), Some(3), None, Some(5), Some(4)]),
        now,
    );
    assert_eq!(serving(&stand), ["be1", "be3", "be4"]);
    assert_eq!(stand.reasons, [Reason::Floor].into());
}

#[test]
fn velocity_takes_one_in_each_window_and_credits_what_comes_back() {
    let start = begin();
    let velocity = Velocity {
        percent: 25,
        count: 1,
        window: Milliseconds(10_000),
    };
    let health = health(0, Some(velocity));
    let mut memory = Memory::default();
    let at = |memory: &mut Memory, seconds: u64, failed: &[Option<u64>]| {
        let now = start + Duration::from_secs(seconds);
        let stand = memory.stand(&rules(&health), &seen(start, failed), now);
        (serving(&stand).join(" "), stand.reasons.contains(&Reason::Velocity))
    };
    assert_eq!(at(&mut memory, 0, &[None; 4]), ("be1 be2 be3 be4".to_owned(), false));
    // be2 failed first, so it goes first.
    let three = [Some(2), Some(1), Some(2), None];
    assert_eq!(at(&mut memory, 3, &three), ("be1 be3 be4".to_owned(), true));
    assert_eq!(at(&mut memory, 12, &three), ("be1 be3 be4".to_owned(), true));
    assert_eq!(
        memory.due(Duration::from_secs(10)),
        Some(start + Duration::from_secs(13))
    );
    assert_eq!(at(&mut memory, 13, &three), ("be3 be4".to_owned(), true));
    // be1 comes back: be3 may go at once.
    let two = [None, Some(1), Some(2), None];
    assert_eq!(at(&mut memory, 14, &two), ("be1 be4".to_owned(), false));
}

/// As a daemon that is started now reads it back.
fn resumed(memory: &Memory, stand: &Stand) -> Memory {
    let taken = stand
        .shares
        .keys()
        .filter_map(|name| Some((memory.taken(name)?, name.clone(), 100)));
    Memory::of(stand.shares.clone(), stand.fallback, taken.collect())
}

#[test]
fn velocity_takes_no_more_for_a_restart() {
    let start = begin();
    let velocity = Velocity {
        percent: 25,
        count: 1,
        window: Milliseconds(10_000),
    };
    let health = health(0, Some(velocity));
    let mut memory = Memory::default();
    memory.stand(&rules(&health), &seen(start, &[None; 4]), start);
    let mut at = |seconds: u64, failed: &[Option<u64>]| {
        let now = start + Duration::from_secs(seconds);
        let stand = memory.stand(&rules(&health), &seen(start, failed), now);
        memory = resumed(&memory, &stand);
        serving(&stand).join(" ")
    };
    // A restart after each step.
    assert_eq!(at(3, &[None, Some(1), None, None]), "be1 be3 be4");
    let three = [Some(2), Some(1), Some(2), None];
    assert_eq!(at(4, &three), "be1 be3 be4");
    assert_eq!(at(12, &three), "be1 be3 be4");
    assert_eq!(at(13, &three), "be3 be4");
    assert_eq!(at(22, &three), "be3 be4");
    // Who comes back is credited.
    assert_eq!(at(22, &[None, Some(1), Some(2), None]), "be1 be4");
}

#[test]
fn suspicion_freezes_what_served_and_brings_back_what_was_up() {
    let now = begin();
    let health = health(0, None);
    let mut memory = Memory::default();
    memory.stand(&rules(&health), &seen(now, &[None, Some(1), None]), now);
    let suspicion = Rules {
        suspicion: true,
        ..rules(&health)
    };
    let stand = memory.stand(&suspicion, &seen(now, &[Some(5), Some(1), Some(5)]), now);
    assert_eq!(serving(&stand), ["be1", "be3"]);
    // be2 was up when something was heard last.
    let stand = memory.stand(&suspicion, &seen(now, &[Some(5), None, Some(5)]), now);
    assert_eq!(serving(&stand), ["be1", "be2", "be3"]);
    assert_eq!(stand.reasons, [Reason::Suspicion].into());
}

proptest! {
    /// Whatever happens: somebody serves; the floor holds; no more than may go
    /// goes within any window.
    #[test]
    fn health_cannot_wipe(
        floor in 0..=100_u32,
        percent in 0..=100_u32,
        count in 0..=3_u32,
        weights in prop::collection::vec(1..=200_u32, 1..8),
        rounds in prop::collection::vec((prop::collection::vec(any::<bool>(), 8), 0..5_u64), 1..40),
    ) {
        let window = 10;
        let velocity = Velocity { percent, count, window: Milliseconds(window * 1000) };
        let health = health(floor, Some(velocity));
        let start = begin();
        let mut memory = Memory::default();
        let ready: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut at = 0;
        let mut before: Option<Stand> = None;
        let mut lost: Vec<(u64, String, u64)> = Vec::new();
        for (healthy, passed) in rounds {
            at += passed;
            let now = start + Duration::from_secs(at);
            let seen: BTreeMap<String, Seen> = weights.iter().zip(&healthy).enumerate().map(|(nth, (weight, healthy))| {
                (format!("be{nth}"), Seen { weight: *weight, healthy: *healthy, since: start, share: FULL })
            }).collect();
            let stand = memory.stand(&rules(&health), &seen, now);
            let weight = |name: &str| u64::from(seen[name].weight);
            let in_service: u64 = serving(&stand).into_iter().map(weight).sum();
            prop_assert!(in_service > 0);
            prop_assert!(in_service * 100 >= ready * u64::from(floor));
            for (name, seen) in &seen {
                prop_assert!(!seen.healthy || !stand.shares[name].is_zero(), "{name} is healthy");
            }
            // What was in service and is not; what came back is credited.
            lost.retain(|(when, name, _)| at - when < u64::from(window) && stand.shares[name].is_zero());
            for (name, share) in &stand.shares {
                let was = before.as_ref().is_some_and(|before| !before.shares[name].is_zero());
                if was && share.is_zero() {
                    lost.push((at, name.clone(), weight(name)));
                }
            }
            let taken: u64 = lost.iter().map(|(.., weight)| weight).sum();
            prop_assert!(lost.len() as u32 <= count || taken * 100 <= ready * u64::from(percent), "{lost:?} of {ready}");
            before = Some(stand);
        }
    }
}
