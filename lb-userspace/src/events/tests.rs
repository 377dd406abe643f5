use std::collections::BTreeSet;

use super::Event;

const DOCUMENT: &str = include_str!("../../../docs/events.md");

#[test]
fn every_event_is_documented_with_its_id_and_nothing_else_is() {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeSet<(&str, &str)> = rows
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(|cell| cell.trim().trim_matches('`'));
            (cells.next().unwrap_or(""), cells.next().unwrap_or(""))
        })
        .collect();
    let known: BTreeSet<(&str, &str)> = Event::ALL.iter().map(|event| (event.name(), event.id())).collect();
    assert_eq!(documented, known);
}

#[test]
fn ids_are_unique_uuids_made_from_the_name() {
    let ids: BTreeSet<&str> = Event::ALL.iter().map(|event| event.id()).collect();
    assert_eq!(ids.len(), Event::ALL.len());
    for event in Event::ALL {
        let digest = crate::digest::Digest::of(format!("holdfast event {}", event.name()).as_bytes());
        assert_eq!(event.id(), &digest.to_string()[..32], "{}", event.name());
    }
}

#[test]
fn an_event_is_counted_once_each_time() {
    let tracing = || {
        super::counts()
            .find(|(event, _)| *event == Event::Tracing)
            .map(|(_, n)| n)
    };
    let before = tracing();
    crate::event!(info, Tracing, "counted");
    assert_eq!(tracing(), before.map(|count| count + 1));
}
