//! A plan as a file: exact bytes, one way to write each plan.
//!
//! The bytes are the canonical JSON (RFC 8785) of the document, `apiVersion` and
//! `kind` included, and one newline. Bytes that mean the same plan but are
//! written otherwise are refused: so whoever compares, signs or hashes the file
//! has compared, signed or hashed the plan, and `Plan::digest` names one file.

use serde_json::Value;

use super::Plan;
use crate::{
    api::model::{Document, Kind},
    config::API_VERSION,
    digest::canonical_json,
};

/// A plan file is this long at most; it holds the configuration once and its
/// changes, so this is some hundred thousand backends.
pub const MAX_PLAN_BYTES: usize = 64 << 20;

/// The plan as the bytes of a file.
#[must_use]
pub fn export(plan: &Plan) -> Vec<u8> {
    let mut text = canonical_json(&Document::new(plan.clone()));
    text.push('\n');
    text.into_bytes()
}

/// The plan of a file that [`export`] wrote.
///
/// It says that the bytes are a plan's, not that the plan is a good one: the
/// daemon judges it again (`policy::check_base`, `policy::check_unaltered`).
///
/// # Errors
/// If a byte is not as [`export`] would write it.
pub fn import(bytes: &[u8]) -> Result<Plan, PlanFileError> {
    if bytes.len() > MAX_PLAN_BYTES {
        return Err(PlanFileError::TooLong { bytes: bytes.len() });
    }
    let value: Value = serde_json::from_slice(bytes).map_err(PlanFileError::NotJson)?;
    let Value::Object(mut document) = value else {
        return Err(PlanFileError::NotADocument);
    };
    let mut head = |key: &str| document.remove(key).as_ref().and_then(Value::as_str).map(str::to_owned);
    let (version, kind) = (head("apiVersion"), head("kind"));
    let (Some(version), Some(kind)) = (version, kind) else {
        return Err(PlanFileError::NotADocument);
    };
    if version != API_VERSION {
        return Err(PlanFileError::Version { found: version });
    }
    if kind != Plan::KIND {
        return Err(PlanFileError::Kind { found: kind });
    }
    // Without the head, so that unknown keys are refused by name: serde cannot
    // do that through `flatten`.
    let plan: Plan = serde_json::from_value(Value::Object(document)).map_err(PlanFileError::NotAPlan)?;
    let canonical = export(&plan);
    if canonical == bytes {
        Ok(plan)
    } else {
        let same = canonical.iter().zip(bytes).take_while(|(ours, theirs)| ours == theirs);
        Err(PlanFileError::NotCanonical { at: same.count() })
    }
}

/// Why bytes are not a plan file.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    #[error("{bytes} bytes are too long for a plan, which has {MAX_PLAN_BYTES} at most")]
    TooLong { bytes: usize },
    #[error("not a plan file: it is not JSON, or not JSON alone")]
    NotJson(#[source] serde_json::Error),
    #[error("not a plan file: it has no `apiVersion` and `kind`")]
    NotADocument,
    #[error("the plan file is of version `{found}`; this program reads `{API_VERSION}`")]
    Version { found: String },
    #[error("not a plan file: its kind is `{found}`")]
    Kind { found: String },
    #[error("the plan file does not hold a plan")]
    NotAPlan(#[source] serde_json::Error),
    /// Reformatted, edited, with keys that are double or not known, or without
    /// the newline at its end.
    #[error("the plan file was altered: byte {at} is not as `plan --out` writes it; make the plan again")]
    NotCanonical {
        /// From the start of the file, from 0.
        at: usize,
    },
}

#[cfg(test)]
mod tests;
