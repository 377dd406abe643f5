//! What another process of root may want to do to the daemon's maps, links and pins, and to those
//! of others.

use std::{
    env, fs, io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::{
    maps::{Array, HashMap, Map, MapData},
    programs::loaded_programs,
};
use aya_obj::generated::bpf_prog_type;
use holdfast::kernel::sys;
use lb_common::abi::{
    chunk::CHUNK_BYTES,
    path_mtu::{PathMtu, PathMtuKey},
};
use rustix::{
    fs::CWD,
    mount::{
        FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
        UnmountFlags, fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag, fsmount, fsopen, fspick, mount,
        mount_bind, mount_change, mount_remount, move_mount, unmount,
    },
};
use support::{
    addresses::{CLIENT_HOSTS, ENCAP_SOURCE, Family, client},
    config::DATAGRAMS,
    datagrams::{DatagramShape, Datagrams, SHORT},
    rig::Rig,
    vm::wire::{Attempt, Attempted, Attempts},
};

/// Datagrams that go through meanwhile, and how long before the first attempt and after the last.
const PER_SECOND: u32 = 40;
const AROUND: Duration = Duration::from_millis(500);

/// A slot of CHUNKS that nothing is served from.
const EMPTY_SLOT: u16 = 16_000;
/// Bytes of an entry of ANSWERS on one CPU, which is all there are.
const ANSWER: usize = 8;

/// What this program is called with to empty slots of the map that is its input, and
/// to end with the error's number.
pub const WIPE: &str = "wipe";

/// Empties a slot that nothing is served from, of a map that was inherited.
pub fn wipe_inherited() -> ExitCode {
    let wiped = sys::delete_slot(io::stdin().as_fd(), EMPTY_SLOT);
    let number = wiped.err().map_or(0, |error| error.raw_os_error().unwrap_or(255));
    u8::try_from(number).unwrap_or(u8::MAX).into()
}

/// Another process, which inherits a descriptor of CHUNKS, does so.
fn bequeath(chunks: &OwnedFd) -> Result<()> {
    let mut child = Command::new(env::current_exe()?);
    let status = child.arg(WIPE).stdin(chunks.try_clone()?).status()?;
    match status.code().context("a signal ended it")? {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number).into()),
    }
}

/// Descriptors of what is the daemon's, from before there was a guard.
#[derive(Debug)]
pub struct Held {
    chunks: OwnedFd,
    answers: OwnedFd,
    active: OwnedFd,
    link: OwnedFd,
}

impl Held {
    pub fn open(pins: &Path) -> io::Result<Self> {
        Ok(Self {
            chunks: sys::open_pin(&pins.join("maps/CHUNKS"))?,
            answers: sys::open_pin(&pins.join("maps/ANSWERS"))?,
            active: sys::open_pin(&pins.join("maps/ACTIVE"))?,
            link: sys::open_pin(&pins.join("links/lb1"))?,
        })
    }
}

/// Makes them, while datagrams go through the balancer.
pub fn make(rig: &Rig, held: Option<&Held>, what: Attempts) -> Result<Attempted> {
    let shape = DatagramShape {
        target: DATAGRAMS.v4(),
        // Each is asked for answers all the time, by a processor that is slow.
        sources: CLIENT_HOSTS.take(4).map(|host| client(host).of(Family::V4)).collect(),
        length: SHORT,
        per_second: PER_SECOND,
        at_most: u64::MAX,
    };
    let load = Datagrams::start(&rig.network.client, shape)?;
    thread::sleep(AROUND);
    let mut log = Log::default();
    let pins = &rig.installation.pins;
    match what {
        Attempts::Harm => harm(&mut log, pins, held.context("nothing is held")?)?,
        Attempts::Touch => touch(&mut log, pins, held)?,
        Attempts::Foreign => foreign(&mut log, rig)?,
    }
    thread::sleep(AROUND);
    let report = load.stop()?;
    let programs = loaded_programs().filter(|program| {
        let kind = program.as_ref().map(aya::programs::ProgramInfo::program_type);
        matches!(kind, Ok(bpf_prog_type::BPF_PROG_TYPE_LSM))
    });
    Ok(Attempted {
        attempts: log.0,
        sent: report.sent,
        answered: report.answered,
        programs: programs.count(),
    })
}

#[derive(Default)]
struct Log(Vec<Attempt>);

impl Log {
    /// On the daemon's.
    fn ours<T>(&mut self, deed: &str, what: &str, done: impl FnOnce() -> Result<T>) {
        self.note(Some(deed), what, done().map(drop));
    }

    /// On that of others.
    fn theirs<T>(&mut self, what: &str, done: impl FnOnce() -> Result<T>) {
        self.note(None, what, done().map(drop));
    }

