//! When the kernel is asked.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use super::{HOLDS, Problem, QUESTIONS_PER_SECOND, USES_PER_SECOND, Way, Ways};

const SECOND: Duration = Duration::from_secs(1);

const WAY: Way = Way {
    ifindex: 7,
    gateway: None,
};

fn addresses(count: usize) -> impl Iterator<Item = IpAddr> + Clone {
    (0..count).map(|at| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + at as u32)))
}

fn ask(ways: &mut Ways, count: usize, now: Instant) -> usize {
    let due = ways.due(addresses(count), now);
    for address in &due {
        ways.learn(*address, Ok(WAY), now);
    }
    due.len()
}

#[test]
fn answer_holds_until_it_is_old_or_doubted() {
    let (mut ways, start) = (Ways::new(), Instant::now());
    assert_eq!(ask(&mut ways, 3, start), 3);
    assert_eq!(ask(&mut ways, 3, start + HOLDS / 2), 0);
    assert_eq!(ask(&mut ways, 3, start + HOLDS), 3);
    ways.doubt();
    assert_eq!(ask(&mut ways, 3, start + HOLDS + SECOND), 3);
    assert_eq!(ask(&mut ways, 4, start + HOLDS + SECOND), 1, "an address that is new");
}

#[test]
fn address_that_nobody_asked_for_has_no_way_and_one_in_doubt_keeps_its_own() {
    let (mut ways, start) = (Ways::new(), Instant::now());
    let address = addresses(1).next().unwrap();
    assert_eq!(ways.of(address), Err(Problem::NotAsked));
    ask(&mut ways, 1, start);
    ways.doubt();
    assert_eq!(ways.of(address), Ok(WAY));
}

#[test]
fn every_address_has_its_turn_however_many_there_are() {
    let (mut ways, start) = (Ways::new(), Instant::now());
    let all = 2 * QUESTIONS_PER_SECOND + 1;
    assert_eq!(ask(&mut ways, all, start), QUESTIONS_PER_SECOND);
    assert_eq!(ask(&mut ways, all, start), 0, "no second helping in a second");
    ways.doubt();
    assert_eq!(ask(&mut ways, all, start + SECOND), QUESTIONS_PER_SECOND);
    let unasked = |ways: &Ways| addresses(all).filter(|address| ways.of(*address).is_err()).count();
    assert_eq!(unasked(&ways), 1, "those never asked for come first");
    ask(&mut ways, all, start + 2 * SECOND);
    assert_eq!(unasked(&ways), 0);
}

#[test]
fn neighbours_are_used_in_turn_and_so_many_in_a_second() {
    let (mut ways, start) = (Ways::new(), Instant::now());
    let doubtful: BTreeSet<(u32, IpAddr)> = addresses(USES_PER_SECOND + 10).map(|address| (7, address)).collect();
    let first = ways.use_now(doubtful.clone(), start);
    assert_eq!(first.len(), USES_PER_SECOND);
    assert_eq!(ways.use_now(doubtful.clone(), start), []);
    let second = ways.use_now(doubtful.clone(), start + SECOND);
    let both: BTreeSet<(u32, IpAddr)> = first.into_iter().chain(second).collect();
    assert_eq!(both, doubtful);
}
