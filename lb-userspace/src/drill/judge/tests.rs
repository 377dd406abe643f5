//! A judge that lets something through is worse than none: each thing that can be
//! amiss, alone, has to show.

use std::time::Duration;

use super::{Answer, Observed, judge};
use crate::drill::{
    accident::{Accident, Expected, Window},
    report::Drill,
    scene::Scene,
};

#[expect(clippy::unnecessary_wraps, reason = "accidents have one signature")]
const fn nothing(_: &mut Scene) -> crate::drill::error::Result<()> {
    Ok(())
}

const REFUSED: Accident = Accident::refused("r", "", &["HF2002", "HF1"], nothing);
const HEALED: Accident = Accident::healed("h", "", 2_000, nothing);
const LOSING: Accident = HEALED.losing(Window::UntilHealed);
const ELSEWHERE: Accident = HEALED.losing(Window::NotOurs);
const READ_ONLY: Accident = Accident::read_only("o", "", nothing);

fn answer(exit: i32, code: &str) -> Answer {
    Answer {
        command: "apply".to_owned(),
        exit: Some(exit),
        code: Some(code.to_owned()),
    }
}

/// What is seen of an accident that was survived.
fn survived(accident: &Accident) -> Observed {
    let whole = Some(Duration::from_millis(900));
    match accident.expected {
        Expected::Refused(_) => Observed {
            answers: vec![answer(3, "HF2002"), answer(1, "HF1031")],
            whole_after: whole,
            ..Observed::default()
        },
        Expected::Healed(_) => Observed {
            whole_after: whole,
            ..Observed::default()
        },
        Expected::ReadOnly(_) => Observed {
            answers: vec![answer(3, "HF2019")],
            read_only_after: whole,
            recovered_in: whole,
            ..Observed::default()
        },
    }
}

const ALL: [Accident; 5] = [REFUSED, HEALED, LOSING, ELSEWHERE, READ_ONLY];

#[test]
fn what_was_survived_is_nothing_to_complain_of() {
    for accident in ALL {
        assert_eq!(
            judge(&accident, &survived(&accident)),
            Vec::<String>::new(),
            "{}",
            accident.name
        );
    }
}

/// Whatever was expected.
#[test]
fn loss_of_objects_of_backends_and_of_approval_shows_in_every_row() {
    type Mutant = fn(&mut Observed);
    let mutants: [(&str, Mutant); 6] = [
        ("a VIP is gone", |seen| seen.removed = vec!["vip/web4".to_owned()]),
        ("a backend answers no more", |seen| {
            seen.unanswered = vec!["web4 (be2)".to_owned()];
        }),
        ("another content is served", |seen| seen.moved = true),
        ("packets are lost afterwards", |seen| {
            (seen.lost, seen.lost_later) = (1, 1);
        }),
        ("the daemon does not answer", |seen| seen.silent = true),
        ("the accident could not be made", |seen| {
            seen.failed = Some("no such file".to_owned());
        }),
    ];
    for accident in ALL {
        for (what, mutant) in mutants {
            let mut seen = survived(&accident);
            mutant(&mut seen);
            assert_eq!(judge(&accident, &seen).len(), 1, "{}: {what}", accident.name);
        }
    }
}

#[test]
fn packets_and_connections_may_be_lost_in_the_window_alone() {
    let (mut packets, mut connections) = (survived(&HEALED), survived(&HEALED));
    packets.lost = 40;
    connections.broken = 1;
    let complains = |accident: &Accident, seen: &Observed| !judge(accident, seen).is_empty();
    assert!(complains(&HEALED, &packets) && complains(&HEALED, &connections));
    // What is without a program for a second loses packets, and no connection.
    assert!(!complains(&LOSING, &packets) && complains(&LOSING, &connections));
    assert!(!complains(&ELSEWHERE, &packets) && !complains(&ELSEWHERE, &connections));
}

#[test]
fn refusal_is_one_of_the_expected_codes_for_every_command_and_nothing_else() {
    let wrong = [
        vec![],
        vec![answer(3, "HF2002"), answer(0, "HF2002")],
        vec![answer(3, "HF2003")],
        vec![answer(3, "HF2002"), answer(1, "HF3001")],
        vec![Answer {
            code: None,
            ..answer(3, "")
        }],
    ];
    for answers in wrong {
        let mut seen = survived(&REFUSED);
        seen.answers = answers;
        assert_eq!(judge(&REFUSED, &seen).len(), 1, "{seen:?}");
    }
    let mut seen = survived(&REFUSED);
    // Refused, and something changed all the same.
    (seen.whole_after, seen.amiss) = (None, vec!["web/be1 is down".to_owned()]);
    assert_eq!(judge(&REFUSED, &seen), ["refused, and not as before: web/be1 is down"]);
}

#[test]
fn healing_too_late_or_never_is_none() {
    let mut late = survived(&HEALED);
    late.whole_after = Some(Duration::from_millis(2_001));
    assert_eq!(judge(&HEALED, &late), ["healed too late"]);
    let mut never = survived(&HEALED);
    (never.whole_after, never.amiss) = (None, vec!["lb0 has no program".to_owned()]);
    assert_eq!(judge(&HEALED, &never), ["not healed: lb0 has no program"]);
}

#[test]
fn read_only_daemon_says_so_and_refuses_changes_until_it_is_recovered() {
    let mut normal = survived(&READ_ONLY);
    normal.read_only_after = None;
    assert_eq!(judge(&READ_ONLY, &normal).len(), 1);
    let mut changed = survived(&READ_ONLY);
    changed.answers = vec![answer(0, "")];
    assert_eq!(judge(&READ_ONLY, &changed).len(), 1);
    let mut lasting = survived(&READ_ONLY);
    (lasting.recovered_in, lasting.amiss) = (None, vec!["the daemon is ReadOnly".to_owned()]);
    assert_eq!(judge(&READ_ONLY, &lasting), ["not recovered: the daemon is ReadOnly"]);
}

#[test]
fn change_that_was_asked_for_may_be_served_where_the_row_says_so() {
    let mut seen = survived(&HEALED);
    seen.moved = true;
    assert!(judge(&HEALED.moving(), &seen).is_empty());
    // And takes nothing away all the same.
    seen.removed = vec!["backend/web/be1 is lighter".to_owned()];
    assert_eq!(judge(&HEALED.moving(), &seen).len(), 1);
}

#[test]
fn drill_has_held_when_every_row_has_and_there_was_one() {
    let mut drill = Drill::default();
    assert!(!drill.held(), "nothing was tried");
    drill.add(
        &LOSING,
        &Observed {
            lost: 7,
            ..survived(&LOSING)
        },
    );
    assert!(drill.held());
    assert_eq!(
        (drill.summary.packets_lost, drill.summary.packets_lost_outside_windows),
        (7, 0)
    );
    drill.add(
        &HEALED,
        &Observed {
            lost: 2,
            removed: vec!["vip/web4".to_owned()],
            ..survived(&HEALED)
        },
    );
    assert!(!drill.held());
    assert_eq!((drill.summary.accidents, drill.summary.held), (2, 1));
    assert_eq!(
        (drill.summary.packets_lost, drill.summary.packets_lost_outside_windows),
        (9, 2)
    );
    assert_eq!(drill.summary.removed_unapproved, 1);
}
