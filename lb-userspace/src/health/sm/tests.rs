//! Every state that can be reached, every input, against a model that was
//! written from the document, not from the machine.

use std::collections::{HashSet, VecDeque};

use super::*;
use crate::config::{Check, CheckVia, Initial, Milliseconds};

fn health(rise: u32, fall: u32) -> Health {
    Health {
        via: CheckVia::Tunnel,
        check: Check::Icmp {},
        interval: Milliseconds(1000),
        timeout: Milliseconds(1000),
        rise,
        fall,
        initial: Initial::Down,
        slow_start: Milliseconds(0),
        floor: Percent::ZERO,
        velocity: None,
        damping: Damping {
            suppress: 0,
            ..Damping::default()
        },
    }
}

fn machine(health: &Health, condition: Condition, now: Moment) -> Machine {
    Machine::resumed(health, &published(condition, 100), now)
}

fn start() -> Moment {
    Moment::default() + Duration::from_secs(1000)
}

fn published(condition: Condition, percent: u32) -> MemberHealth {
    MemberHealth {
        condition,
        share: Percent::new(percent).unwrap(),
        ..MemberHealth::default()
    }
}

/// The document's words: what a backend is, after all checks there were. The
/// whole history is kept, and nothing is counted as it goes.
fn told(rise: usize, fall: usize, first: Condition, history: &[bool]) -> Condition {
    let mut condition = first;
    let mut since = 0;
    for at in 1..=history.len() {
        let seen = &history[since..at];
        let last = |count: usize, passed: bool| {
            seen.len() >= count && seen[seen.len() - count..].iter().all(|one| *one == passed)
        };
        let next = match condition {
            Condition::Unknown if seen.is_empty() => Condition::Unknown,
            Condition::Unknown if seen[0] => Condition::Up,
            Condition::Unknown => Condition::Down,
            Condition::Up if last(fall, false) => Condition::Down,
            Condition::Down if last(rise, true) => Condition::Up,
            Condition::Up | Condition::Down => condition,
        };
        if next != condition {
            (condition, since) = (next, at);
        }
    }
    condition
}

#[test]
fn every_reachable_state_goes_where_the_document_says() {
    let now = start();
    for rise in 1..=4 {
        for fall in 1..=4 {
            for first in [Condition::Unknown, Condition::Up, Condition::Down] {
                let settings = health(rise, fall);
                let mut seen = HashSet::new();
                let mut queue = VecDeque::from([(machine(&settings, first, now), Vec::new())]);
                let mut transitions = 0;
                while let Some((machine, history)) = queue.pop_front() {
                    if !seen.insert((machine.condition, machine.against)) {
                        continue;
                    }
                    for passed in [false, true] {
                        let (mut next, mut history) = (machine.clone(), history.clone());
                        history.push(passed);
                        let transition = next.observe(passed, now);
                        let wanted = told(rise as usize, fall as usize, first, &history);
                        assert_eq!(next.condition(), wanted, "{rise}/{fall} from {first:?}: {history:?}");
                        let changed = match (machine.condition(), wanted) {
                            (before, after) if before == after => None,
                            (_, Condition::Up) => Some(Transition::Up),
                            (_, _) => Some(Transition::Down),
                        };
                        assert_eq!(transition, changed, "{history:?}");
                        transitions += 1;
                        queue.push_back((next, history));
                    }
                }
                // Up with 0..fall against it, down with 0..rise; and unknown.
                let states = rise + fall + u32::from(first == Condition::Unknown);
                assert_eq!(seen.len() as u32, states, "{rise}/{fall}");
                assert_eq!(transitions, states * 2);
            }
        }
    }
}

#[test]
fn backend_that_flaps_is_held_until_its_penalty_has_halved_often_enough() {
    let begin = start();
    let mut settings = health(1, 1);
    settings.damping = Damping {
        suppress: 3000,
        reuse: 1500,
        half_life: Milliseconds(10_000),
    };
    let mut machine = machine(&settings, Condition::Up, begin);
    let mut now = begin;
    let mut ups = 0;
    for _ in 0..20 {
        now += Duration::from_millis(500);
        machine.observe(false, now);
        now += Duration::from_millis(500);
        ups += u32::from(machine.observe(true, now) == Some(Transition::Up));
        assert_eq!(machine.tick(now), None);
    }
    assert!((2..=3).contains(&ups), "{ups}");
    assert!(machine.is_held() && !machine.is_healthy());
    // The penalty is 6,000 at most: two half-lives.
    let due = machine.due().expect("it is held");
    let wait = due.saturating_duration_since(now);
    assert!(!wait.is_zero() && wait <= Duration::from_secs(21), "{wait:?}");
    assert_eq!(machine.tick(now + wait.mul_f64(0.99)), None);
    assert_eq!(machine.tick(due), Some(Transition::Released));
    assert!(machine.is_healthy());
}

