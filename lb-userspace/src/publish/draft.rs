//! A publish under way: what it takes from the revision before, what it makes,
//! and in which slots that goes.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use lb_common::abi::{
    active::Active,
    chunk::{CHUNK_SLOTS, ChunkId, GRACE_SLOT},
    root::{KIND_CHAINS, KIND_MEMBERS, KIND_META, KIND_PAST, KIND_TABLE, KIND_VIPS, RootEntry},
};

use super::{Pair, PublishError, Publisher};
use crate::{
    digest::Digest,
    kernel::{ChunkImage, Kernel, KernelError},
    layout::{self, Layout, PoolSlots, RootFacts},
};

/// As many chunks are installed with one update: each is a descriptor until
/// then, and a process has 1,024 of them by default.
const INSTALLED_TOGETHER: usize = 256;

/// The chunks of a publish under way.
pub struct Draft<'p, K: Kernel> {
    publisher: &'p Publisher<K>,
    /// Lowest first.
    free: VecDeque<ChunkId>,
    /// Created, and not installed yet.
    created: Vec<K::Chunk>,
    /// Which of them goes into which slot.
    slots: Vec<(ChunkId, usize)>,
    /// Slots that were given a chunk, or may have been.
    installed: BTreeSet<ChunkId>,
    shared: HashMap<(u16, Digest), Pair>,
    /// Every slot the new ACTIVE leads to.
    named: BTreeSet<ChunkId>,
    written: u32,
    installing: Duration,
}

/// Chunks that both roots name.
struct Named {
    tables: Vec<Pair>,
    /// By the place of the pool.
    chains: BTreeMap<usize, Pair>,
    members: Vec<Pair>,
    meta: Vec<Pair>,
    past: Vec<Pair>,
}

/// What became of a draft.
pub struct Drafted {
    pub installed: BTreeSet<ChunkId>,
    pub shared: HashMap<(u16, Digest), Pair>,
    pub named: BTreeSet<ChunkId>,
    pub written: u32,
    /// Of its time, what went into installing.
    pub installing: Duration,
}

impl<'p, K: Kernel> Draft<'p, K> {
    pub fn new(publisher: &'p Publisher<K>) -> Self {
        let taken = |slot: &ChunkId| publisher.in_use.contains(slot) || publisher.retired.contains(slot);
        let free: VecDeque<ChunkId> = (GRACE_SLOT as ChunkId + 1..CHUNK_SLOTS as ChunkId)
            .filter(|slot| !taken(slot))
            .collect();
        Self {
            publisher,
            free,
            created: Vec::new(),
            slots: Vec::new(),
            installed: BTreeSet::new(),
            shared: HashMap::new(),
            named: BTreeSet::new(),
            written: 0,
            installing: Duration::ZERO,
        }
    }

    /// Installs all of a revision; ACTIVE is to be set to what this returns.
    pub fn fill(&mut self, layout: &Layout, facts: &RootFacts) -> Result<Active, PublishError> {
        let tables = layout.tables.iter().map(|table| {
            let image = || ChunkImage::from_bytes(table.as_bytes());
            self.pair(KIND_TABLE, table.digest(), image)
        });
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let chains = layout.chains.iter().map(|(pool, image)| {
            let pair = self.pair(KIND_CHAINS, image.digest(), || image.clone())?;
            Ok((*pool, pair))
        });
        let chains = chains.collect::<Result<BTreeMap<_, _>, PublishError>>()?;
        let members = layout.members.iter();
        let members = members.map(|image| self.pair(KIND_MEMBERS, image.digest(), || image.clone()));
        let members = members.collect::<Result<Vec<_>, _>>()?;
        let mut meta = Vec::new();
        for group in &layout.meta {
            let images = LazyCell::new(|| group.images());
            for (at, digest) in group.digests().iter().enumerate() {
                meta.push(self.pair(KIND_META, *digest, || images[at].clone())?);
            }
        }
        let past = layout.past.chunks();
        let past = past.map(|(digest, image)| self.pair(KIND_PAST, *digest, || image.clone()));
        let past = past.collect::<Result<Vec<_>, _>>()?;
        let named = Named {
            tables,
            chains,
            members,
            meta,
            past,
        };
        let main = self.root(facts, layout, &named, |pair| pair.slot)?;
        let fallback = self.root(facts, layout, &named, |pair| pair.alias)?;
        self.install()?;
        Ok(Active::new(main.0, main.1, fallback.0, fallback.1))
    }

    pub fn end(self) -> Drafted {
        Drafted {
            installed: self.installed,
            shared: self.shared,
            named: self.named,
            written: self.written,
            installing: self.installing,
        }
    }

