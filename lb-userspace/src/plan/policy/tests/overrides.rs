//! Overrides by command are judged by what they do, and shown where they hide
//! what a file says.

use jiff::Timestamp;

use super::*;
use crate::plan::{BackendWish, Overrides};

const DRAIN: BackendWish = BackendWish::Drain { deadline: None };

fn wished(content: &Content, name: &str, wish: BackendWish) -> Content {
    let object = name.parse().expect("an object");
    let overrides = Overrides::wished(content, &object, wish, Timestamp::UNIX_EPOCH).expect("it can be");
    Content::new(content.config.clone(), overrides)
}

fn codes(running: &Content, target: &Content) -> Vec<(String, Severity)> {
    let changes = diff(Some(running), target);
    let findings = judge(Judged {
        running: Some(running),
        environment: "lab",
        target,
        removed: &BTreeSet::new(),
        wipe: false,
        changes: &changes,
    });
    findings
        .into_iter()
        .map(|finding| (finding.code, finding.severity))
        .collect()
}

fn code(code: Code, severity: Severity) -> (String, Severity) {
    (code.to_string(), severity)
}

#[test]
fn drain_by_command_is_judged_like_a_drain_in_the_file() {
    let running = content();
    let by_command = codes(&running, &wished(&running, "backend/web/be2", DRAIN));
    let by_file = codes(
        &running,
        &changed(|target| target.config.pools[1].backends[1].state = BackendState::Drain),
    );
    assert_eq!(by_command, by_file);
    assert_eq!(by_command, [code(Code::OutOfService, Severity::Warn)]);
}

#[test]
fn last_owner_of_a_pool_cannot_be_taken_out_by_command() {
    let one_left = wished(&content(), "backend/dns/d1", DRAIN);
    for wish in [DRAIN, BackendWish::Maint, BackendWish::Weight { weight: 0 }] {
        let none = wished(&one_left, "backend/dns/d2", wish);
        assert!(
            codes(&one_left, &none).contains(&code(Code::Empty, Severity::Refuse)),
            "{wish:?}"
        );
    }
}

#[test]
fn file_that_leaves_only_drained_backends_is_refused() {
    let running = wished(&content(), "backend/dns/d1", DRAIN);
    let mut target = running.clone();
    target.config.pools[0].backends.pop();
    assert!(codes(&running, &target).contains(&code(Code::Empty, Severity::Refuse)));
}

#[test]
fn what_the_file_changes_behind_an_override_is_noted_and_does_nothing() {
    let running = wished(&content(), "backend/web/be2", DRAIN);
    let mut target = running.clone();
    target.config.pools[1].backends[1].state = BackendState::Maint;
    assert_eq!(codes(&running, &target), [code(Code::Overridden, Severity::Note)]);
    target.config.pools[1].backends[1].state = BackendState::Ready;
    assert_eq!(codes(&running, &target), []);
}

#[test]
fn override_of_what_is_not_there_is_refused() {
    let target = changed(|target| {
        let object: ObjectName = "backend/web/be9".parse().expect("an object");
        let of = crate::plan::BackendOverride {
            weight: Some(1),
            ..Default::default()
        };
        target.overrides.backends.insert(object, of);
    });
    assert_eq!(codes(&content(), &target), [code(Code::BadOverride, Severity::Refuse)]);
    let heavy = changed(|target| {
        let object: ObjectName = "backend/web/be2".parse().expect("an object");
        let of = crate::plan::BackendOverride {
            weight: Some(65_536),
            ..Default::default()
        };
        target.overrides.backends.insert(object, of);
    });
    assert_eq!(codes(&content(), &heavy), [code(Code::BadOverride, Severity::Refuse)]);
}
