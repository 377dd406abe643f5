//! Approvals: what other people than its author signed, and whether it is
//! enough to apply a plan.
//!
//! An approval is an SSH signature (SSHSIG, as `ssh-keygen -Y sign` makes it)
//! over the exact bytes of a plan, in the namespace [`NAMESPACE`]. Who may
//! approve is said by [`Signers`], in OpenSSH's format of allowed signers.
//! [`verify()`] tells whose signature one is, [`count()`] how many people that
//! makes, and [`sign`] makes one.
//!
//! A *person* is the set of principals of a line. Two lines have the same
//! principals or none in common, so nobody can be counted twice, neither by
//! two names nor by two keys.
//!
//! All of it is pure, but for [`sign::with_file`], which reads a key, and
//! `agent`, which asks an ssh-agent. Neither decides anything.

mod agent;
mod armor;
pub mod count;
mod envelope;
pub mod error;
mod key;
mod line;
mod name;
pub mod sign;
pub mod signers;
mod times;
pub mod verify;
mod wire;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use count::{Author, Short, count};
pub use error::{ApprovalError, CODES, Malformed, SignError};
pub use key::{BadKey, KeyType};
pub use line::LineError;
pub use signers::{LineProblem, Signer, Signers, SignersDiff, SignersError};
pub use verify::verify;

/// What our signatures are for (`ssh-keygen -n`): one made for anything else
/// is no approval. The number is that of the format of what is signed.
pub const NAMESPACE: &str = "holdfast-plan-v1";

/// A signature that was verified, by [`verify()`]. One that was stored is as
/// good as its store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signature {
    /// All names of the one person whose key it is, sorted; never empty.
    pub principals: Vec<String>,
    /// Of the key: `SHA256:` and base64, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// Of the key.
    pub key_type: KeyType,
}
