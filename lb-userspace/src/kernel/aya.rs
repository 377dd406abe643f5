//! The balancer in the real kernel: its program, maps and links.
//!
//! Everything is pinned below one directory, so that nothing depends on this
//! process: `prog/{balancer,plain,odd,agent}`, `maps/NAME`, `links/INTERFACE`,
//! `chunks/MAP_ID`.
mod links;
mod runs;
mod samples;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::{IpAddr, Ipv6Addr},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{
    maps::{Array, HashMap},
    programs::Xdp,
};
use lb_common::{
    abi::{
        active::Active,
        agent::Peers,
        chunk::{CHUNK_BYTES, CHUNK_SLOTS, ChunkId, GRACE_SLOT},
        counters::{Counter, FIRST_EVENT},
        hash_key::HashKey,
        node::Node,
        path_mtu::{PathMtu, PathMtuKey},
        programs::PROGRAMS,
    },
    verdict::FlowEvent,
};

use super::{
    ChunkImage, Kernel, KernelError,
    agent::PinnedAgent,
    beside, chunks,
    counts::Counts,
    held::Held,
    orphans,
    pins::{self, Plain, map_error, map_path, open_map, open_pin, program_error},
    private::PrivateInstance,
    sampler::{self, Sampler},
    sys,
    upgrade::{self, Object},
};

pub use self::{runs::Runs, watch::ChunkPins};

/// Maps of the balancer that are pinned.
pub const MAPS: [&str; 9] = [
    "CHUNKS", "ACTIVE", "COUNTERS", "HASH_KEY", "NODE", "FLOWS", "ANSWERS", "PATH_MTU", "PROGRAMS",
];

/// Programs that the balancer's calls, by their index in PROGRAMS.
pub const CALLED: [&str; PROGRAMS as usize] = ["plain", "odd"];

/// Maps of the agent that are pinned.
pub const AGENT_MAPS: [&str; 2] = ["PEERS", "AGENT_COUNTERS"];

/// Programs that are pinned.
pub const PROGRAM_PINS: [&str; 4] = ["balancer", "plain", "odd", "agent"];

/// The balancer's program and maps in the kernel.
pub struct KernelBalancer {
    directory: PathBuf,
    /// Two daemons must not publish into the same maps.
    lock: fs::File,
    /// All that is pinned but links and chunks.
    held: Held,
    /// Links by interface: while they are held, `rm` of a pin detaches nothing.
    links: BTreeMap<String, pins::HeldLink>,
    program: Xdp,
    /// The agent's program, pinned beside it for backends on this host and for
    /// test runs; kept open so that its maps can be written.
    agent: PinnedAgent,
    chunks: OwnedFd,
    /// What an emptied slot holds: the kernel has no batched delete for arrays
    /// of maps, and one by one each waits for a grace period.
    blank: OwnedFd,
    blank_id: u32,
    active: sys::ActiveCell,
    flows: sys::FlowCells,
    counters: Counts,
    /// What the programs of this build are loaded from.
    object: Object,
    /// A second instance with its own ACTIVE and counters, of this build's
    /// program; or why the kernel does not load it.
    private: Result<PrivateInstance, KernelError>,
    /// While traffic is sampled.
    sampler: Option<Sampler>,
}

/// A chunk, by descriptor.
pub struct KernelChunk(OwnedFd);

impl KernelBalancer {
    /// Opens what is pinned below `directory`, or loads and pins it. Nothing
    /// that is there is cleared.
    ///
    /// # Errors
    /// When the kernel refuses the program or a pin is of another kind.
    pub fn open(directory: &Path, object: Object) -> Result<Self, KernelError> {
        Self::open_locked(directory, object, pins::lock(directory)?)
    }

