//! Asks the daemon over its unix socket.

use std::{
    error::Error as _,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use super::model::{
    Applied, ApplyRequest, Approvals, ApproveRequest, BackendRequest, BpfDump, BpfVerify, BreakGlassRequest, Document,
    Failure, GenerationDetail, History, HoldRequest, InterfacesRequest, Journal, JournalVerify, Kind, PlanRequest,
    PreviewRequest, RecoverRequest, Recovery, RejectRequest, RollbackRequest, Status, UndeleteRequest, VerifyQuery,
    VipRequest, Why, WhyQuery, WhyRefused, WhyRefusedRequest, WipeRequest,
};
use crate::{config::API_VERSION, digest::Digest, plan::Plan, preview::Preview, store::Page};

/// How long the daemon may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The same where it reads the whole journal and checks every signature.
const LONG_TIMEOUT: Duration = Duration::from_mins(10);

/// How long it tries to connect where so many wait to be let in that the kernel
/// lets no more wait.
const CROWDED: Duration = Duration::from_secs(5);

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no daemon serves {}", .socket.display())]
    Unreachable {
        socket: PathBuf,
        #[source]
        source: reqwest::Error,
    },
    #[error("you may not open {}", .socket.display())]
    NotAllowed {
        socket: PathBuf,
        #[source]
        source: reqwest::Error,
    },
    #[error("the daemon at {} does not answer within {} s", .socket.display(), TIMEOUT.as_secs())]
    Silent {
        socket: PathBuf,
        #[source]
        source: reqwest::Error,
    },
    #[error("the connection to the daemon at {} broke off", .socket.display())]
    BrokenOff {
        socket: PathBuf,
        #[source]
        source: reqwest::Error,
    },
    #[error("no HTTP client can be made")]
    Setup(#[source] reqwest::Error),
    #[error("{route} answered {status} with something other than JSON of {API_VERSION}")]
    NotADocument {
        route: String,
        status: StatusCode,
        #[source]
        source: serde_json::Error,
    },
    #[error("{route} answered with `{kind}` of `{api_version}`; expected `{expected}` of `{API_VERSION}`")]
    WrongKind {
        route: String,
        api_version: String,
        kind: String,
        expected: &'static str,
    },
    /// The daemon's own answer.
    #[error("{}", .0.message)]
    Failed(Failure),
}

impl ClientError {
    /// As the command line says it.
    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        let (code, exit, fix) = match self {
            Self::Failed(failure) => return failure,
            // A daemon that runs makes it again within a second, if it may.
            Self::Unreachable { socket, .. } if !socket.exists() => (
                "HF5001",
                5,
                "the socket is not there: name another one with --socket, or see systemctl status holdfastd; if it is \
                 active: systemctl restart holdfastd, which interrupts no traffic",
            ),
            Self::Unreachable { .. } => (
                "HF5001",
                5,
                "systemctl status holdfastd, or name another socket with --socket",
            ),
            Self::Silent { .. } => ("HF5001", 5, "holdfast status, before you try again"),
            Self::BrokenOff { .. } => ("HF5001", 5, "holdfast status, to see what is served"),
            Self::NotAllowed { .. } => ("HF5003", 7, "run the command as root"),
            Self::Setup(_) => ("HF5004", 1, "see the cause above"),
            Self::NotADocument { .. } | Self::WrongKind { .. } => (
                "HF5004",
                1,
                "holdfast --version and holdfastd --version must be the same",
            ),
        };
        Failure {
            code: code.to_owned(),
            message,
            fix: Some(fix.to_owned()),
            exit,
        }
    }
}

/// The daemon behind one socket.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

