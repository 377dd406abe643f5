use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::Arc,
};

use super::*;
use crate::{
    kernel::ChunkImage,
    part::Part,
    plan::{
        Content,
        samples::{content, hop, hops, largest},
    },
    revision::{BackendId, Hops},
};

/// Chunks in ordinary memory. It keeps what the real kernel keeps; that it does
/// what the real one does is shown by the tests of level `kernel`.
#[derive(Default)]
struct Memory {
    slots: RefCell<BTreeMap<ChunkId, (u32, Arc<ChunkImage>)>>,
    made: Cell<u32>,
    /// Most chunks that were there and in no slot.
    loose: Cell<usize>,
    active: Cell<u64>,
    /// Chunks that can still be made.
    room: Cell<u32>,
}

#[derive(Clone)]
struct MemoryChunk(u32, Arc<ChunkImage>);

impl Memory {
    fn new() -> Self {
        let memory = Self::default();
        memory.room.set(u32::MAX);
        memory
    }
}

impl Kernel for Memory {
    type Chunk = MemoryChunk;

    fn create_chunk(&self, image: &ChunkImage) -> Result<MemoryChunk, KernelError> {
        let Some(room) = self.room.get().checked_sub(1) else {
            return Err(KernelError::ReadBack);
        };
        self.room.set(room);
        self.made.set(self.made.get() + 1);
        Ok(MemoryChunk(self.made.get(), Arc::new(image.clone())))
    }

    fn install(&self, chunks: &[(ChunkId, &MemoryChunk)]) -> Result<(), KernelError> {
        let ids: BTreeSet<u32> = chunks.iter().map(|(_, chunk)| chunk.0).collect();
        self.loose.set(self.loose.get().max(ids.len()));
        let chunks = chunks
            .iter()
            .map(|(slot, chunk)| (*slot, (chunk.0, Arc::clone(&chunk.1))));
        self.slots.borrow_mut().extend(chunks);
        Ok(())
    }

    fn clear(&self, slots: &[ChunkId]) -> Result<(), KernelError> {
        let slots: BTreeSet<_> = slots.iter().collect();
        self.slots.borrow_mut().retain(|slot, _| !slots.contains(slot));
        Ok(())
    }

    fn grace_period(&self) -> Result<(), KernelError> {
        Ok(())
    }

    fn read_chunk(&self, slot: ChunkId) -> Result<Option<(MemoryChunk, ChunkImage)>, KernelError> {
        let slots = self.slots.borrow();
        let found = slots.get(&slot);
        Ok(found.map(|(id, image)| (MemoryChunk(*id, Arc::clone(image)), ChunkImage::clone(image))))
    }

    fn chunk_id(&self, slot: ChunkId) -> Result<Option<u32>, KernelError> {
        Ok(self.slots.borrow().get(&slot).map(|(id, _)| *id))
    }

    fn keep_only(&self, slots: &BTreeSet<ChunkId>) -> Result<(), KernelError> {
        self.slots.borrow_mut().retain(|slot, _| slots.contains(slot));
        Ok(())
    }

