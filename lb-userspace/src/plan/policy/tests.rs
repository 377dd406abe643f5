use super::*;
use crate::{
    config::{Affinity, Encap, HashKind, Protocol, TableKind, XdpMode},
    plan::samples::{any_content, backend, content, node, plan, pool, vip},
};

mod effects;
mod host;
mod omission;
mod overrides;

fn removed(names: &[&str]) -> BTreeSet<ObjectName> {
    names.iter().map(|name| name.parse().expect("an object")).collect()
}

/// The findings about going from [`content`] to `target`.
fn judged(target: &Content, names: &[&str]) -> Vec<Finding> {
    judged_from(Some(&content()), target, names)
}

fn judged_from(running: Option<&Content>, target: &Content, names: &[&str]) -> Vec<Finding> {
    judge(Judged {
        running,
        environment: "lab",
        target,
        removed: &removed(names),
        wipe: false,
        changes: &diff(running, target),
    })
}

/// Severity, code and object, short enough to compare.
fn told(findings: &[Finding]) -> Vec<(Severity, &str, String)> {
    let object = |finding: &Finding| finding.object.as_ref().map_or_else(String::new, ToString::to_string);
    findings
        .iter()
        .map(|finding| (finding.severity, finding.code.as_str(), object(finding)))
        .collect()
}

fn changed(change: impl FnOnce(&mut Content)) -> Content {
    let mut target = content();
    change(&mut target);
    target
}

#[test]
fn no_change_has_no_finding() {
    assert_eq!(judged(&content(), &[]), []);
}

#[test]
fn first_generation_omits_nothing() {
    assert_eq!(judged_from(None, &content(), &[]), []);
}

#[test]
fn other_environment_is_refused_even_for_the_first_generation() {
    let target = changed(|target| target.config.environment = "prod".to_owned());
    for running in [None, Some(&content())] {
        let findings = judged_from(running, &target, &[]);
        assert_eq!(told(&findings), [(Severity::Refuse, "HF2005", String::new())]);
        assert_eq!(
            findings[0].message,
            "the candidate is for environment `prod`, this is `lab`"
        );
    }
}

#[test]
fn worst_findings_come_first() {
    let target = changed(|target| {
        target.config.vips.remove(0);
        target.config.vips.remove(0);
        target.config.pools[0].backends[0].address = [10, 9, 9, 9].into();
    });
    let findings = judged(&target, &["vip/dns", "vip/nothing"]);
    assert!(findings.is_sorted_by_key(|finding| std::cmp::Reverse(finding.severity)));
    assert_eq!(findings.first().expect("findings").severity, Severity::Refuse);
    assert_eq!(findings.last().expect("findings").severity, Severity::Note);
}

mod base {
    use super::*;

    fn moved(generation: u64, digest: Option<Digest>, environment: &str) -> String {
        check_base(&plan(), generation, digest, environment)
            .expect_err("something moved")
            .to_string()
    }

    #[test]
    fn plan_of_what_runs_is_not_stale() {
        assert_eq!(check_base(&plan(), 41, Some(content().digest()), "lab"), Ok(()));
    }

    #[test]
    fn stale_plan_says_which_generation_runs_now() {
        let digest = Some(content().digest());
        assert_eq!(moved(42, digest, "lab"), "stale plan: based on generation 41, now 42");
        assert_eq!(moved(0, None, "lab"), "stale plan: based on generation 41, now 0");
    }

    #[test]
    fn same_number_with_other_content_is_stale() {
        let other = Digest::of(b"another history");
        let message = moved(41, Some(other), "lab");
        assert!(message.contains(&content().digest().short()) && message.contains(&other.short()));
    }

    #[test]
    fn plan_for_another_environment_is_refused_as_such() {
        let stale = check_base(&plan(), 41, Some(content().digest()), "prod").expect_err("another environment");
        assert_eq!(stale.code(), Code::OtherEnvironment);
        assert_eq!(stale.to_string(), "the plan is for environment `lab`, this is `prod`");
    }

    #[test]
    fn target_of_another_environment_hides_in_no_plan() {
        let mut plan = plan();
        plan.target.config.environment = "prod".to_owned();
        let stale = check_base(&plan, 41, Some(content().digest()), "lab").expect_err("another environment");
        assert_eq!(stale.to_string(), "the plan is for environment `prod`, this is `lab`");
    }
}

mod altered {
    use super::*;

    #[test]
    fn plan_as_it_was_made_is_unaltered() {
        assert_eq!(check_unaltered(&plan(), Some(&content()), "lab"), Ok(()));
    }

    #[test]
    fn plan_without_its_refusal_is_refused() {
        let mut plan = plan();
        assert!(plan.is_refused());
        plan.findings.retain(|finding| finding.severity != Severity::Refuse);
        assert_eq!(check_unaltered(&plan, Some(&content()), "lab"), Err(Altered::Findings));
    }

    #[test]
    fn refusal_made_a_note_is_refused() {
        let mut plan = plan();
        plan.findings[0].severity = Severity::Note;
        assert_eq!(check_unaltered(&plan, Some(&content()), "lab"), Err(Altered::Findings));
    }

    #[test]
    fn target_that_the_changes_do_not_show_is_refused() {
        let mut plan = plan();
        plan.target.config.vips.pop();
        assert_eq!(check_unaltered(&plan, Some(&content()), "lab"), Err(Altered::Changes));
    }

    #[test]
    fn findings_of_others_are_kept() {
        let mut plan = plan();
        plan.findings
            .push(finding(Code::Interface, Severity::Note, "lb0 is down".to_owned()));
        assert_eq!(check_unaltered(&plan, Some(&content()), "lab"), Ok(()));
    }
}
