//! The real kernel: programs, maps, pins and links, through aya.
//!
//! Everything is pinned below one directory, so that nothing depends on this
//! process: `prog/{balancer,agent}`, `maps/NAME`, `links/INTERFACE`.
#![expect(unsafe_code, reason = "aya wants its own Pod, which is an unsafe trait")]

use std::{
    fs, io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, PerCpuArray, PerCpuValues},
    programs::{
        TestRun as _, TestRunOptions, Xdp,
        links::FdLink,
        xdp::XdpMode as AyaMode,
    },
};
use aya_obj::programs::XdpAttachType;
use lb_common::abi::{
    active::Active,
    agent::Peers,
    chunk::{CHUNK_BYTES, CHUNK_SLOTS, ChunkId, GRACE_SLOT},
    counters::{Counter, FIRST_FREE},
    hash_key::HashKey,
    interfaces::Interfaces,
};
use lb_common::verdict::Verdict;

use super::{
    ChunkImage, Kernel, KernelError,
    bpffs::{self, pin_name},
    sys,
};
use crate::config::XdpMode;

static BALANCER: &[u8] = aya::include_bytes_aligned!(concat!(env!("HOLDFAST_BPF_DIR"), "/balancer.o"));
static AGENT: &[u8] = aya::include_bytes_aligned!(concat!(env!("HOLDFAST_BPF_DIR"), "/agent.o"));

/// Maps of the balancer that are pinned.
pub const MAPS: [&str; 5] = ["CHUNKS", "ACTIVE", "COUNTERS", "HASH_KEY", "INTERFACES"];

/// A value of ours as aya wants it.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Plain<T>(T);

// SAFETY: bytemuck's Pod promises more than aya's asks for, and `Plain` is
// transparent.
unsafe impl<T: bytemuck::Pod> aya::Pod for Plain<T> {}

/// The balancer's program and maps in the kernel.
pub struct KernelBalancer {
    directory: PathBuf,
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
    counters: PerCpuArray<MapData, Plain<Counter>>,
    /// A second instance with its own ACTIVE and counters.
    private: PrivateInstance,
    /// Whether the programs were pinned already.
    pub adopted: bool,
}

/// A chunk, by descriptor.
pub struct KernelChunk(OwnedFd);

impl KernelBalancer {
    /// Opens what is pinned below `directory`, or loads and pins it. Nothing
    /// that is there is cleared.
    ///
    /// # Errors
    /// When the kernel refuses the program or a pin is of another kind.
    pub fn open(directory: &Path) -> Result<Self, KernelError> {
        for part in ["prog", "maps", "links"] {
            make_directory(&directory.join(part))?;
        }
        let pin = directory.join("prog/balancer");
        let adopted = pin.exists();
        if !adopted {
            load_balancer(directory, &pin)?;
        }
        let map = |name: &str| open_map(directory, name);
        let blank = sys::create_chunk().map_err(KernelError::call("BPF_MAP_CREATE"))?;
        sys::freeze(blank.as_fd()).map_err(KernelError::call("BPF_MAP_FREEZE"))?;
        Ok(Self {
            program: Xdp::from_pin(&pin, XdpAttachType::Interface).map_err(program_error)?,
            agent: PinnedAgent::open(directory)?,
            chunks: open_pin(&map_path(directory, "CHUNKS"))?,
            blank_id: sys::map_id(blank.as_fd()).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))?,
            blank,
            active: sys::ActiveCell::map(open_pin(&map_path(directory, "ACTIVE"))?)
                .map_err(KernelError::call("mmap"))?,
            counters: PerCpuArray::try_from(map("COUNTERS")?).map_err(map_error)?,
            private: PrivateInstance::load(directory)?,
            directory: directory.to_owned(),
            adopted,
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
        if self.hash_key()? != HashKey::default() {
            return Ok(());
        }
        let mut map: Array<_, Plain<HashKey>> =
            Array::try_from(open_map(&self.directory, "HASH_KEY")?).map_err(map_error)?;
        map.set(0, Plain(*key), 0).map_err(map_error)?;
        let pin = open_pin(&map_path(&self.directory, "HASH_KEY"))?;
        sys::freeze(pin.as_fd()).map_err(KernelError::call("BPF_MAP_FREEZE"))
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

    /// Says which interfaces are ours.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn set_interfaces(&self, interfaces: &Interfaces) -> Result<(), KernelError> {
        let mut map: Array<_, Plain<Interfaces>> =
            Array::try_from(open_map(&self.directory, "INTERFACES")?).map_err(map_error)?;
        map.set(0, Plain(*interfaces), 0).map_err(map_error)
    }

