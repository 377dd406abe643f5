//! The stage: namespaces of mounts, of processes and of networks that end with the
//! drill.
//!
//! `holdfast drill` starts itself again in them, by unshare(1). In there nothing
//! of the host's own balancer can be reached: the directories of its socket, its
//! state, its configuration and its pins are covered by empty ones before anything
//! else is done, and network namespaces, mounts and the drill's directory have
//! names in there alone. The second process is the first one of its process
//! namespace: when it ends, however it does, the kernel ends every daemon that it
//! started, and then nothing of the mounts and namespaces is left. It ends when the
//! pipe to the process outside does, so whoever is killed, the other one follows.

use std::{
    env, fs,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::mount::{MountFlags, mount, mount_bind};
use tokio::io::AsyncWriteExt as _;

use super::error::{DrillError, Result};

/// Tells the second process that it is on the stage: the mount namespace that it
/// must not be in.
const OUTSIDE: &str = "HOLDFAST_DRILL_OUTSIDE";

/// Where everything of a drill is; a directory of the host that stays empty there.
const ROOT: &str = "/run/holdfast-drill";

/// What a balancer of this host has: covered on the stage.
const COVERED: [&str; 6] = [
    "/run/holdfast",
    "/run/bpf/holdfast",
    "/var/lib/holdfast",
    "/etc/holdfast",
    "/sys/fs/bpf",
    "/run/netns",
];

/// Set when the drill shall end.
pub type Stop = Arc<AtomicBool>;

/// Whether this process is the one on the stage.
#[must_use]
pub fn is_here() -> bool {
    let outside = env::var_os(OUTSIDE);
    let own = mounts();
    // Whoever sets the variable by hand is not the first process of a namespace,
    // or sees the host's mounts.
    std::process::id() == 1 && outside.is_some_and(|outside| !own.is_empty() && *outside != *own)
}

/// Names this process's mount namespace; empty: it cannot be told.
fn mounts() -> String {
    fs::read_link("/proc/self/ns/mnt").map_or_else(|_| String::new(), |name| name.display().to_string())
}

/// Starts this very command on a stage, hands it what came by stdin, and waits for its end: its
/// exit code.
///
/// # Errors
/// When it is not root's, or unshare(1) is not there.
pub async fn perform(handed: &str) -> Result<u8> {
    if !rustix::process::geteuid().is_root() {
        return Err(DrillError::NotRoot);
    }
    // So that ip(8) finds it on hosts that never had a network namespace.
    for directory in [ROOT, "/run/netns"] {
        fs::create_dir_all(directory).map_err(DrillError::io(format!("making {directory}")))?;
    }
    let own = env::current_exe().map_err(DrillError::io("finding this program"))?;
    let mut child = tokio::process::Command::new("unshare")
        // Kernels before 6.13 look for the name of a new link where it is asked for.
        .args(["--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"])
        .args(["--propagation", "private", "--"])
        .arg(own)
        .args(env::args_os().skip(1))
        .env(OUTSIDE, mounts())
        .stdin(Stdio::piped())
        .spawn()
        .map_err(DrillError::io("starting `unshare` (Debian package util-linux)"))?;
    let mut lifeline = child.stdin.take();
    if let Some(pipe) = &mut lifeline {
        let length = (handed.len() as u64).to_ne_bytes();
        // One that ended already says why by its exit code.
        pipe.write_all(&[&length, handed.as_bytes()].concat()).await.ok();
    }
    let status = tokio::select! {
        status = child.wait() => status,
        () = told_to_stop() => {
            drop(lifeline);
            child.wait().await
        }
    };
    let code = status.map_err(DrillError::io("waiting for the drill"))?.code();
    // Empty on the host, unless another drill is under way.
    fs::remove_dir(ROOT).ok();
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Ctrl-C, or SIGTERM.
pub async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// What the process outside handed in, by the pipe that tells of its end.
///
/// # Errors
/// When that process is gone.
pub fn handed() -> Result<String> {
    let mut stdin = io::stdin().lock();
    let mut read = || -> io::Result<String> {
        let mut length = [0; size_of::<u64>()];
        stdin.read_exact(&mut length)?;
        let mut text = String::new();
        let length = u64::from_ne_bytes(length);
        stdin.by_ref().take(length).read_to_string(&mut text)?;
        if text.len() as u64 == length {
            Ok(text)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    };
    read().map_err(DrillError::io("reading what was handed in"))
}

/// Ends the drill when the process outside is gone.
pub fn follow_outside(stop: &Stop) {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        // Nothing more is written; it returns when the other end is closed.
        io::stdin().read_to_end(&mut Vec::new()).ok();
        stop.store(true, Ordering::Relaxed);
    });
}

/// The stage, set.
#[derive(Debug)]
pub struct Stage {
    pub root: PathBuf,
}

impl Stage {
    /// Covers what is the host's, and makes a directory for the drill with a BPF
    /// file system and a small disk in it.
    ///
    /// # Errors
    /// When this process is not on a stage, or something cannot be mounted.
    pub fn set() -> Result<Self> {
        if !is_here() {
            return Err(DrillError::NotRoot);
        }
        for path in COVERED.iter().map(Path::new).filter(|path| path.is_dir()) {
            tmpfs(path, "mode=755")?;
        }
        let root = PathBuf::from(ROOT);
        tmpfs(&root, "mode=755")?;
        let stage = Self { root };
        for (name, mode) in [
            ("bpf", 0o700),
            (PINS, 0o700),
            ("disk", 0o755),
            ("run", 0o755),
            ("desk", 0o1777),
        ] {
            let path = stage.path(name);
            fs::create_dir(&path).map_err(DrillError::io(format!("making {}", path.display())))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                .map_err(DrillError::io(format!("making {}", path.display())))?;
        }
        bpffs(&stage.path("bpf"))?;
        bpffs(&stage.path(PINS))?;
        tmpfs(&stage.path("disk"), &format!("mode=755,size={DISK_BYTES}"))?;
        Ok(stage)
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The daemon's directory of pins: below the mount of a file system that no agent's pins are
    /// on.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.path(PINS).join("lb")
    }

    /// Unmounts the file system of the daemon's pins, as if nobody used it.
    ///
    /// # Errors
    /// When it is not mounted.
    pub fn unmount_pins(&self) -> Result<()> {
        uncover(&self.path(PINS))
    }

    /// Mounts another one over it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cover_pins(&self) -> Result<()> {
        bpffs(&self.path(PINS))
    }

    /// Nothing is pinned, and the file system of the pins is where it was at first, whatever was
    /// mounted or unmounted there.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn empty_pins(&self) -> Result<()> {
        for place in [self.pins(), self.path(PINS)] {
            while uncover(&place).is_ok() {}
        }
        // Of a daemon that mounted its own below.
        match fs::remove_dir(self.pins()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DrillError::io(format!("removing {}", self.pins().display()))(error));
            }
            Ok(()) | Err(_) => {}
        }
        self.cover_pins()
    }
}

