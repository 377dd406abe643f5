//! The only writer of chunks and of ACTIVE.
//!
//! Publishing creates what changed, shares what did not, installs it all with
//! one batched update, and switches with one store. Every chunk the fast path
//! reads stands in two slots, its own and an alias; the fallback root and VIP
//! chunks name the aliases. So when a slot is emptied behind our back, packets
//! find the same revision, whole, by the other way, and no memory is spent but
//! for the second VIP chunks and root.
//!
//! Invariants: a slot that ACTIVE leads to is never written; a slot is used
//! again only after a grace period that began after the switch away from it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use lb_common::abi::{
    active::Active,
    chunk::{CHUNK_SLOTS, ChunkId, GRACE_SLOT},
    root::{KIND_MEMBERS, KIND_META, KIND_TABLE, KIND_VIPS, RootEntry},
};

use crate::{
    digest::Digest,
    kernel::{ChunkImage, Kernel, KernelError},
    layout::{self, Layout, NotARoot, RootFacts},
    revision::{Revision, State},
    table::Table,
};

/// Publishes, and knows what is published.
pub struct Publisher<K: Kernel> {
    kernel: K,
    /// Chunks of the published revision that the next one may share.
    shared: HashMap<(u16, Digest), Pair>,
    /// Every slot that ACTIVE leads to.
    in_use: BTreeSet<ChunkId>,
    /// Slots that ACTIVE led to before; to be emptied after a grace period.
    retired: BTreeSet<ChunkId>,
}

/// A chunk's two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    slot: ChunkId,
    alias: ChunkId,
}

/// What a publish did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub written: u32,
    pub shared: u32,
    /// From the first chunk to the switch.
    pub took: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error("the candidate needs more chunks than the {CHUNK_SLOTS} slots have room for")]
    NoSlots,
    #[error("the candidate was refused before the switch: {0}")]
    Rehearsal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A revision found in the kernel.
#[derive(Debug)]
pub struct Adopted {
    pub facts: RootFacts,
    pub revision: Revision,
    /// One of the two roots, or a chunk of it, could not be read: the revision
    /// is to be published anew.
    pub damaged: bool,
}

/// What is published cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error("slot {0} is empty")]
    Empty(ChunkId),
    #[error("slot {slot} is not a root")]
    Root {
        slot: ChunkId,
        #[source]
        source: NotARoot,
    },
    #[error("the state in the meta chunks is damaged")]
    State,
    #[error("the lookup tables do not fit the state")]
    Tables,
}

impl<K: Kernel> Publisher<K> {
    /// Over a kernel in which nothing is published, or nothing readable is.
    pub fn new(kernel: K) -> Self {
        Self {
            kernel,
            shared: HashMap::new(),
            in_use: BTreeSet::new(),
            retired: BTreeSet::new(),
        }
    }

    pub const fn kernel(&self) -> &K {
        &self.kernel
    }

    pub const fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Reads what ACTIVE leads to; `None`: nothing was ever published. Slots
    /// that nothing names (a publish was cut short) are emptied.
    ///
    /// # Errors
    /// When neither root can be read. Nothing is changed then.
    pub fn adopt(&mut self) -> Result<Option<Adopted>, AdoptError> {
        let active = self.kernel.active();
        if active.is_empty() {
            return Ok(None);
        }
        let main = self.read_revision(active.root());
        let other = self.read_revision(active.fallback_root());
        let damaged = main.is_err() || other.is_err();
        let found = match (main, other) {
            (Ok(main), other) => {
                self.learn(active, &main, other.ok().as_ref());
                main
            }
            (Err(_), Ok(other)) => {
                self.learn(active, &other, None);
                other
            }
            (Err(error), Err(_)) => return Err(error),
        };
        let stray = self.kernel.occupied()?.into_iter();
        let stray: Vec<ChunkId> = stray.filter(|slot| !self.in_use.contains(slot)).collect();
        if damaged {
            // Packets may still be led to them by the root that is damaged.
            self.in_use.extend(stray);
            self.shared.clear();
        } else {
            // The daemon before may have switched away from them just now.
            self.kernel.grace_period()?;
            self.kernel.clear(&stray)?;
        }
        Ok(Some(Adopted {
            facts: found.facts,
            revision: found.revision,
            damaged,
        }))
    }