    /// The same, where the directory is ours already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_locked(directory: &Path, object: Object, lock: fs::File) -> Result<Self, KernelError> {
        pins::make_directories(directory)?;
        orphans::pin_again(directory)?;
        if let Some(misfit) = upgrade::misfit(&object, directory)? {
            return Err(KernelError::Layout {
                misfit,
                serving: upgrade::serving(directory),
            });
        }
        beside::settle(directory)?;
        upgrade::settle(directory)?;
        sampler::settle(directory)?;
        let pin = pins::program_path(directory, "balancer");
        let fresh = !pin.exists();
        if fresh {
            let maps = MAPS.map(|name| (name, map_path(directory, name)));
            pins::load_and_pin(object.bytes(), "balancer", &CALLED, &directory.join("prog"), &maps)?;
        }
        let private = PrivateInstance::load(&object, directory);
        let private = if fresh { Ok(private?) } else { private };
        let blank = sys::create_chunk().map_err(KernelError::call("BPF_MAP_CREATE"))?;
        sys::freeze(blank.as_fd()).map_err(KernelError::call("BPF_MAP_FREEZE"))?;
        Ok(Self {
            program: pins::open_program(&pin)?,
            agent: PinnedAgent::open(directory)?,
            chunks: open_pin(&map_path(directory, "CHUNKS"))?,
            blank_id: sys::map_id(blank.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?,
            blank,
            active: sys::ActiveCell::map(open_pin(&map_path(directory, "ACTIVE"))?)
                .map_err(KernelError::call("mmap"))?,
            flows: sys::FlowCells::map(open_pin(&map_path(directory, "FLOWS"))?).map_err(KernelError::call("mmap"))?,
            counters: Counts::open(directory)?,
            object,
            private,
            sampler: None,
            directory: directory.to_owned(),
            lock,
            held: watch::hold(directory)?,
            links: pins::held_links(directory),
        })
    }

