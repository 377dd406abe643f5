//! The statement and the bounds of a plan.

use super::*;
use crate::plan::{
    Severity, Tier,
    blast::{Break, Why},
    samples::plan,
};

fn blast(packets: u64, broken: u64, out: usize) -> Blast {
    let object = |nth| ObjectName::Backend {
        pool: "web".to_owned(),
        backend: format!("be{nth}"),
    };
    let breaks = vec![Break {
        what: "vip/dns".to_owned(),
        why: Why::Hashed,
        pps: broken,
    }];
    Blast {
        packets,
        broken,
        vips: 4,
        vips_broken: ["dns".to_owned()].into(),
        backends: 6,
        taken_out: (0..out).map(|nth| (object(nth), 100)).collect(),
        breaks: if broken > 0 { breaks } else { Vec::new() },
        ..Blast::default()
    }
}

#[test]
fn bounds_leave_a_little_room_for_traffic_and_none_for_objects() {
    // 4.0 %: a quarter more is 5 %, and one percent.
    let bounds = Bounds::around(&blast(1000, 40, 2));
    assert_eq!((bounds.broken.get(), bounds.vips, bounds.backends), (6, 1, 2));
    assert_eq!(bounds.exceeded(&blast(1000, 60, 2)), None);
    assert_eq!(bounds.exceeded(&blast(1000, 10, 1)), None);
    let traffic = bounds.exceeded(&blast(1000, 61, 2)).expect("it is more");
    assert_eq!(traffic, "7% of the packets would end, and the plan says 6% at most");
    let backends = bounds.exceeded(&blast(1000, 40, 3)).expect("it is more");
    assert_eq!(backends, "3 backends would be taken out, and the plan says 2");
    let mut more = blast(1000, 40, 2);
    more.vips_broken.insert("web4".to_owned());
    let vips = bounds.exceeded(&more).expect("it is more");
    assert_eq!(vips, "the connections of 2 VIPs would end, and the plan says 1");
}

#[test]
fn plan_that_breaks_nothing_may_break_nothing_later() {
    let bounds = Bounds::around(&blast(1000, 0, 0));
    assert_eq!(bounds.broken, Percent::ZERO);
    assert!(bounds.exceeded(&blast(1000, 1, 0)).is_some());
    // Made at night, when there was no packet to count.
    let night = Bounds::around(&Blast {
        broken: 0,
        packets: 0,
        ..blast(0, 1, 0)
    });
    assert_eq!(night.broken.get(), 1);
    assert!(night.exceeded(&blast(1000, 500, 0)).is_some());
    assert_eq!(Bounds::around(&blast(10, 10, 0)).broken.get(), 100);
}

#[test]
fn statement_says_where_what_how_much_and_for_how_long() {
    let mut plan = plan();
    plan.blast = blast(1000, 40, 1);
    plan.bounds = Bounds::around(&plan.blast);
    plan.findings.clear();
    let (base, target) = (plan.base.digest.expect("a base").short(), plan.target.digest().short());
    let expected = format!(
        "lab on lb1: generation 41 ({base}) becomes {target}. 3 changes; removes backend/web/be5, vip/dns. \
         At most 6% of the packets end, 1 of 4 VIPs break, 1 of 6 backends are taken out. \
         By uid 1000, 2026-01-02T03:04:05Z; void after 2026-01-02T03:34:05Z; nonce 5f8e2a90c1d34b67."
    );
    assert_eq!(about(&plan), expected);
    plan.wipe = true;
    plan.rollback_to = Some(7);
    let text = about(&plan);
    assert!(
        text.contains(", the content of generation 7. EVERYTHING GOES. 3 changes"),
        "{text}"
    );
}

#[test]
fn statement_tells_what_the_signature_opens() {
    let mut plan = plan();
    let mut finding = plan.findings[0].clone();
    (finding.severity, finding.tier) = (Severity::Lock, Some(Tier::Rules));
    plan.findings = (0..NAMED + 2)
        .map(|nth| crate::plan::Finding {
            message: format!("rule {nth} is weakened"),
            ..finding.clone()
        })
        .collect();
    let text = about(&plan);
    assert!(
        text.contains(". Against it: rule 0 is weakened; rule 1 is weakened; "),
        "{text}"
    );
    assert!(text.contains("; rule 11 is weakened; and 2 more. By "), "{text}");
    plan.findings
        .iter_mut()
        .for_each(|finding| finding.severity = Severity::Warn);
    assert!(!about(&plan).contains("Against it"));
}

#[test]
fn statement_differs_with_everything_that_it_is_about() {
    let first = about(&plan());
    let edits: [fn(&mut Plan); 7] = [
        |plan| plan.environment = "prod".to_owned(),
        |plan| plan.hosts = ["lb1".to_owned(), "lb2".to_owned()].into(),
        |plan| plan.base.generation = 42,
        |plan| plan.target.config.vips[0].protected = true,
        |plan| plan.bounds.backends = 9,
        |plan| plan.expires += jiff::SignedDuration::from_secs(1),
        |plan| plan.nonce = "0".repeat(16),
    ];
    for (nth, edit) in edits.iter().enumerate() {
        let mut plan = plan();
        edit(&mut plan);
        assert_ne!(about(&plan), first, "edit {nth}");
    }
}
