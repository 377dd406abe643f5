//! The chain of hashes over the journal's rows.
//!
//! Anybody can check it with `sqlite3` and `sha256sum`: the hash of a row is
//! SHA-256 over the previous row's hash (32 bytes) followed by the canonical
//! JSON (RFC 8785) of `{author, kind, payload, seq, time}`, where `payload` is
//! the text of that column as a string.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::error::Damage;
use crate::digest::{Digest, canonical_json};

/// The previous hash of the first row.
pub const GENESIS: Digest = Digest([0; 32]);

/// A row as it is stored, before anybody tries to understand it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub seq: u64,
    pub time: String,
    pub author: String,
    pub kind: String,
    pub payload: String,
    pub previous: String,
    pub hash: String,
}

#[derive(Serialize)]
struct Hashed<'a> {
    seq: u64,
    time: &'a str,
    author: &'a str,
    kind: &'a str,
    payload: &'a str,
}

impl Row {
    /// What its hash has to be.
    pub fn hash_after(&self, previous: Digest) -> Digest {
        let json = canonical_json(&Hashed {
            seq: self.seq,
            time: &self.time,
            author: &self.author,
            kind: &self.kind,
            payload: &self.payload,
        });
        let mut bytes = previous.0.to_vec();
        bytes.extend_from_slice(json.as_bytes());
        Digest::of(&bytes)
    }
}

/// Where a walk along the chain has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Of the last row; 0 before the first.
    pub seq: u64,
    pub hash: Digest,
}

/// `SEQ:HASH`, to be kept elsewhere.
impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

/// The text is not an entry's number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is an entry's number and its hash: SEQ:HASH")]
pub struct NotAHead;

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (seq, hash) = text.split_once(':').ok_or(NotAHead)?;
        Ok(Self {
            seq: seq.parse().map_err(|_| NotAHead)?,
            hash: hash.parse().map_err(|_| NotAHead)?,
        })
    }
}

impl Head {
    pub const START: Self = Self { seq: 0, hash: GENESIS };

    /// The head after `row`, if that is sound and comes next.
    pub fn after(self, row: &Row) -> Result<Self, Damage> {
        if row.seq != self.seq + 1 {
            return Err(Damage::Missing);
        }
        let hash = row.hash_after(self.hash);
        if row.previous != self.hash.to_string() {
            return Err(Damage::Unchained);
        }
        if row.hash != hash.to_string() {
            return Err(Damage::Edited);
        }
        Ok(Self { seq: row.seq, hash })
    }
}