    /// Publishes a revision. `rehearse` runs packets through a private instance
    /// with the candidate; when it objects, nothing is switched.
    ///
    /// # Errors
    /// Nothing has changed for any packet then.
    pub fn publish(
        &mut self,
        layout: &Layout,
        facts: &RootFacts,
        rehearse: impl FnOnce(&K, Active) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<Published, PublishError> {
        let began = Instant::now();
        self.collect()?;
        let mut draft = Draft::new(self);
        let tables = draft.pairs(KIND_TABLE, &layout.tables)?;
        let members = draft.pairs(KIND_MEMBERS, &layout.members)?;
        let meta = draft.pairs(KIND_META, &layout.meta)?;
        let main = draft.root(facts, layout, &tables, &members, &meta, |pair| pair.slot)?;
        let fallback = draft.root(facts, layout, &tables, &members, &meta, |pair| pair.alias)?;
        let active = Active::new(main.0, main.1, fallback.0, fallback.1);
        let Draft {
            created,
            slots,
            shared,
            named,
            ..
        } = draft;

        let installs: Vec<(ChunkId, &K::Chunk)> = slots.iter().map(|(slot, chunk)| (*slot, &created[*chunk])).collect();
        self.kernel.install(&installs)?;
        if let Err(objection) = rehearse(&self.kernel, active) {
            // Never switched to: they are emptied the next time.
            self.retired.extend(slots.keys());
            return Err(PublishError::Rehearsal(objection));
        }
        self.kernel.switch(active);
        let took = began.elapsed();

        let reused = shared.keys().filter(|key| self.shared.contains_key(key)).count();
        let published = Published {
            written: created.len() as u32,
            shared: reused as u32,
            took,
        };
        self.retired.extend(self.in_use.difference(&named));
        self.in_use = named;
        self.shared = shared;
        Ok(published)
    }

    /// Empties the slots of earlier revisions, after a grace period.
    ///
    /// # Errors
    /// They stay to be emptied the next time then.
    pub fn collect(&mut self) -> Result<(), KernelError> {
        if self.retired.is_empty() {
            return Ok(());
        }
        self.kernel.grace_period()?;
        self.kernel.clear(&self.retired.iter().copied().collect::<Vec<_>>())?;
        self.retired.clear();
        Ok(())
    }

    /// Slots that ACTIVE leads to and somebody emptied.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn damage(&self) -> Result<Vec<ChunkId>, KernelError> {
        let mut emptied = Vec::new();
        for slot in &self.in_use {
            if self.kernel.chunk_id(*slot)?.is_none() {
                emptied.push(*slot);
            }
        }
        Ok(emptied)
    }

    /// Slots that nothing names now.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        CHUNK_SLOTS as usize - 1 - self.in_use.len() - self.retired.len()
    }

    fn read_revision(&self, root: ChunkId) -> Result<Found, AdoptError> {
        let image = self.read(root)?;
        let (facts, entries) = layout::read_root(&image).map_err(|source| AdoptError::Root { slot: root, source })?;
        let mut chunks: BTreeMap<(u16, u32), (ChunkId, ChunkImage)> = BTreeMap::new();
        for entry in entries {
            chunks.insert((entry.kind, entry.ordinal), (entry.chunk, self.read(entry.chunk)?));
        }
        let of_kind = |kind| {
            let chunks = chunks.range((kind, 0)..=(kind, u32::MAX));
            chunks.map(|(_, (_, image))| image.clone()).collect::<Vec<_>>()
        };
        let text = layout::meta_text(&of_kind(KIND_META)).ok_or(AdoptError::State)?;
        if Digest::of(text.as_bytes()) != facts.state {
            return Err(AdoptError::State);
        }
        let state: State = serde_json::from_str(&text).map_err(|_| AdoptError::State)?;
        let names = state.content.config.pools.iter().map(|pool| pool.name.clone());
        let tables = of_kind(KIND_TABLE);
        let tables = names
            .zip(&tables)
            .map(|(name, image)| Ok((name, Table::from_bytes(image.bytes()).map_err(|_| AdoptError::Tables)?)))
            .collect::<Result<_, AdoptError>>()?;
        let revision = Revision::restore(state, tables).ok_or(AdoptError::Tables)?;
        Ok(Found {
            facts,
            revision,
            chunks,
        })
    }

    fn read(&self, slot: ChunkId) -> Result<ChunkImage, AdoptError> {
        match self.kernel.read_chunk(slot)? {
            Some((_, image)) => Ok(image),
            None => Err(AdoptError::Empty(slot)),
        }
    }

    fn learn(&mut self, active: Active, main: &Found, other: Option<&Found>) {
        let roots = [
            active.root(),
            active.vips(),
            active.fallback_root(),
            active.fallback_vips(),
        ];
        self.in_use = roots.into_iter().filter(|slot| *slot != 0).collect();
        self.shared.clear();
        for found in [Some(main), other].into_iter().flatten() {
            self.in_use.extend(found.chunks.values().map(|(slot, _)| *slot));
        }
        let Some(other) = other else {
            return;
        };
        for (place, (slot, image)) in &main.chunks {
            let Some((alias, _)) = other.chunks.get(place).filter(|_| place.0 != KIND_VIPS) else {
                continue;
            };
            self.shared.insert(
                (place.0, image.digest()),
                Pair {
                    slot: *slot,
                    alias: *alias,
                },
            );
        }
    }
}

