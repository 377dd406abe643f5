use super::*;
use crate::{
    config::{Affinity, BackendState, Encap, HashKind, MacAddr, NextHop, Seconds, TableKind, XdpMode},
    plan::{
        diff::diff,
        samples::{backend, content, node, plan, plan_to, pool},
    },
};

fn assert_text(found: &str, expected: &str) {
    assert!(found == expected, "expected:\n{expected}\nfound:\n{found}");
}

#[test]
fn plan_shows_changes_effects_and_findings() {
    let plan = plan();
    let head = format!("Generation 41 (running) → candidate {}", plan.target.digest().short());
    assert_text(
        &plan_text(&plan, false),
        &format!("{head}      environment lab\n{}", include_str!("tests/plan.txt")),
    );
}

#[test]
fn first_plan_shows_all_it_adds() {
    let text = plan_text(&plan_to(None, content(), &[]), false);
    let (_, rest) = text.split_once('\n').expect("a head");
    assert!(text.starts_with("Nothing served yet → candidate "));
    assert_text(rest, include_str!("tests/first.txt"));
}

#[test]
fn every_kind_of_change_has_its_line() {
    let mut target = content();
    target.config.node = node(&["lb1", "lb2"]);
    target.config.node.interfaces[0].mode = XdpMode::Generic;
    target.config.node.encap_source.v4 = "10.254.0.0/16".parse().ok();
    target.config.node.hash_key_file = "/etc/key".into();
    target.config.node.guard = true;
    target.overrides.detached.insert("lb1".to_owned());
    target.config.pools[0].table = TableKind::Maglev;
    target.config.pools[0].backends.push(backend("d3", 23, 7));
    let web = &mut target.config.pools[1];
    web.backends[0].next_hop = Some(NextHop {
        mac: MacAddr([2, 0, 0, 0, 0, 0x11]),
        interface: "lb1".to_owned(),
    });
    web.backends[1].state = BackendState::Maint;
    target.config.pools.push(pool("www", vec![backend("w", 31, 1)]));
    target.config.vips[0].port = 5353;
    target.config.vips[1].pool = "www".to_owned();
    let changes = diff(Some(&content()), &target);
    assert_text(
        &diff_text("generation 1", "generation 2", &changes, &[], false),
        include_str!("tests/diff.txt"),
    );
    let back = diff(Some(&target), &content());
    assert_text(&changes_text(&back, &[], false), include_str!("tests/back.txt"));
}

#[test]
fn pool_whose_slots_move_without_a_change_of_its_own_has_a_line() {
    let mut target = content();
    target.config.pools[1].backends[0].weight = 7;
    target.config.vips.pop();
    let effects = ["dns", "web"].map(|pool| PoolEffect {
        pool: pool.to_owned(),
        slots_moved: 656,
        slots_unavoidable: 0,
    });
    assert_text(
        &changes_text(&diff(Some(&content()), &target), &effects, false),
        include_str!("tests/moved.txt"),
    );
}

#[test]
fn fields_with_other_values_than_the_default_are_shown() {
    let mut target = content();
    let dns = &mut target.config.pools[0];
    dns.encap = Encap::L2;
    dns.drain.idle = Seconds(90);
    dns.backends[0].address = "2001:db8::21".parse().unwrap();
    dns.backends[1].state = BackendState::Drain;
    let mut www = pool("www", vec![backend("w", 31, 1)]);
    www.encap = Encap::Gue;
    www.drain.deadline = Seconds(7200);
    www.backends[0].state = BackendState::Drain;
    target.config.pools.push(www);
    target.config.vips[2].hash = HashKind::Siphash;
    let web4 = &mut target.config.vips[3];
    web4.affinity = Affinity::Source;
    let mut web6 = web4.clone();
    web6.name = "web6".to_owned();
    web6.address = "2001:db8::10".parse().unwrap();
    web6.hash = HashKind::Siphash;
    target.config.vips.push(web6);
    target.config.node.encap_source.v6 = None;
    assert_text(
        &changes_text(&diff(Some(&content()), &target), &[], false),
        include_str!("tests/fields.txt"),
    );
}

#[test]
fn no_change_is_said_in_words() {
    assert_text(&diff_text("a", "b", &[], &[], false), "a → b\n  no change\n");
}

#[test]
fn override_of_an_interface_that_goes_is_not_shown_as_attached() {
    let mut base = content();
    base.overrides.detached.insert("lb1".to_owned());
    let mut target = content();
    target.config.node = node(&["lb0"]);
    assert_text(
        &changes_text(&diff(Some(&base), &target), &[], false),
        "  - node  interface lb1 native\n",
    );
}

#[test]
fn colours_add_nothing_but_colours() {
    let coloured = plan_text(&plan(), true);
    let mut stripped = coloured.clone();
    for code in ["0", "1", "2", "31", "32", "33"] {
        stripped = stripped.replace(&format!("\x1b[{code}m"), "");
    }
    assert_ne!(coloured, stripped);
    assert_text(&stripped, &plan_text(&plan(), false));
}

#[test]
fn text_of_a_plan_cannot_steer_the_terminal() {
    let mut plan = plan();
    plan.environment = "lab\x1b[2J".to_owned();
    plan.findings[0].message.push_str("\x1b]0;title\x07");
    plan.findings[0].fix = Some("\rHF0000 all is well".to_owned());
    let text = plan_text(&plan, false);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn percents_are_never_rounded_to_nothing_or_to_all() {
    let cases = [
        (0, "0 %"),
        (1, "under 0.1 %"),
        (33, "0.1 %"),
        (3_736, "5.7 %"),
        (13_107, "20 %"),
        (32_768, "50 %"),
        (65_535, "99.9 %"),
        (65_536, "100 %"),
    ];
    for (slots, text) in cases {
        assert_eq!(percent(slots), text, "{slots} slots");
    }
}

#[test]
fn what_is_set_by_command_is_shown_with_what_the_file_says() {
    use crate::plan::{BackendWish, Content, Overrides};
    let wished = |content: &Content, name: &str, wish| {
        let object = name.parse().expect("an object");
        let overrides = Overrides::wished(content, &object, wish, jiff::Timestamp::UNIX_EPOCH).expect("it can be");
        Content::new(content.config.clone(), overrides)
    };
    let base = content();
    let light = wished(&base, "backend/web/be2", BackendWish::Weight { weight: 50 });
    let deadline = Some(Seconds(1800));
    let drained = wished(&light, "backend/web/be1", BackendWish::Drain { deadline });
    assert_text(
        &changes_text(&diff(Some(&base), &drained), &[], false),
        "  ~ pool web  be1 ready → drain until 1970-01-01T00:30:00Z (file: ready), by command\n  \
         ~ pool web  be2 weight 100 → 50 (file: 100), by command\n",
    );
    assert_text(
        &changes_text(&diff(Some(&light), &base), &[], false),
        "  ~ pool web  be2 weight 50 → 100, by command\n",
    );
    assert_text(
        &overrides_text(&drained.overrides, false),
        "  set by command: backend/web/be1 drain until 1970-01-01T00:30:00Z\n  \
         set by command: backend/web/be2 weight 50\n",
    );
    let mut gone = base;
    gone.config.pools[1].backends.remove(1);
    let plan = plan_to(Some(&light), gone, &["backend/web/be2"]);
    let text = plan_text(&plan, false);
    assert!(
        text.contains("HF2030 the override of backend/web/be2 goes with it (weight 50)"),
        "{text}"
    );
}
