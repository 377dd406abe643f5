//! The routes of `/v1`. Each hands its request to the [`Backing`] and wraps
//! the answer; none decides anything; who may, [`routes`] says.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    handler::Handler,
    http::{Method, StatusCode, Uri, header::CONTENT_TYPE},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use serde_json::{Value, json};

use super::{
    auth::Peer,
    backing::Backing,
    body::{Asked, Body, Named, Refusal, Reply, bad_by, reply, spill},
    describe::{Described, Operation, Part},
    model::{
        Applied, ApplyRequest, Approvals, ApproveRequest, BackendRequest, BpfDump, BpfVerify, BreakGlassRequest,
        ExportQuery, Failure, GenerationDetail, History, HoldRequest, InterfacesRequest, Journal, JournalVerify,
        PlanRequest, PreviewRequest, RecoverRequest, Recovery, RejectRequest, RollbackRequest, Status, UndeleteRequest,
        VerifyQuery, VipRequest, Why, WhyQuery, WhyRefused, WhyRefusedRequest, WipeRequest,
    },
    openapi,
    roles::{Accounts, Role, Standing},
};
use crate::{
    digest::Digest,
    metrics::{self, Sample},
    plan::Plan,
    preview::Preview,
    store::Page,
};

/// A route: what it is for, who may, and what its handler takes and answers.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    /// The least role.
    pub least: Role,
    /// One sentence.
    pub about: &'static str,
    pub(super) describe: fn(&mut Operation<'_>),
    handler: MethodRouter<Api>,
}

impl Route {
    /// Of viewers. The handler's signature says what stands in the API's
    /// document.
    fn new<T, Parts, H>(method: Method, path: &'static str, about: &'static str, handler: H) -> Self
    where
        T: 'static,
        H: Handler<T, Api> + Described<Parts>,
    {
        let handler = if method == Method::POST {
            post(handler)
        } else {
            get(handler)
        };
        Self {
            method,
            path,
            least: Role::Viewer,
            about,
            describe: H::describe,
            handler,
        }
    }

    fn needs(self, least: Role) -> Self {
        Self { least, ..self }
    }
}

fn reads<T, Parts, H>(path: &'static str, about: &'static str, handler: H) -> Route
where
    T: 'static,
    H: Handler<T, Api> + Described<Parts>,
{
    Route::new(Method::GET, path, about, handler)
}

/// Plans are made by viewers: they change nothing.
fn plans<T, Parts, H>(path: &'static str, about: &'static str, handler: H) -> Route
where
    T: 'static,
    H: Handler<T, Api> + Described<Parts>,
{
    Route::new(Method::POST, path, about, handler)
}

/// Changes what is served.
fn changes<T, Parts, H>(path: &'static str, about: &'static str, handler: H) -> Route
where
    T: 'static,
    H: Handler<T, Api> + Described<Parts>,
{
    Route::new(Method::POST, path, about, handler).needs(Role::Operator)
}

/// All of them.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        reads("/metrics", "What Prometheus scrapes", metrics),
        reads("/v1/openapi.json", "This document", openapi),
        reads("/v1/status", "What is served, and whether it is in sync", status),
        reads("/v1/why", "What the kernel does with a packet, and why", why),
        plans("/v1/plan", "What a configuration would change", plan),
        plans("/v1/preview", "What a plan would do to packets", preview),
        changes("/v1/apply", "Applies a plan, whole or not at all", apply),
        changes("/v1/confirm", "Keeps the generation that is on trial", confirm),
        changes("/v1/abort", "Takes the generation that is on trial back", abort),
        plans("/v1/rollback", "Plans an earlier generation's content", rollback),
        plans("/v1/attach", "Plans to put the program on interfaces", attach),
        plans("/v1/detach", "Plans to take the program off interfaces", detach),
        plans("/v1/backend", "Plans what is wished of a backend", backend),
        plans("/v1/vip", "Plans what is wished of a VIP", vip),
        reads("/v1/approvals", "Plans that wait for approvals", approvals),
        reads("/v1/plans/{digest}", "A plan that waits, as it was made", waiting_plan),
        plans("/v1/approve", "Hands in a signature of a plan that waits", approve),
        changes("/v1/reject", "Refuses a plan that waits", reject).needs(Role::Approver),
        plans("/v1/withdraw", "Takes a plan back that waits: one's own", withdraw),
        changes("/v1/hold", "Freezes changes", hold),
        changes("/v1/resume", "Takes changes again", resume),
        changes("/v1/break-glass", "Opens the lock for a while", break_glass).needs(Role::Admin),
        changes("/v1/mend-glass", "Shuts the lock before its time", mend_glass),
        changes(
            "/v1/recover",
            "Ends read-only: puts the store right, from what the kernel serves",
            recover,
        )
        .needs(Role::Admin),
        plans("/v1/undelete", "Plans to serve again what was removed", undelete),
        plans("/v1/wipe", "Plans to serve nothing", wipe).needs(Role::Admin),
        plans("/v1/why-refused", "What stands against a plan now", why_refused),
        reads("/v1/history", "The generations, newest first", history),
        reads("/v1/generations/{number}", "A generation, with its content", generation),
        reads("/v1/bpf/dump", "Pins and chunks in the kernel", bpf_dump),
        reads(
            "/v1/bpf/verify",
            "What the kernel serves against the journal",
            bpf_verify,
        ),
        reads("/v1/journal", "Entries of the journal, oldest first", journal),
        reads(
            "/v1/journal/verify",
            "The journal against its hashes and signatures",
            journal_verify,
        ),
        reads(
            "/v1/journal/export",
            "A page of the journal as it is stored",
            journal_export,
        ),
    ]
}

