//! The state of a revision in meta chunks: a line of canonical JSON for each of
//! its parts, the content first, then the counters of VIPs, then the pools in
//! the order of their names.
//!
//! Lines are put together in *groups*, and each group begins a chunk: its length
//! in eight little-endian bytes, then its lines with a newline in between. So a
//! part that gets longer or shorter costs the chunks of its own group, not those
//! of all that come after it.

use std::{collections::BTreeMap, sync::Arc};

use lb_common::abi::chunk::CHUNK_BYTES;

use crate::{
    digest::Digest,
    kernel::ChunkImage,
    part::{Json, Part},
    plan::Content,
    revision::State,
};

/// Pools of one group: of 32 backends each, they fill a chunk.
const POOLS_PER_GROUP: usize = 16;

/// Before the text of a group.
const LENGTH_BYTES: usize = 8;

/// Lines that share chunks.
#[derive(Debug)]
pub struct Group {
    lines: Vec<Arc<Json>>,
    /// Of its chunks.
    digests: Vec<Digest>,
}

impl Group {
    fn of(lines: Vec<Arc<Json>>) -> Self {
        let mut group = Self {
            lines,
            digests: Vec::new(),
        };
        group.digests = group.images().iter().map(ChunkImage::digest).collect();
        group
    }

    /// Of its chunks, in their order.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// Its chunks.
    #[must_use]
    pub fn images(&self) -> Vec<ChunkImage> {
        let text = self.lines.iter().map(|line| line.text.as_str());
        let text = text.collect::<Vec<_>>().join("\n");
        let bytes = [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        bytes.chunks(CHUNK_BYTES).map(ChunkImage::from_bytes).collect()
    }
}

/// The groups of a state; those that are as they were in `before` are the same.
#[must_use]
pub fn groups(state: &State, before: &[Arc<Group>]) -> Vec<Arc<Group>> {
    let pools: Vec<&Arc<Json>> = state.pools.values().map(Part::json).collect();
    let alone = [state.content.json(), state.vip_counters.json()].map(|line| vec![line]);
    let together = pools.chunks(POOLS_PER_GROUP).map(<[&Arc<Json>]>::to_vec);
    let groups = alone.into_iter().chain(together).enumerate();
    groups
        .map(|(at, lines)| match before.get(at) {
            Some(known) if known.lines.iter().eq(lines.iter().copied()) => Arc::clone(known),
            Some(_) | None => Arc::new(Group::of(lines.into_iter().cloned().collect())),
        })
        .collect()
}

/// The state in meta chunks; `None`: it is cut or no state.
#[must_use]
pub fn state(chunks: &[ChunkImage]) -> Option<State> {
    let text = text(chunks)?;
    let mut lines = text.lines();
    let content: Part<Content> = Part::read(lines.next()?).ok()?;
    let vip_counters = Part::read(lines.next()?).ok()?;
    let names = content.config.pools.iter().map(|pool| pool.name.clone());
    let pools: BTreeMap<_, _> = names
        .map(|name| Some((name, Part::read(lines.next()?).ok()?)))
        .collect::<Option<_>>()?;
    lines.next().is_none().then_some(State {
        content,
        pools,
        vip_counters,
    })
}

/// The lines of all groups.
fn text(mut chunks: &[ChunkImage]) -> Option<String> {
    let mut text = String::new();
    while let Some(first) = chunks.first() {
        let (length, _) = first.bytes().split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (group, rest) = chunks.split_at_checked(length.checked_add(LENGTH_BYTES)?.div_ceil(CHUNK_BYTES))?;
        let bytes: Vec<u8> = group.iter().flat_map(|chunk| chunk.bytes().iter().copied()).collect();
        text.push_str(str::from_utf8(bytes.get(LENGTH_BYTES..LENGTH_BYTES + length)?).ok()?);
        text.push('\n');
        chunks = rest;
    }
    Some(text)
}
