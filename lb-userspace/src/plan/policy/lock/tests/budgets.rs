//! How much may be taken and broken.

use crate::{
    config::{BackendState, Percent},
    plan::{
        Content, Severity, Tier,
        blast::tests::{Scene, drain, the},
        policy::lock::trial,
    },
};

fn percent(percent: u32) -> Percent {
    Percent::new(percent).expect("a share")
}

fn approvals(content: &mut Content, remove: u32, drain: u32) {
    let approvals = &mut content.config.protection.approvals;
    (approvals.remove, approvals.drain) = (remove, drain);
}

#[test]
fn removals_are_over_when_count_and_share_are() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("one of six", &["be1"], &[]),
        ("two of six", &["be1", "be2"], &["HF2062"]),
        ("three of six", &["be1", "be2", "be5"], &["HF2062"]),
        ("four of six", &["be1", "be2", "be5", "be6"], &["HF2062", "HF2063"]),
    ];
    for (name, drained, codes) in cases {
        let found = Scene::plain().codes(|to| drained.iter().for_each(|name| drain(to, name)));
        assert_eq!(found, *codes, "{name}");
    }
    // One of two is half, and not more than one.
    assert_eq!(Scene::plain().codes(|to| the(to, "dns", "d1").weight = 0), [""; 0]);
    let roomy = Scene::of(|content| content.config.protection.max_backends_removed.percent = percent(34));
    assert_eq!(
        roomy.codes(|to| ["be1", "be2"].iter().for_each(|name| drain(to, name))),
        [""; 0]
    );
}

#[test]
fn removals_of_all_pools_count_together() {
    let scene = Scene::of(|content| {
        // Four pools of two.
        for nth in 0..2_u8 {
            let mut pool = content.config.pools[0].clone();
            pool.name = format!("dns{nth}");
            let mut vip = content.config.vips[0].clone();
            (vip.name, vip.port, vip.pool) = (format!("dns{nth}"), 5300 + u16::from(nth), pool.name.clone());
            content.config.pools.insert(1, pool);
            content.config.vips.push(vip);
        }
        content.config.pools.sort_by(|one, other| one.name.cmp(&other.name));
        content.config.vips.sort_by(|one, other| one.name.cmp(&other.name));
        let web = content.config.pools.last_mut().expect("a pool");
        web.backends.truncate(2);
    });
    let drained = |pools: &'static [&'static str]| {
        move |to: &mut Content| {
            for pool in pools {
                the(to, pool, "d1").weight = 0;
            }
        }
    };
    assert_eq!(scene.codes(drained(&["dns", "dns0"])), [""; 0]);
    assert_eq!(scene.codes(drained(&["dns", "dns0", "dns1"])), ["HF2062"]);
}

#[test]
fn over_a_budget_others_may_open_and_nobody_alone() {
    let two = |to: &mut Content| ["be1", "be2"].iter().for_each(|name| drain(to, name));
    let alone = Scene::plain().findings(two).remove(0);
    assert_eq!((alone.severity, alone.tier), (Severity::Refuse, None));
    let team = Scene::of(|content| approvals(content, 2, 1)).findings(two).remove(0);
    assert_eq!((team.severity, team.tier), (Severity::Lock, Some(Tier::Remove)));
    assert_eq!(
        (team.value.as_deref(), team.limit.as_deref()),
        (Some("2 backends, 33 %"), Some("1 backends or 25%"))
    );
}

#[test]
fn floor_holds_for_everybody() {
    let scene = |floor| {
        Scene::of(|content| {
            approvals(content, 2, 1);
            content.config.protection.min_capacity_left = percent(floor);
        })
    };
    let three = |to: &mut Content| ["be1", "be2", "be5"].iter().for_each(|name| drain(to, name));
    assert_eq!(scene(50).codes(three), ["HF2062", "HF2068"]);
    assert_eq!(scene(51).codes(three), ["HF2062", "HF2063", "HF2068"]);
    let refused = scene(51).findings(three).remove(0);
    assert_eq!((refused.severity, refused.code.as_str()), (Severity::Refuse, "HF2063"));
    // A plan that takes nothing is not asked, however little is left.
    let low = scene(50).then(three).then(|to| drain(to, "be6"));
    assert_eq!(low.drained().codes(|to| to.config.vips[0].protected = true), [""; 0]);
}

#[test]
fn floor_of_0_is_none_but_nobody_ready_is_refused_elsewhere() {
    let scene = Scene::of(|content| content.config.protection.min_capacity_left = Percent::ZERO);
    let all = |to: &mut Content| {
        to.config.pools[0]
            .backends
            .iter_mut()
            .for_each(|backend| backend.weight = 0);
    };
    assert_eq!(scene.codes(all), ["HF2062"]);
    assert_eq!(scene.codes(|to| the(to, "dns", "d1").weight = 0), [""; 0]);
}

#[test]
fn traffic_is_over_beyond_its_share_with_what_earlier_plans_ended() {
    // d1 has half of the 100 packets of dns, of 10,100: 5 per mille.
    let maint = |to: &mut Content| the(to, "dns", "d1").state = BackendState::Maint;
    let scene = |limit: u32, earlier: u32| {
        let mut scene = Scene::of(|content| content.config.protection.max_traffic_affected = percent(limit));
        scene.spent.broken = earlier;
        scene
    };
    assert_eq!(scene(10, 0).codes(maint), ["HF2065"]);
    assert_eq!(scene(10, 95).codes(maint), ["HF2065"]);
    assert_eq!(scene(10, 96).codes(maint), ["HF2061", "HF2065"]);
    assert_eq!(scene(0, 0).codes(maint), ["HF2061", "HF2065"]);
    // What breaks nothing is not asked what others broke.
    assert_eq!(scene(10, 900).codes(|to| drain(to, "be1")), [""; 0]);
}

#[test]
fn what_ends_nothing_waits_for_those_asked_for_it_and_is_never_on_trial() {
    for remove in [0, 2] {
        for asked in 0..=1 {
            let scene = Scene::of(|content| approvals(content, remove, asked));
            let expected: &[&str] = if asked == 0 { &[] } else { &["HF2068"] };
            let one = |to: &mut Content| drain(to, "be1");
            assert_eq!(scene.codes(one), expected, "remove {remove}, drain {asked}");
            let (blast, findings) = (scene.blast(one), scene.findings(one));
            assert_eq!(trial(&scene.running.config().protection, &blast, &findings), None);
        }
    }
}

#[test]
fn what_breaks_or_takes_much_is_on_trial_and_rules_are_not() {
    let scene = Scene::plain();
    let tried = |edit: fn(&mut Content)| {
        let (blast, findings) = (scene.blast(edit), scene.findings(edit));
        trial(&scene.running.config().protection, &blast, &findings).map(|trial| trial.0)
    };
    assert_eq!(tried(|to| the(to, "dns", "d1").state = BackendState::Maint), Some(300));
    assert_eq!(tried(|to| drain(to, "be1")), None);
    assert_eq!(tried(|to| to.config.protection.require_drain = false), None);
}
