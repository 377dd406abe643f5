//! The balancer's maps in ordinary memory: published there, or read from a
//! kernel. The packet path and the oracle both work on it.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};
use aya::maps::{Array, ArrayOfMaps, MapData, MapError};
use holdfast::{
    config::{self, Config, MacAddr},
    kernel::{ChunkImage, Kernel, KernelError},
    layout::{Layout, RootFacts},
    part::Part,
    plan::{Content, Overrides},
    publish::Publisher,
    revision::{BackendId, Hop, Hops, Revision},
};
use lb_common::abi::{
    active::Active,
    chunk::{CHUNK_SLOTS, ChunkId, LINES, RawLine},
    node::Node,
};

use crate::{
    native::{prefix_v4, prefix_v6},
    oracle::{Oracle, Site, Tables},
    sites,
};

/// What the program reads.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub active: u64,
    pub chunks: BTreeMap<ChunkId, ChunkImage>,
    pub key: [u8; 32],
    pub node: Node,
}

impl Snapshot {
    /// Publishes a site as the daemon would, into memory.
    pub fn published(site: &Site, key: [u8; 32]) -> Result<Self> {
        let mut snapshots = Self::successive(&[site], key)?;
        snapshots.pop().context("one site makes one snapshot")
    }

    /// Publishes one site after the other, each as a change of the one before.
    pub fn successive(sites: &[&Site], key: [u8; 32]) -> Result<Vec<Self>> {
        let mut publisher = Publisher::new(Memory::default());
        let mut previous: Option<Revision> = None;
        let mut snapshots = Vec::new();
        for (nth, site) in (1..).zip(sites) {
            let text = sites::yaml(site, Path::new("/var/lib/holdfast/hash.key"));
            let config = config::parse("site.yaml", &text)?.config;
            let hops = hops(site, &config);
            let content = Part::new(Content::new(config, Overrides::default()));
            let revision = Revision::next(previous.as_ref(), &content, &hops, 0)?;
            let layout = Layout::of(&revision, None)?;
            let facts = RootFacts {
                generation: nth,
                revision: nth,
                digest: content.digest(),
                state: revision.state.digest(),
            };
            publisher.publish(&layout, &facts, |_, _| Ok(()))?;
            let memory = publisher.kernel();
            snapshots.push(Self {
                active: memory.active.get(),
                chunks: memory.chunks.borrow().clone(),
                key,
                node: node(site),
            });
            previous = Some(revision);
        }
        Ok(snapshots)
    }

    /// Reads the maps pinned below `directory`, entry by entry: not through the
    /// mapping that the daemon writes them by.
    pub fn read(directory: &Path) -> Result<Self> {
        let open = |name: &str| {
            let path = directory.join("maps").join(name);
            MapData::from_pin(&path).with_context(|| format!("opening {}", path.display()))
        };
        let active: Array<_, u64> = open_array(open("ACTIVE")?)?;
        let key: Array<_, [u8; 32]> = open_array(open("HASH_KEY")?)?;
        let node: Array<_, [u8; size_of::<Node>()]> = open_array(open("NODE")?)?;
        let outer: ArrayOfMaps<_, Array<MapData, RawLine>> =
            ArrayOfMaps::try_from(aya::maps::Map::ArrayOfMaps(open("CHUNKS")?))?;
        let mut chunks = BTreeMap::new();
        for slot in 1..CHUNK_SLOTS {
            let chunk = match outer.get(&slot, 0) {
                Ok(chunk) => chunk,
                Err(MapError::KeyNotFound) => continue,
                Err(error) => return Err(error).with_context(|| format!("slot {slot} of CHUNKS")),
            };
            let mut image = ChunkImage::zeroed();
            for line in 0..LINES {
                let words: RawLine = chunk.get(&line, 0)?;
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
                image.bytes_mut()[line as usize * 64..][..64].copy_from_slice(&bytes);
            }
            chunks.insert(slot as ChunkId, image);
        }
        Ok(Self {
            active: active.get(&0, 0)?,
            chunks,
            key: key.get(&0, 0)?,
            node: bytemuck::pod_read_unaligned(&node.get(&0, 0)?),
        })
    }

