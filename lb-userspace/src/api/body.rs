//! Bodies and answers of the API: JSON in, documents out, and each rejection a
//! [`Failure`] that says what was wrong.

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    body::to_bytes,
    extract::{FromRequest, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt as _;
use serde::{Serialize, de::DeserializeOwned};

use super::model::{
    ApplyRequest, BackendRequest, Document, Failure, InterfacesRequest, Kind, PlanRequest, RollbackRequest,
};
use crate::{config::limits::MAX_FILE_BYTES, plan::file::MAX_PLAN_BYTES};

/// How long a request's body may be; a longer one is HF5002.
pub trait Bounded {
    /// Bytes.
    const LIMIT: usize = 64 << 10;
}

impl Bounded for RollbackRequest {}
impl Bounded for InterfacesRequest {}
impl Bounded for BackendRequest {}

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
            Ok(Err(_)) => {
                let limit = T::LIMIT;
                return Err(bad_request(format!(
                    "the body breaks off, or is longer than {limit} bytes"
                )));
            }
            Err(_) => return Err(bad_request("the body took longer than 10 s to arrive")),
        };
        serde_json::from_slice(&bytes)
            .map(Body)
            .map_err(|error| bad_request(format!("the body is not what this route takes: {error}")))
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
            status: http_status(failure.exit),
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

/// HF5002 by another HTTP status: nothing answers there, or not in that way.
pub(super) fn no_such(status: StatusCode, message: String) -> Refusal {
    Refusal {
        status,
        ..bad_request(message)
    }
}

/// The HTTP status of a failure, from the exit code it has on the command line.
pub const fn http_status(exit: u8) -> StatusCode {
    match exit {
        // Refused, or made for a generation that no longer runs.
        3 | 4 => StatusCode::CONFLICT,
        7 => StatusCode::FORBIDDEN,
        64 => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
