//! A revision as it is read back from the kernel.

use std::collections::{BTreeMap, HashMap};

use lb_common::abi::{
    chunk::ChunkId,
    root::{KIND_CHAINS, KIND_META, KIND_PAST, KIND_TABLE, KIND_VIPS, RootEntry},
};

use super::{AdoptError, Pair};
use crate::{
    digest::Digest,
    kernel::{ChunkImage, Kernel},
    layout::{self, RootFacts, meta},
    past::Past,
    revision::Revision,
    table::dirty::Dirty,
};

/// Slots by what is in them: kind and ordinal.
pub type Places = BTreeMap<(u16, u32), ChunkId>;

pub struct Found {
    pub facts: RootFacts,
    pub revision: Revision,
    pub past: Past,
    chunks: BTreeMap<(u16, u32), Chunk>,
}

struct Chunk {
    slot: ChunkId,
    digest: Digest,
}

impl Found {
    /// Reads all that `root` leads to.
    pub fn read<K: Kernel>(kernel: &K, root: ChunkId) -> Result<Self, AdoptError> {
        let (facts, entries) = entries(kernel, root)?;
        let mut chunks = BTreeMap::new();
        let mut texts = BTreeMap::new();
        let mut past = BTreeMap::new();
        let mut tables = BTreeMap::new();
        let mut chains = BTreeMap::new();
        for RootEntry { kind, chunk, ordinal } in entries {
            let image = read(kernel, chunk)?;
            let digest = image.digest();
            match kind {
                KIND_META => drop(texts.insert(ordinal, image)),
                KIND_PAST => drop(past.insert(ordinal, image)),
                KIND_TABLE => drop(tables.insert(ordinal, image)),
                KIND_CHAINS => drop(chains.insert(ordinal, image)),
                _ => {}
            }
            chunks.insert((kind, ordinal), Chunk { slot: chunk, digest });
        }
        let tables = tables.into_iter().map(|(ordinal, table)| {
            let (table, dirty) = Dirty::read(table.bytes(), chains.get(&ordinal)).ok_or(AdoptError::Tables)?;
            if let Some(chunk) = chunks.get_mut(&(KIND_TABLE, ordinal)) {
                // Tables are known by a digest of their own.
                chunk.digest = dirty.written(&table).table.digest();
            }
            Ok((table, dirty))
        });
        let tables = tables.collect::<Result<Vec<_>, AdoptError>>()?;
        let texts: Vec<ChunkImage> = texts.into_values().collect();
        let state = meta::state(&texts).ok_or(AdoptError::State)?;
        if state.digest() != facts.state || state.content.digest() != facts.digest {
            return Err(AdoptError::State);
        }
        let names = state.content.config.pools.iter().map(|pool| pool.name.clone());
        let tables = names.zip(tables).collect();
        let revision = Revision::restore(state, tables).ok_or(AdoptError::Tables)?;
        let past: Vec<ChunkImage> = past.into_values().collect();
        Ok(Self {
            facts,
            revision,
            // It is no part of what serves: without it the rest is as good.
            past: Past::read(&past).unwrap_or_default(),
            chunks,
        })
    }

    /// Where the fallback root has the same chunks; `None`: it is not whole, or
    /// leads to others.
    pub fn aliases<K: Kernel>(&self, kernel: &K, fallback: ChunkId) -> Option<Places> {
        let (facts, entries) = entries(kernel, fallback).ok()?;
        if facts != self.facts || entries.len() != self.chunks.len() {
            return None;
        }
        let same = |entry: &RootEntry| {
            let ours = self.chunks.get(&(entry.kind, entry.ordinal))?;
            let chunk = kernel.chunk_id(entry.chunk).ok()??;
            // VIP chunks name slots, so each root has its own.
            let same = entry.kind == KIND_VIPS || kernel.chunk_id(ours.slot).ok()? == Some(chunk);
            same.then_some(((entry.kind, entry.ordinal), entry.chunk))
        };
        entries.iter().map(same).collect()
    }

    pub fn slots(&self) -> impl Iterator<Item = ChunkId> {
        self.chunks.values().map(|chunk| chunk.slot)
    }

    /// What a later revision may share.
    pub fn pairs(&self, aliases: &Places) -> HashMap<(u16, Digest), Pair> {
        let shared = self.chunks.iter().filter(|((kind, _), _)| *kind != KIND_VIPS);
        let pairs = shared.filter_map(|(place, chunk)| {
            let pair = Pair {
                slot: chunk.slot,
                alias: *aliases.get(place)?,
            };
            Some(((place.0, chunk.digest), pair))
        });
        pairs.collect()
    }
}

fn entries<K: Kernel>(kernel: &K, root: ChunkId) -> Result<(RootFacts, Vec<RootEntry>), AdoptError> {
    let image = read(kernel, root)?;
    layout::read_root(&image).map_err(|source| AdoptError::Root { slot: root, source })
}

fn read<K: Kernel>(kernel: &K, slot: ChunkId) -> Result<ChunkImage, AdoptError> {
    match kernel.read_chunk(slot)? {
        Some((_, image)) => Ok(image),
        None => Err(AdoptError::Empty(slot)),
    }
}