    /// The oracle of a site with this content.
    pub fn oracle(&self, site: &Site) -> Result<Oracle> {
        let root = (self.active & 0xffff) as u16;
        let tables = Tables::read(root, |slot| self.chunks.get(&slot).map(ChunkImage::bytes))?;
        Ok(Oracle {
            site: site.clone(),
            key: self.key,
            tables,
            may_answer: true,
        })
    }
}

fn open_array<V: aya::Pod>(map: MapData) -> Result<Array<MapData, V>, MapError> {
    Array::try_from(aya::maps::Map::Array(map))
}

/// What the daemon tells the program of its host; answers without end.
fn node(site: &Site) -> Node {
    let mut node = Node {
        answers_per_second: u32::MAX,
        ..Node::default()
    };
    for (to, interface) in node.ifindex.iter_mut().zip(&site.interfaces) {
        *to = interface.ifindex;
    }
    if let Some(prefix) = site.encap_source.v4 {
        node.source_v4 = prefix_v4(prefix);
    }
    if let Some(prefix) = site.encap_source.v6 {
        node.source_v6 = prefix_v6(prefix);
    }
    node
}

/// What the neighbour tables would say.
fn hops(site: &Site, config: &Config) -> Hops {
    let mut hops = Hops::new();
    for pool in &config.pools {
        for backend in &pool.backends {
            let Some(given) = &backend.next_hop else {
                continue;
            };
            let interface = site.interface(&given.interface);
            let hop = Hop {
                mac: given.mac,
                interface: interface.name.clone(),
                interface_mac: MacAddr(interface.mac),
                ifindex: interface.ifindex,
                mtu: interface.mtu,
            };
            let id = BackendId {
                pool: pool.name.clone(),
                backend: backend.name.clone(),
            };
            hops.insert(id, hop);
        }
    }
    hops
}

/// A kernel that keeps chunks and does what it is told.
#[derive(Default)]
struct Memory {
    chunks: RefCell<BTreeMap<ChunkId, ChunkImage>>,
    active: Cell<u64>,
}

impl Kernel for Memory {
    type Chunk = ChunkImage;

    fn create_chunk(&self, image: &ChunkImage) -> Result<ChunkImage, KernelError> {
        Ok(image.clone())
    }

    fn install(&self, chunks: &[(ChunkId, &ChunkImage)]) -> Result<(), KernelError> {
        let chunks = chunks.iter().map(|(slot, image)| (*slot, (*image).clone()));
        self.chunks.borrow_mut().extend(chunks);
        Ok(())
    }

    fn clear(&self, slots: &[ChunkId]) -> Result<(), KernelError> {
        let slots: BTreeSet<_> = slots.iter().collect();
        self.chunks.borrow_mut().retain(|slot, _| !slots.contains(slot));
        Ok(())
    }

    fn grace_period(&self) -> Result<(), KernelError> {
        Ok(())
    }

    fn read_chunk(&self, slot: ChunkId) -> Result<Option<(ChunkImage, ChunkImage)>, KernelError> {
        let image = self.chunks.borrow().get(&slot).cloned();
        Ok(image.map(|image| (image.clone(), image)))
    }

    fn chunk_id(&self, slot: ChunkId) -> Result<Option<u32>, KernelError> {
        // The content tells: a chunk and its alias are alike.
        let chunks = self.chunks.borrow();
        let digest = chunks.get(&slot).map(|image| image.digest().0);
        Ok(digest.map(|digest| u32::from_ne_bytes([digest[0], digest[1], digest[2], digest[3]])))
    }

    fn keep_only(&self, slots: &BTreeSet<ChunkId>) -> Result<(), KernelError> {
        self.chunks.borrow_mut().retain(|slot, _| slots.contains(slot));
        Ok(())
    }

    fn occupied(&self) -> Result<Vec<ChunkId>, KernelError> {
        Ok(self.chunks.borrow().keys().copied().collect())
    }

    fn active(&self) -> Active {
        Active(self.active.get())
    }

    fn switch(&self, active: Active) {
        self.active.set(active.0);
    }

    fn zero_counters(&self, _indices: &[u16]) -> Result<(), KernelError> {
        Ok(())
    }
}
