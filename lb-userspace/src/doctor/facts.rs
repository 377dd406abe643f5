//! What can be seen of this host, from this network namespace.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    api::model::{GuardStatus, Status},
    config::Config,
    kernel::{guard, holders::Foreign, sys},
    neighbours::{Resolution, Resolver, Targets},
};

/// Everything the judge goes by. What could not be read is absent.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `6.1.0-18-amd64`.
    pub kernel: Option<String>,
    /// The kernel's own BTF is there.
    pub btf: bool,
    /// Effective capabilities, as bits (capability.h).
    pub capabilities: Option<u64>,
    /// Bytes that may be locked; `u64::MAX`: without limit.
    pub memlock: Option<u64>,
    pub files: Option<u64>,
    /// The nearest directory of the pins that exists is on a bpffs.
    pub bpffs: Option<bool>,
    pub pin_dir: PathBuf,
    /// `net.core.bpf_jit_enable`.
    pub jit: Option<u64>,
    /// Neighbours the kernel may keep, IPv4 and IPv6.
    pub neighbour_limits: [Option<u64>; 2],
    pub state: Directory,
    /// The clock is kept right by somebody.
    pub clock: Option<bool>,
    pub hash_key: Option<(PathBuf, u32)>,
    pub socket: Option<(PathBuf, u32)>,
    /// Of what is served, or of the file; absent: neither was to be had.
    pub network: Option<Network>,
    /// A daemon answered.
    pub daemon: bool,
    /// Security modules that are on, as the kernel lists them; absent: it does not say.
    pub security: Option<String>,
    /// What the daemon says of the guard in the kernel; absent: there is no daemon.
    pub guard: Option<GuardStatus>,
}

/// The state directory.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    pub path: PathBuf,
    /// Permission bits; absent: it does not exist.
    pub mode: Option<u32>,
    /// Bytes.
    pub free: Option<u64>,
    /// How long a small durable write took, or why there was none.
    pub sync: Option<Result<Duration, String>>,
}

/// What the configuration asks of the network, and what was found.
#[derive(Clone, Debug)]
pub struct Network {
    pub config: Config,
    pub resolution: Resolution,
    /// Of each interface; 0: none, 1: strict, 2: loose.
    pub rp_filter: BTreeMap<String, u64>,
    pub drivers: BTreeMap<String, String>,
    /// Programs of ours by interface: ids, as the daemon says, or pins.
    pub ours: BTreeMap<String, u32>,
    /// Whose the programs are that are not ours, by interface.
    pub foreign: BTreeMap<String, String>,
    /// Packets by VIP, if a daemon says.
    pub packets: BTreeMap<String, u64>,
}

/// How long neighbours may take to answer.
const RESOLVE: Duration = Duration::from_millis(1500);
const RESOLVE_STEP: Duration = Duration::from_millis(100);

/// Where things are.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    pub state_dir: &'a Path,
    pub pin_dir: &'a Path,
    pub socket: &'a Path,
}

/// Looks. `status` is the daemon's, if one answered.
pub async fn gather(places: &Places<'_>, config: Option<Config>, status: Option<&Status>) -> Facts {
    let own = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limit = |resource| rustix::process::getrlimit(resource).current.unwrap_or(u64::MAX);
    let hash_key = config.as_ref().map(|config| config.node.hash_key_file.clone());
    let limit_of = |family: &str| number(&format!("/proc/sys/net/{family}/neigh/default/gc_thresh3"));
    Facts {
        kernel: Some(rustix::system::uname().release().to_string_lossy().into_owned()),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        capabilities: own
            .lines()
            .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok()),
        memlock: Some(limit(rustix::process::Resource::Memlock)),
        files: Some(limit(rustix::process::Resource::Nofile)),
        bpffs: on_bpffs(places.pin_dir),
        pin_dir: places.pin_dir.to_owned(),
        jit: number("/proc/sys/net/core/bpf_jit_enable"),
        neighbour_limits: [limit_of("ipv4"), limit_of("ipv6")],
        state: directory(places.state_dir),
        clock: sys::clock_is_synchronised().ok(),
        hash_key: hash_key.and_then(|path| Some((path.clone(), mode(&path)?))),
        socket: mode(places.socket).map(|mode| (places.socket.to_owned(), mode)),
        network: match config {
            Some(config) => network(config, places.pin_dir, status).await,
            None => None,
        },
        daemon: status.is_some(),
        security: fs::read_to_string(guard::MODULES)
            .ok()
            .map(|modules| modules.trim().to_owned()),
        guard: status.map(|status| status.guard.clone()),
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn mode(path: &Path) -> Option<u32> {
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o7777)
}