/// All routes. Requests must carry a [`Peer`] as an extension, as
/// [`serve`](super::serve) sees to.
pub fn router(backing: Arc<dyn Backing>) -> Router {
    let api = Api {
        backing,
        uid: rustix::process::geteuid().as_raw(),
    };
    let router = routes().into_iter().fold(Router::new(), |router, route| {
        let guard = (api.clone(), route.least);
        let handler = route.handler.route_layer(from_fn_with_state(guard, admit));
        router.route(route.path, handler)
    });
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .with_state(api)
}

/// The metrics alone, for whoever reaches a port.
pub fn metrics_router(backing: Arc<dyn Backing>) -> Router {
    let api = Api {
        backing,
        uid: rustix::process::geteuid().as_raw(),
    };
    Router::new()
        .route("/metrics", get(metrics))
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

/// What Prometheus scrapes, on its way.
struct Exposition(Sample);

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::stream::body(self.0)).into_response()
    }
}

impl Part for Exposition {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers(metrics::CONTENT_TYPE, &json!({ "type": "string" }));
    }
}

async fn metrics(State(api): State<Api>) -> Result<Exposition, Refusal> {
    Ok(Exposition(api.backing.metrics().await?))
}

impl Part for Json<&Value> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers(
            "application/json",
            &json!({ "type": "object", "required": ["openapi"] }),
        );
    }
}

async fn openapi() -> Json<&'static Value> {
    Json(openapi::document())
}

impl Api {
    /// Whether they have the role, in the running generation.
    async fn admits(&self, peer: &Peer, least: Role) -> Result<(), Failure> {
        let access = self.backing.access().await?;
        let standing = Standing::of(peer, access.as_ref(), self.uid, &Accounts::read());
        standing.needs(least, peer, access.as_ref())
    }
}

/// Lets a request through to a route whose least role its peer has.
async fn admit(
    State((api, least)): State<(Api, Role)>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    match api.admits(&peer, least).await {
        Ok(()) => next.run(request).await,
        Err(failure) => {
            spill(request.into_body()).await;
            Refusal::from(failure).into_response()
        }
    }
}

async fn status(State(api): State<Api>) -> Reply<Status> {
    reply(api.backing.status().await)
}

async fn why(State(api): State<Api>, Asked(query): Asked<WhyQuery>) -> Reply<Why> {
    reply(api.backing.why(query).await)
}

async fn plan(State(api): State<Api>, Extension(peer): Extension<Peer>, request: Body<PlanRequest>) -> Reply<Plan> {
    reply(api.backing.plan(request.0, peer).await)
}

/// A sample is of operators: for a while another program is on the interfaces.
async fn preview(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<PreviewRequest>,
) -> Reply<Preview> {
    let may_sample = api.admits(&peer, Role::Operator).await;
    if request.0.sample.is_some_and(|seconds| seconds > 0) {
        may_sample.clone()?;
    }
    // A task of its own, as for an apply: what was put on interfaces comes off.
    let previewing = tokio::spawn(async move { api.backing.preview(request.0, peer, may_sample.is_ok()).await });
    reply(previewing.await.unwrap_or_else(|_| Err(broken_off())))
}

