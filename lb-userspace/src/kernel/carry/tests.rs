use std::sync::atomic::{AtomicU64, Ordering};

use lb_common::abi::flows::{FLOWS_PER_LINE, FlowEntry, line_among};

use super::{Carry, MapShape, can_differ, merged, take_over};

const FEW: u32 = 65_536;
const MANY: u32 = 131_072;

fn cells(lines: u32) -> Vec<AtomicU64> {
    (0..lines as usize * FLOWS_PER_LINE)
        .map(|_| AtomicU64::new(0))
        .collect()
}

/// Notes a flow as a program with so many lines does.
fn note(cells: &[AtomicU64], lines: u32, slot: u16, entry: FlowEntry) {
    let line = line_among(lines, slot, entry.tag()) as usize;
    let places = &cells[line * FLOWS_PER_LINE..][..FLOWS_PER_LINE];
    let free = places.iter().find(|cell| cell.load(Ordering::Relaxed) == 0);
    free.expect("the line has room").store(entry.0, Ordering::Relaxed);
}

/// All flows: slot and entry.
fn flows(cells: &[AtomicU64]) -> Vec<(u16, FlowEntry)> {
    let entries = cells.iter().map(|cell| FlowEntry(cell.load(Ordering::Relaxed)));
    let mut flows: Vec<_> = entries
        .enumerate()
        .filter(|(_, entry)| !entry.is_empty())
        .map(|(at, entry)| (entry.slot((at / FLOWS_PER_LINE) as u32), entry))
        .collect();
    flows.sort_by_key(|(slot, entry)| (*slot, entry.0));
    flows
}

#[test]
fn flows_are_found_in_tables_of_more_and_of_fewer_lines() {
    let (before, between, after) = (cells(FEW), cells(MANY), cells(FEW));
    for number in 0..2_000_u32 {
        let tag = number.wrapping_mul(0x9e37_79b9) | 1;
        let entry = FlowEntry::new(tag, number as u16 % 300 + 1, number % 2 == 0, number);
        note(&before, FEW, (number * 31) as u16, entry);
    }
    let known = flows(&before);
    assert_eq!(known.len(), 2_000);
    take_over(&before, &between, MANY);
    assert_eq!(flows(&between), known);
    take_over(&between, &after, FEW);
    assert_eq!(flows(&after), known);
    // Once more changes nothing.
    take_over(&between, &after, FEW);
    assert_eq!(flows(&after), known);
}

#[test]
fn line_that_is_full_keeps_what_it_has() {
    let (before, after) = (cells(MANY), cells(FEW));
    // The same line of few, two lines of many.
    let tags = (0..=FLOWS_PER_LINE as u32).map(|number| ((number % 2) << 16) | ((number + 1) << 20) | 7);
    for tag in tags {
        note(&before, MANY, 9, FlowEntry::new(tag, 5, true, 100));
    }
    take_over(&before, &after, FEW);
    let kept = flows(&after);
    assert_eq!(kept.len(), FLOWS_PER_LINE);
    assert!(kept.iter().all(|flow| flows(&before).contains(flow)));
}

#[test]
fn later_news_of_a_flow_win_and_what_is_confirmed_stays_confirmed() {
    let at = |member, confirmed, seen| FlowEntry::new(77, member, confirmed, seen);
    assert_eq!(merged(at(1, false, 10), at(2, false, 11)), Some(at(2, false, 11)));
    assert_eq!(merged(at(1, false, 10), at(2, true, 10)), None);
    assert_eq!(merged(at(1, false, 12), at(2, true, 10)), None);
    assert_eq!(merged(at(1, false, 12), at(1, true, 10)), Some(at(1, true, 12)));
    assert_eq!(merged(at(1, true, 10), at(1, false, 11)), Some(at(1, true, 11)));
    assert_eq!(merged(at(1, true, 11), at(1, true, 11)), None);
    // The seconds wrap at 65,536.
    assert_eq!(merged(at(1, true, 65_535), at(2, true, 65_537)), Some(at(2, true, 1)));
}

#[test]
fn maps_may_have_other_shapes_only_as_far_as_they_can_be_carried() {
    let shape = |value_bytes, entries| MapShape {
        kind: 2,
        key_bytes: 4,
        value_bytes,
        entries,
    };
    let differ = |carry, (bytes, entries), dirty| can_differ(carry, shape(bytes, entries), shape(64, FEW), dirty);
    assert!(!differ(Carry::Same, (64, MANY), false));
    assert!(differ(Carry::SameOrAnew, (8, 1), true));
    assert!(differ(Carry::Anew, (8, 1), true));
    assert!(differ(Carry::Totals, (64, 128), true));
    assert!(!differ(Carry::Totals, (32, FEW), true));
    assert!(differ(Carry::Flows, (64, MANY), true));
    // From fewer lines than slots a slot does not follow.
    assert!(!differ(Carry::Flows, (64, FEW / 2), true));
    assert!(!differ(Carry::Flows, (64, FEW + 8), true));
    assert!(!differ(Carry::Flows, (128, MANY), true));
    assert!(differ(Carry::Flows, (128, MANY), false));
}
