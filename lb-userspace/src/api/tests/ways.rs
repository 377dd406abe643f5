//! The ways to a switch: every route that is not a look, by what it may do.

use std::sync::Arc;

use axum::{Extension, body::Body, http::Method};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::{
    super::{
        fake::Fake,
        held::held,
        roles::Role,
        routes::{Route, router, routes},
    },
    roles::{access, body, peer, uid_of},
};

/// What a route may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Switches to a plan's target, which is judged under the writer's lock.
    Apply,
    /// Switches back to what was served before the trial.
    TakeBack,
    /// Ends a trial, and switches nothing.
    Keep,
    /// Answers a plan, or what one would do; the most that is written is that it
    /// waits for approvals.
    Plan,
    /// Writes an entry of the journal about the lock.
    Lock,
    /// Makes the journal say what is served.
    Recover,
    /// Looks.
    Look,
}

/// Of every route there is: one that is new has to say what it does.
fn way(path: &str) -> Way {
    match path {
        "/v1/apply" => Way::Apply,
        "/v1/abort" => Way::TakeBack,
        "/v1/confirm" => Way::Keep,
        "/v1/plan" | "/v1/preview" | "/v1/rollback" | "/v1/attach" | "/v1/detach" | "/v1/backend" | "/v1/vip"
        | "/v1/undelete" | "/v1/wipe" => Way::Plan,
        "/v1/approve" | "/v1/reject" | "/v1/withdraw" | "/v1/hold" | "/v1/resume" | "/v1/break-glass"
        | "/v1/mend-glass" => Way::Lock,
        "/v1/recover" => Way::Recover,
        "/v1/why-refused"
        | "/metrics"
        | "/v1/openapi.json"
        | "/v1/status"
        | "/v1/why"
        | "/v1/approvals"
        | "/v1/plans/{digest}"
        | "/v1/history"
        | "/v1/generations/{number}"
        | "/v1/bpf/dump"
        | "/v1/bpf/verify"
        | "/v1/journal"
        | "/v1/journal/verify"
        | "/v1/journal/export" => Way::Look,
        other => panic!("{other} is new: say what it may do, here and in ARCHITECTURE.md, \"Who may\""),
    }
}

#[test]
fn what_looks_is_asked_by_get_and_what_changes_by_post() {
    for route in routes() {
        let looks = way(route.path) == Way::Look;
        // A plan does not fit a query.
        let has_body = route.path == "/v1/why-refused";
        let expected = if looks && !has_body { Method::GET } else { Method::POST };
        assert_eq!(route.method, expected, "{}", route.path);
    }
}

#[test]
fn nobody_switches_by_less_than_an_operators_role() {
    for route in routes() {
        let least = match way(route.path) {
            Way::Apply | Way::TakeBack | Way::Keep => Role::Operator,
            Way::Plan | Way::Lock | Way::Recover | Way::Look => continue,
        };
        assert_eq!(route.least, least, "{}", route.path);
    }
}

/// Asks a route as somebody of its least role; the applies that came of it.
async fn applies_of(route: &Route) -> usize {
    let fake = Arc::new(Fake {
        access: Some(access()),
        ..Fake::default()
    });
    let backing = Arc::clone(&fake);
    let peer = peer(uid_of(route.least));
    let service = TowerToHyperService::new(held(router(backing)).layer(Extension(peer)));
    let request = axum::http::Request::builder()
        .method(&route.method)
        .uri(route.path)
        .body(Body::from(body(route)))
        .expect("a request");
    let answer = service.call(request).await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200, "{}", route.path);
    let applied = fake.applied.lock().expect("no test panics with it");
    applied.len()
}

#[tokio::test]
async fn only_an_apply_hands_a_plan_to_the_writer() {
    let mut asked = 0;
    for route in routes().iter().filter(|route| route.method == Method::POST) {
        let expected = usize::from(way(route.path) == Way::Apply);
        assert_eq!(applies_of(route).await, expected, "{}", route.path);
        asked += 1;
    }
    assert!(asked >= 15, "only {asked} routes were asked");
}
