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

mod draft;
mod found;
mod steps;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use lb_common::abi::{
    active::Active,
    chunk::{CHUNK_SLOTS, ChunkId},
};

pub use self::steps::Steps;
use self::{
    draft::Draft,
    found::{Found, Places},
    steps::Lap,
};
use crate::{
    digest::Digest,
    kernel::{Kernel, KernelError},
    layout::{Layout, NotARoot, RootFacts},
    past::Past,
    revision::Revision,
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
    /// The chunk that was put into each slot of `in_use`, as the kernel tells it from
    /// all others.
    chunks: BTreeMap<ChunkId, u32>,
    /// What was last switched to, or adopted.
    switched: Active,
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
    pub steps: Steps,
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
    /// What the kernel remembers beside it.
    pub past: Past,
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
            chunks: BTreeMap::new(),
            switched: Active::default(),
        }
    }

    pub const fn kernel(&self) -> &K {
        &self.kernel
    }

    pub const fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Reads what ACTIVE leads to; `None`: nothing was ever published. Slots
    /// that nothing names (a publish was cut short) are free.
    ///
    /// # Errors
    /// When neither root can be read. Nothing is changed then.
    pub fn adopt(&mut self) -> Result<Option<Adopted>, AdoptError> {
        let active = self.kernel.active();
        if active.is_empty() {
            // A first publish may have been cut short.
            self.kernel.keep_only(&BTreeSet::new())?;
            return Ok(None);
        }
        let (found, aliases) = match Found::read(&self.kernel, active.root()) {
            Ok(main) => {
                let aliases = main.aliases(&self.kernel, active.fallback_root());
                (main, aliases)
            }
            Err(error) => match Found::read(&self.kernel, active.fallback_root()) {
                Ok(other) => (other, None),
                Err(_) => return Err(error),
            },
        };
        let damaged = aliases.is_none();
        self.learn(active, &found, aliases.as_ref());
        self.switched = active;
        // What is in a damaged slot is not what was put there.
        if !damaged {
            self.remember_chunks()?;
        }
        if damaged {
            // Packets may still be led to others by the root that is damaged.
            self.in_use.extend(self.kernel.occupied()?);
            self.shared.clear();
        } else {
            // The daemon before may have switched away from others just now.
            self.kernel.grace_period()?;
            self.kernel.keep_only(&self.in_use)?;
        }
        Ok(Some(Adopted {
            facts: found.facts,
            revision: found.revision,
            past: found.past,
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
        let (mut lap, mut steps) = (Lap::since(began), Steps::default());
        self.collect()?;
        steps.collect = lap.cut();
        let mut draft = Draft::new(self);
        let filled = draft.fill(layout, facts);
        let drafted = draft.end();
        steps.install = drafted.installing;
        steps.chunks = lap.cut().saturating_sub(steps.install);
        let ready = filled.and_then(|active| {
            rehearse(&self.kernel, active).map_err(PublishError::Rehearsal)?;
            Ok(active)
        });
        steps.rehearse = lap.cut();
        let active = match ready {
            Ok(active) => active,
            Err(error) => {
                // Never switched to: they are emptied the next time.
                self.retired.extend(drafted.installed);
                return Err(error);
            }
        };
        self.kernel.switch(active);
        steps.switch = lap.cut();
        let took = began.elapsed();

        let reused = drafted
            .shared
            .keys()
            .filter(|key| self.shared.contains_key(key))
            .count();
        let published = Published {
            written: drafted.written,
            shared: reused as u32,
            took,
            steps,
        };
        self.retired.extend(self.in_use.difference(&drafted.named));
        self.in_use = drafted.named;
        self.shared = drafted.shared;
        self.switched = active;
        // Only `drift` asks for them: what is served is served.
        if let Err(error) = self.remember_chunks() {
            tracing::debug!(%error, "the chunks that were installed are not known");
        }
        Ok(published)
    }

    /// Puts a revision into the kernel where nothing leads to it, lets `look` see
    /// it, and takes it out again.
    ///
    /// # Errors
    /// When it could not be put there, or not be taken out: then it is emptied
    /// like an earlier revision the next time.
    pub fn try_out<R>(
        &mut self,
        layout: &Layout,
        facts: &RootFacts,
        look: impl FnOnce(&K, Active) -> R,
    ) -> Result<R, PublishError> {
        self.collect()?;
        let mut draft = Draft::new(self);
        let filled = draft.fill(layout, facts);
        let drafted = draft.end();
        let looked = filled.map(|active| look(&self.kernel, active));
        self.retired.extend(drafted.installed);
        self.collect()?;
        looked
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

    /// Slots that ACTIVE leads to and that somebody emptied, or put something else
    /// into.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn damage(&self) -> Result<Vec<ChunkId>, KernelError> {
        Ok(self.damage_from(0, || true)?.0)
    }

    /// The same of slots from `from` on, while there is `time_left`: of one at least. Also
    /// the slot that was not looked at any more, for the next time; `None`: all were.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn damage_from(
        &self,
        from: ChunkId,
        time_left: impl Fn() -> bool,
    ) -> Result<(Vec<ChunkId>, Option<ChunkId>), KernelError> {
        let mut damaged = Vec::new();
        let mut slots = self.in_use.range(from..).peekable();
        while let Some(slot) = slots.next() {
            let found = self.kernel.chunk_id(*slot)?;
            let expected = self.chunks.get(slot);
            if found.is_none() || expected.is_some_and(|expected| found != Some(*expected)) {
                damaged.push(*slot);
            }
            if slots.peek().is_some() && !time_left() {
                break;
            }
        }
        Ok((damaged, slots.next().copied()))
    }

    /// The chunks that are installed, as the kernel tells them apart.
    #[must_use]
    pub fn chunks(&self) -> BTreeSet<u32> {
        self.chunks.values().copied().collect()
    }

    /// ACTIVE leads to what was switched to last.
    #[must_use]
    pub fn active_is_ours(&self) -> bool {
        self.switched.is_empty() || self.kernel.active() == self.switched
    }

    /// Whatever is published next is written anew.
    pub fn forget_shared(&mut self) {
        self.shared.clear();
    }

    /// Switches once more to what was switched to last.
    pub fn restore_active(&self) {
        self.kernel.switch(self.switched);
    }

    /// New slots only: what was shared is where it was.
    fn remember_chunks(&mut self) -> Result<(), KernelError> {
        self.chunks.retain(|slot, _| self.in_use.contains(slot));
        for slot in &self.in_use {
            if !self.chunks.contains_key(slot)
                && let Some(chunk) = self.kernel.chunk_id(*slot)?
            {
                self.chunks.insert(*slot, chunk);
            }
        }
        Ok(())
    }

    /// Slots that nothing names now.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        CHUNK_SLOTS as usize - 1 - self.in_use.len() - self.retired.len()
    }

    fn learn(&mut self, active: Active, found: &Found, aliases: Option<&Places>) {
        let roots = [
            active.root(),
            active.vips(),
            active.fallback_root(),
            active.fallback_vips(),
        ];
        self.in_use = roots.into_iter().filter(|slot| *slot != 0).collect();
        self.in_use.extend(found.slots());
        self.in_use
            .extend(aliases.into_iter().flat_map(Places::values).copied());
        self.shared = aliases.map(|aliases| found.pairs(aliases)).unwrap_or_default();
    }
}