/// A revision as read from the kernel.
struct Found {
    facts: RootFacts,
    revision: Revision,
    /// By kind and ordinal.
    chunks: BTreeMap<(u16, u32), (ChunkId, ChunkImage)>,
}

/// The chunks of a publish under way.
struct Draft<'p, K: Kernel> {
    publisher: &'p Publisher<K>,
    /// Lowest first.
    free: VecDeque<ChunkId>,
    created: Vec<K::Chunk>,
    /// Which created chunk goes into which slot.
    slots: BTreeMap<ChunkId, usize>,
    shared: HashMap<(u16, Digest), Pair>,
    /// Every slot the new ACTIVE leads to.
    named: BTreeSet<ChunkId>,
}

impl<'p, K: Kernel> Draft<'p, K> {
    fn new(publisher: &'p Publisher<K>) -> Self {
        let taken = |slot: &ChunkId| publisher.in_use.contains(slot) || publisher.retired.contains(slot);
        let free: VecDeque<ChunkId> = (GRACE_SLOT as ChunkId + 1..CHUNK_SLOTS as ChunkId)
            .filter(|slot| !taken(slot))
            .collect();
        Self {
            publisher,
            free,
            created: Vec::new(),
            slots: BTreeMap::new(),
            shared: HashMap::new(),
            named: BTreeSet::new(),
        }
    }

    /// Shares or creates chunks that both roots name.
    fn pairs(&mut self, kind: u16, images: &[ChunkImage]) -> Result<Vec<Pair>, PublishError> {
        images.iter().map(|image| self.pair(kind, image)).collect()
    }

    fn pair(&mut self, kind: u16, image: &ChunkImage) -> Result<Pair, PublishError> {
        let key = (kind, image.digest());
        let known = match self.shared.get(&key).or_else(|| self.publisher.shared.get(&key)) {
            // A slot that somebody emptied is not shared but written anew.
            Some(pair) if self.slots.contains_key(&pair.slot) || self.is_whole(*pair)? => Some(*pair),
            Some(_) | None => None,
        };
        let pair = if let Some(pair) = known {
            pair
        } else {
            let chunk = self.create(image)?;
            Pair {
                slot: self.take(chunk)?,
                alias: self.take(chunk)?,
            }
        };
        self.shared.insert(key, pair);
        self.named.extend([pair.slot, pair.alias]);
        Ok(pair)
    }

    /// Both slots still hold one and the same chunk.
    fn is_whole(&self, pair: Pair) -> Result<bool, KernelError> {
        let kernel = &self.publisher.kernel;
        let chunk = kernel.chunk_id(pair.slot)?;
        Ok(chunk.is_some() && chunk == kernel.chunk_id(pair.alias)?)
    }

    /// The VIP chunks and the root that name one side of the pairs; returns
    /// the root's slot and the first VIP chunk's.
    fn root(
        &mut self,
        facts: &RootFacts,
        layout: &Layout,
        tables: &[Pair],
        members: &[Pair],
        meta: &[Pair],
        side: impl Fn(&Pair) -> ChunkId,
    ) -> Result<(ChunkId, ChunkId), PublishError> {
        let sides = |pairs: &[Pair]| pairs.iter().map(&side).collect::<Vec<_>>();
        let (tables, members, meta) = (sides(tables), sides(members), sides(meta));
        // Slots first: the first VIP chunk names its children.
        let vips: Vec<ChunkId> = (0..=layout.vip_children())
            .map(|_| self.reserve())
            .collect::<Result<_, _>>()?;
        for (slot, image) in vips.iter().zip(layout.vip_chunks(&tables, &members, &vips[1..])) {
            let chunk = self.create(&image)?;
            self.slots.insert(*slot, chunk);
        }
        let kinds = [
            (KIND_VIPS, &vips),
            (KIND_TABLE, &tables),
            (KIND_MEMBERS, &members),
            (KIND_META, &meta),
        ];
        let entries: Vec<RootEntry> = kinds
            .into_iter()
            .flat_map(|(kind, slots)| {
                let slots = slots.iter().enumerate();
                slots.map(move |(at, chunk)| RootEntry {
                    kind,
                    chunk: *chunk,
                    ordinal: at as u32,
                })
            })
            .collect();
        let root = self.create(&layout::root(facts, &entries))?;
        Ok((self.take(root)?, vips[0]))
    }

    fn create(&mut self, image: &ChunkImage) -> Result<usize, PublishError> {
        self.created.push(self.publisher.kernel.create_chunk(image)?);
        Ok(self.created.len() - 1)
    }

    fn take(&mut self, chunk: usize) -> Result<ChunkId, PublishError> {
        let slot = self.reserve()?;
        self.slots.insert(slot, chunk);
        Ok(slot)
    }

    fn reserve(&mut self) -> Result<ChunkId, PublishError> {
        let slot = self.free.pop_front().ok_or(PublishError::NoSlots)?;
        self.named.insert(slot);
        Ok(slot)
    }
}