    /// Says whose packets the pinned agent takes.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn set_peers(&mut self, peers: &Peers) -> Result<(), KernelError> {
        self.agent.set_peers(peers)
    }

    /// A counter, summed over the CPUs.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counter(&self, index: u16) -> Result<Counter, KernelError> {
        let values = self.counters.get(&u32::from(index), 0).map_err(map_error)?;
        Ok(values.iter().fold(Counter::default(), |sum, Plain(one)| Counter {
            packets: sum.packets + one.packets,
            bytes: sum.bytes + one.bytes,
        }))
    }

    /// Id of the balancer's program.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn program_id(&self) -> Result<u32, KernelError> {
        Ok(self.program.info().map_err(program_error)?.id())
    }

    /// Id of the pinned agent's program.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn agent_id(&self) -> Result<u32, KernelError> {
        Ok(self.agent.program.info().map_err(program_error)?.id())
    }

    /// The pinned program is the one this daemon was built with.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn program_is_ours(&self) -> Result<bool, KernelError> {
        let pinned = self.program.info().map_err(program_error)?.tag();
        Ok(pinned == self.private.program()?.info().map_err(program_error)?.tag())
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
        let map = sys::map_by_id(id).map_err(KernelError::call("BPF_MAP_GET_FD_BY_ID"))?;
        let frozen = sys::is_frozen(map.as_fd()).map_err(KernelError::call("BPF_MAP_UPDATE_ELEM"))?;
        Ok(Some((id, frozen)))
    }

    /// Runs a packet through the private instance as if `active` were
    /// published: the action (`XDP_TX`, … as the kernel numbers them) and the
    /// packet after it. Counters that anybody sees are not touched.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn test_run(&self, active: Active, packet: &[u8]) -> Result<(u32, Vec<u8>), KernelError> {
        self.private.run(active, packet)
    }

    /// The same, with the verdict that was counted.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn explain(&self, active: Active, packet: &[u8]) -> Result<(Verdict, u32, Vec<u8>), KernelError> {
        let before = self.private.verdicts()?;
        let (action, output) = self.private.run(active, packet)?;
        let after = self.private.verdicts()?;
        let counted = before.iter().zip(&after).position(|(before, after)| before != after);
        let verdict = counted.and_then(|number| Verdict::ALL.get(number).copied());
        Ok((verdict.ok_or(KernelError::Missing("counted verdict"))?, action, output))
    }

    /// Attaches the program and pins the link, so that it outlives us.
    ///
    /// # Errors
    /// When another program is attached (EBUSY), or the driver cannot do native
    /// XDP (EOPNOTSUPP): never replaced by generic mode silently.
    pub fn attach(&mut self, interface: &str, ifindex: u32, mode: XdpMode) -> Result<(), KernelError> {
        attach(&mut self.program, &self.directory, interface, ifindex, mode)
    }

    /// Takes the program off an interface and removes the pin.
    ///
    /// # Errors
    /// When there is no link of ours, or the kernel refuses.
    pub fn detach(&self, interface: &str) -> Result<(), KernelError> {
        let pin = link_path(&self.directory, interface);
        let link = open_pin(&pin)?;
        sys::detach_link(link.as_fd()).map_err(KernelError::call("BPF_LINK_DETACH"))?;
        fs::remove_file(&pin).map_err(KernelError::call("unlink"))
    }

    /// The pinned link of an interface; `None`: there is none.
    ///
    /// # Errors
    /// When the pin is not a link.
    pub fn link(&self, interface: &str) -> Result<Option<sys::LinkFacts>, KernelError> {
        link_at(&link_path(&self.directory, interface))
    }

    /// Interfaces with a pinned link of ours.
    #[must_use]
    pub fn linked_interfaces(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.directory.join("links")) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.map(|name| bpffs::interface_of(&name)).collect()
    }

    /// Forgets a link that is attached to nothing (its interface is gone).
    ///
    /// # Errors
    /// When the pin cannot be removed.
    pub fn forget_link(&self, interface: &str) -> Result<(), KernelError> {
        fs::remove_file(link_path(&self.directory, interface)).map_err(KernelError::call("unlink"))
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
        if read(chunk.as_fd())? != *image {
            return Err(KernelError::ReadBack);
        }
        Ok(KernelChunk(chunk))
    }

    fn install(&self, chunks: &[(ChunkId, &KernelChunk)]) -> Result<(), KernelError> {
        let maps: Vec<_> = chunks.iter().map(|(slot, chunk)| (*slot, chunk.0.as_fd())).collect();
        sys::update_slots(self.chunks.as_fd(), &maps).map_err(KernelError::call("BPF_MAP_UPDATE_BATCH"))
    }

    fn clear(&self, slots: &[ChunkId]) -> Result<(), KernelError> {
        let maps: Vec<_> = slots.iter().map(|slot| (*slot, self.blank.as_fd())).collect();
        sys::update_slots(self.chunks.as_fd(), &maps).map_err(KernelError::call("BPF_MAP_UPDATE_BATCH"))
    }

    fn grace_period(&self) -> Result<(), KernelError> {
        self.clear(&[GRACE_SLOT as ChunkId])
    }

    fn read_chunk(&self, slot: ChunkId) -> Result<Option<(KernelChunk, ChunkImage)>, KernelError> {
        let Some(id) = self.slot_map(slot)? else {
            return Ok(None);
        };
        let map = sys::map_by_id(id).map_err(KernelError::call("BPF_MAP_GET_FD_BY_ID"))?;
        let image = read(map.as_fd())?;
        Ok(Some((KernelChunk(map), image)))
    }

    fn occupied(&self) -> Result<Vec<ChunkId>, KernelError> {
        let mut slots = Vec::new();
        for slot in 1..CHUNK_SLOTS as ChunkId {
            if self.slot_map(slot)?.is_some() {
                slots.push(slot);
            }
        }
        Ok(slots)
    }

    fn active(&self) -> Active {
        Active(self.active.load())
    }

    fn switch(&self, active: Active) {
        self.active.store(active.0);
    }

    fn zero_counters(&self, indices: &[u16]) -> Result<(), KernelError> {
        let mut map: PerCpuArray<_, Plain<Counter>> =
            PerCpuArray::try_from(open_map(&self.directory, "COUNTERS")?).map_err(map_error)?;
        let cpus = aya::util::nr_cpus().map_err(|(_, source)| KernelError::Call { call: "possible CPUs", source })?;
        for index in indices {
            let zero = PerCpuValues::try_from(vec![Plain(Counter::default()); cpus])
                .map_err(KernelError::call("possible CPUs"))?;
            map.set(u32::from(*index), zero, 0).map_err(map_error)?;
        }
        Ok(())
    }
}

