//! What the API says of the journal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::{
    digest::Digest,
    store::{Audited, Head, JournalDamage, NamedKey, Page, StoreError},
};

/// What `GET /v1/journal/verify` asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyQuery {
    /// Fingerprint of the host's key, as `ssh-keygen -l` prints it; absent: the
    /// daemon's own.
    #[serde(default)]
    pub key: Option<String>,
    /// A head that was kept elsewhere: `SEQ:HASH`.
    #[serde(default)]
    pub head: Option<String>,
}

/// What `GET /v1/journal/export` asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// The entry before the first; absent: from the beginning.
    #[serde(default)]
    pub after: u64,
}

impl Kind for Page {
    const KIND: &'static str = "JournalPage";
}

/// `GET /v1/journal/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalVerify {
    pub ok: bool,
    /// The first entry that is not sound; absent: all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<JournalDamaged>,
    /// Number of the last entry; 0 if it is not sound.
    pub entries: u64,
    /// Hash of the last entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Digest>,
    /// The last entry under a signed head; 0: none is.
    pub signed: u64,
    /// Signed heads.
    pub heads: u64,
    pub keys: Vec<JournalKey>,
    /// What could be proved better.
    pub warnings: Vec<String>,
}

impl Kind for JournalVerify {
    const KIND: &'static str = "JournalVerify";
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalDamaged {
    pub code: String,
    pub seq: u64,
    pub message: String,
}

/// A key that the journal names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JournalKey {
    pub fingerprint: String,
    /// The entry that names it.
    pub since: u64,
    /// The key before signed that entry; absent: there was none before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<bool>,
}

impl From<NamedKey> for JournalKey {
    fn from(key: NamedKey) -> Self {
        Self {
            fingerprint: key.fingerprint,
            since: key.since,
            handed_over: key.handed_over,
        }
    }
}

impl From<Result<Audited, JournalDamage>> for JournalVerify {
    fn from(audited: Result<Audited, JournalDamage>) -> Self {
        match audited {
            Ok(audited) => {
                let Head { seq, hash } = audited.end;
                Self {
                    ok: true,
                    damage: None,
                    entries: seq,
                    hash: Some(hash),
                    signed: audited.signed,
                    heads: audited.heads,
                    keys: audited.keys.into_iter().map(Into::into).collect(),
                    warnings: audited.warnings.iter().map(ToString::to_string).collect(),
                }
            }
            Err(damage) => Self {
                ok: false,
                damage: Some(JournalDamaged {
                    code: StoreError::Journal(damage).code().to_owned(),
                    seq: damage.seq,
                    message: damage.to_string(),
                }),
                entries: 0,
                hash: None,
                signed: 0,
                heads: 0,
                keys: Vec::new(),
                warnings: Vec::new(),
            },
        }
    }
}
