//! The routes of `/v1`. Each hands its request to the [`Backing`] and wraps
//! the answer; none decides anything but who may write.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{Method, StatusCode, Uri},
    routing::{get, post},
};

use super::{
    auth::Peer,
    backing::Backing,
    body::{Body, Refusal, Reply, bad_request, no_such, reply},
    model::{
        Applied, ApplyRequest, BpfDump, BpfVerify, Failure, GenerationDetail, History, InterfacesRequest, Journal,
        PlanRequest, RollbackRequest, Status, Why, WhyQuery,
    },
};
use crate::plan::Plan;

/// All routes. Requests must carry a [`Peer`] as an extension, as
/// [`serve`](super::serve) sees to.
pub fn router(backing: Arc<dyn Backing>) -> Router {
    let api = Api {
        backing,
        uid: rustix::process::geteuid().as_raw(),
    };
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/why", get(why))
        .route("/v1/plan", post(plan))
        .route("/v1/apply", post(apply))
        .route("/v1/confirm", post(confirm))
        .route("/v1/abort", post(abort))
        .route("/v1/rollback", post(rollback))
        .route("/v1/attach", post(attach))
        .route("/v1/detach", post(detach))
        .route("/v1/history", get(history))
        .route("/v1/generations/{number}", get(generation))
        .route("/v1/bpf/dump", get(bpf_dump))
        .route("/v1/bpf/verify", get(bpf_verify))
        .route("/v1/journal", get(journal))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .with_state(api)
}

#[derive(Clone)]
struct Api {
    backing: Arc<dyn Backing>,
    /// Of the daemon itself.
    uid: u32,
}

async fn status(State(api): State<Api>) -> Reply<Status> {
    reply(api.backing.status().await)
}

async fn why(State(api): State<Api>, query: Result<Query<WhyQuery>, QueryRejection>) -> Reply<Why> {
    let Query(query) = query.map_err(|rejection| bad_request(rejection.body_text()))?;
    reply(api.backing.why(query).await)
}

async fn plan(State(api): State<Api>, Extension(peer): Extension<Peer>, request: Body<PlanRequest>) -> Reply<Plan> {
    reply(api.backing.plan(request.0, peer).await)
}

async fn apply(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<ApplyRequest>,
) -> Reply<Applied> {
    // After the body: a refusal before it would break the connection under a
    // client that still writes, and the client would not see why.
    peer.may_write(api.uid)?;
    // A task of its own: a client that goes away must not stop an apply between
    // its steps, as dropping this handler's future would.
    let applying = tokio::spawn(async move { api.backing.apply(request.0, peer).await });
    reply(applying.await.unwrap_or_else(|_| Err(broken_off())))
}

async fn confirm(State(api): State<Api>, Extension(peer): Extension<Peer>) -> Reply<Applied> {
    peer.may_write(api.uid)?;
    let confirming = tokio::spawn(async move { api.backing.confirm(peer).await });
    reply(confirming.await.unwrap_or_else(|_| Err(broken_off())))
}

async fn abort(State(api): State<Api>, Extension(peer): Extension<Peer>) -> Reply<Applied> {
    peer.may_write(api.uid)?;
    let aborting = tokio::spawn(async move { api.backing.abort(peer).await });
    reply(aborting.await.unwrap_or_else(|_| Err(broken_off())))
}

/// The task that applied panicked.
fn broken_off() -> Failure {
    Failure {
        code: "HF5005".to_owned(),
        message: "the daemon failed inside an apply; what is served may be old or new, never a mixture".to_owned(),
        fix: Some("holdfast bpf verify".to_owned()),
        exit: 1,
    }
}

async fn rollback(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<RollbackRequest>,
) -> Reply<Plan> {
    reply(api.backing.rollback(request.0, peer).await)
}

async fn attach(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<InterfacesRequest>,
) -> Reply<Plan> {
    reply(api.backing.attach(request.0, peer).await)
}

async fn detach(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<InterfacesRequest>,
) -> Reply<Plan> {
    reply(api.backing.detach(request.0, peer).await)
}

async fn history(State(api): State<Api>) -> Reply<History> {
    reply(api.backing.history().await)
}

async fn generation(State(api): State<Api>, number: Result<Path<u64>, PathRejection>) -> Reply<GenerationDetail> {
    let Path(number) = number.map_err(|_| bad_request("a generation is a whole number"))?;
    reply(api.backing.generation(number).await)
}

async fn bpf_dump(State(api): State<Api>) -> Reply<BpfDump> {
    reply(api.backing.bpf_dump().await)
}

async fn bpf_verify(State(api): State<Api>) -> Reply<BpfVerify> {
    reply(api.backing.bpf_verify().await)
}

async fn journal(State(api): State<Api>) -> Reply<Journal> {
    reply(api.backing.journal().await)
}

async fn unknown_route(uri: Uri) -> Refusal {
    no_such(StatusCode::NOT_FOUND, format!("nothing answers at {}", uri.path()))
}

async fn unknown_method(method: Method, uri: Uri) -> Refusal {
    no_such(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    )
}
