//! Changes of the rules, and of checks.

use super::labels::four_people;
use crate::{
    config::{Access, Health, Milliseconds, Percent, Protection, Seconds},
    plan::{Content, Severity, Tier, blast::tests::Scene},
};

type Weaken = fn(&mut Protection);

fn strict() -> Scene {
    Scene::of(|content| {
        let approvals = &mut content.config.protection.approvals;
        (approvals.remove, approvals.drain, approvals.approvers) = (2, 1, Some("/etc/approvers".into()));
    })
}

#[test]
fn guard_in_the_kernel_is_put_on_freely_and_taken_off_as_a_rule_is() {
    assert_eq!(strict().codes(|to| to.config.node.guard = true), [""; 0]);
    let scene = Scene::of(|content| {
        let approvals = &mut content.config.protection.approvals;
        (approvals.remove, approvals.approvers) = (1, Some("/etc/approvers".into()));
        content.config.node.guard = true;
    });
    let findings = scene.findings(|to| to.config.node.guard = false);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].message, "the guard in the kernel is taken off (node.guard)");
    assert_eq!(
        (findings[0].severity, findings[0].tier),
        (Severity::Lock, Some(Tier::Rules))
    );
}

#[test]
fn each_key_that_is_weakened_is_told_and_none_that_is_strengthened() {
    let keys: &[(&str, Weaken, Weaken)] = &[
        (
            "maxTrafficAffected",
            |of| of.max_traffic_affected = share(11),
            |of| of.max_traffic_affected = share(9),
        ),
        ("window", |of| of.window = Seconds(3599), |of| of.window = Seconds(3601)),
        (
            "maxBackendsRemoved",
            |of| of.max_backends_removed.count = 2,
            |of| of.max_backends_removed.count = 0,
        ),
        (
            "maxBackendsRemoved",
            |of| of.max_backends_removed.percent = share(26),
            |of| of.max_backends_removed.percent = share(24),
        ),
        (
            "minCapacityLeft",
            |of| of.min_capacity_left = share(49),
            |of| of.min_capacity_left = share(51),
        ),
        (
            "requireDrain",
            |of| of.require_drain = false,
            |of| of.require_drain = true,
        ),
        (
            "liveVipWindow",
            |of| of.live_vip_window = Seconds(599),
            |of| of.live_vip_window = Seconds(601),
        ),
        (
            "approvals.remove",
            |of| of.approvals.remove = 1,
            |of| of.approvals.remove = 3,
        ),
        (
            "approvals.drain",
            |of| of.approvals.drain = 0,
            |of| of.approvals.drain = 2,
        ),
        (
            "approvals.ttl",
            |of| of.approvals.ttl = Seconds(1801),
            |of| of.approvals.ttl = Seconds(1799),
        ),
        (
            "approvals.approvers",
            |of| of.approvals.approvers = Some("/tmp/a".into()),
            |_| (),
        ),
        (
            "confirm.default",
            |of| of.confirm.default = Seconds(0),
            |of| of.confirm.default = Seconds(1),
        ),
        (
            "confirm.requiredAbove",
            |of| of.confirm.required_above = share(6),
            |of| of.confirm.required_above = share(4),
        ),
    ];
    let scene = strict();
    for (key, weaker, stronger) in keys {
        let findings = scene.findings(|to| weaker(&mut to.config.protection));
        assert_eq!(findings.len(), 1, "{key}");
        assert_eq!(findings[0].message, format!("protection is weakened: {key}"));
        assert_eq!(
            (findings[0].severity, findings[0].tier),
            (Severity::Lock, Some(Tier::Rules))
        );
        assert_eq!(scene.codes(|to| stronger(&mut to.config.protection)), [""; 0], "{key}");
    }
    // All of it at once: the section is gone.
    assert_eq!(
        scene.codes(|to| to.config.protection = Protection::default()),
        ["HF2066"]
    );
}

fn share(percent: u32) -> Percent {
    Percent::new(percent).expect("a share")
}

#[test]
fn who_may_what_is_a_rule() {
    let scene = strict();
    assert_eq!(scene.codes(|to| to.config.access = Some(Access::default())), ["HF2066"]);
    assert_eq!(scene.codes(|to| to.signers = four_people()), ["HF2066"]);
}

