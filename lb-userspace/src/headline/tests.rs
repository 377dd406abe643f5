//! Interfaces in the headline, and what else is in it then.

use super::{Headline, Weather};
use crate::{
    api::{
        fake,
        model::{InterfaceState, InterfaceStatus, Mode, Status},
    },
    config::XdpMode,
};

fn interface(name: &str, state: InterfaceState, problem: &str) -> InterfaceStatus {
    let has_program = matches!(
        state,
        InterfaceState::Well | InterfaceState::Renamed | InterfaceState::Down
    );
    InterfaceStatus {
        name: name.to_owned(),
        ifindex: 12,
        mode: has_program.then_some(XdpMode::Native),
        prog_id: if has_program { 57 } else { 0 },
        state,
        problem: (!problem.is_empty()).then(|| problem.to_owned()),
    }
}

fn well(name: &str) -> InterfaceStatus {
    interface(name, InterfaceState::Well, "")
}

fn deleted(name: &str) -> InterfaceStatus {
    let problem = format!("{name}: the program is not attached: there is no such interface");
    interface(name, InterfaceState::NotAttached, &problem)
}

fn down(name: &str) -> InterfaceStatus {
    let problem = format!("{name} is down: nothing comes in there");
    interface(name, InterfaceState::Down, &problem)
}

fn renamed(name: &str) -> InterfaceStatus {
    let problem = format!("{name} is named other0 now: the program stays on it");
    interface(name, InterfaceState::Renamed, &problem)
}

fn with(interfaces: &[InterfaceStatus]) -> Status {
    Status {
        interfaces: interfaces.to_vec(),
        ..fake::status()
    }
}

#[track_caller]
fn assert_says(interfaces: &[InterfaceStatus], weather: Weather, line: &str) {
    let status = with(interfaces);
    assert_eq!(Headline::from(&status).text(), (weather, line.to_owned()));
}

const SERVING: &str = "● SERVING generation 41 revision 43, verified, digest 7f3a9c0a1b2c";

#[test]
fn interfaces_that_are_well_or_meant_to_be_detached_are_not_spoken_of() {
    assert_says(&[well("lb0"), well("lb1")], Weather::Fair, SERVING);
    let detached = interface("lb1", InterfaceState::Detached, "detached by an operator");
    assert_says(&[well("lb0"), detached], Weather::Fair, SERVING);
}

#[test]
fn interface_without_the_program_is_named_with_its_problem() {
    assert_says(
        &[well("lb0"), deleted("lb1")],
        Weather::Caution,
        "▲ NOT ATTACHED lb1: there is no such interface. Serving generation 41, verified.",
    );
    let problem = "lb1: another XDP program is attached: program 9 (pass), of pid 7. It is not replaced";
    let taken = interface("lb1", InterfaceState::NotAttached, problem);
    assert_says(
        &[well("lb0"), taken],
        Weather::Caution,
        "▲ NOT ATTACHED lb1: another XDP program is attached: program 9 (pass), of pid 7. It is not replaced. Serving \
         generation 41, verified.",
    );
}

#[test]
fn interface_that_is_down_or_renamed_has_the_program_all_the_same() {
    assert_says(
        &[down("lb0"), well("lb1")],
        Weather::Caution,
        "▲ INTERFACE lb0 is down: nothing comes in there. Serving generation 41, verified.",
    );
    // Packets come in under the other name.
    assert_says(
        &[renamed("lb0")],
        Weather::Caution,
        "▲ INTERFACE lb0 is named other0 now: the program stays on it. Serving generation 41, verified.",
    );
}

#[test]
fn no_interface_that_brings_packets_is_bad() {
    assert_says(
        &[deleted("lb0")],
        Weather::Bad,
        "▲ NOT ATTACHED lb0: there is no such interface. No packet comes in. Serving generation 41.",
    );
    let detached = interface("lb2", InterfaceState::Detached, "detached by an operator");
    assert_says(
        &[down("lb0"), deleted("lb1"), detached],
        Weather::Bad,
        "▲ NOT ATTACHED lb1: there is no such interface (and 1 more). No packet comes in. Serving generation 41.",
    );
}

#[test]
fn what_is_worse_comes_first_and_the_other_after_it() {
    let lines = |status: &Status| {
        let headline = Headline::from(status);
        [Some(headline.text().1), headline.also().map(|(_, line)| line)]
    };
    let damaged = Status {
        damage: Some("a pin is gone".to_owned()),
        ..with(&[deleted("lb0")])
    };
    let read_only = |interfaces: &[InterfaceStatus]| Status {
        mode: Mode::ReadOnly,
        mode_reason: Some("the store cannot be used".to_owned()),
        ..with(interfaces)
    };
    let held = Status {
        mode: Mode::Hold,
        mode_reason: Some("by ann".to_owned()),
        ..with(&[well("lb0"), down("lb1")])
    };
    let rows = [
        (damaged, ["▲ DAMAGED", "▲ NOT ATTACHED lb0"]),
        (read_only(&[deleted("lb0")]), ["▲ NOT ATTACHED lb0", "▲ READ-ONLY"]),
        (
            read_only(&[well("lb0"), deleted("lb1")]),
            ["▲ READ-ONLY", "▲ NOT ATTACHED lb1"],
        ),
        (held, ["▲ INTERFACE lb1", "▲ ON HOLD by ann"]),
    ];
    for (status, expected) in rows {
        let said = lines(&status);
        for (line, start) in said.iter().zip(expected) {
            let line = line.as_deref().unwrap_or_default();
            assert!(line.starts_with(start), "{line} does not start with {start}");
        }
    }
    assert_eq!(lines(&with(&[down("lb0")]))[1], None, "nothing else is wrong");
}