    /// The directory of the pins, as it can be reached from here.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes the hash key, once: the map is frozen then. A key that is there
    /// stays.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn set_hash_key(&self, key: &HashKey) -> Result<(), KernelError> {
        if self.hash_key()? == HashKey::default() {
            let mut map: Array<_, Plain<HashKey>> =
                Array::try_from(open_map(&self.directory, "HASH_KEY")?).map_err(map_error)?;
            map.set(0, Plain(*key), 0).map_err(map_error)?;
        }
        let pin = open_pin(&map_path(&self.directory, "HASH_KEY"))?;
        match sys::freeze(pin.as_fd()) {
            // It is frozen already: Linux asks first whether it may be written.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && self.hash_key()? == *key => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
            frozen => frozen.map_err(KernelError::call("BPF_MAP_FREEZE")),
        }
    }

    /// The hash key in use; all zero: none yet.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn hash_key(&self) -> Result<HashKey, KernelError> {
        let map: Array<_, Plain<HashKey>> =
            Array::try_from(open_map(&self.directory, "HASH_KEY")?).map_err(map_error)?;
        Ok(map.get(&0, 0).map_err(map_error)?.0)
    }

    /// Says which interfaces and outer sources are ours.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn set_node(&self, node: &Node) -> Result<(), KernelError> {
        let mut map: Array<_, Plain<Node>> = Array::try_from(open_map(&self.directory, "NODE")?).map_err(map_error)?;
        map.set(0, Plain(*node), 0).map_err(map_error)
    }

    /// What [`Self::set_node`] wrote last.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn node(&self) -> Result<Node, KernelError> {
        let map: Array<_, Plain<Node>> = Array::try_from(open_map(&self.directory, "NODE")?).map_err(map_error)?;
        Ok(map.get(&0, 0).map_err(map_error)?.0)
    }

    /// The flows of dirty slots.
    #[must_use]
    pub const fn flows(&self) -> &sys::FlowCells {
        &self.flows
    }

    /// What ICMP errors said of the ways to backends.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn path_mtus(&self) -> Result<Vec<(IpAddr, PathMtu)>, KernelError> {
        let map: HashMap<_, Plain<PathMtuKey>, Plain<PathMtu>> =
            HashMap::try_from(open_map(&self.directory, "PATH_MTU")?).map_err(map_error)?;
        map.iter()
            .map(|entry| {
                let (Plain(key), Plain(path)) = entry.map_err(map_error)?;
                let address = Ipv6Addr::from(bytemuck::cast::<_, [u8; 16]>(key));
                Ok((address.to_canonical(), path))
            })
            .collect()
    }

    /// What [`Self::set_peers`] wrote last.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn peers(&self) -> Result<Peers, KernelError> {
        self.agent.peers()
    }

    /// Says whose packets the pinned agent takes.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn set_peers(&mut self, peers: &Peers) -> Result<(), KernelError> {
        self.agent.set_peers(peers)
    }

    /// The counters before `end`, each summed over the CPUs.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counters(&self, end: u32) -> Result<Vec<Counter>, KernelError> {
        self.counters.read(end)
    }

    /// Packets of old flows in dirty slots that found no room in FLOWS.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn flows_refused(&self) -> Result<u64, KernelError> {
        let index = FIRST_EVENT + FlowEvent::RefusedOld as u32;
        let counters = self.counters(index + 1)?;
        Ok(counters[index as usize].packets)
    }

    /// Id of the balancer's program.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn program_id(&self) -> Result<u32, KernelError> {
        Ok(self.program.info().map_err(program_error)?.id())
    }

    /// How long the balancer's program ran in all, and for how many packets, as
    /// far as BPF statistics were on.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn run(&self) -> Result<(std::time::Duration, u64), KernelError> {
        let program = self.program.fd().map_err(program_error)?;
        sys::program_run(program.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))
    }

    /// Id of the pinned agent's program.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn agent_id(&self) -> Result<u32, KernelError> {
        self.agent.program_id()
    }

    /// The pinned programs are the ones this daemon was built with.
    ///
    /// # Errors
    /// When the kernel does not say, or does not load ours.
    pub fn programs_are_ours(&self) -> Result<bool, KernelError> {
        let private = self.private()?;
        for name in CALLED.into_iter().chain(["balancer"]) {
            // One that is gone is no reason to load all anew: `missing_pin` says it.
            let Ok(pinned) = pins::open_program(&pins::program_path(&self.directory, name)) else {
                continue;
            };
            if pinned.info().map_err(program_error)?.tag() != private.tag(name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Why the kernel does not load this build's program.
    #[must_use]
    pub fn refusal(&self) -> Option<&KernelError> {
        self.private.as_ref().err()
    }

    fn private(&self) -> Result<&PrivateInstance, KernelError> {
        self.private.as_ref().map_err(|_| KernelError::NoRehearsal)
    }

    /// Puts this build's programs in the place of the pinned ones, on every link,
    /// without a packet missing one; after `steps` steps it stops, as a daemon does
    /// that ends there. Tells whether that was the end.
    ///
    /// # Errors
    /// When the kernel refuses; the next start goes back or on.
    pub fn upgrade(&mut self, steps: usize) -> Result<bool, KernelError> {
        let plan = upgrade::prepare(&self.object, &self.directory)?;
        for step in plan.iter().take(steps) {
            upgrade::take(step, &self.directory)?;
        }
        self.program = pins::open_program(&pins::program_path(&self.directory, "balancer"))?;
        self.held = watch::hold(&self.directory)?;
        Ok(plan.len() <= steps)
    }

    /// Id of a pinned map.
    ///
    /// # Errors
    /// When the pin is gone.
    pub fn map_id(&self, name: &str) -> Result<u32, KernelError> {
        let map = open_pin(&map_path(&self.directory, name))?;
        sys::map_id(map.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))
    }

    /// Id of the map in a slot of CHUNKS, and whether it is frozen.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn chunk_facts(&self, slot: ChunkId) -> Result<Option<(u32, bool)>, KernelError> {
        let Some(id) = self.slot_map(slot)? else {
            return Ok(None);
        };
        let map = chunks::open(&self.directory, id)?;
        let frozen = sys::is_frozen(map.as_fd()).map_err(KernelError::call("BPF_MAP_UPDATE_ELEM"))?;
        Ok(Some((id, frozen)))
    }

    /// The first pin that is not where it was put; `None`: all are.
    #[must_use]
    pub fn missing_pin(&self) -> Option<String> {
        let maps = MAPS.iter().map(|name| format!("maps/{name}"));
        let programs = PROGRAM_PINS.iter().map(|name| format!("prog/{name}"));
        let mut pins = maps.chain(programs);
        pins.find(|pin| !self.directory.join(pin).exists())
    }

    /// The slots that are not empty, with the ids of their maps.
    fn installed(&self) -> Result<BTreeMap<ChunkId, u32>, KernelError> {
        let mut installed = BTreeMap::new();
        for slot in 1..CHUNK_SLOTS as ChunkId {
            if let Some(id) = self.slot_map(slot)? {
                installed.insert(slot, id);
            }
        }
        Ok(installed)
    }

    /// Id of the map in a slot, unless it is the blank one.
    fn slot_map(&self, slot: ChunkId) -> Result<Option<u32>, KernelError> {
        let id = sys::map_id_in_slot(self.chunks.as_fd(), slot).map_err(KernelError::call("BPF_MAP_LOOKUP_ELEM"))?;
        Ok(id.filter(|&id| id != self.blank_id))
    }
}

impl Kernel for KernelBalancer {
    type Chunk = KernelChunk;

