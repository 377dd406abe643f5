//! The routes of `/v1`. Each hands its request to the [`Backing`] and wraps
//! the answer; none decides anything; who may, [`ROUTES`] says.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{
        Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{Method, StatusCode, Uri, header::CONTENT_TYPE},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};

use super::roles::{Accounts, Role, Standing};
use super::{
    auth::Peer,
    backing::Backing,
    body::{Body, Refusal, Reply, bad_request, no_such, reply, spill},
    model::{
        Applied, ApplyRequest, BackendRequest, BpfDump, BpfVerify, ExportQuery, Failure, GenerationDetail, History,
        InterfacesRequest, Journal, JournalVerify, PlanRequest, RollbackRequest, Status, VerifyQuery, Why, WhyQuery,
    },
};
use crate::{metrics, plan::Plan, store::Page};

/// A route: what it is for, and who may.
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    pub path: &'static str,
    /// The least role.
    pub least: Role,
    /// One sentence.
    pub about: &'static str,
    handler: fn() -> MethodRouter<Api>,
}

const fn reads(path: &'static str, about: &'static str, handler: fn() -> MethodRouter<Api>) -> Route {
    Route {
        method: "GET",
        path,
        least: Role::Viewer,
        about,
        handler,
    }
}

/// Plans are made by viewers: they change nothing.
const fn plans(path: &'static str, about: &'static str, handler: fn() -> MethodRouter<Api>) -> Route {
    Route {
        method: "POST",
        ..reads(path, about, handler)
    }
}

/// All of them.
pub const ROUTES: &[Route] = &[
    reads("/metrics", "What Prometheus scrapes", || get(metrics)),
    reads("/v1/status", "What is served, and whether it is in sync", || {
        get(status)
    }),
    reads("/v1/why", "What the kernel does with a packet, and why", || get(why)),
    plans("/v1/plan", "What a configuration would change", || post(plan)),
    Route {
        least: Role::Operator,
        ..plans("/v1/apply", "Applies a plan, whole or not at all", || post(apply))
    },
    Route {
        least: Role::Operator,
        ..plans("/v1/confirm", "Keeps the generation that is on trial", || post(confirm))
    },
    Route {
        least: Role::Operator,
        ..plans("/v1/abort", "Takes the generation that is on trial back", || {
            post(abort)
        })
    },
    plans("/v1/rollback", "Plans an earlier generation's content", || {
        post(rollback)
    }),
    plans("/v1/attach", "Plans to put the program on interfaces", || post(attach)),
    plans("/v1/detach", "Plans to take the program off interfaces", || {
        post(detach)
    }),
    plans("/v1/backend", "Plans what is wished of a backend", || post(backend)),
    reads("/v1/history", "The generations, newest first", || get(history)),
    reads("/v1/generations/{number}", "A generation, with its content", || {
        get(generation)
    }),
    reads("/v1/bpf/dump", "Pins and chunks in the kernel", || get(bpf_dump)),
    reads("/v1/bpf/verify", "What the kernel serves against the journal", || {
        get(bpf_verify)
    }),
    reads("/v1/journal", "Entries of the journal, oldest first", || get(journal)),
    reads(
        "/v1/journal/verify",
        "The journal against its hashes and signatures",
        || get(journal_verify),
    ),
    reads("/v1/journal/export", "A page of the journal as it is stored", || {
        get(journal_export)
    }),
];

/// All routes. Requests must carry a [`Peer`] as an extension, as
/// [`serve`](super::serve) sees to.
pub fn router(backing: Arc<dyn Backing>) -> Router {
    let api = Api {
        backing,
        uid: rustix::process::geteuid().as_raw(),
    };
    let routes = ROUTES.iter().fold(Router::new(), |router, route| {
        let guard = (api.clone(), route.least);
        let handler = (route.handler)().route_layer(from_fn_with_state(guard, admit));
        router.route(route.path, handler)
    });
    routes
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

async fn metrics(State(api): State<Api>) -> Result<impl IntoResponse, Refusal> {
    let sample = api.backing.metrics().await?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::stream::body(sample)))
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
    // Who may do what is of admins alone.
    if request.0.plan.target.config.access != api.backing.access().await? {
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

async fn journal_verify(
    State(api): State<Api>,
    query: Result<Query<VerifyQuery>, QueryRejection>,
) -> Reply<JournalVerify> {
    let Query(query) = query.map_err(|rejection| bad_request(rejection.body_text()))?;
    reply(api.backing.journal_verify(query).await)
}

async fn journal_export(State(api): State<Api>, query: Result<Query<ExportQuery>, QueryRejection>) -> Reply<Page> {
    let Query(query) = query.map_err(|rejection| bad_request(rejection.body_text()))?;
    reply(api.backing.journal_export(query).await)
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