/// Its name, what it does to a pool's checks, and whether it is locked.
type Edit = (&'static str, fn(&mut Health), bool);

/// Its name, what it does, and the codes it gets.
type OfPool = (&'static str, fn(&mut Content), &'static [&'static str]);

#[test]
fn checks_that_may_take_backends_out_are_locked_and_others_are_not() {
    let scene = Scene::of(|content| content.config.pools[1].health = Some(tcp(80)));
    let edits: &[Edit] = &[
        ("what is asked", |of| of.check = tcp(81).check, true),
        ("via", |of| of.via = crate::config::CheckVia::Direct, true),
        ("timeout", |of| of.timeout = Milliseconds(10), true),
        ("longer timeout", |of| of.timeout = Milliseconds(2000), false),
        ("fall", |of| of.fall = 1, true),
        ("more patience", |of| of.fall = 9, false),
        ("rise", |of| of.rise = 9, false),
        ("slow start", |of| of.slow_start = Milliseconds(1000), false),
        ("damping", |of| of.damping.suppress = 1000, true),
        ("no damping", |of| of.damping.suppress = 0, false),
        ("floor", |of| of.floor = share(50), false),
    ];
    for (name, edit, locked) in edits {
        let findings = scene.findings(|to| edit(to.config.pools[1].health.as_mut().expect("checks")));
        let expected: &[_] = if *locked { &[("HF2067", Some(Tier::Drain))] } else { &[] };
        let found: Vec<_> = findings
            .iter()
            .map(|finding| (finding.code.as_str(), finding.tier))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
    let pool: &[OfPool] = &[
        ("no checks", |to| to.config.pools[1].health = None, &["HF2067"]),
        (
            "panic threshold",
            |to| to.config.pools[1].panic_threshold = share(90),
            &["HF2067"],
        ),
        (
            "fallback",
            |to| to.config.pools[1].fallback_pool = Some("dns".to_owned()),
            &["HF2067"],
        ),
        (
            "checks where there were none",
            |to| to.config.pools[0].health = Some(tcp(53)),
            &["HF2067"],
        ),
        (
            "shorter drain",
            |to| to.config.pools[1].drain.deadline = Seconds(600),
            &["HF2065"],
        ),
        (
            "longer drain",
            |to| to.config.pools[1].drain.deadline = Seconds(7200),
            &[],
        ),
    ];
    for (name, edit, codes) in pool {
        assert_eq!(scene.codes(edit), *codes, "{name}");
    }
}

fn tcp(port: u16) -> Health {
    let text = format!(
        "apiVersion: holdfast/v1
environment: lab
node: {{ interfaces: [{{ name: lb0 }}], encapSource: {{ v4: 10.255.0.0/16 }}, hashKeyFile: /k }}
pools: [{{ name: web, health: {{ tcp: {{ port: {port} }} }}, backends: [{{ name: be1, address: 10.0.1.11 }}] }}]
vips: []
"
    );
    let parsed = crate::config::parse("test.yaml", &text).expect("a sound file");
    parsed.config.pools[0].health.clone().expect("it is checked")
}

#[test]
fn approvals_that_too_few_could_give_are_refused_before_anybody_is_locked_out() {
    use crate::plan::{policy, samples::content};
    let asks = |remove, signers: bool| {
        let mut content = content();
        content.config.protection.approvals.remove = remove;
        if signers {
            content.with_signers(four_people())
        } else {
            content
        }
    };
    let judged = |running: Option<&Content>, target: &Content| {
        let changes = crate::plan::diff::diff(running, target);
        let findings = policy::judge(policy::Judged {
            running,
            environment: "lab",
            target,
            removed: &[].into(),
            wipe: false,
            changes: &changes,
        });
        findings.iter().any(|finding| finding.code == "HF2077")
    };
    assert!(!judged(None, &asks(4, true)));
    assert!(judged(None, &asks(5, true)), "the first generation, too");
    assert!(judged(Some(&asks(2, true)), &asks(2, false)), "the approvers go");
    assert!(judged(Some(&asks(0, false)), &asks(1, false)));
    // Nobody is kept from getting out of it.
    let locked_out = asks(2, false);
    let mut other = locked_out.clone();
    other.config.vips[0].protected = true;
    assert!(!judged(Some(&locked_out), &other));
}
