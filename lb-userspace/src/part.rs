//! A value that many revisions share, and its canonical JSON, made once.
//!
//! Most of a revision is that of the revision before. What did not change is
//! the same part: it is neither copied, nor written out, nor hashed again.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::digest::{Digest, canonical_json};

/// Immutable; a clone is another handle.
pub struct Part<T>(Arc<Inner<T>>);

struct Inner<T> {
    value: T,
    json: OnceLock<Arc<Json>>,
}

/// Canonical JSON (one line), and its digest.
#[derive(Debug, PartialEq, Eq)]
pub struct Json {
    pub text: String,
    pub digest: Digest,
}

impl<T> Part<T> {
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(Inner {
            value,
            json: OnceLock::new(),
        }))
    }

    /// The same handle, not only the same value.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Serialize> Part<T> {
    #[must_use]
    pub fn json(&self) -> &Arc<Json> {
        self.0.json.get_or_init(|| {
            let text = canonical_json(&self.0.value);
            let digest = Digest::of(text.as_bytes());
            Arc::new(Json { text, digest })
        })
    }

    /// Of its canonical JSON.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.json().digest
    }
}

impl<T: DeserializeOwned> Part<T> {
    /// From JSON that a part was written out as. It keeps that text and its
    /// digest, even if this program would write the value in another way.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        let part = Self::new(serde_json::from_str(text)?);
        part.0.json.get_or_init(|| {
            Arc::new(Json {
                text: text.to_owned(),
                digest: Digest::of(text.as_bytes()),
            })
        });
        Ok(part)
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: PartialEq> PartialEq for Part<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Part<T> {}

impl<T: fmt::Debug> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}