    fn note(&mut self, deed: Option<&str>, what: &str, done: Result<()>) {
        let error = done.err().map(|error| {
            let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
            // An error that is none of the kernel's has no number, and is no refusal.
            causes.find_map(io::Error::raw_os_error).unwrap_or(0)
        });
        self.0.push(Attempt {
            what: what.to_owned(),
            deed: deed.map(str::to_owned),
            error,
        });
    }
}

fn by_id(map: &Path) -> Result<OwnedFd> {
    let id = sys::map_id(sys::open_pin(map)?.as_fd())?;
    Ok(sys::map_by_id(id)?)
}

fn array(map: OwnedFd) -> Result<Array<MapData, u64>> {
    Ok(Array::try_from(Map::Array(MapData::from_fd(map)?))?)
}

/// What a slip of bpftool, rm or a clean-up script would do.
fn harm(log: &mut Log, pins: &Path, held: &Held) -> Result<()> {
    let map = |name: &str| pins.join("maps").join(name);
    let link = |name: &str| pins.join("links").join(name);
    let chunk = sys::create_chunk()?;
    let wipe = |outer: &OwnedFd| {
        Ok(sys::update_slots(
            outer.as_fd(),
            &[(1, chunk.as_fd()), (2, chunk.as_fd())],
        )?)
    };

    log.ours("mapUpdate", "ACTIVE by id", || {
        Ok(array(by_id(&map("ACTIVE"))?)?.set(0, 0, 0)?)
    });
    log.ours("mapUpdate", "ACTIVE by its pin", || {
        Ok(array(sys::open_pin(&map("ACTIVE"))?)?.set(0, 0, 0)?)
    });
    log.ours("mapUpdate", "a batch of CHUNKS by id", || wipe(&by_id(&map("CHUNKS"))?));
    log.ours("mapUpdate", "a batch of CHUNKS by its pin", || {
        wipe(&sys::open_pin(&map("CHUNKS"))?)
    });
    log.ours("mapUpdate", "a batch of CHUNKS by an old descriptor", || {
        wipe(&held.chunks)
    });
    log.ours("mapDelete", "a slot of CHUNKS by id", || {
        Ok(sys::delete_slot(by_id(&map("CHUNKS"))?.as_fd(), 1)?)
    });
    log.ours("mapDelete", "a slot of CHUNKS by an old descriptor", || {
        Ok(sys::delete_slot(held.chunks.as_fd(), 1)?)
    });
    log.ours(
        "mapDelete",
        "a slot of CHUNKS by a descriptor that was inherited",
        || bequeath(&held.chunks),
    );
    log.ours("mapDelete", "an entry of PATH_MTU by its pin", || {
        let paths = MapData::from_pin(map("PATH_MTU"))?;
        let mut paths: HashMap<_, [u8; size_of::<PathMtuKey>()], [u8; size_of::<PathMtu>()]> =
            HashMap::try_from(Map::LruHashMap(paths))?;
        Ok(paths.remove(&[0; size_of::<PathMtuKey>()])?)
    });
    log.ours("mapFreeze", "CHUNKS", || Ok(sys::freeze(held.chunks.as_fd())?));
    log.ours("mapMemory", "ACTIVE by its pin", || {
        Ok(sys::ActiveCell::map(sys::open_pin(&map("ACTIVE"))?)?)
    });
    log.ours("mapMemory", "ACTIVE by an old descriptor", || {
        Ok(sys::ActiveCell::map(&held.active)?)
    });

    let agent = sys::open_pin(&pins.join("prog/agent"))?;
    log.ours("linkDetach", "lb0 by its pin", || {
        Ok(sys::detach_link(sys::open_pin(&link("lb0"))?.as_fd())?)
    });
    log.ours("linkDetach", "lb1 by an old descriptor", || {
        Ok(sys::detach_link(held.link.as_fd())?)
    });
    log.ours("linkUpdate", "another program on lb0", || {
        Ok(sys::update_link(sys::open_pin(&link("lb0"))?.as_fd(), agent.as_fd())?)
    });

    log.ours("unlink", "the pin of a link", || Ok(fs::remove_file(link("lb0"))?));
    log.ours("unlink", "the pin of a map", || Ok(fs::remove_file(map("CHUNKS"))?));
    log.ours("unlink", "the pin of a program", || {
        Ok(fs::remove_file(pins.join("prog/balancer"))?)
    });
    log.ours("rename", "the pin of a link", || {
        Ok(fs::rename(link("lb0"), link("x"))?)
    });
    log.ours("rename", "a pin out of the directory", || {
        Ok(fs::rename(map("CHUNKS"), pins.with_file_name("CHUNKS"))?)
    });
    log.ours("rename", "a directory of pins", || {
        Ok(fs::rename(pins.join("prog"), pins.join("old"))?)
    });
    log.ours("rename", "the directory of all", || {
        Ok(fs::rename(pins, pins.with_file_name("old"))?)
    });
    let stray = pins.with_file_name("stray");
    sys::pin(chunk.as_fd(), &stray)?;
    log.ours("rename", "another map over a pin", || {
        Ok(fs::rename(&stray, map("CHUNKS"))?)
    });
    fs::remove_file(&stray)?;
    log.ours("rmdir", "a directory of pins", || {
        Ok(fs::remove_dir(pins.join("chunks"))?)
    });
    log.ours("rmdir", "the directory of all", || Ok(fs::remove_dir(pins)?));
    log.ours("unmount", "the file system of the pins", || {
        Ok(unmount(mount_of(pins)?, UnmountFlags::DETACH).map_err(io::Error::from)?)
    });
    mounts(log, pins)
}

