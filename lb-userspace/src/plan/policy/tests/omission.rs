use proptest::prelude::*;

use super::*;

proptest! {
    /// I3: incomplete input is not a deletion, whatever is incomplete.
    #[test]
    fn whatever_goes_is_refused_unless_it_is_named(base in any_content(), target in any_content()) {
        let kept: BTreeSet<_> = target.config.objects().collect();
        let goes: BTreeSet<_> = base.config.objects().filter(|object| !kept.contains(object)).collect();
        let omitted = |removed: &BTreeSet<ObjectName>| {
            let changes = diff(Some(&base), &target);
            let judged = Judged { running: Some(&base), environment: "lab", target: &target, removed, wipe: false, changes: &changes };
            judge(judged).into_iter().any(|finding| finding.code == "HF2002")
        };
        prop_assert_eq!(omitted(&BTreeSet::new()), !goes.is_empty());
        prop_assert!(!omitted(&goes));
    }

    #[test]
    fn nothing_serving_is_refused_however_it_is_named(base in any_content(), target in any_content()) {
        let mut target = target;
        target.config.vips.clear();
        let removed: BTreeSet<_> = base.config.objects().collect();
        let changes = diff(Some(&base), &target);
        let judged = Judged { running: Some(&base), environment: "lab", target: &target, removed: &removed, wipe: false, changes: &changes };
        let refused = judge(judged).iter().any(|finding| finding.message.contains("0 VIPs"));
        prop_assert_eq!(refused, !base.config.vips.is_empty());
    }
}

#[test]
fn empty_candidate_is_refused_with_the_numbers() {
    let target = changed(|target| {
        target.config.vips.clear();
        target.config.pools.clear();
    });
    let findings = judged(
        &target,
        &["pool/dns", "pool/web", "vip/dns", "vip/dns-tcp", "vip/old", "vip/web4"],
    );
    assert_eq!(findings[0].code, "HF2000");
    assert_eq!(
        findings[0].message,
        "the candidate has 0 VIPs; 4 are serving. Nothing was changed."
    );
}

#[test]
fn one_serving_vip_is_told_in_the_singular() {
    let running = changed(|running| running.config.vips.truncate(1));
    let target = changed(|target| target.config.vips.clear());
    let message = &judged_from(Some(&running), &target, &[])[0].message;
    assert_eq!(message, "the candidate has 0 VIPs; 1 is serving. Nothing was changed.");
}

#[test]
fn pool_without_a_ready_backend_is_refused_while_a_vip_needs_it() {
    let target = changed(|target| {
        for backend in &mut target.config.pools[1].backends {
            backend.state = BackendState::Maint;
        }
    });
    let findings = judged(&target, &[]);
    assert_eq!(told(&findings)[0], (Severity::Refuse, "HF2000", "pool/web".to_owned()));

    let mut unused = target;
    unused.config.vips.truncate(2);
    let findings = judged(&unused, &["vip/old", "vip/web4"]);
    assert!(findings.iter().all(|finding| finding.severity != Severity::Refuse));
}

#[test]
fn omitted_vip_is_refused_unless_removal_is_named() {
    let target = changed(|target| drop(target.config.vips.remove(0)));
    let findings = judged(&target, &[]);
    assert_eq!(told(&findings)[0], (Severity::Refuse, "HF2002", "vip/dns".to_owned()));
    assert_eq!(
        findings[0].fix.as_deref(),
        Some("add it to `removed:`, or pass --remove vip/dns")
    );
    let findings = judged(&target, &["vip/dns"]);
    assert_eq!(told(&findings), [(Severity::Warn, "HF2014", "vip/dns".to_owned())]);
}

#[test]
fn omitted_backend_is_refused_unless_removal_is_named() {
    let target = changed(|target| drop(target.config.pools[1].backends.remove(2)));
    let findings = judged(&target, &[]);
    assert_eq!(
        told(&findings)[0],
        (Severity::Refuse, "HF2002", "backend/web/be5".to_owned())
    );
    let findings = judged(&target, &["backend/web/be5"]);
    assert_eq!(
        told(&findings),
        [(Severity::Warn, "HF2014", "backend/web/be5".to_owned())]
    );
}