    /// Shares or creates a chunk that both roots name.
    fn pair(&mut self, kind: u16, digest: Digest, image: impl FnOnce() -> ChunkImage) -> Result<Pair, PublishError> {
        let key = (kind, digest);
        let known = match self.shared.get(&key).or_else(|| self.publisher.shared.get(&key)) {
            // A slot that somebody emptied is not shared but written anew.
            Some(pair) if self.named.contains(&pair.slot) || self.is_whole(*pair)? => Some(*pair),
            Some(_) | None => None,
        };
        let pair = if let Some(pair) = known {
            pair
        } else {
            let chunk = self.create(&image())?;
            Pair {
                slot: self.take(chunk)?,
                alias: self.take(chunk)?,
            }
        };
        self.shared.insert(key, pair);
        self.named.extend([pair.slot, pair.alias]);
        Ok(pair)
    }

    /// Both slots still hold one and the same chunk, the one that was put there.
    fn is_whole(&self, pair: Pair) -> Result<bool, KernelError> {
        let kernel = &self.publisher.kernel;
        let Some(chunk) = kernel.chunk_id(pair.slot)? else {
            return Ok(false);
        };
        let known = self.publisher.chunks.get(&pair.slot);
        Ok(known.is_none_or(|known| *known == chunk) && kernel.chunk_id(pair.alias)? == Some(chunk))
    }

    /// The VIP chunks and the root that name one side of the pairs; returns
    /// the root's slot and the first VIP chunk's.
    fn root(
        &mut self,
        facts: &RootFacts,
        layout: &Layout,
        named: &Named,
        side: impl Fn(&Pair) -> ChunkId,
    ) -> Result<(ChunkId, ChunkId), PublishError> {
        let sides = |pairs: &[Pair]| pairs.iter().map(&side).collect::<Vec<_>>();
        let (tables, members, meta) = (sides(&named.tables), sides(&named.members), sides(&named.meta));
        let past = sides(&named.past);
        let chains: BTreeMap<usize, ChunkId> = named.chains.iter().map(|(pool, pair)| (*pool, side(pair))).collect();
        // Slots first: the first VIP chunk names its children.
        let vips: Vec<ChunkId> = (0..=layout.vip_children())
            .map(|_| self.reserve())
            .collect::<Result<_, _>>()?;
        let slots = PoolSlots {
            tables: &tables,
            chains: &chains,
            members: &members,
        };
        for (slot, image) in vips.iter().zip(layout.vip_chunks(&slots, &vips[1..])) {
            let chunk = self.create(&image)?;
            self.slots.push((*slot, chunk));
        }
        let kinds = [
            (KIND_VIPS, &vips),
            (KIND_TABLE, &tables),
            (KIND_MEMBERS, &members),
            (KIND_META, &meta),
            (KIND_PAST, &past),
        ];
        let entry = |kind, at: usize, chunk| RootEntry {
            kind,
            chunk,
            ordinal: at as u32,
        };
        let listed = kinds.into_iter().flat_map(|(kind, slots)| {
            let slots = slots.iter().enumerate();
            slots.map(move |(at, chunk)| entry(kind, at, *chunk))
        });
        let chains = chains.iter().map(|(pool, chunk)| entry(KIND_CHAINS, *pool, *chunk));
        let entries: Vec<RootEntry> = listed.chain(chains).collect();
        let root = self.create(&layout::root(facts, &entries))?;
        Ok((self.take(root)?, vips[0]))
    }

    fn create(&mut self, image: &ChunkImage) -> Result<usize, PublishError> {
        if self.created.len() == INSTALLED_TOGETHER {
            self.install()?;
        }
        self.created.push(self.publisher.kernel.create_chunk(image)?);
        self.written += 1;
        Ok(self.created.len() - 1)
    }

    /// Installs what was created. Nothing leads there yet.
    fn install(&mut self) -> Result<(), PublishError> {
        self.installed.extend(self.slots.iter().map(|(slot, _)| *slot));
        let slots = self.slots.iter();
        let installs: Vec<_> = slots.map(|(slot, chunk)| (*slot, &self.created[*chunk])).collect();
        let began = Instant::now();
        let installed = self.publisher.kernel.install(&installs);
        self.installing += began.elapsed();
        installed?;
        self.slots.clear();
        self.created.clear();
        Ok(())
    }

    fn take(&mut self, chunk: usize) -> Result<ChunkId, PublishError> {
        let slot = self.reserve()?;
        self.slots.push((slot, chunk));
        Ok(slot)
    }

    fn reserve(&mut self) -> Result<ChunkId, PublishError> {
        let slot = self.free.pop_front().ok_or(PublishError::NoSlots)?;
        self.named.insert(slot);
        Ok(slot)
    }
}