/// What other scripts mount: each once by mount(2), as util-linux did until 2.38, and by the calls
/// that it has used since then.
fn mounts(log: &mut Log, pins: &Path) -> Result<()> {
    let point = mount_of(pins)?;
    let over = |place: &Path| Ok(mount("bpf", place, "bpf", MountFlags::empty(), None).map_err(io::Error::from)?);
    log.ours("mount", "a bpffs over that of the pins", || over(point));
    log.ours("mount", "a bpffs over the pins", || over(pins));
    log.ours("mount", "a directory over pins", || {
        Ok(mount_bind(Path::new("/run"), pins.join("maps")).map_err(io::Error::from)?)
    });
    log.ours("mount", "a bpffs over that of the pins, made first", || {
        let made = || {
            let fresh = fsopen("bpf", FsOpenFlags::empty())?;
            fsconfig_create(fresh.as_fd())?;
            let fresh = fsmount(fresh.as_fd(), FsMountFlags::empty(), MountAttrFlags::empty())?;
            let from_itself = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            move_mount(fresh.as_fd(), "", CWD, point, from_itself)
        };
        Ok(made().map_err(io::Error::from)?)
    });
    log.ours("mount", "the file system of the pins, moved", || {
        let elsewhere = Path::new("/run/elsewhere");
        fs::create_dir_all(elsewhere)?;
        Ok(move_mount(CWD, point, CWD, elsewhere, MoveMountFlags::empty()).map_err(io::Error::from)?)
    });
    log.ours("mount", "the file system of the pins, read-only", || {
        Ok(mount_remount(point, MountFlags::RDONLY, "").map_err(io::Error::from)?)
    });
    log.ours("mount", "the mount of the pins, read-only", || {
        let only = MountFlags::RDONLY | MountFlags::BIND;
        Ok(mount_remount(point, only, "").map_err(io::Error::from)?)
    });
    log.ours("mount", "the file system of the pins, read-only, by fspick", || {
        let picked = || {
            let picked = fspick(CWD, point, FsPickFlags::empty())?;
            fsconfig_set_flag(picked.as_fd(), "ro")?;
            fsconfig_reconfigure(picked.as_fd())
        };
        Ok(picked().map_err(io::Error::from)?)
    });
    Ok(())
}

fn mount_of(pins: &Path) -> Result<&Path> {
    pins.parent().context("the pins are on no mount")
}

/// Writes that leave everything as it is.
fn touch(log: &mut Log, pins: &Path, held: Option<&Held>) -> Result<()> {
    let answers = pins.join("maps/ANSWERS");
    let touched = |map: &OwnedFd| Ok(sys::zero_entries(map.as_fd(), &[0], ANSWER)?);
    log.ours("mapUpdate", "ANSWERS by id", || touched(&by_id(&answers)?));
    log.ours("mapUpdate", "ANSWERS by its pin", || touched(&sys::open_pin(&answers)?));
    if let Some(held) = held {
        log.ours("mapUpdate", "ANSWERS by an old descriptor", || touched(&held.answers));
        log.ours("mapDelete", "an empty slot by an inherited descriptor", || {
            bequeath(&held.chunks)
        });
    }
    log.ours("mapDelete", "an empty slot of CHUNKS", || {
        Ok(sys::delete_slot(by_id(&pins.join("maps/CHUNKS"))?.as_fd(), EMPTY_SLOT)?)
    });
    log.ours("mapMemory", "ACTIVE", || {
        Ok(sys::ActiveCell::map(sys::open_pin(&pins.join("maps/ACTIVE"))?)?)
    });
    log.ours("linkUpdate", "the same program on lb0", || {
        let program = sys::open_pin(&pins.join("prog/balancer"))?;
        Ok(sys::update_link(
            sys::open_pin(&pins.join("links/lb0"))?.as_fd(),
            program.as_fd(),
        )?)
    });
    let (extra, moved) = (pins.join("prog/extra"), pins.join("prog/moved"));
    if !extra.exists() {
        sys::pin(sys::create_chunk()?.as_fd(), &extra)?;
    }
    log.ours("rename", "a pin that is nobody's", || {
        fs::rename(&extra, &moved)?;
        Ok(fs::rename(&moved, &extra)?)
    });
    log.ours("unlink", "a pin that is nobody's", || Ok(fs::remove_file(&extra)?));
    Ok(())
}

