//! Who may approve: a set of keys, each with its person's names.

mod people;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    key::{Key, KeyType},
    line::{self, LineError},
    name,
};
use crate::digest::Digest;

/// One key of one person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signer {
    /// All names of the person, sorted; one at least.
    pub principals: Vec<String>,
    /// The key's type.
    pub algorithm: KeyType,
    /// The key's encoding in base64, as in a `.pub` file.
    pub key: String,
    /// `SHA256:` and base64, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// Approvals count from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_after: Option<Timestamp>,
    /// Approvals count up to this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_before: Option<Timestamp>,
    /// What the line says behind the key. For people only.
    pub comment: String,
}

/// A set of signers, in canonical order: the same keys, names, times and
/// comments make the same JSON and digest, whatever the order of the lines.
///
/// No key is there twice, and two signers have the same principals or none
/// that could be the same person's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Signer>", into = "Vec<Signer>")]
#[schemars(with = "Vec<Signer>")]
pub struct Signers(Vec<Signer>);

/// A text that is not taken as allowed signers, all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignersError {
    #[error("{bytes} bytes of allowed signers; {limit} is the limit")]
    TooLong { bytes: usize, limit: usize },
    #[error("{lines} lines of allowed signers; {limit} is the limit")]
    TooManyLines { lines: usize, limit: usize },
    /// Every line that is not taken, in order; one at least.
    #[error("{}", listed(.0))]
    Lines(Vec<LineProblem>),
}

impl SignersError {
    /// The code, as in `docs/refusals.md`: of the first line that is not taken.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::TooManyLines { .. } => "HF2100",
            Self::Lines(lines) => lines.first().map_or("HF2100", |line| line.what.code()),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(&self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::TooManyLines { .. } => "is it the right file? remove who does not approve",
            Self::Lines(lines) => lines.first().map_or("correct the line", |line| line.what.fix()),
        }
    }
}

/// A line that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what} [{}]", what.code())]
pub struct LineProblem {
    /// From 1. In a set that was stored: the signer's place.
    pub line: u32,
    #[source]
    pub what: LineError,
}

fn listed(problems: &[LineProblem]) -> String {
    let lines: Vec<String> = problems.iter().map(LineProblem::to_string).collect();
    lines.join("; ")
}

/// What differs from one set to another. A key is in one of the lists at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignersDiff {
    /// Keys of the other set only.
    pub added: Vec<Signer>,
    /// Keys of the first set only.
    pub removed: Vec<Signer>,
    /// Keys of both, of which they say different things: before, after.
    pub changed: Vec<(Signer, Signer)>,
}

