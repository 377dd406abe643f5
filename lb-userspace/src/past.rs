//! What the kernel keeps beside the revision it serves: the generations before
//! it, and what the approval lock remembers. With the meta chunks it is all that
//! `holdfast recover` needs where the state directory is gone. Pure.
//!
//! It stands in chunks of its own, named by the root. One stream of bytes runs
//! through them: the length of all that follows in eight little-endian bytes, the
//! SHA-256 of the rest, then the length of the index in four, the index, and the
//! contents one after the other. Index and contents are deflated (RFC 1951) JSON;
//! the index says whose content each is and how long. A stream that was cut or
//! damaged is no stream at all.
//!
//! Limits: at most [`GENERATIONS_KEPT`] generations, and the newest of them whose
//! distinct contents fit [`CONTENTS_BYTES`] deflated; the running one is always
//! there, its content is in the meta chunks anyway. A content is deflated once, when
//! it becomes a generation.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use jiff::Timestamp;
use lb_common::abi::chunk::CHUNK_BYTES;
use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec_with_limit};
use serde::{Deserialize, Serialize};

use crate::{
    digest::{Digest, canonical_json},
    kernel::ChunkImage,
    lock::{Glass, Hold, Lock},
    part::Part,
    plan::{Content, blast::Expense},
    store::{self, Intent},
};

#[cfg(test)]
mod tests;

/// Generations that are remembered.
pub const GENERATIONS_KEPT: usize = 64;

/// All their contents, deflated: eight chunks.
pub const CONTENTS_BYTES: usize = 8 * CHUNK_BYTES;

/// What is inflated at most: nobody's damage makes the daemon take all memory.
const INFLATED_BYTES: usize = 64 << 20;

/// Of zlib's levels: the fastest that finds repetitions well.
const LEVEL: u8 = 3;

/// A generation that was served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Earlier<C = Digest> {
    /// As the journal had it; of its state only the digest is left.
    #[serde(flatten)]
    pub intent: Intent<C, Digest>,
    /// Who wished it.
    pub author: String,
    /// When it was first served.
    pub applied: Timestamp,
    /// It was on trial, and somebody confirmed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirmed: bool,
}

impl Earlier {
    /// One of which nobody remembers more than that it runs.
    #[must_use]
    pub fn unknown(generation: u64, revision: u64, content: Digest, now: Timestamp) -> Self {
        Self {
            intent: Intent {
                generation,
                revision,
                content,
                state: content,
                plan_digest: None,
                cause: "not known: recovered from the kernel".to_owned(),
                message: None,
                confirm: None,
                by: None,
                expense: None,
                approved_by: Vec::new(),
                glass: false,
            },
            author: "unknown".to_owned(),
            applied: now,
            confirmed: false,
        }
    }
}

impl<C> Earlier<C> {
    /// The same under another name for its content.
    pub fn with_content<D>(self, content: D) -> Earlier<D> {
        let intent = self.intent;
        Earlier {
            intent: Intent {
                content,
                generation: intent.generation,
                revision: intent.revision,
                state: intent.state,
                plan_digest: intent.plan_digest,
                cause: intent.cause,
                message: intent.message,
                confirm: intent.confirm,
                by: intent.by,
                expense: intent.expense,
                approved_by: intent.approved_by,
                glass: intent.glass,
            },
            author: self.author,
            applied: self.applied,
            confirmed: self.confirmed,
        }
    }
}

/// What the approval lock remembers, but plans that wait: they are bound to a
/// journal, and are planned again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Locked {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glass: Option<Glass>,
    /// What earlier plans spent of the budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expenses: Vec<Expense>,
}

impl Locked {
    /// Of the lock as it is now.
    #[must_use]
    pub fn of(lock: &Lock) -> Self {
        Self {
            hold: lock.hold().cloned(),
            glass: lock.broken_glass().cloned(),
            expenses: lock.expenses().to_vec(),
        }
    }
}

/// The generations before the one that runs, and the lock.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Oldest first; the running one is the last.
    generations: Vec<Earlier>,
    locked: Locked,
    /// Deflated, by the digest of their JSON.
    contents: BTreeMap<Digest, Arc<[u8]>>,
    written: Written,
}

/// The chunks of a past.
#[derive(Clone, Debug, Default)]
pub struct Written(Arc<Vec<(Digest, ChunkImage)>>);