    fn create_chunk(&self, image: &ChunkImage) -> Result<KernelChunk, KernelError> {
        let chunk = sys::create_chunk().map_err(KernelError::call("BPF_MAP_CREATE"))?;
        sys::fill_chunk(chunk.as_fd(), image.bytes()).map_err(KernelError::call("mmap"))?;
        sys::freeze(chunk.as_fd()).map_err(KernelError::call("BPF_MAP_FREEZE"))?;
        // After the freeze: what is compared is what nobody can alter any more.
        if !sys::chunk_holds(chunk.as_fd(), image.bytes()).map_err(KernelError::call("mmap"))? {
            return Err(KernelError::ReadBack);
        }
        Ok(KernelChunk(chunk))
    }

    fn install(&self, installed: &[(ChunkId, &KernelChunk)]) -> Result<(), KernelError> {
        // Before anything leads to them: what is served can always be read back.
        for (_, chunk) in installed {
            chunks::pin(&self.directory, chunk.0.as_fd())?;
        }
        let maps: Vec<_> = installed.iter().map(|(slot, chunk)| (*slot, chunk.0.as_fd())).collect();
        sys::update_slots(self.chunks.as_fd(), &maps).map_err(KernelError::call("BPF_MAP_UPDATE_BATCH"))
    }

    fn clear(&self, slots: &[ChunkId]) -> Result<(), KernelError> {
        let held: Vec<Option<u32>> = slots
            .iter()
            .map(|slot| self.slot_map(*slot))
            .collect::<Result<_, _>>()?;
        let maps: Vec<_> = slots.iter().map(|slot| (*slot, self.blank.as_fd())).collect();
        sys::update_slots(self.chunks.as_fd(), &maps).map_err(KernelError::call("BPF_MAP_UPDATE_BATCH"))?;
        // A chunk's two slots are emptied together.
        held.into_iter()
            .flatten()
            .try_for_each(|id| chunks::forget(&self.directory, id))
    }

    fn grace_period(&self) -> Result<(), KernelError> {
        self.clear(&[GRACE_SLOT as ChunkId])
    }

    fn read_chunk(&self, slot: ChunkId) -> Result<Option<(KernelChunk, ChunkImage)>, KernelError> {
        let Some(id) = self.slot_map(slot)? else {
            return Ok(None);
        };
        let map = chunks::open(&self.directory, id)?;
        let image = read(map.as_fd())?;
        Ok(Some((KernelChunk(map), image)))
    }

    fn chunk_id(&self, slot: ChunkId) -> Result<Option<u32>, KernelError> {
        self.slot_map(slot)
    }

    fn keep_only(&self, slots: &BTreeSet<ChunkId>) -> Result<(), KernelError> {
        let kept = slots.iter().map(|slot| self.slot_map(*slot));
        let kept: Vec<Option<u32>> = kept.collect::<Result<_, _>>()?;
        let kept: BTreeSet<u32> = kept.into_iter().flatten().collect();
        let strays = chunks::strays(&self.directory, &kept)?;
        // Blank ones of daemons before are among them.
        if lists_slots_at_once()
            && let Ok(found) = sys::map_ids_in_slots(self.chunks.as_fd())
        {
            let stray = found
                .into_iter()
                .filter(|(_, id)| !kept.contains(id) && *id != self.blank_id);
            let blank: Vec<_> = stray.map(|(slot, _)| (slot, self.blank.as_fd())).collect();
            sys::update_slots(self.chunks.as_fd(), &blank).map_err(KernelError::call("BPF_MAP_UPDATE_BATCH"))?;
        }
        strays
            .into_iter()
            .try_for_each(|id| chunks::forget(&self.directory, id))
    }

    fn occupied(&self) -> Result<Vec<ChunkId>, KernelError> {
        Ok(self.installed()?.into_keys().collect())
    }

    fn active(&self) -> Active {
        Active(self.active.load())
    }

    fn switch(&self, active: Active) {
        self.active.store(active.0);
    }

    fn zero_counters(&self, indices: &[u16]) -> Result<(), KernelError> {
        self.counters.zero(indices)
    }
}

/// Linux 6.1 waits for a grace period after each slot that it is asked about, two
/// minutes for all of them; 6.18 does not.
fn lists_slots_at_once() -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    number().zip(number()).is_some_and(|version| version >= (6, 18))
}

fn read(chunk: BorrowedFd<'_>) -> Result<ChunkImage, KernelError> {
    let mut bytes = vec![0; CHUNK_BYTES];
    sys::read_chunk(chunk, &mut bytes).map_err(KernelError::call("mmap"))?;
    Ok(ChunkImage::from_bytes(&bytes))
}
