//! From a revision to the content of its chunks. Pure; `publish` decides in
//! which slots they go.

pub mod members;
pub mod meta;

use std::{collections::BTreeMap, sync::Arc};

use lb_common::abi::{
    ABI_VERSION,
    chunk::{ChunkId, LINES},
    member::Member,
    root::{ENTRIES_PER_LINE, FORMATS, MAGIC, RootDigests, RootEntries, RootEntry, RootHeader},
    vip::{VipKey, VipRecord},
};

use crate::{
    digest::Digest,
    kernel::ChunkImage,
    past::Written,
    revision::Revision,
    table::Table,
    vips::{VipTable, VipTableError, address_records, vip_flags, vip_key},
};

/// The chunks of a revision, by what they are.
pub struct Layout {
    /// In the order of the configuration's pools; dirty slots have their mark.
    pub tables: Vec<Table>,
    /// By the place of the pool; most have none.
    pub chains: BTreeMap<usize, ChunkImage>,
    pub members: Vec<ChunkImage>,
    pub meta: Vec<Arc<meta::Group>>,
    /// What was before the revision.
    pub past: Written,
    vips: Arc<VipShape>,
    /// One for each key of `vips`.
    records: Vec<Record>,
}

/// Slots of the chunks that VIP records name.
pub struct PoolSlots<'a> {
    /// By the place of the pool.
    pub tables: &'a [ChunkId],
    /// By the place of the pool; those that have one.
    pub chains: &'a BTreeMap<usize, ChunkId>,
    /// By ordinal.
    pub members: &'a [ChunkId],
}

/// Where the keys of VIPs stand: it depends on them alone, and most revisions
/// have those of the revision before.
struct VipShape {
    keys: Vec<VipKey>,
    table: VipTable,
}

/// A VIP record before its chunks have numbers.
struct Record {
    counter: u16,
    flags: u16,
    /// Place of the pool; `None` for an address record.
    pool: Option<PoolPlace>,
}

#[derive(Clone, Copy)]
struct PoolPlace {
    /// Ordinal of the table, and of the chunk of members.
    table: usize,
    members: usize,
    /// Line of member 0.
    base: u16,
}

impl Layout {
    /// What is as it was in `before`, the layout of the revision before, is
    /// taken from there.
    ///
    /// # Errors
    /// When the VIPs find no place (there are too many).
    ///
    /// # Panics
    /// Never: a revision holds the state and tables of all its pools.
    pub fn of(revision: &Revision, before: Option<&Self>) -> Result<Self, VipTableError> {
        let config = revision.config();
        let mut packing = Packing::default();
        let mut places = BTreeMap::new();
        let mut tables = Vec::new();
        let mut chains = BTreeMap::new();
        for pool in &config.pools {
            let (state, pool_tables) = revision.pool(&pool.name).expect("a revision holds all its pools");
            let lines = members::lines(pool, &state.members, &config.node.encap_source);
            let (members, base) = packing.place(&lines);
            places.insert(
                pool.name.as_str(),
                PoolPlace {
                    table: tables.len(),
                    members,
                    base,
                },
            );
            let written = pool_tables.dirty.written(&pool_tables.current);
            if let Some(image) = &written.chains {
                chains.insert(tables.len(), image.clone());
            }
            tables.push(written.table.clone());
        }
        let (keys, records) = records(revision, &places);
        Ok(Self {
            tables,
            chains,
            members: packing.chunks,
            meta: meta::groups(&revision.state, before.map_or(&[], |before| &before.meta)),
            past: before.map(|before| before.past.clone()).unwrap_or_default(),
            vips: VipShape::of(keys, before.map(|before| &before.vips))?,
            records,
        })
    }

    /// The same with another past.
    #[must_use]
    pub fn after(self, past: Written) -> Self {
        Self { past, ..self }
    }

    /// VIP chunks beside the first one.
    #[must_use]
    pub fn vip_children(&self) -> usize {
        self.vips.table.children()
    }

    /// The VIP chunks, the first one first, once their neighbours have slots.
    #[must_use]
    pub fn vip_chunks(&self, slots: &PoolSlots<'_>, children: &[ChunkId]) -> Vec<ChunkImage> {
        let records: Vec<VipRecord> = self.records.iter().map(|record| record.numbered(slots)).collect();
        let chunks = self.vips.table.render(&records, children);
        chunks
            .iter()
            .map(|chunk| ChunkImage::from_bytes(bytemuck::cast_slice(&chunk[..])))
            .collect()
    }
}

impl VipShape {
    fn of(keys: Vec<VipKey>, before: Option<&Arc<Self>>) -> Result<Arc<Self>, VipTableError> {
        match before {
            Some(before) if before.keys == keys => Ok(Arc::clone(before)),
            Some(_) | None => Ok(Arc::new(Self {
                table: VipTable::build(&keys)?,
                keys,
            })),
        }
    }
}

