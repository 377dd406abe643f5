//! Why something is no approval, and why none could be made.

use std::{io, path::PathBuf};

use jiff::Timestamp;

use super::key::BadKey;

/// The codes of this module, in the order of `docs/refusals.md`.
pub const CODES: [&str; 18] = [
    "HF2100", "HF2101", "HF2102", "HF2103", "HF2104", "HF2105", "HF2106", "HF2107", "HF2108", "HF2109", "HF2110",
    "HF2111", "HF2112", "HF2113", "HF2114", "HF2115", "HF2116", "HF2117",
];

/// Why a text is no approval of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    #[error("{bytes} bytes are no signature; {limit} is the limit")]
    TooLong { bytes: usize, limit: usize },
    #[error("this is no signature: {0}")]
    Malformed(#[from] Malformed),
    #[error("the signature is for `{}`, not for `{}`", found.escape_default(), super::NAMESPACE)]
    OtherNamespace {
        /// What it is for; the first 64 characters.
        found: String,
    },
    #[error("the key {fingerprint} may not approve")]
    UnknownKey { fingerprint: String },
    #[error("the key {fingerprint} may approve from {from} on")]
    NotYetValid { fingerprint: String, from: Timestamp },
    #[error("the key {fingerprint} may approve until {until} only")]
    Expired { fingerprint: String, until: Timestamp },
    /// The token signed by itself: whoever has the computer can do that.
    #[error("the token of the key {fingerprint} was not touched for this signature")]
    NotPresent { fingerprint: String },
    /// Of another plan, or of a copy that differs, be it by one space.
    #[error("the key {fingerprint} did not sign this")]
    WrongSignature { fingerprint: String },
}

impl ApprovalError {
    /// The code, as in `docs/refusals.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::Malformed(_) => "HF2105",
            Self::OtherNamespace { .. } => "HF2106",
            Self::UnknownKey { .. } => "HF2107",
            Self::NotYetValid { .. } | Self::Expired { .. } => "HF2108",
            Self::NotPresent { .. } => "HF2109",
            Self::WrongSignature { .. } => "HF2110",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::Malformed(_) => "send the .sig file whole, as it was made",
            Self::OtherNamespace { .. } => "sign again: ssh-keygen -Y sign -n holdfast-plan-v1 -f KEY PLAN",
            Self::UnknownKey { .. } => "sign with a key that is listed, or let one of those who are listed sign",
            Self::NotYetValid { .. } | Self::Expired { .. } => {
                "let somebody else sign, or change the key's times by a plan"
            }
            Self::NotPresent { .. } => "use a key made without -O no-touch-required, and touch the token",
            Self::WrongSignature { .. } => "export the plan again, read it, and sign that very file",
        }
    }
}

/// What is wrong with a text as a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it does not begin and end as one, with nothing before and after")]
    Armor,
    #[error("it is not base64")]
    Base64,
    #[error("it is cut, or has bytes too many")]
    Layout,
    #[error("it is of version {0}, and 1 is known")]
    Version(u32),
    #[error("it says something where nothing is to be said")]
    Reserved,
    #[error("it is made over a hash that is not sha256 or sha512")]
    Hash,
    #[error("it is of another kind than its key, or damaged")]
    Signature,
    #[error(transparent)]
    Key(#[from] BadKey),
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("cannot read the key {}", path.display())]
    KeyFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("others can read the key {}: its mode is {mode:03o}", path.display())]
    OpenToAll { path: PathBuf, mode: u32 },
    #[error("this is no private key in OpenSSH's format: {0}")]
    NotAKey(ssh_key::Error),
    #[error("the key cannot approve: {0}")]
    BadKey(#[from] BadKey),
    #[error("the key is in a token, the file only says which")]
    InToken,
    #[error("the key cannot sign: {0}")]
    Unable(ssh_key::Error),
    #[error("the key needs a passphrase, and none was given")]
    NoPassphrase(#[source] io::Error),
    #[error("the passphrase is not that of the key")]
    WrongPassphrase,
    #[error("there is no ssh-agent: SSH_AUTH_SOCK is not set")]
    NoAgent,
    #[error("cannot talk to the ssh-agent at {}", socket.display())]
    Agent {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is neither a fingerprint (SHA256:…) nor a public key", wanted.escape_default())]
    NotAName { wanted: String },
    #[error("the ssh-agent has no key {fingerprint}")]
    NotInAgent { fingerprint: String },
    #[error("the ssh-agent has no key that may approve")]
    NoneInAgent,
    #[error("the ssh-agent has several keys that may approve: {}", fingerprints.join(", "))]
    SeveralInAgent { fingerprints: Vec<String> },
    #[error("the ssh-agent did not sign")]
    Refused,
    #[error("what the ssh-agent gave as a signature is none")]
    BadSignature(#[source] ApprovalError),
}

impl SignError {
    /// The code, as in `docs/refusals.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::KeyFile { .. }
            | Self::OpenToAll { .. }
            | Self::NotAKey(_)
            | Self::BadKey(_)
            | Self::InToken
            | Self::Unable(_) => "HF2111",
            Self::NoPassphrase(_) | Self::WrongPassphrase => "HF2112",
            Self::NoAgent | Self::Agent { .. } => "HF2113",
            Self::NotAName { .. } | Self::NotInAgent { .. } | Self::NoneInAgent | Self::SeveralInAgent { .. } => {
                "HF2114"
            }
            Self::Refused | Self::BadSignature(_) => "HF2115",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::KeyFile { .. } => "name a key that you can read",
            Self::OpenToAll { .. } => "chmod 600 it",
            Self::NotAKey(_) => "name the private key, not the .pub file; ssh-keygen -p -f KEY converts an old one",
            Self::BadKey(_) => "use a key of the type ssh-ed25519, ecdsa-sha2-nistp256 or their sk- variants",
            Self::InToken => "ssh-add the key, then sign with the ssh-agent",
            Self::Unable(_) => "use another key",
            Self::NoPassphrase(_) | Self::WrongPassphrase => "try again, or ssh-add the key and use the ssh-agent",
            Self::NoAgent => "start one (eval $(ssh-agent); ssh-add), or name a file with a key",
            Self::Agent { .. } => "ssh-add -l says whether it is there; or name a file with a key",
            Self::NotAName { .. } => "ssh-add -l shows fingerprints",
            Self::NotInAgent { .. } | Self::NoneInAgent => "ssh-add the key",
            Self::SeveralInAgent { .. } => "say which one by its fingerprint",
            Self::Refused => "confirm the signature, touch the token, or unlock the ssh-agent (ssh-add -X)",
            Self::BadSignature(_) => "sign with ssh-keygen -Y sign -n holdfast-plan-v1 instead",
        }
    }
}
