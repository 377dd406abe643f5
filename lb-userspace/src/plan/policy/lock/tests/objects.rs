//! What goes and what breaks.

use crate::{
    config::{Affinity, BackendState, Encap, HashKind, ObjectName, Seconds, VipState},
    plan::{
        Content, Severity, Tier,
        blast::tests::{Scene, drain, remove, the},
        samples::node,
    },
};

type Edit = fn(&mut Content);

#[track_caller]
fn assert_codes(scene: &Scene, cases: &[(&str, Edit, &[&str])]) {
    for (name, edit, codes) in cases {
        assert_eq!(scene.codes(edit), *codes, "{name}");
    }
}

#[test]
fn vip_that_goes_is_refused_while_live_and_locked_when_quiet() {
    assert_codes(
        &Scene::plain(),
        &[
            ("live", |to| drop(to.config.vips.pop()), &["HF2001", "HF2061"]),
            ("quiet", |to| drop(to.config.vips.remove(2)), &["HF2064"]),
            ("live, moved", |to| to.config.vips[3].port = 8443, &["HF2001", "HF2061"]),
            ("quiet, moved", |to| to.config.vips[2].port = 8443, &["HF2064"]),
            (
                "live, to another pool",
                |to| to.config.vips[3].pool = "dns".to_owned(),
                &["HF2061", "HF2064"],
            ),
            ("little traffic", |to| drop(to.config.vips.remove(0)), &["HF2001"]),
            ("renamed", |to| to.config.vips[3].name = "web5".to_owned(), &[]),
        ],
    );
}

#[test]
fn live_vip_window_ends() {
    let window = |seconds: u32| Scene::of(|content| content.config.protection.live_vip_window = Seconds(seconds));
    let gone: Edit = |to| drop(to.config.vips.remove(0));
    // The last packet came a second ago.
    assert_eq!(window(2).codes(gone), ["HF2001"]);
    assert_eq!(window(1).codes(gone), ["HF2064"]);
    assert_eq!(window(0).codes(gone), ["HF2064"]);
}

#[test]
fn protected_vip_neither_goes_nor_is_unprotected_and_removed_at_once() {
    let scene = Scene::of(|content| content.config.vips[2].protected = true);
    assert_codes(
        &scene,
        &[
            ("gone", |to| drop(to.config.vips.remove(2)), &["HF2060", "HF2064"]),
            ("moved", |to| to.config.vips[2].port = 8443, &["HF2060", "HF2064"]),
            (
                "repointed",
                |to| to.config.vips[2].pool = "dns".to_owned(),
                &["HF2060", "HF2064"],
            ),
            ("renamed", |to| to.config.vips[2].name = "web5".to_owned(), &["HF2060"]),
            ("bared", |to| to.config.vips[2].protected = false, &["HF2066"]),
            (
                "bared and moved",
                |to| (to.config.vips[2].protected, to.config.vips[2].port) = (false, 1),
                &["HF2060", "HF2064", "HF2066"],
            ),
        ],
    );
}

#[test]
fn vip_goes_to_maint_though_it_is_live_by_others_or_within_the_limits() {
    let maint = |at: usize| move |to: &mut Content| to.config.vips[at].state = VipState::Maint;
    let by_command = |to: &mut Content| {
        let object = ObjectName::Vip("web4".to_owned());
        to.overrides.vips.insert(object, VipState::Maint);
    };
    let alone = Scene::plain();
    assert_eq!(alone.codes(maint(0)), ["HF2065"], "little traffic: on trial");
    assert_eq!(alone.codes(maint(2)), ["HF2065"], "none at all: on trial");
    for codes in [alone.codes(maint(3)), alone.codes(by_command)] {
        assert_eq!(codes, ["HF2061", "HF2065"], "much traffic: refused");
    }
    let team = Scene::of(|content| content.config.protection.approvals.remove = 2);
    let severities = |scene: &Scene, at| {
        let findings = scene.findings(maint(at)).into_iter();
        findings.map(|finding| finding.severity).collect::<Vec<_>>()
    };
    assert_eq!(severities(&team, 3), [Severity::Lock, Severity::Lock], "others open it");
    // Back in service, it takes nothing from anybody.
    assert_eq!(
        alone
            .then(maint(3))
            .codes(|to| to.config.vips[3].state = VipState::Ready),
        [""; 0]
    );
    // A VIP in maint is nobody's heir.
    let handed_over = |to: &mut Content| {
        to.config.vips[3].name = "web5".to_owned();
        to.config.vips[3].state = VipState::Maint;
    };
    assert_eq!(alone.codes(handed_over), ["HF2001", "HF2061"]);
}