async fn apply(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<ApplyRequest>,
) -> Reply<Applied> {
    // Who may do what is of admins alone, and so is a wipe, whoever wrote the plan.
    if request.0.plan.wipe || request.0.plan.target.config.access != api.backing.access().await? {
        api.admits(&peer, Role::Admin).await?;
    }
    // A task of its own: a client that goes away must not stop an apply between
    // its steps, as dropping this handler's future would.
    let applying = tokio::spawn(async move { api.backing.apply(request.0, peer).await });
    reply(applying.await.unwrap_or_else(|_| Err(broken_off())))
}

async fn confirm(State(api): State<Api>, Extension(peer): Extension<Peer>) -> Reply<Applied> {
    let confirming = tokio::spawn(async move { api.backing.confirm(peer).await });
    reply(confirming.await.unwrap_or_else(|_| Err(broken_off())))
}

async fn abort(State(api): State<Api>, Extension(peer): Extension<Peer>) -> Reply<Applied> {
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

async fn backend(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<BackendRequest>,
) -> Reply<Plan> {
    reply(api.backing.backend(request.0, peer).await)
}

async fn vip(State(api): State<Api>, Extension(peer): Extension<Peer>, request: Body<VipRequest>) -> Reply<Plan> {
    reply(api.backing.vip(request.0, peer).await)
}

async fn approvals(State(api): State<Api>, Extension(peer): Extension<Peer>) -> Reply<Approvals> {
    reply(api.backing.approvals(peer).await)
}

async fn waiting_plan(State(api): State<Api>, Named(digest): Named<Digest>) -> Reply<Plan> {
    reply(api.backing.waiting_plan(digest).await)
}

async fn approve(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<ApproveRequest>,
) -> Reply<Approvals> {
    reply(api.backing.approve(request.0, peer).await)
}

async fn reject(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<RejectRequest>,
) -> Reply<Approvals> {
    reply(api.backing.reject(request.0, peer).await)
}

async fn withdraw(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<RejectRequest>,
) -> Reply<Approvals> {
    reply(api.backing.withdraw(request.0, peer).await)
}

async fn hold(State(api): State<Api>, Extension(peer): Extension<Peer>, request: Body<HoldRequest>) -> Reply<Status> {
    reply(api.backing.hold(request.0, peer).await)
}

async fn resume(State(api): State<Api>, Extension(peer): Extension<Peer>) -> Reply<Status> {
    reply(api.backing.resume(peer).await)
}

async fn break_glass(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<BreakGlassRequest>,
) -> Reply<Status> {
    reply(api.backing.break_glass(request.0, peer).await)
}

async fn mend_glass(State(api): State<Api>, Extension(peer): Extension<Peer>) -> Reply<Status> {
    reply(api.backing.mend_glass(peer).await)
}

async fn recover(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<RecoverRequest>,
) -> Reply<Recovery> {
    reply(api.backing.recover(request.0, peer).await)
}

async fn undelete(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<UndeleteRequest>,
) -> Reply<Plan> {
    reply(api.backing.undelete(request.0, peer).await)
}

async fn wipe(State(api): State<Api>, Extension(peer): Extension<Peer>, request: Body<WipeRequest>) -> Reply<Plan> {
    reply(api.backing.wipe(request.0, peer).await)
}

async fn why_refused(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    request: Body<WhyRefusedRequest>,
) -> Reply<WhyRefused> {
    reply(api.backing.why_refused(request.0, peer).await)
}

async fn history(State(api): State<Api>) -> Reply<History> {
    reply(api.backing.history().await)
}

async fn generation(State(api): State<Api>, Named(number): Named<u64>) -> Reply<GenerationDetail> {
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

async fn journal_verify(State(api): State<Api>, Asked(query): Asked<VerifyQuery>) -> Reply<JournalVerify> {
    reply(api.backing.journal_verify(query).await)
}

async fn journal_export(State(api): State<Api>, Asked(query): Asked<ExportQuery>) -> Reply<Page> {
    reply(api.backing.journal_export(query).await)
}

async fn unknown_route(uri: Uri) -> Refusal {
    bad_by(StatusCode::NOT_FOUND, format!("nothing answers at {}", uri.path()))
}

async fn unknown_method(method: Method, uri: Uri) -> Refusal {
    bad_by(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    )
}
