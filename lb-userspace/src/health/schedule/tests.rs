use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::Schedule;
use crate::revision::BackendId;

const SECOND: Duration = Duration::from_secs(1);

fn backend(number: u32) -> BackendId {
    BackendId {
        pool: "web".to_owned(),
        backend: format!("be{number}"),
    }
}

fn schedule(backends: u32, now: Instant) -> Schedule {
    let mut schedule = Schedule::new(fastrand::Rng::with_seed(4));
    schedule.add((0..backends).map(|number| (backend(number), SECOND)).collect(), now);
    schedule
}

#[test]
fn first_checks_are_spread_over_the_interval() {
    let start = Instant::now();
    let mut schedule = schedule(10, start);
    for tenth in 0..10 {
        let due = schedule.due(start + SECOND * tenth / 10, usize::MAX);
        assert_eq!(due.len(), 1, "at {tenth}/10");
        assert_eq!(due[0].late, Duration::ZERO);
    }
}

#[test]
fn steps_vary_by_a_tenth_and_are_the_interval_on_average() {
    let start = Instant::now();
    let mut schedule = schedule(1, start);
    let mut before = start;
    let mut last = start;
    for nth in 0..1000 {
        let now = schedule.next().expect("one backend is always planned");
        let step = now - before;
        assert!(
            nth == 0 || (SECOND * 9 / 10..=SECOND * 11 / 10).contains(&step),
            "{step:?}"
        );
        let due = schedule.due(now, 1);
        assert!(schedule.ended(&backend(0), due[0].serial, now + SECOND / 100));
        (before, last) = (now, now);
    }
    let average = (last - start) / 999;
    assert!(
        (SECOND * 99 / 100..=SECOND * 101 / 100).contains(&average),
        "{average:?}"
    );
}

#[test]
fn backend_that_is_being_checked_is_not_due() {
    let start = Instant::now();
    let mut schedule = schedule(1, start);
    let due = schedule.due(start, usize::MAX);
    assert_eq!(due.len(), 1);
    let much_later = start + SECOND * 100;
    assert_eq!(schedule.next(), None);
    assert!(schedule.due(much_later, usize::MAX).is_empty());
    // It is checked at once when that one ends, but not a hundred times.
    assert!(schedule.ended(&backend(0), due[0].serial, much_later));
    let due = schedule.due(much_later, usize::MAX);
    assert_eq!((due.len(), due[0].late), (1, Duration::ZERO));
}

#[test]
fn no_room_makes_checks_late_and_the_longest_waiting_goes_first() {
    let start = Instant::now();
    let mut schedule = schedule(4, start);
    let now = start + SECOND;
    let due = schedule.due(now, 1);
    assert_eq!((&due[0].backend, due[0].late), (&backend(0), SECOND));
    let due = schedule.due(now, 9);
    let late: BTreeMap<_, _> = due.into_iter().map(|due| (due.backend, due.late)).collect();
    assert_eq!(late.len(), 3);
    assert_eq!(late[&backend(3)], SECOND / 4);
}

#[test]
fn check_of_an_earlier_target_counts_no_more() {
    let start = Instant::now();
    let mut schedule = schedule(1, start);
    let old = schedule.due(start, 1).remove(0);
    schedule.add(vec![(backend(0), SECOND * 2)], start);
    let new = schedule.due(start, 1).remove(0);
    assert!(!schedule.ended(&backend(0), old.serial, start));
    assert!(schedule.ended(&backend(0), new.serial, start));
    schedule.remove(&backend(0));
    assert!(!schedule.ended(&backend(0), new.serial, start));
    assert_eq!(schedule.next(), None);
}
