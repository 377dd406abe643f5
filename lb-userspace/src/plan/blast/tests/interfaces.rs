//! What ends with an interface: what comes in there, at most, and what goes out.

use super::*;
use crate::{
    config::XdpMode,
    plan::{blast::Why, samples::node},
};

type Edit = fn(&mut Content);

const DETACHED: Edit = |to| to.overrides.detached = ["lb1".to_owned()].into();

/// Each way to take the program off lb1, for a moment at least.
const WAYS: [(&str, Edit); 3] = [
    ("detached", DETACHED),
    ("gone from the file", |to| to.config.node = node(&["lb0"])),
    ("in another mode", |to| {
        to.config.node.interfaces[1].mode = XdpMode::Generic;
    }),
];

/// With so many packets a second by lb1, the last a second ago.
fn with_second(pps: u64) -> Scene {
    let mut scene = Scene::plain();
    scene.traffic.0.insert("interface lb1".to_owned(), pps);
    scene
}

fn breaks(blast: &Blast) -> Vec<(Why, u64)> {
    blast.breaks.iter().map(|broken| (broken.why, broken.pps)).collect()
}

#[test]
fn interface_ends_what_it_receives_of_all_packets() {
    for (name, way) in WAYS {
        let blast = with_second(101).blast(way);
        assert_eq!(breaks(&blast), [(Why::Detached, 101)], "{name}");
        assert_eq!((blast.broken, blast.packets), (101, 10_100), "{name}");
        assert_eq!(blast.broken_per_mille(), 10, "{name}");
        assert!(blast.vips_broken.is_empty(), "{name}");
    }
}

#[test]
fn interface_with_more_than_the_vips_get_may_have_all_of_it() {
    for pps in [10_100, 1_000_000] {
        let blast = with_second(pps).blast(DETACHED);
        assert_eq!(breaks(&blast), [(Why::Detached, 10_100)]);
        assert_eq!((blast.broken, blast.vips_broken.len()), (10_100, 4));
    }
}

#[test]
fn interface_that_is_not_known_may_have_all_of_it() {
    for (name, way) in WAYS {
        let blast = Scene::plain().blast(way);
        assert_eq!(breaks(&blast), [(Why::Unwatched, 10_100)], "{name}");
        assert_eq!((blast.broken, blast.vips_broken.len()), (10_100, 4), "{name}");
    }
}

#[test]
fn interface_is_idle_once_nothing_came_in_for_the_window_of_vips() {
    // The last packet came a second ago: rates are of whole packets, rounded up.
    let lately = with_second(0);
    assert_eq!(breaks(&lately.blast(DETACHED)), [(Why::Detached, 1)]);
    let mut idle = Scene::of(|content| content.config.protection.live_vip_window = Seconds(1));
    idle.traffic.0.insert("interface lb1".to_owned(), 0);
    for (name, way) in WAYS {
        assert!(idle.blast(way).is_harmless(), "{name}");
    }
    // What comes in now counts in any window.
    idle.traffic.0.insert("interface lb1".to_owned(), 7);
    assert_eq!(breaks(&idle.blast(DETACHED)), [(Why::Detached, 7)]);
}

#[test]
fn what_comes_in_and_what_else_ends_add_up_to_no_more_than_there_is() {
    let ended = |pps: u64| {
        let blast = with_second(pps).blast(|to| {
            DETACHED(to);
            the(to, "web", "be1").state = BackendState::Maint;
        });
        blast.broken
    };
    assert!(ended(101).abs_diff(1667 + 101) <= 2, "{}", ended(101));
    assert_eq!(ended(9_000), 10_100);
}

#[test]
fn interface_that_next_hops_lead_through_ends_what_goes_out_there() {
    let first: Edit = |to| to.overrides.detached = ["lb0".to_owned()].into();
    let mut scene = Scene::plain();
    scene.traffic.0.insert("interface lb0".to_owned(), 101);
    let blast = scene.blast(first);
    assert_eq!(breaks(&blast)[0], (Why::Detached, 101));
    assert_eq!(blast.breaks[1].why, Why::Undriven);
    assert_eq!(blast.broken, 10_100);
    let gone = scene.blast(|to| to.config.node = node(&["lb1"]));
    assert_eq!(gone.breaks[1].why, Why::Unreachable);
    // It had no program before, and needs none.
    let without = Scene::of(first);
    assert!(
        without
            .blast(|to| to.config.node.interfaces[0].mode = XdpMode::Generic)
            .is_harmless()
    );
}

#[test]
fn small_share_is_locked_and_one_beyond_the_budget_is_refused_with_what_was_measured() {
    assert_eq!(with_second(101).codes(DETACHED), ["HF2065"]);
    let over = with_second(1_111).findings(DETACHED);
    let budget = over.iter().find(|finding| finding.code == "HF2061").expect("over it");
    assert_eq!(
        (budget.value.as_deref(), budget.limit.as_deref()),
        (Some("11 %"), Some("10%"))
    );
    let broken = over
        .iter()
        .find(|finding| finding.code == "HF2065")
        .expect("it ends some");
    assert!(
        broken.message.contains("up to 1111 packets a second end"),
        "{}",
        broken.message
    );
    assert_eq!(Scene::plain().codes(DETACHED), ["HF2061", "HF2065"]);
}