#[test]
fn naming_a_pool_covers_its_backends_only_if_the_pool_goes() {
    let without_backend = changed(|target| drop(target.config.pools[1].backends.remove(2)));
    let findings = judged(&without_backend, &["pool/web"]);
    assert_eq!(
        told(&findings)[0],
        (Severity::Refuse, "HF2002", "backend/web/be5".to_owned())
    );

    let without_pool = changed(|target| {
        target.config.pools.remove(0);
        target.config.vips.drain(..2);
    });
    let names = ["pool/dns", "vip/dns", "vip/dns-tcp"];
    let findings = judged(&without_pool, &names);
    assert!(findings.iter().all(|finding| finding.severity != Severity::Refuse));
}

#[test]
fn naming_all_backends_does_not_name_their_pool() {
    let target = changed(|target| {
        target.config.pools.remove(0);
        target.config.vips.drain(..2);
    });
    let names = ["backend/dns/d1", "backend/dns/d2", "vip/dns", "vip/dns-tcp"];
    let findings = judged(&target, &names);
    let refused: Vec<_> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Refuse)
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].object, Some(ObjectName::Pool("dns".to_owned())));
}

#[test]
fn renamed_vip_omits_its_old_name() {
    let target = changed(|target| target.config.vips[3].name = "web5".to_owned());
    let findings = judged(&target, &[]);
    assert_eq!(told(&findings)[0], (Severity::Refuse, "HF2002", "vip/web4".to_owned()));
}

#[test]
fn many_omitted_objects_are_counted_after_twenty() {
    let mut running = content();
    let names: Vec<String> = (10..35).map(|number| format!("v{number}")).collect();
    for (name, port) in names.iter().zip(1000..) {
        running.config.vips.push(vip(name, 10, port, Protocol::Tcp, "web"));
    }
    let findings = judged_from(Some(&running), &content(), &[]);
    let omitted: Vec<_> = findings.iter().filter(|finding| finding.code == "HF2002").collect();
    assert_eq!(omitted.len(), super::super::omission::MAX_TOLD + 1);
    let last = omitted.last().expect("findings");
    assert_eq!(last.message, "and 5 more that are missing and not named as removed");
    assert_eq!(last.severity, Severity::Refuse);
}

#[test]
fn name_that_removes_nothing_is_a_note() {
    let findings = judged(&content(), &["vip/nothing", "vip/dns"]);
    assert_eq!(
        told(&findings),
        [
            (Severity::Note, "HF2015", "vip/dns".to_owned()),
            (Severity::Note, "HF2015", "vip/nothing".to_owned()),
        ]
    );
    assert_eq!(
        findings[0].message,
        "vip/dns is named as removed, but is in the candidate and stays"
    );
    assert_eq!(findings[1].message, "vip/nothing is named as removed, but does not run");
}

#[test]
fn detaching_the_last_interface_is_refused() {
    let both = changed(|target| target.overrides.detached = ["lb0".to_owned(), "lb1".to_owned()].into());
    assert_eq!(told(&judged(&both, &[]))[0].1, "HF2006");

    let removed_and_detached = changed(|target| {
        target.config.node = node(&["lb0"]);
        target.overrides.detached.insert("lb0".to_owned());
    });
    assert_eq!(told(&judged(&removed_and_detached, &[]))[0].1, "HF2006");

    let one = changed(|target| target.overrides.detached = ["lb0".to_owned()].into());
    assert_eq!(told(&judged(&one, &[])), [(Severity::Warn, "HF2007", String::new())]);
}

#[test]
fn change_while_nothing_is_attached_is_not_blamed_for_it() {
    let running = changed(|running| running.overrides.detached = ["lb0".to_owned(), "lb1".to_owned()].into());
    let mut target = running.clone();
    target.config.pools[1].backends[0].weight = 7;
    assert_eq!(judged_from(Some(&running), &target, &[]), []);
}
