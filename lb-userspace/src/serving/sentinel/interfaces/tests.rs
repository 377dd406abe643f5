use super::super::{ALIKE, Drift, Said, Sentinel};

const DOWN: &str = "lb0 is down: nothing comes in there";

/// What would be journaled now; from then on it was, a moment ago.
fn journaled(sentinel: &mut Sentinel) -> Vec<(String, bool)> {
    let found: Vec<Drift> = std::mem::take(&mut sentinel.found);
    found
        .into_iter()
        .map(|drift| {
            sentinel.said.push(Said {
                at: 0,
                kind: drift.kind(),
                found: drift.found.clone(),
            });
            (drift.found, drift.healed)
        })
        .collect()
}

fn well() -> (String, bool) {
    ("lb0 is well again".to_owned(), true)
}

fn down() -> (String, bool) {
    (DOWN.to_owned(), false)
}

#[test]
fn accident_is_journaled_once_and_so_is_its_end() {
    let mut sentinel = Sentinel::default();
    sentinel.interface_is("lb0", None);
    assert_eq!(journaled(&mut sentinel), []);
    for expected in [vec![down()], vec![], vec![]] {
        sentinel.interface_is("lb0", Some(DOWN));
        assert_eq!(journaled(&mut sentinel), expected);
    }
    for expected in [vec![well()], vec![]] {
        sentinel.interface_is("lb0", None);
        assert_eq!(journaled(&mut sentinel), expected);
    }
}

#[test]
fn interface_that_flaps_is_journaled_as_it_is_in_the_end() {
    let mut sentinel = Sentinel::default();
    let mut found = Vec::new();
    for _ in 0..50 {
        sentinel.interface_is("lb0", Some(DOWN));
        found.extend(journaled(&mut sentinel));
        sentinel.interface_is("lb0", None);
        found.extend(journaled(&mut sentinel));
    }
    assert_eq!(found, [down(), well()]);
    sentinel.interface_is("lb0", Some(DOWN));
    assert_eq!(journaled(&mut sentinel), []);
    // That was a while ago.
    sentinel.said.clear();
    sentinel.interface_is("lb0", Some(DOWN));
    assert_eq!(journaled(&mut sentinel), [down()]);
}

#[test]
fn of_many_interfaces_each_has_its_turn() {
    let mut sentinel = Sentinel::default();
    let mut found = Vec::new();
    for _ in 0..2 {
        for number in 0..ALIKE + 3 {
            sentinel.interface_is(&format!("lb{number}"), Some(&format!("lb{number} is down")));
            found.extend(journaled(&mut sentinel));
        }
        sentinel.said.clear();
    }
    assert_eq!(found.len(), ALIKE + 3);
}