impl Client {
    /// Connects with the first request, not before.
    pub fn new(socket: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let socket = socket.into();
        let http = reqwest::Client::builder()
            .unix_socket(socket.clone())
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self { http, socket })
    }

    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub async fn status(&self) -> Result<Document<Status>, ClientError> {
        self.read("/v1/status").await
    }

    pub async fn why(&self, query: &WhyQuery) -> Result<Document<Why>, ClientError> {
        // Addresses, numbers and two protocols: nothing to be escaped but the
        // colons of IPv6, which a query may hold (RFC 3986 §3.4).
        let WhyQuery {
            src,
            sport,
            dst,
            dport,
            proto,
        } = query;
        self.read(&format!(
            "/v1/why?src={src}&sport={sport}&dst={dst}&dport={dport}&proto={proto}"
        ))
        .await
    }

    pub async fn plan(&self, request: &PlanRequest) -> Result<Document<Plan>, ClientError> {
        self.write("/v1/plan", request).await
    }

    pub async fn preview(&self, request: &PreviewRequest) -> Result<Document<Preview>, ClientError> {
        self.write("/v1/preview", request).await
    }

    pub async fn apply(&self, request: &ApplyRequest) -> Result<Document<Applied>, ClientError> {
        self.write("/v1/apply", request).await
    }

    pub async fn confirm(&self) -> Result<Document<Applied>, ClientError> {
        self.exchange("/v1/confirm", self.request(Method::POST, "/v1/confirm"))
            .await
    }

    pub async fn abort(&self) -> Result<Document<Applied>, ClientError> {
        self.exchange("/v1/abort", self.request(Method::POST, "/v1/abort"))
            .await
    }

    pub async fn rollback(&self, request: &RollbackRequest) -> Result<Document<Plan>, ClientError> {
        self.write("/v1/rollback", request).await
    }

    pub async fn attach(&self, request: &InterfacesRequest) -> Result<Document<Plan>, ClientError> {
        self.write("/v1/attach", request).await
    }

    pub async fn detach(&self, request: &InterfacesRequest) -> Result<Document<Plan>, ClientError> {
        self.write("/v1/detach", request).await
    }

    pub async fn backend(&self, request: &BackendRequest) -> Result<Document<Plan>, ClientError> {
        self.write("/v1/backend", request).await
    }

    pub async fn vip(&self, request: &VipRequest) -> Result<Document<Plan>, ClientError> {
        self.write("/v1/vip", request).await
    }

    pub async fn approvals(&self) -> Result<Document<Approvals>, ClientError> {
        self.read("/v1/approvals").await
    }

    pub async fn waiting_plan(&self, digest: Digest) -> Result<Document<Plan>, ClientError> {
        self.read(&format!("/v1/plans/{digest}")).await
    }

    pub async fn approve(&self, request: &ApproveRequest) -> Result<Document<Approvals>, ClientError> {
        self.write("/v1/approve", request).await
    }

    pub async fn reject(&self, request: &RejectRequest) -> Result<Document<Approvals>, ClientError> {
        self.write("/v1/reject", request).await
    }

    pub async fn withdraw(&self, request: &RejectRequest) -> Result<Document<Approvals>, ClientError> {
        self.write("/v1/withdraw", request).await
    }

    pub async fn hold(&self, request: &HoldRequest) -> Result<Document<Status>, ClientError> {
        self.write("/v1/hold", request).await
    }

    pub async fn resume(&self) -> Result<Document<Status>, ClientError> {
        self.exchange("/v1/resume", self.request(Method::POST, "/v1/resume"))
            .await
    }

    pub async fn break_glass(&self, request: &BreakGlassRequest) -> Result<Document<Status>, ClientError> {
        self.write("/v1/break-glass", request).await
    }

    pub async fn mend_glass(&self) -> Result<Document<Status>, ClientError> {
        self.exchange("/v1/mend-glass", self.request(Method::POST, "/v1/mend-glass"))
            .await
    }

    pub async fn recover(&self, request: &RecoverRequest) -> Result<Document<Recovery>, ClientError> {
        self.write("/v1/recover", request).await
    }

    pub async fn undelete(&self, request: &UndeleteRequest) -> Result<Document<Plan>, ClientError> {
        self.write("/v1/undelete", request).await
    }

    pub async fn wipe(&self, request: &WipeRequest) -> Result<Document<Plan>, ClientError> {
        self.write("/v1/wipe", request).await
    }

    pub async fn why_refused(&self, request: &WhyRefusedRequest) -> Result<Document<WhyRefused>, ClientError> {
        self.write("/v1/why-refused", request).await
    }

    pub async fn history(&self) -> Result<Document<History>, ClientError> {
        self.read("/v1/history").await
    }

    pub async fn generation(&self, number: u64) -> Result<Document<GenerationDetail>, ClientError> {
        self.read(&format!("/v1/generations/{number}")).await
    }

    pub async fn bpf_dump(&self) -> Result<Document<BpfDump>, ClientError> {
        self.read("/v1/bpf/dump").await
    }

    pub async fn bpf_verify(&self) -> Result<Document<BpfVerify>, ClientError> {
        self.read("/v1/bpf/verify").await
    }

    pub async fn journal(&self) -> Result<Document<Journal>, ClientError> {
        self.read("/v1/journal").await
    }

    pub async fn journal_verify(&self, query: &VerifyQuery) -> Result<Document<JournalVerify>, ClientError> {
        // A fingerprint is base64, whose plus means a space in a query.
        let key = query.key.as_ref().map(|key| format!("key={}", key.replace('+', "%2B")));
        let head = query.head.as_ref().map(|head| format!("head={head}"));
        let query: Vec<String> = key.into_iter().chain(head).collect();
        let route = format!("/v1/journal/verify?{}", query.join("&"));
        let request = self.request(Method::GET, &route).timeout(LONG_TIMEOUT);
        self.exchange(&route, request).await
    }

    pub async fn journal_export(&self, after: u64) -> Result<Document<Page>, ClientError> {
        self.read(&format!("/v1/journal/export?after={after}")).await
    }

    async fn read<T: Kind + DeserializeOwned>(&self, route: &str) -> Result<Document<T>, ClientError> {
        self.exchange(route, self.request(Method::GET, route)).await
    }

    async fn write<B, T>(&self, route: &str, body: &B) -> Result<Document<T>, ClientError>
    where
        B: Serialize + Sync,
        T: Kind + DeserializeOwned,
    {
        self.exchange(route, self.request(Method::POST, route).json(body)).await
    }

    /// The host is for HTTP's sake; the socket decides who is asked.
    fn request(&self, method: Method, route: &str) -> RequestBuilder {
        self.http.request(method, format!("http://holdfast{route}"))
    }

    async fn exchange<T>(&self, route: &str, request: RequestBuilder) -> Result<Document<T>, ClientError>
    where
        T: Kind + DeserializeOwned,
    {
        let answer = self.send(request).await.map_err(|error| self.no_answer(error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| self.no_answer(error))?;
        let not_a_document = |source| ClientError::NotADocument {
            route: route.to_owned(),
            status,
            source,
        };
        if !status.is_success() {
            let failure: Document<Failure> = serde_json::from_slice(&bytes).map_err(not_a_document)?;
            return Err(ClientError::Failed(failure.body));
        }
        let document: Document<T> = serde_json::from_slice(&bytes).map_err(not_a_document)?;
        if document.kind == T::KIND && document.api_version == API_VERSION {
            return Ok(document);
        }
        Err(ClientError::WrongKind {
            route: route.to_owned(),
            api_version: document.api_version,
            kind: document.kind,
            expected: T::KIND,
        })
    }

    /// Where the socket's queue is full, a connection that does not block is refused
    /// with `EAGAIN` at once (unix(7)). It is tried again: the daemon lives, and lets
    /// one after the other in, or turns them away.
    async fn send(&self, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        let begun = Instant::now();
        loop {
            let Some(this) = request.try_clone() else {
                return request.send().await;
            };
            match this.send().await {
                Err(error) if is_crowded(&error) && begun.elapsed() < CROWDED => tokio::time::sleep(AGAIN).await,
                ended => return ended,
            }
        }
    }

    fn no_answer(&self, source: reqwest::Error) -> ClientError {
        let socket = self.socket.clone();
        if source.is_timeout() {
            ClientError::Silent { socket, source }
        } else if !source.is_connect() {
            ClientError::BrokenOff { socket, source }
        } else if io_cause(&source) == Some(io::ErrorKind::PermissionDenied) {
            ClientError::NotAllowed { socket, source }
        } else {
            ClientError::Unreachable { socket, source }
        }
    }
}

fn is_crowded(error: &reqwest::Error) -> bool {
    error.is_connect() && io_cause(error) == Some(io::ErrorKind::WouldBlock)
}

/// What the kernel said, if that is a cause of it.
fn io_cause(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(at) = cause {
        if let Some(io) = at.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = at.source();
    }
    None
}