impl Record {
    fn numbered(&self, slots: &PoolSlots<'_>) -> VipRecord {
        let record = VipRecord {
            counter: self.counter,
            flags: self.flags,
            ..VipRecord::default()
        };
        match self.pool {
            None => record,
            Some(pool) => VipRecord {
                table: slots.tables[pool.table],
                chains: slots.chains.get(&pool.table).copied().unwrap_or(0),
                members: slots.members[pool.members],
                member_base: pool.base,
                ..record
            },
        }
    }
}

/// Pools one after the other, in as few chunks as that takes.
#[derive(Default)]
struct Packing {
    chunks: Vec<ChunkImage>,
    used: usize,
}

impl Packing {
    fn place(&mut self, lines: &[Member]) -> (usize, u16) {
        if self.chunks.is_empty() || self.used + lines.len() > LINES as usize {
            self.chunks.push(ChunkImage::zeroed());
            self.used = 0;
        }
        let ordinal = self.chunks.len() - 1;
        let base = self.used;
        for (at, line) in lines.iter().enumerate() {
            *self.chunks[ordinal].line_mut(base + at) = *line;
        }
        self.used += lines.len();
        (ordinal, base as u16)
    }
}

fn records(revision: &Revision, places: &BTreeMap<&str, PoolPlace>) -> (Vec<VipKey>, Vec<Record>) {
    let config = revision.config();
    let vips = config.vips.iter().map(|vip| {
        let counter = revision.state.vip_counters.get(&vip.name).copied().unwrap_or(0);
        (
            vip_key(vip),
            Record {
                counter,
                flags: vip_flags(vip),
                pool: places.get(vip.pool.as_str()).copied(),
            },
        )
    });
    let addresses = address_records(&config.vips).into_iter();
    let addresses = addresses.map(|(key, flags)| {
        (
            key,
            Record {
                counter: 0,
                flags,
                pool: None,
            },
        )
    });
    vips.chain(addresses).unzip()
}

/// What a root says of its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootFacts {
    pub generation: u64,
    pub revision: u64,
    /// Of the generation's content.
    pub digest: Digest,
    /// Of the state in the meta chunks ([`crate::revision::State::digest`]).
    pub state: Digest,
}

/// A root chunk that names `entries`.
#[must_use]
pub fn root(facts: &RootFacts, entries: &[RootEntry]) -> ChunkImage {
    let mut image = ChunkImage::zeroed();
    *image.line_mut(0) = RootHeader {
        magic: MAGIC,
        abi: ABI_VERSION,
        entries: entries.len() as u32,
        generation: facts.generation,
        revision: facts.revision,
        formats: FORMATS,
        reserved: [0; 3],
    };
    *image.line_mut(1) = RootDigests {
        generation: facts.digest.0,
        state: facts.state.0,
    };
    for (at, some) in entries.chunks(ENTRIES_PER_LINE).enumerate() {
        image.line_mut::<RootEntries>(2 + at).entries[..some.len()].copy_from_slice(some);
    }
    image
}

/// Why a root cannot be adopted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARoot {
    #[error("it does not begin with Holdfast's mark")]
    Magic,
    #[error("its layout is version {0}; this program knows {ABI_VERSION}")]
    Abi(u32),
    #[error("its lines are of another format")]
    Format,
    #[error("it names {0} chunks, more than there can be")]
    Entries(u32),
}

/// Reads a root chunk.
///
/// # Errors
/// When it is none, or of another version.
pub fn read_root(image: &ChunkImage) -> Result<(RootFacts, Vec<RootEntry>), NotARoot> {
    let header: &RootHeader = image.line(0);
    if header.magic == MAGIC && header.abi != ABI_VERSION {
        return Err(NotARoot::Abi(header.abi));
    }
    read_root_of_any(image)
}

/// The same, of any version whose roots have this one's format.
///
/// # Errors
/// When it is none.
pub fn read_root_of_any(image: &ChunkImage) -> Result<(RootFacts, Vec<RootEntry>), NotARoot> {
    let header: &RootHeader = image.line(0);
    if header.magic != MAGIC {
        return Err(NotARoot::Magic);
    }
    if header.formats[0] != FORMATS[0] {
        return Err(NotARoot::Format);
    }
    if header.entries as usize > lb_common::abi::root::MAX_ENTRIES {
        return Err(NotARoot::Entries(header.entries));
    }
    let digests: &RootDigests = image.line(1);
    let facts = RootFacts {
        generation: header.generation,
        revision: header.revision,
        digest: Digest(digests.generation),
        state: Digest(digests.state),
    };
    let entries = (0..header.entries as usize)
        .map(|at| image.line::<RootEntries>(2 + at / ENTRIES_PER_LINE).entries[at % ENTRIES_PER_LINE])
        .collect();
    Ok((facts, entries))
}