#[test]
fn protected_vip_goes_to_maint_by_others_alone() {
    let scene = |remove| {
        Scene::of(|content| {
            content.config.vips[2].protected = true;
            content.config.protection.approvals.remove = remove;
        })
    };
    let maint: Edit = |to| to.config.vips[2].state = VipState::Maint;
    let unprotected: Edit = |to| {
        to.config.vips[2].state = VipState::Maint;
        to.config.vips[2].protected = false;
    };
    assert_eq!(scene(0).codes(maint), ["HF2060", "HF2065"]);
    assert_eq!(scene(0).codes(unprotected), ["HF2060", "HF2065", "HF2066"]);
    assert_eq!(scene(1).codes(maint), ["HF2065"]);
}

#[test]
fn last_vips_in_service_are_a_lock_of_their_own() {
    let all: Edit = |to| {
        for vip in &mut to.config.vips {
            vip.state = VipState::Maint;
        }
    };
    let mut quiet = Scene::plain();
    quiet.traffic.0.clear();
    assert_eq!(quiet.codes(all), ["HF2064", "HF2065"]);
    assert_eq!(quiet.then(all).codes(|to| drop(to.config.vips.remove(2))), ["HF2064"]);
}

#[test]
fn undrained_backend_is_not_removed_or_readdressed_and_a_drained_one_is() {
    let gone: Edit = |to| remove(to, "be1");
    let moved: Edit = |to| the(to, "web", "be1").address = [10, 9, 9, 9].into();
    let plain = Scene::plain();
    assert_codes(
        &plain,
        &[
            ("gone", gone, &["HF2004"]),
            ("moved", moved, &["HF2004", "HF2061", "HF2065"]),
        ],
    );
    let draining = plain.then(|to| drain(to, "be1"));
    assert_codes(
        &draining,
        &[
            ("gone", gone, &["HF2004"]),
            ("moved", moved, &["HF2004", "HF2061", "HF2065"]),
        ],
    );
    assert_codes(&draining.drained(), &[("gone", gone, &[]), ("moved", moved, &[])]);
    let unasked = Scene::of(|content| content.config.protection.require_drain = false);
    assert_codes(
        &unasked,
        &[("gone", gone, &[]), ("moved", moved, &["HF2061", "HF2065"])],
    );
    // It lets VIPs go, not backends.
    let windowless = Scene::of(|content| content.config.protection.live_vip_window = Seconds(0));
    assert_codes(&windowless, &[("gone", gone, &["HF2004"])]);
    let mut quiet = Scene::plain();
    quiet.traffic.0.clear();
    assert_codes(&quiet, &[("never used", gone, &[])]);
}

#[test]
fn what_breaks_is_locked() {
    let small: Edit = |to| the(to, "dns", "d1").state = BackendState::Maint;
    assert_codes(
        &Scene::plain(),
        &[
            ("maint of little", small, &["HF2065"]),
            (
                "maint of much",
                |to| the(to, "web", "be1").state = BackendState::Maint,
                &["HF2061", "HF2065"],
            ),
            ("encap", |to| to.config.pools[0].encap = Encap::Gue, &["HF2065"]),
            ("hash", |to| to.config.vips[0].hash = HashKind::Siphash, &["HF2065"]),
            (
                "affinity",
                |to| to.config.vips[0].affinity = Affinity::Source,
                &["HF2065"],
            ),
            ("interface", |to| to.config.node = node(&["lb0"]), &["HF2061", "HF2065"]),
            (
                "detached",
                |to| to.overrides.detached = ["lb1".to_owned()].into(),
                &["HF2061", "HF2065"],
            ),
        ],
    );
    let finding = Scene::plain().findings(small).remove(0);
    assert_eq!((finding.severity, finding.tier), (Severity::Lock, Some(Tier::Remove)));
}

#[test]
fn serving_nothing_is_a_lock_of_its_own_however_quiet_it_is() {
    let wipe: Edit = |to| *to = to.emptied();
    let mut scene = Scene::of(|content| content.config.protection.live_vip_window = Seconds(0));
    let refused = |scene: &Scene| {
        let findings = scene.findings(wipe).into_iter();
        let refused = findings.filter(|finding| finding.severity == Severity::Refuse);
        refused.map(|finding| finding.code).collect::<Vec<_>>()
    };
    // No window makes a VIP with packets a quiet one.
    assert_eq!(refused(&scene), ["HF2001", "HF2001", "HF2061"]);
    scene.traffic.0.clear();
    assert_eq!(refused(&scene), [""; 0]);
    let whole = scene
        .findings(wipe)
        .into_iter()
        .find(|finding| finding.object.is_none());
    let whole = whole.expect("a finding about all of it");
    assert_eq!((whole.severity, whole.tier), (Severity::Lock, Some(Tier::Remove)));
}