/// The file system of the daemon's pins.
const PINS: &str = "pins";

/// Of the disk that fills up.
pub const DISK_BYTES: u64 = 64 << 20;

fn bpffs(path: &Path) -> Result<()> {
    mount("bpf", path, "bpf", MountFlags::empty(), None)
        .map_err(|error| DrillError::io("mounting a BPF file system")(error.into()))
}

fn tmpfs(path: &Path, options: &str) -> Result<()> {
    let options = std::ffi::CString::new(options).unwrap_or_default();
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
        .map_err(|error| DrillError::io(format!("mounting on {}", path.display()))(error.into()))
}

/// Shows `file` at `place`, for as long as the stage stands or until it is
/// [uncovered](uncover).
///
/// # Errors
/// When there is no such place.
pub fn cover(place: &Path, file: &Path) -> Result<()> {
    mount_bind(file, place).map_err(|error| DrillError::io(format!("covering {}", place.display()))(error.into()))
}

/// Shows again what is there.
///
/// # Errors
/// When nothing covers it.
pub fn uncover(place: &Path) -> Result<()> {
    rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH)
        .map_err(|error| DrillError::io(format!("uncovering {}", place.display()))(error.into()))
}

/// Makes the disk read-only, or writable again. Nobody may have a file open for
/// writing there.
///
/// # Errors
/// When somebody has.
pub fn write_protect(disk: &Path, on: bool) -> Result<()> {
    let mut flags = MountFlags::empty();
    flags.set(MountFlags::RDONLY, on);
    rustix::mount::mount_remount(disk, flags, "")
        .map_err(|error| DrillError::io(format!("remounting {}", disk.display()))(error.into()))
}