/// BPF_FS_MAGIC (magic.h).
const BPFFS: i64 = 0xcafe_4a11;

fn on_bpffs(path: &Path) -> Option<bool> {
    let nearest = path.ancestors().find(|path| path.exists())?;
    Some(rustix::fs::statfs(nearest).ok()?.f_type == BPFFS)
}

fn directory(path: &Path) -> Directory {
    let mode = mode(path);
    Directory {
        path: path.to_owned(),
        mode,
        free: rustix::fs::statvfs(path).ok().map(|disk| disk.f_bavail * disk.f_frsize),
        sync: mode.map(|_| durable_write(path).map_err(|error| error.to_string())),
    }
}

/// As an entry of the journal is written.
fn durable_write(directory: &Path) -> io::Result<Duration> {
    let path = directory.join(format!(".doctor-{}", std::process::id()));
    let started = Instant::now();
    let written = fs::File::create_new(&path).and_then(|file| {
        io::Write::write_all(&mut &file, &[0; 4096])?;
        file.sync_all()
    });
    let took = started.elapsed();
    if fs::remove_file(&path).is_err() {
        // It was not made, which the result says.
    }
    written.map(|()| took)
}

async fn network(config: Config, pin_dir: &Path, status: Option<&Status>) -> Option<Network> {
    let mut resolver = Resolver::default();
    let targets = Targets::of(&config);
    let deadline = Instant::now() + RESOLVE;
    let resolution = loop {
        let resolution = resolver.look(&targets, Instant::now()).await.ok()?;
        if resolution.problems.is_empty() || Instant::now() >= deadline {
            break resolution;
        }
        tokio::time::sleep(RESOLVE_STEP).await;
    };
    let names = || config.node.interfaces.iter().map(|interface| interface.name.clone());
    let ours: BTreeMap<String, u32> = match status {
        Some(status) => status
            .interfaces
            .iter()
            .filter(|interface| interface.prog_id != 0)
            .map(|interface| (interface.name.clone(), interface.prog_id))
            .collect(),
        // Without a daemon its pins say which links are ours.
        None => names()
            .filter(|name| pin_dir.join("links").join(name).exists())
            .map(|name| (name, 0))
            .collect(),
    };
    let strictness = |name: &str| {
        let of = |scope: &str| number(&format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter"));
        // The stricter of the two holds; loose is 2 (ip-sysctl).
        Some(of("all")?.max(of(name)?))
    };
    let driver = |name: &str| {
        let link = fs::read_link(format!("/sys/class/net/{name}/device/driver")).ok()?;
        Some(link.file_name()?.to_str()?.to_owned())
    };
    let linked = || {
        resolution
            .links
            .iter()
            .filter_map(|(name, link)| Some((name, link.xdp_program?)))
    };
    let foreign = names().filter(|name| !ours.contains_key(name)).filter_map(|name| {
        let (_, program) = linked().find(|(linked, _)| **linked == name)?;
        Some((name, Foreign::of(program).to_string()))
    });
    Some(Network {
        foreign: foreign.collect(),
        rp_filter: names()
            .filter_map(|name| Some((name.clone(), strictness(&name)?)))
            .collect(),
        drivers: names()
            .filter_map(|name| Some((name.clone(), driver(&name)?)))
            .collect(),
        ours,
        packets: status
            .map(|status| {
                status
                    .vips
                    .iter()
                    .map(|vip| (vip.name.clone(), vip.traffic.packets))
                    .collect()
            })
            .unwrap_or_default(),
        resolution,
        config,
    })
}