impl Written {
    /// Each with its digest.
    pub fn chunks(&self) -> impl Iterator<Item = &(Digest, ChunkImage)> {
        self.0.iter()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    generations: Vec<Earlier>,
    locked: Locked,
    contents: Vec<(Digest, u32)>,
}

impl Past {
    /// The newest of `generations` (oldest first) that fit. `content` is asked for
    /// contents that `known` has not; a generation whose content is nowhere is
    /// forgotten, and all before it.
    #[must_use]
    pub fn new(
        generations: Vec<Earlier>,
        locked: Locked,
        known: &Self,
        content: impl Fn(Digest) -> Option<Part<Content>>,
    ) -> Self {
        let mut contents: BTreeMap<Digest, Arc<[u8]>> = BTreeMap::new();
        let (mut kept, mut room) = (Vec::new(), CONTENTS_BYTES);
        let packed = |digest: Digest| {
            let packed = known.contents.get(&digest).cloned();
            packed.or_else(|| content(digest).map(|content| pack(&content.json().text).into()))
        };
        // What runs is remembered elsewhere, too; what a trial goes back to is not.
        let trial = generations.last().filter(|last| !last.confirmed);
        let back_to = trial
            .and_then(|last| last.intent.confirm.as_ref())
            .map(|term| term.back_to);
        let back_to = generations
            .iter()
            .find(|earlier| Some(earlier.intent.generation) == back_to);
        if let Some(earlier) = back_to
            && let Some(packed) = packed(earlier.intent.content).filter(|packed| packed.len() <= room)
        {
            room -= packed.len();
            contents.insert(earlier.intent.content, packed);
        }
        for earlier in generations.into_iter().rev().take(GENERATIONS_KEPT) {
            if let Entry::Vacant(vacant) = contents.entry(earlier.intent.content) {
                let packed = packed(*vacant.key());
                match packed.filter(|packed| packed.len() <= room) {
                    Some(packed) => {
                        room -= packed.len();
                        vacant.insert(packed);
                    }
                    // The meta chunks have what runs.
                    None if kept.is_empty() => {}
                    None => break,
                }
            }
            kept.push(earlier);
        }
        kept.reverse();
        let mut past = Self {
            generations: kept,
            locked,
            contents,
            written: Written::default(),
        };
        past.written = past.write();
        past
    }

    /// With another generation that is to run now. `content` is asked as by
    /// [`Self::new`].
    #[must_use]
    pub fn followed_by(&self, next: Earlier, content: impl Fn(Digest) -> Option<Part<Content>>) -> Self {
        let mut locked = self.locked.clone();
        locked.expenses.extend(next.intent.expense.clone());
        let mut generations = self.generations.clone();
        generations.push(next);
        Self::new(generations, locked, self, content)
    }

    /// The lock is another, or somebody confirmed what runs.
    #[must_use]
    pub fn settled(&self, locked: Locked, confirmed: bool) -> Self {
        let mut past = self.clone();
        past.locked = locked;
        if let Some(last) = past.generations.last_mut() {
            last.confirmed = confirmed;
        }
        past.written = past.write();
        past
    }

    #[must_use]
    pub fn generations(&self) -> &[Earlier] {
        &self.generations
    }

    #[must_use]
    pub const fn locked(&self) -> &Locked {
        &self.locked
    }

    /// A content of [`Self::generations`]; `None`: it did not fit, or is damaged.
    #[must_use]
    pub fn content(&self, digest: Digest) -> Option<Part<Content>> {
        let text = unpack(self.contents.get(&digest)?)?;
        let content: Part<Content> = Part::read(&text).ok()?;
        (content.digest() == digest).then_some(content)
    }

    #[must_use]
    pub const fn written(&self) -> &Written {
        &self.written
    }

    /// It says the same.
    #[must_use]
    pub fn says(&self, other: &Self) -> bool {
        self.generations == other.generations && self.locked == other.locked
    }

    fn write(&self) -> Written {
        let index = Index {
            generations: self.generations.clone(),
            locked: self.locked.clone(),
            contents: self
                .contents
                .iter()
                .map(|(digest, packed)| (*digest, packed.len() as u32))
                .collect(),
        };
        let index = pack(&canonical_json(&index));
        let mut body = (index.len() as u32).to_le_bytes().to_vec();
        body.extend(index);
        body.extend(self.contents.values().flat_map(|packed| packed.iter().copied()));
        let mut stream = ((DIGEST_BYTES + body.len()) as u64).to_le_bytes().to_vec();
        stream.extend(Digest::of(&body).0);
        stream.extend(body);
        let chunks = stream.chunks(CHUNK_BYTES).map(|bytes| {
            let image = ChunkImage::from_bytes(bytes);
            (image.digest(), image)
        });
        Written(Arc::new(chunks.collect()))
    }

    /// From its chunks, in their order; `None`: they are cut or damaged.
    #[must_use]
    pub fn read(chunks: &[ChunkImage]) -> Option<Self> {
        let stream: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes().iter().copied()).collect();
        let (length, rest) = stream.split_first_chunk::<8>()?;
        let rest = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let (digest, body) = rest.split_first_chunk::<DIGEST_BYTES>()?;
        if Digest::of(body) != Digest(*digest) {
            return None;
        }
        let (length, rest) = body.split_first_chunk::<4>()?;
        let (index, mut packed) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let index: Index = serde_json::from_str(&unpack(index)?).ok()?;
        let mut contents = BTreeMap::new();
        for (digest, length) in index.contents {
            let (one, after) = packed.split_at_checked(length as usize)?;
            contents.insert(digest, one.into());
            packed = after;
        }
        let images = chunks.iter().map(|image| (image.digest(), image.clone()));
        Some(Self {
            generations: index.generations,
            locked: index.locked,
            contents,
            written: Written(Arc::new(images.collect())),
        })
    }
}

const DIGEST_BYTES: usize = 32;

fn pack(text: &str) -> Vec<u8> {
    compress_to_vec(text.as_bytes(), LEVEL)
}

fn unpack(packed: &[u8]) -> Option<String> {
    let bytes = decompress_to_vec_with_limit(packed, INFLATED_BYTES).ok()?;
    String::from_utf8(bytes).ok()
}

impl store::Entry {
    /// A generation of before, as the journal of a rebuilt store has it.
    #[must_use]
    pub fn remembered(earlier: Earlier, content: Part<Content>) -> Self {
        Self::Remembered(earlier.with_content(content))
    }
}
