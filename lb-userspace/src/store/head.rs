//! A signed head: what the journal was, and when, under the host's key.
//!
//! The chain says that nothing was changed unless everything after it was
//! changed, too; a signature says that it was not even then. Anybody can check
//! one: `ssh-keygen -Y verify -n holdfast-journal-v1` over [`Statement::bytes`].

use serde::{Deserialize, Serialize};
use ssh_key::{HashAlg, LineEnding, PublicKey, SshSig};

use crate::digest::canonical_json;

/// SSHSIG's namespace: no signature made for something else counts here, nor
/// one of these elsewhere.
pub const NAMESPACE: &str = "holdfast-journal-v1";

/// What is signed. Text as it is stored: whatever was done to it, the
/// signature is judged over just that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    pub store_id: String,
    pub host: String,
    /// Of the entry that was the last one.
    pub seq: u64,
    /// That entry's.
    pub hash: String,
    /// Wall-clock time, for people: `seq` orders.
    pub time: String,
}

impl Statement {
    /// Canonical JSON (RFC 8785) and a line feed: what `jq -cS` prints.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut json = canonical_json(self);
        json.push('\n');
        json.into_bytes()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedHead {
    pub statement: Statement,
    /// Of the key: `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// SSHSIG, armored.
    pub signature: String,
}

impl SignedHead {
    /// The key it names signed this very statement. Whether that key may, is
    /// asked elsewhere.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        let Ok(signature) = SshSig::from_pem(&self.signature) else {
            return false;
        };
        let key = PublicKey::from(signature.public_key().clone());
        // Armor can be written in more than one way; we write it in one.
        signature
            .to_pem(LineEnding::LF)
            .is_ok_and(|armor| armor == self.signature)
            && fingerprint(&key) == self.fingerprint
            && key.verify(NAMESPACE, &self.statement.bytes(), &signature).is_ok()
    }
}

/// `SHA256:…`.
#[must_use]
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}