impl SignersDiff {
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl Signers {
    /// The longest text that is read, bytes.
    pub const LONGEST: usize = 256 * 1024;
    /// The most lines of a text, empty ones and comments counted.
    pub const MOST_LINES: usize = 1000;

    /// From the text of a file in OpenSSH's format of allowed signers. One
    /// line that is not taken makes all of it an error.
    pub fn parse(text: &str) -> Result<Self, SignersError> {
        if text.len() > Self::LONGEST {
            return Err(SignersError::TooLong {
                bytes: text.len(),
                limit: Self::LONGEST,
            });
        }
        let lines = text.lines().count();
        if lines > Self::MOST_LINES {
            return Err(SignersError::TooManyLines {
                lines,
                limit: Self::MOST_LINES,
            });
        }
        let parsed = text.lines().map(|text| line::parse(text).transpose());
        let numbered = (1..).zip(parsed).filter_map(|(line, parsed)| Some((line, parsed?)));
        Self::collect(numbered)
    }

    /// Checks the lines against each other, and puts them in order.
    fn collect(lines: impl Iterator<Item = (u32, Result<Signer, LineError>)>) -> Result<Self, SignersError> {
        let mut signers = Vec::new();
        let mut problems = Vec::new();
        for (line, parsed) in lines {
            match parsed {
                Ok(signer) => signers.push((line, signer)),
                Err(what) => problems.push(LineProblem { line, what }),
            }
        }
        problems.extend(people::conflicts(&signers));
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.line);
            return Err(SignersError::Lines(problems));
        }
        let mut signers: Vec<Signer> = signers.into_iter().map(|(_, signer)| signer).collect();
        signers.sort_unstable();
        // The same line twice is one; of two comments the first in order.
        signers.dedup_by(|later, first| later.key == first.key);
        Ok(Self(signers))
    }

    /// In canonical order: by names, then by key.
    pub fn iter(&self) -> std::slice::Iter<'_, Signer> {
        self.0.iter()
    }

    /// How many keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Nobody can approve.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of the canonical JSON.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_canonical(self)
    }

    /// By the key's encoding in base64.
    #[must_use]
    pub fn by_key(&self, base64: &str) -> Option<&Signer> {
        self.0.iter().find(|signer| signer.key == base64)
    }

    /// How many different people these are: as many approvals there can be
    /// at most, less one if the author is among them.
    #[must_use]
    pub fn people(&self) -> usize {
        // Signers of one person have equal names and stand together.
        self.0.chunk_by(|one, next| one.principals == next.principals).count()
    }

    /// Of these, who is also in `on_disk`, with the same key and the same
    /// names, for as long as both say. So a file on disk takes the right to
    /// approve away, and never gives it.
    #[must_use]
    pub fn shrunk_by(&self, on_disk: &Self) -> Self {
        let both = self.0.iter().filter_map(|signer| {
            let other = on_disk.by_key(&signer.key)?;
            if other.principals != signer.principals {
                return None;
            }
            let valid_after = signer.valid_after.max(other.valid_after);
            // `None` is the earliest in the order of options.
            let valid_before = [signer.valid_before, other.valid_before].into_iter().flatten().min();
            if let (Some(after), Some(before)) = (valid_after, valid_before)
                && before <= after
            {
                return None;
            }
            Some(Signer {
                valid_after,
                valid_before,
                ..signer.clone()
            })
        });
        Self(both.collect())
    }

    /// What `other` has more, less or otherwise.
    #[must_use]
    pub fn diff(&self, other: &Self) -> SignersDiff {
        let mut diff = SignersDiff::default();
        for before in &self.0 {
            match other.by_key(&before.key) {
                None => diff.removed.push(before.clone()),
                Some(after) if after != before => diff.changed.push((before.clone(), after.clone())),
                Some(_) => {}
            }
        }
        let added = other.0.iter().filter(|signer| self.by_key(&signer.key).is_none());
        diff.added = added.cloned().collect();
        diff
    }
}

impl<'a> IntoIterator for &'a Signers {
    type Item = &'a Signer;
    type IntoIter = std::slice::Iter<'a, Signer>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Signers> for Vec<Signer> {
    fn from(signers: Signers) -> Self {
        signers.0
    }
}

/// A set that was stored is believed no more than a file.
impl TryFrom<Vec<Signer>> for Signers {
    type Error = SignersError;

    fn try_from(signers: Vec<Signer>) -> Result<Self, SignersError> {
        if signers.len() > Self::MOST_LINES {
            return Err(SignersError::TooManyLines {
                lines: signers.len(),
                limit: Self::MOST_LINES,
            });
        }
        Self::collect((1..).zip(signers.into_iter().map(Signer::checked)))
    }
}

impl Signer {
    /// Its names as one text.
    #[must_use]
    pub fn names(&self) -> String {
        self.principals.join(",")
    }

    fn checked(self) -> Result<Self, LineError> {
        let key = Key::from_text(self.algorithm.as_str(), &self.key)?;
        if key.fingerprint() != self.fingerprint || key.base64() != self.key {
            return Err(super::BadKey::Encoding.into());
        }
        let bad = self.principals.iter().find(|name| !name::is_plain(name));
        if let Some(name) = bad {
            return Err(LineError::Principal { name: name.clone() });
        }
        if self.principals.is_empty() || !self.principals.is_sorted_by(|one, next| one < next) {
            return Err(LineError::Principal { name: self.names() });
        }
        match (self.valid_after, self.valid_before) {
            (Some(after), Some(before)) if before <= after => Err(LineError::NeverValid),
            _ => Ok(self),
        }
    }
}