    fn occupied(&self) -> Result<Vec<ChunkId>, KernelError> {
        Ok(self.slots.borrow().keys().copied().collect())
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

/// A publisher, and what it published last.
struct Served {
    publisher: Publisher<Memory>,
    revision: Revision,
    layout: Layout,
    facts: RootFacts,
}

impl Served {
    fn first(content: &Content, hops: &Hops) -> Self {
        let content = Part::new(content.clone());
        let revision = Revision::next(None, &content, hops, 0).expect("a revision");
        let mut served = Self {
            publisher: Publisher::new(Memory::new()),
            layout: Layout::of(&revision, None).expect("a layout"),
            facts: facts(&revision, 1),
            revision,
        };
        served.publish();
        served
    }

    fn publish(&mut self) -> Published {
        let published = self.publisher.publish(&self.layout, &self.facts, |_, _| Ok(()));
        published.expect("a kernel with room")
    }

    fn next(&mut self, content: &Part<Content>, hops: &Hops) -> Published {
        self.revision = Revision::next(Some(&self.revision), content, hops, 0).expect("a revision");
        self.layout = Layout::of(&self.revision, Some(&self.layout)).expect("a layout");
        self.facts = facts(&self.revision, self.facts.revision + 1);
        self.publish()
    }

    /// What another daemon finds.
    fn adopted(self) -> (Publisher<Memory>, Adopted) {
        let mut publisher = Publisher::new(self.publisher.kernel);
        let adopted = publisher.adopt().expect("a readable root");
        (publisher, adopted.expect("something published"))
    }
}

fn facts(revision: &Revision, number: u64) -> RootFacts {
    RootFacts {
        generation: 1,
        revision: number,
        digest: revision.state.content.digest(),
        state: revision.state.digest(),
    }
}

/// VIP chunks and root, once for each of the two roots.
const ROOTS: u32 = 4;

#[test]
fn what_was_published_is_adopted_and_shared_from_then_on() {
    let hops = hops(&content());
    let served = Served::first(&content(), &hops);
    let (revision, layout, facts) = (served.revision.clone(), served.layout.tables.clone(), served.facts);
    let (mut publisher, adopted) = served.adopted();
    assert!(!adopted.damaged);
    assert_eq!((adopted.revision, adopted.facts), (revision.clone(), facts));
    let again = Layout::of(&revision, None).expect("a layout");
    assert_eq!(again.tables, layout);
    let published = publisher.publish(&again, &facts, |_, _| Ok(()));
    assert_eq!(published.expect("a kernel with room").written, ROOTS);
}

#[test]
fn alias_with_another_chunk_is_damage() {
    let served = Served::first(&content(), &hops(&content()));
    let other = Served::first(&content(), &Hops::new());
    let pair = *served.publisher.shared.values().next().expect("shared chunks");
    let foreign = other.publisher.kernel.slots.borrow()[&pair.slot].clone();
    served
        .publisher
        .kernel
        .slots
        .borrow_mut()
        .insert(pair.alias, (9_999, foreign.1));
    let (_, adopted) = served.adopted();
    assert!(adopted.damaged);
}

#[test]
fn slots_are_looked_at_one_by_one_where_there_is_no_time_for_all() {
    let served = Served::first(&content(), &hops(&content()));
    let slots = served.publisher.in_use.len();
    let emptied = *served.publisher.in_use.last().expect("slots");
    served.publisher.kernel.slots.borrow_mut().remove(&emptied);
    let (mut next, mut found) = (Some(0), Vec::new());
    let mut looks = 0;
    while let Some(from) = next {
        let (damaged, then) = served.publisher.damage_from(from, || false).expect("a kernel");
        found.extend(damaged);
        next = then;
        looks += 1;
    }
    assert_eq!((looks, found), (slots, vec![emptied]));
    let (damaged, next) = served.publisher.damage_from(0, || true).expect("a kernel");
    assert_eq!((damaged, next), (vec![emptied], None));
}

#[test]
fn publish_that_fails_half_way_leaves_nothing_behind() {
    let hops = hops(&content());
    let mut served = Served::first(&content(), &hops);
    let before: Vec<ChunkId> = served.publisher.kernel.occupied().expect("memory");
    let active = served.publisher.kernel.active();
    served.publisher.shared.clear();
    for room in 0..6 {
        served.publisher.kernel.room.set(room);
        let failed = served.publisher.publish(&served.layout, &served.facts, |_, _| Ok(()));
        assert!(matches!(failed, Err(PublishError::Kernel(KernelError::ReadBack))));
    }
    served.publisher.collect().expect("memory");
    assert_eq!(served.publisher.kernel.occupied().expect("memory"), before);
    assert_eq!(served.publisher.kernel.active(), active);
}

#[test]
fn largest_revision_is_published_in_steps_and_a_changed_hop_costs_few_chunks() {
    let content = Part::new(largest());
    let mut hops = hops(&content);
    let mut served = Served::first(&content, &hops);
    let kernel = &served.publisher.kernel;
    assert!(kernel.loose.get() <= 256, "each is a descriptor");
    assert!(
        served.publisher.in_use.len() < CHUNK_SLOTS as usize / 2,
        "two generations have room"
    );
    let vips = 2 * (served.layout.vip_children() as u32 + 2);

    let id = BackendId {
        pool: "p0500".to_owned(),
        backend: "b15757".to_owned(),
    };
    hops.insert(id, hop([2, 9, 9, 9, 9, 9]));
    let published = served.next(&content, &hops);
    // A chunk of members, one of the state, and what names them.
    assert_eq!(published.written, 2 + vips);
    let revision = served.revision.clone();
    let (_, adopted) = served.adopted();
    assert!(!adopted.damaged);
    assert_eq!(adopted.revision, revision);
}

#[test]
fn candidate_that_is_tried_out_is_seen_and_leaves_nothing_behind_even_where_there_is_no_room() {
    let mut served = Served::first(&content(), &hops(&content()));
    let before = served.publisher.kernel.occupied().expect("memory");
    let free = served.publisher.free_slots();
    let active = served.publisher.kernel.active();
    // Another content: no next hop is known.
    let other = Revision::next(Some(&served.revision), &served.revision.state.content, &Hops::new(), 9);
    let other = Layout::of(&other.expect("a revision"), Some(&served.layout)).expect("a layout");
    served.publisher.shared.clear();
    for room in [u32::MAX, 3, 0] {
        served.publisher.kernel.room.set(room);
        let tried = served.publisher.try_out(&other, &served.facts, |kernel, candidate| {
            let (_, root) = kernel.read_chunk(candidate.root()).expect("memory").expect("a root");
            assert!(kernel.active() == active && candidate != active);
            root.digest()
        });
        assert_eq!(tried.is_ok(), room == u32::MAX, "{room}");
        assert_eq!(served.publisher.kernel.occupied().expect("memory"), before, "{room}");
        assert_eq!(served.publisher.free_slots(), free, "{room}");
        assert_eq!(served.publisher.kernel.active(), active);
    }
}