/// The balancer's program once more, sharing CHUNKS, HASH_KEY and INTERFACES,
/// with an ACTIVE and verdict counters of its own.
struct PrivateInstance {
    ebpf: Ebpf,
}

impl PrivateInstance {
    fn load(directory: &Path) -> Result<Self, KernelError> {
        let shared = ["CHUNKS", "HASH_KEY", "INTERFACES"].map(|name| (name, map_path(directory, name)));
        let mut loader = EbpfLoader::new();
        for (name, path) in &shared {
            loader.map_pin_path(name, path.as_path());
        }
        // Verdicts only: VIP and member indices fall outside, uncounted.
        loader.map_max_entries("COUNTERS", FIRST_FREE);
        let mut ebpf = loader.load(BALANCER).map_err(load_error)?;
        program_mut(&mut ebpf, "balancer")?.load().map_err(program_error)?;
        Ok(Self { ebpf })
    }

    fn program(&self) -> Result<&Xdp, KernelError> {
        let program = self.ebpf.program("balancer").ok_or(KernelError::Missing("balancer"))?;
        program.try_into().map_err(program_error)
    }

    fn map(&self, name: &'static str) -> Result<&Map, KernelError> {
        self.ebpf.map(name).ok_or(KernelError::Missing(name))
    }

    fn run(&self, active: Active, packet: &[u8]) -> Result<(u32, Vec<u8>), KernelError> {
        let Map::Array(map) = self.map("ACTIVE")? else {
            return Err(KernelError::Missing("ACTIVE"));
        };
        let cell = sys::ActiveCell::map(map.fd()).map_err(KernelError::call("mmap"))?;
        cell.store(active.0);
        let mut output = vec![0; packet.len() + 256];
        let result = self
            .program()?
            .test_run(TestRunOptions { data_in: Some(packet), data_out: Some(&mut output), ..TestRunOptions::new() })
            .map_err(program_error)?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value, output))
    }

    fn verdicts(&self) -> Result<Vec<u64>, KernelError> {
        let map: PerCpuArray<_, Plain<Counter>> = PerCpuArray::try_from(self.map("COUNTERS")?).map_err(map_error)?;
        (0..FIRST_FREE)
            .map(|index| Ok(map.get(&index, 0).map_err(map_error)?.iter().map(|one| one.0.packets).sum()))
            .collect()
    }
}

/// The agent's program and the map that says whom it trusts.
pub struct PinnedAgent {
    directory: PathBuf,
    program: Xdp,
}

