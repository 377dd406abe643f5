//! Bodies and answers of the API: JSON in, documents out, and each rejection a
//! [`Failure`] that says what was wrong.

use std::{borrow::Cow, error::Error as _, time::Duration};

use axum::{
    Json,
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt as _;
use http_body_util::LengthLimitError;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use super::model::{
    ApplyRequest, ApproveRequest, BackendRequest, BreakGlassRequest, Document, Failure, HoldRequest, InterfacesRequest,
    Kind, PlanRequest, PreviewRequest, RecoverRequest, RejectRequest, RollbackRequest, UndeleteRequest, VipRequest,
    WhyRefusedRequest, WipeRequest,
};
use crate::{config::limits::MAX_FILE_BYTES, digest::Digest, plan::file::MAX_PLAN_BYTES};

/// How long a request's body may be; a longer one is HF5002.
pub trait Bounded {
    /// Bytes.
    const LIMIT: usize = 64 << 10;
}

impl Bounded for RollbackRequest {}
impl Bounded for InterfacesRequest {}
impl Bounded for BackendRequest {}
impl Bounded for VipRequest {}
impl Bounded for RejectRequest {}
impl Bounded for HoldRequest {}
impl Bounded for BreakGlassRequest {}
impl Bounded for RecoverRequest {}
impl Bounded for UndeleteRequest {}
impl Bounded for WipeRequest {}

impl Bounded for ApproveRequest {
    /// A signature, with what JSON escapes.
    const LIMIT: usize = 256 << 10;
}

impl Bounded for PreviewRequest {
    const LIMIT: usize = BODY_LIMIT;
}

impl Bounded for WhyRefusedRequest {
    const LIMIT: usize = BODY_LIMIT;
}

impl Bounded for PlanRequest {
    /// A file, with what JSON escapes.
    const LIMIT: usize = 2 * MAX_FILE_BYTES + (1 << 20);
}

impl Bounded for ApplyRequest {
    const LIMIT: usize = BODY_LIMIT;
}

/// The longest request body, bytes. It is a plan with
/// what `apply` says of it.
pub const BODY_LIMIT: usize = MAX_PLAN_BYTES + (1 << 20);

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A request's body, read whole.
pub(super) struct Body<T>(pub T);

impl<S: Sync, T: DeserializeOwned + Bounded> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        // Content types are not looked at: `curl -d @file` must do.
        let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(request.into_body(), T::LIMIT)).await;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) if is_too_long(&error) => {
                let message = format!("the body is longer than {} bytes", T::LIMIT);
                return Err(bad_by(StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            Ok(Err(_)) => return Err(bad_request("the body breaks off")),
            Err(_) => {
                let message = "the body took longer than 10 s to arrive".to_owned();
                return Err(bad_by(StatusCode::REQUEST_TIMEOUT, message));
            }
        };
        serde_json::from_slice(&bytes)
            .map(Body)
            .map_err(|error| bad_request(format!("the body is not what this route takes: {error}")))
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    error
        .source()
        .is_some_and(<dyn std::error::Error>::is::<LengthLimitError>)
}

/// A request's query.
pub(super) struct Asked<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(bad_request(rejection.body_text())),
        }
    }
}

/// What can stand in a path, as the route's one parameter.
pub(super) trait Segment: DeserializeOwned + JsonSchema + Send {
    /// As in "`x` is not …".
    const IS: &str;
}

impl Segment for u64 {
    const IS: &str = "a whole number";
}

impl Segment for Digest {
    const IS: &str = "a digest, 64 hexadecimal digits";
}

/// The parameter of a request's path.
pub(super) struct Named<T>(pub T);

impl<S: Send + Sync, T: Segment> FromRequestParts<S> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(bad_request(format!("{} does not name {}", parts.uri.path(), T::IS))),
        }
    }
}

/// A failure on its way out, with the HTTP status it goes by.
pub(super) struct Refusal {
    status: StatusCode,
    failure: Failure,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self {
            status: http_status(&failure),
            failure,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Document::new(self.failure))).into_response()
    }
}

/// What a handler returns.
pub(super) type Reply<T> = Result<Json<Document<T>>, Refusal>;

/// A document, or the failure it came to.
pub(super) fn reply<T: Kind + Serialize>(answer: Result<T, Failure>) -> Reply<T> {
    Ok(Json(Document::new(answer?)))
}

/// Reads a body to its end and keeps nothing: an answer that comes before
/// breaks the connection under a client that still writes, and the client would
/// not see why.
pub(super) async fn spill(body: axum::body::Body) {
    let mut stream = body.into_data_stream();
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(chunk)) = stream.next().await {
            bytes += chunk.len();
            if bytes > BODY_LIMIT {
                break;
            }
        }
    };
    drop(tokio::time::timeout(BODY_TIMEOUT, all).await);
}

/// HF5002: the request is not one that can be answered.
pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Refusal {
    Failure {
        code: "HF5002".to_owned(),
        message: message.into().into_owned(),
        fix: None,
        exit: 64,
    }
    .into()
}

/// HF5002 by another HTTP status.
pub(super) fn bad_by(status: StatusCode, message: String) -> Refusal {
    Refusal {
        status,
        ..bad_request(message)
    }
}

/// The HTTP status of a failure, from its code and the exit code it has on the
/// command line.
pub fn http_status(failure: &Failure) -> StatusCode {
    match (failure.code.as_str(), failure.exit) {
        ("HF5004" | "HF5007", _) => StatusCode::NOT_FOUND,
        // The configuration's, and the policy's.
        (code, _) if code.starts_with("HF1") => StatusCode::UNPROCESSABLE_ENTITY,
        (code, _) if code.starts_with("HF2") => StatusCode::CONFLICT,
        (_, 7) => StatusCode::FORBIDDEN,
        (_, 64) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
