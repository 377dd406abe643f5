//! `protection:`.

use super::{CONTRACT, Code, errors_of};
use crate::config::{Approvals, Confirm, Percent, Protection, Removals, Seconds, parse};

fn protection(section: &str) -> Protection {
    let text = format!("{CONTRACT}{section}");
    let parsed = parse("test.yaml", &text);
    parsed.expect("a sound file").config.protection
}

fn percent(percent: u32) -> Percent {
    Percent::new(percent).expect("a share")
}

#[test]
fn nothing_written_is_the_default_and_is_not_kept() {
    assert_eq!(protection(""), Protection::default());
    assert_eq!(protection("protection: {}\n"), Protection::default());
    let config = parse("test.yaml", CONTRACT).expect("a sound file").config;
    let json = serde_json::to_value(&config).expect("plain JSON");
    assert_eq!(json.get("protection"), None, "so digests of files without it stay");
}

#[test]
fn every_key_is_read() {
    let written = protection(
        "protection:
  maxTrafficAffected: 3%
  window: 2h
  maxBackendsRemoved: { percent: 20%, count: 2 }
  minCapacityLeft: 70%
  requireDrain: false
  liveVipWindow: 0s
  approvals: { approvers: /etc/holdfast/approvers, remove: 2, drain: 1, ttl: 45m }
  confirm: { default: 0s, requiredAbove: 7% }
",
    );
    let expected = Protection {
        max_traffic_affected: percent(3),
        window: Seconds(7200),
        max_backends_removed: Removals {
            percent: percent(20),
            count: 2,
        },
        min_capacity_left: percent(70),
        require_drain: false,
        live_vip_window: Seconds(0),
        approvals: Approvals {
            approvers: Some("/etc/holdfast/approvers".into()),
            remove: 2,
            drain: 1,
            ttl: Seconds(2700),
        },
        confirm: Confirm {
            default: Seconds(0),
            required_above: percent(7),
        },
    };
    assert_eq!(written, expected);
}

#[test]
fn limits_are_limits() {
    let sections = [
        ("maxTrafficAffected: 100%", true),
        ("maxTrafficAffected: 101%", false),
        ("maxTrafficAffected: 10", false),
        ("window: 60s", true),
        ("window: 59s", false),
        ("window: 168h", true),
        ("window: 169h", false),
        ("liveVipWindow: 24h", true),
        ("liveVipWindow: 25h", false),
        ("maxBackendsRemoved: { count: 32000 }", true),
        ("maxBackendsRemoved: { count: 32001 }", false),
        ("maxBackendsRemoved: { count: -1 }", false),
        ("confirm: { default: 25h }", false),
        ("approvals: { approvers: /a, remove: 9 }", true),
        ("approvals: { approvers: /a, remove: 10 }", false),
        ("approvals: { approvers: a, remove: 1 }", false),
        ("approvals: { approvers: /a, remove: 1, ttl: 59s }", false),
        ("approvals: { approvers: /a, remove: 1, drain: 1 }", true),
        ("approvals: { approvers: /a, remove: 1, drain: 2 }", false),
        ("approvals: { remove: 1 }", false),
        ("approvals: { approvers: /a }", true),
        ("requireDrain: sometimes", false),
        ("maxTraffic: 10%", false),
        ("window:", false),
    ];
    for (section, is_sound) in sections {
        let text = format!("{CONTRACT}protection: {{ {section} }}\n");
        assert_eq!(parse("test.yaml", &text).is_ok(), is_sound, "{section}");
    }
}

#[test]
fn approvals_that_nobody_could_give_are_told_with_their_place() {
    let section = |inside: &str| format!("{CONTRACT}protection:\n  approvals: {{ {inside} }}\n");
    let codes = |text: &str| errors_of(text).into_iter().map(|(code, ..)| code).collect::<Vec<_>>();
    assert_eq!(codes(&section("remove: 1")), [Code::NoApprovers]);
    assert_eq!(
        codes(&section("approvers: /a, remove: 1, drain: 2")),
        [Code::ApprovalsOrder]
    );
    let (_, line, _) = errors_of(&section("remove: 1"))[0];
    assert_eq!(line, CONTRACT.lines().count() as u32 + 2);
}

#[test]
fn removals_are_exceeded_when_both_limits_are() {
    let limit = Removals {
        percent: percent(25),
        count: 1,
    };
    for (out, of, exceeded) in [
        (1, 1, false),
        (1, 2, false),
        (2, 8, false),
        (2, 7, true),
        (2, 2, true),
        (0, 0, false),
    ] {
        assert_eq!(limit.are_exceeded_by(out, of), exceeded, "{out} of {of}");
    }
}