impl PinnedAgent {
    /// Opens the pinned agent, or loads and pins it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn open(directory: &Path) -> Result<Self, KernelError> {
        for part in ["prog", "maps", "links"] {
            make_directory(&directory.join(part))?;
        }
        let pin = directory.join("prog/agent");
        if !pin.exists() {
            let maps = ["PEERS", "AGENT_COUNTERS"].map(|name| (name, map_path(directory, name)));
            load_and_pin(AGENT, "agent", &maps, &pin)?;
        }
        let program = Xdp::from_pin(&pin, XdpAttachType::Interface).map_err(program_error)?;
        Ok(Self { directory: directory.to_owned(), program })
    }

    /// # Errors
    /// When the map cannot be written.
    pub fn set_peers(&mut self, peers: &Peers) -> Result<(), KernelError> {
        let mut map: Array<_, Plain<Peers>> =
            Array::try_from(open_map(&self.directory, "PEERS")?).map_err(map_error)?;
        map.set(0, Plain(*peers), 0).map_err(map_error)
    }

    /// Attaches the agent and pins the link; a link that is there stays.
    ///
    /// # Errors
    /// As for the balancer.
    pub fn attach(&mut self, interface: &str, ifindex: u32, mode: XdpMode) -> Result<(), KernelError> {
        let pin = link_path(&self.directory, interface);
        match link_at(&pin)? {
            Some(facts) if facts.ifindex == ifindex => return Ok(()),
            Some(_) => fs::remove_file(&pin).map_err(KernelError::call("unlink"))?,
            None => {}
        }
        attach(&mut self.program, &self.directory, interface, ifindex, mode)
    }

    /// # Errors
    /// When the kernel does not say.
    pub fn program_id(&self) -> Result<u32, KernelError> {
        Ok(self.program.info().map_err(program_error)?.id())
    }
}

fn load_balancer(directory: &Path, pin: &Path) -> Result<(), KernelError> {
    load_and_pin(BALANCER, "balancer", &MAPS.map(|name| (name, map_path(directory, name))), pin)
}

fn load_and_pin(
    object: &[u8],
    name: &'static str,
    maps: &[(&'static str, PathBuf)],
    pin: &Path,
) -> Result<(), KernelError> {
    let mut loader = EbpfLoader::new();
    for (map, path) in maps {
        loader.map_pin_path(map, path.as_path());
    }
    let mut ebpf = loader.load(object).map_err(load_error)?;
    let program = program_mut(&mut ebpf, name)?;
    program.load().map_err(program_error)?;
    program.pin(pin).map_err(|source| KernelError::Pin { path: pin.to_owned(), source: Box::new(source) })
}

fn attach(
    program: &mut Xdp,
    directory: &Path,
    interface: &str,
    ifindex: u32,
    mode: XdpMode,
) -> Result<(), KernelError> {
    let mode = match mode {
        XdpMode::Native => AyaMode::Driver,
        XdpMode::Generic => AyaMode::Skb,
    };
    let id = program.attach_to_if_index(ifindex, mode).map_err(program_error)?;
    let link = program.take_link(id).map_err(program_error)?;
    let link: FdLink = link.try_into().map_err(|_| KernelError::NoLink)?;
    let path = link_path(directory, interface);
    // The pin holds the link from here on; our descriptor may go.
    drop(link.pin(&path).map_err(|source| KernelError::Pin { path, source: Box::new(source) })?);
    Ok(())
}

fn read(chunk: BorrowedFd<'_>) -> Result<ChunkImage, KernelError> {
    let mut bytes = vec![0; CHUNK_BYTES];
    sys::read_chunk(chunk, &mut bytes).map_err(KernelError::call("mmap"))?;
    Ok(ChunkImage::from_bytes(&bytes))
}

fn link_at(pin: &Path) -> Result<Option<sys::LinkFacts>, KernelError> {
    match sys::open_pin(pin) {
        Ok(link) => sys::link_facts(link.as_fd()).map(Some).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KernelError::Call { call: "BPF_OBJ_GET", source }),
    }
}

fn make_directory(path: &Path) -> Result<(), KernelError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(KernelError::Bpffs { path: path.to_owned(), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn map_path(directory: &Path, name: &str) -> PathBuf {
    directory.join("maps").join(name)
}

fn link_path(directory: &Path, interface: &str) -> PathBuf {
    directory.join("links").join(pin_name(interface))
}

fn open_pin(path: &Path) -> Result<OwnedFd, KernelError> {
    sys::open_pin(path).map_err(KernelError::call("BPF_OBJ_GET"))
}

/// A pinned map of the kind its name says.
fn open_map(directory: &Path, name: &str) -> Result<Map, KernelError> {
    let map = MapData::from_pin(map_path(directory, name)).map_err(map_error)?;
    Map::from_map_data(map).map_err(map_error)
}

fn program_mut<'e>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut Xdp, KernelError> {
    ebpf.program_mut(name).ok_or(KernelError::Missing(name))?.try_into().map_err(program_error)
}

fn load_error(error: aya::EbpfError) -> KernelError {
    KernelError::Load(Box::new(error))
}

fn program_error(error: aya::programs::ProgramError) -> KernelError {
    KernelError::Program(Box::new(error))
}

fn map_error(error: aya::maps::MapError) -> KernelError {
    KernelError::Map(Box::new(error))
}