/// On things beside the daemon's, which never are refused.
fn foreign(log: &mut Log, rig: &Rig) -> Result<()> {
    let other = rig.installation.pins.with_file_name("other");
    let pin = other.join("map");
    log.theirs("mkdir beside", || Ok(fs::create_dir(&other)?));
    let map = sys::create_array(b"foreign", 8, 4)?;
    log.theirs("pin", || Ok(sys::pin(map.as_fd(), &pin)?));
    log.theirs("map update by id", || Ok(array(by_id(&pin)?)?.set(0, 1, 0)?));
    log.theirs("map update by its pin", || {
        Ok(array(sys::open_pin(&pin)?)?.set(1, 1, 0)?)
    });
    log.theirs("batch", || Ok(sys::zero_entries(map.as_fd(), &[0, 1], 8)?));
    log.theirs("freeze", || Ok(sys::freeze(map.as_fd())?));
    log.theirs("memory of a map", || {
        Ok(sys::fill_chunk(sys::create_chunk()?.as_fd(), &vec![1; CHUNK_BYTES])?)
    });
    log.theirs("delete of a slot", || {
        let inner = sys::create_chunk()?;
        let outer = sys::create_waiting(inner.as_fd())?;
        sys::update_slots(outer.as_fd(), &[(0, inner.as_fd())])?;
        Ok(sys::delete_slot(outer.as_fd(), 0)?)
    });
    log.theirs("rename", || Ok(fs::rename(&pin, other.join("moved"))?));
    log.theirs("unlink", || Ok(fs::remove_file(other.join("moved"))?));
    log.theirs("rmdir", || Ok(fs::remove_dir(&other)?));
    let elsewhere = Path::new("/run/other");
    fs::create_dir_all(elsewhere)?;
    log.theirs("mount of a bpffs", || {
        Ok(mount("bpf", elsewhere, "bpf", MountFlags::empty(), None).map_err(io::Error::from)?)
    });
    log.theirs("unmount of it", || {
        Ok(unmount(elsewhere, UnmountFlags::empty()).map_err(io::Error::from)?)
    });
    // The file system of the pins, mounted elsewhere, too, by a container.
    let pins = mount_of(&rig.installation.pins)?;
    log.theirs("bind mount", || {
        Ok(mount(pins, elsewhere, "", MountFlags::BIND, None).map_err(io::Error::from)?)
    });
    log.theirs("mount over that", || {
        Ok(mount("bpf", elsewhere, "bpf", MountFlags::empty(), None).map_err(io::Error::from)?)
    });
    log.theirs("unmount of what is over it", || {
        Ok(unmount(elsewhere, UnmountFlags::empty()).map_err(io::Error::from)?)
    });
    log.theirs("that alone read-only", || {
        let only = MountFlags::RDONLY | MountFlags::BIND;
        Ok(mount_remount(elsewhere, only, "").map_err(io::Error::from)?)
    });
    log.theirs("unmount of that", || {
        Ok(unmount(elsewhere, UnmountFlags::empty()).map_err(io::Error::from)?)
    });
    // As systemd does for each service, of everything that is mounted.
    log.theirs("another way of sharing the mount of the pins", || {
        let shared = MountPropagationFlags::SHARED;
        Ok(mount_change(pins, shared).map_err(io::Error::from)?)
    });

    // The agent of a backend, whose pins are no daemon's.
    let host = &rig.network.backends[0];
    let agent = rig.directory().join("bpf").join(format!("agent-{}", host.name));
    log.theirs("link update", || {
        let program = sys::open_pin(&agent.join("prog/agent"))?;
        let link = sys::open_pin(&agent.join("links/eth0"))?;
        Ok(sys::update_link(link.as_fd(), program.as_fd())?)
    });
    log.theirs("agent run once more", || {
        let mut command = Command::new(rig.installation.binaries.holdfast());
        command.args(["agent", "run", "--interface", "eth0", "--from", "192.0.2.0/24"]);
        for prefix in ENCAP_SOURCE {
            command.args(["--from", prefix]);
        }
        command.arg("--pin-dir").arg(&agent);
        let output = host.namespace.run(|| command.output())??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    });
    Ok(())
}
