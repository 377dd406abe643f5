//! Every route against every role, with peers as the kernel would name them.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    http::{Method, Request},
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::{
    super::{
        auth::Peer,
        fake::{DIGEST, Fake, plan},
        held::held,
        model::ApplyRequest,
        roles::Role,
        routes::{Route, router, routes},
    },
    apply_request,
};
use crate::config::{Access, Subject};

pub(super) const fn uid_of(role: Role) -> u32 {
    match role {
        Role::Viewer => 70_001,
        Role::Approver => 70_002,
        Role::Operator => 70_003,
        Role::Admin => 70_004,
    }
}

const STRANGER: u32 = 70_005;

pub(super) fn access() -> Access {
    let list = |role| vec![Subject::Uid(uid_of(role))];
    Access {
        viewer: list(Role::Viewer),
        operator: list(Role::Operator),
        approver: list(Role::Approver),
        admin: list(Role::Admin),
    }
}

pub(super) fn peer(uid: u32) -> Peer {
    Peer {
        uid,
        gid: uid,
        groups: Vec::new(),
        pid: None,
        name: format!("uid {uid}"),
        login: None,
    }
}

/// A body that the route takes.
pub(super) fn body(route: &Route) -> String {
    let value = match route.path {
        "/v1/plan" => json!({"file": "f", "text": "vips: []"}),
        "/v1/apply" => json!(ApplyRequest { ..with_access() }),
        "/v1/rollback" | "/v1/confirm" | "/v1/abort" | "/v1/hold" | "/v1/resume" | "/v1/mend-glass" | "/v1/recover" => {
            json!({})
        }
        "/v1/attach" | "/v1/detach" => json!({"interfaces": ["lb0"]}),
        "/v1/backend" => json!({"backend": "backend/web/be1", "wish": {"set": "drain"}}),
        "/v1/vip" => json!({"vip": "vip/web4", "wish": {"set": "maint"}}),
        "/v1/approve" => json!({"plan": DIGEST, "signature": "-----BEGIN SSH SIGNATURE-----"}),
        "/v1/reject" | "/v1/withdraw" => json!({"plan": DIGEST}),
        "/v1/break-glass" => json!({"reason": "INC-4711", "within": 900}),
        "/v1/undelete" => json!({"objects": ["vip/dns"]}),
        "/v1/wipe" => json!({"environment": "lab"}),
        "/v1/preview" | "/v1/why-refused" => json!({"plan": plan("ann", &json!([]))}),
        other => {
            assert_eq!(route.method, Method::GET, "{other} has no body here");
            return String::new();
        }
    };
    value.to_string()
}

/// An apply that leaves `access` as it runs.
fn with_access() -> ApplyRequest {
    let mut plan = plan("ann", &json!([]));
    plan.target.config.access = Some(access());
    ApplyRequest {
        digest: plan.digest(),
        plan,
        message: None,
        confirm_within: None,
    }
}

async fn ask(uid: u32, method: &Method, path: &str, body: String) -> (u16, Value) {
    let fake = Fake {
        access: Some(access()),
        ..Fake::default()
    };
    let service = TowerToHyperService::new(held(router(Arc::new(fake))).layer(Extension(peer(uid))));
    let waiting = plan("ann", &json!([])).digest().to_string();
    let path = path.replace("{number}", "41").replace("{digest}", &waiting);
    let path = match path.as_str() {
        "/v1/why" => "/v1/why?src=1.2.3.4&sport=1&dst=1.2.3.5&dport=2&proto=tcp",
        other => other,
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::from(body))
        .expect("a request");
    let answer = service.call(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    // What Prometheus scrapes is text.
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test]
async fn every_route_is_open_to_its_least_role_and_those_above_and_to_nobody_else() {
    let above = |least: Role, role: Role| match least {
        Role::Viewer => true,
        Role::Approver => role == Role::Approver,
        Role::Operator => matches!(role, Role::Operator | Role::Admin),
        Role::Admin => role == Role::Admin,
    };
    for route in &routes() {
        for role in Role::ALL {
            let (status, answer) = ask(uid_of(role), &route.method, route.path, body(route)).await;
            let expected = if above(route.least, role) { 200 } else { 403 };
            assert_eq!(status, expected, "{role} on {}: {answer}", route.path);
        }
        let (status, answer) = ask(STRANGER, &route.method, route.path, body(route)).await;
        assert_eq!(
            (status, &answer["code"]),
            (403, &json!("HF5003")),
            "{}: {answer}",
            route.path
        );
        let (status, _) = ask(0, &route.method, route.path, body(route)).await;
        // Root is an admin, and no approver unless somebody says so.
        let expected = if route.least == Role::Approver { 403 } else { 200 };
        assert_eq!(status, expected, "root on {}", route.path);
    }
}

#[tokio::test]
async fn change_of_access_itself_is_of_admins() {
    // This plan's target has no `access` any more.
    let request = || json!(apply_request()).to_string();
    let (status, answer) = ask(uid_of(Role::Operator), &Method::POST, "/v1/apply", request()).await;
    assert_eq!((status, &answer["code"]), (403, &json!("HF5003")), "{answer}");
    assert!(
        answer["message"]
            .to_string()
            .contains("is operator; this needs the role admin"),
        "{answer}"
    );
    let (status, answer) = ask(uid_of(Role::Admin), &Method::POST, "/v1/apply", request()).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn wipe_is_of_admins_by_whatever_plan_it_comes() {
    let mut request = with_access();
    request.plan.wipe = true;
    request.digest = request.plan.digest();
    let body = json!(request).to_string();
    let (status, answer) = ask(uid_of(Role::Operator), &Method::POST, "/v1/apply", body.clone()).await;
    assert_eq!((status, &answer["code"]), (403, &json!("HF5003")), "{answer}");
    let (status, answer) = ask(uid_of(Role::Admin), &Method::POST, "/v1/apply", body).await;
    assert_eq!(status, 200, "{answer}");
}