#[test]
fn weight_grows_in_eight_steps_to_all_of_it_and_no_step_is_missed() {
    let begin = start();
    let mut settings = health(1, 1);
    settings.slow_start = Milliseconds(8000);
    let mut machine = machine(&settings, Condition::Down, begin);
    assert_eq!(machine.observe(true, begin), Some(Transition::Up));
    let mut shares = vec![machine.share().get()];
    while let Some(due) = machine.due() {
        assert_eq!(machine.tick(due), Some(Transition::Grew));
        shares.push(machine.share().get());
    }
    assert_eq!(shares, RAMP);
    assert_eq!(machine.tick(begin + Duration::from_secs(99)), None);
    // One that was resumed in the middle of it goes on from there.
    let resumed = Machine::resumed(&settings, &published(Condition::Up, 48), begin);
    assert_eq!(resumed.share().get(), 48);
    let due = resumed.due().expect("it grows").saturating_duration_since(begin);
    assert!(due <= Duration::from_secs(1), "{due:?}");
    // The first check of an unknown one decides; it serves already.
    let mut unknown = Machine::resumed(&settings, &published(Condition::Unknown, 100), begin);
    assert_eq!(unknown.observe(true, begin), Some(Transition::Up));
    assert_eq!(unknown.share().get(), 100);
}

/// What is published of it, as the next daemon reads it.
fn read_back(machine: &Machine, now: Moment) -> MemberHealth {
    let health = MemberHealth {
        condition: machine.condition(),
        share: if machine.is_healthy() {
            machine.share()
        } else {
            Percent::ZERO
        },
        down_since: (machine.condition() == Condition::Down).then(|| machine.since()),
        flaps: machine.flaps(now),
        taken: None,
    };
    let json = serde_json::to_string(&health).expect("JSON");
    serde_json::from_str(&json).expect("the same")
}

#[test]
fn restart_at_any_time_changes_nothing_of_what_damping_does() {
    let mut settings = health(1, 1);
    settings.damping = Damping {
        suppress: 3000,
        reuse: 1500,
        half_life: Milliseconds(10_000),
    };
    let step = Duration::from_millis(700);
    // It flaps for a while, then it is up.
    let passed = |nth: u32| nth > 24 || nth.is_multiple_of(2);
    for restart in 0..60 {
        let mut now = start();
        let mut goes_on = machine(&settings, Condition::Up, now);
        let mut restarted = goes_on.clone();
        for nth in 0..60 {
            now += step;
            if nth == restart {
                restarted = Machine::resumed(&settings, &read_back(&restarted, now), now);
            }
            for machine in [&mut goes_on, &mut restarted] {
                machine.observe(passed(nth), now);
                machine.tick(now);
            }
            assert_eq!(restarted.is_healthy(), goes_on.is_healthy(), "{restart} {nth}");
            assert_eq!(restarted.flaps(now), goes_on.flaps(now), "{restart} {nth}");
            assert_eq!(restarted.due(), goes_on.due(), "{restart} {nth}");
        }
        assert!(
            goes_on.is_healthy() && goes_on.flaps.is_some_and(|flaps| flaps.held),
            "it was held"
        );
    }
}

#[test]
fn who_was_released_long_ago_is_not_released_again_by_a_restart() {
    let mut settings = health(1, 1);
    settings.slow_start = Milliseconds(8000);
    settings.damping = Damping {
        suppress: 1000,
        reuse: 500,
        half_life: Milliseconds(10_000),
    };
    let now = start();
    let flaps = Some(Flaps {
        at: now,
        penalty: 2000,
        held: true,
    });
    let held = MemberHealth {
        flaps,
        ..published(Condition::Up, 0)
    };
    let released = MemberHealth {
        flaps,
        ..published(Condition::Up, 100)
    };
    let later = now + Duration::from_secs(25);
    let mut resumed = Machine::resumed(&settings, &released, later);
    assert!(resumed.is_healthy());
    assert_eq!((resumed.tick(later), resumed.share().get()), (None, 100));
    // Its time came while no daemon ran.
    let mut resumed = Machine::resumed(&settings, &held, later);
    assert!(!resumed.is_healthy());
    assert_eq!(resumed.tick(later), Some(Transition::Released));
    assert_eq!(resumed.share().get(), RAMP[0]);
}

#[test]
fn penalties_that_count_no_more_are_not_kept() {
    let mut settings = health(1, 1);
    settings.damping.half_life = Milliseconds(1000);
    let mut machine = machine(&settings, Condition::Up, start());
    machine.observe(false, start());
    assert_eq!(machine.flaps(start()).map(|flaps| flaps.penalty), Some(1000));
    assert!(machine.flaps(start() + Duration::from_secs(9)).is_some());
    assert_eq!(machine.flaps(start() + Duration::from_secs(11)), None);
}
