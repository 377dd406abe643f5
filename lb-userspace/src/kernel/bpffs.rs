//! The place for pins: a private directory on a bpffs that outlives us.
//!
//! A daemon started by `ip netns exec` sees a fresh `/sys` without bpffs, in a
//! mount namespace that dies with it, and what it mounts would die with it too,
//! pins, links and all. So where there is no bpffs yet, the place is made in
//! the mount namespace that we were started from, and reached through the
//! `root` link of a process that lives there.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::StatVfsMountFlags;

use super::KernelError;

/// `BPF_FS_MAGIC` of the kernel's `include/uapi/linux/magic.h`.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

const SYSTEM_BPFFS: &str = "/sys/fs/bpf";

/// Makes `directory` (mode 0700) on a bpffs, mounting one where there is none,
/// and returns the path by which it can be reached.
///
/// # Errors
/// [`KernelError::Bpffs`]: not root, or the path is taken by something else.
pub fn prepare(directory: &Path) -> Result<PathBuf, KernelError> {
    place(directory).map_err(|source| failed(directory, source))
}

/// A directory, or where it would be made, is on a bpffs.
///
/// # Errors
/// [`KernelError::Bpffs`]: it is on something else.
pub fn ensure(directory: &Path) -> Result<(), KernelError> {
    match is_on_bpffs(directory) {
        Ok(true) => Ok(()),
        Ok(false) => Err(io::Error::other("it is not on a bpffs")),
        Err(error) => Err(error),
    }
    .map_err(|source| failed(directory, source))
}

fn failed(directory: &Path, source: io::Error) -> KernelError {
    KernelError::Bpffs {
        path: directory.to_owned(),
        source,
    }
}

/// Nothing can be pinned there, and what is pinned cannot be opened for writing.
#[must_use]
pub fn is_read_only(directory: &Path) -> bool {
    rustix::fs::statvfs(directory).is_ok_and(|facts| facts.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Mounts the file system of a directory anew, to be written to.
///
/// # Errors
/// [`KernelError::Bpffs`]: as without CAP_SYS_ADMIN.
pub fn make_writable(directory: &Path) -> Result<(), KernelError> {
    let device = |path: &Path| fs::metadata(path).map(|facts| facts.dev()).ok();
    let here = device(directory);
    let within = |path: &&Path| device(path) == here;
    let point = directory.ancestors().take_while(within).last().unwrap_or(directory);
    let done = Command::new("mount").args(["-o", "remount,rw"]).arg(point).output();
    let done = done.and_then(|output| {
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let command = format!("mount -o remount,rw {}", point.display());
        Err(io::Error::other(format!(
            "it is read-only, and `{command}` failed: {said}"
        )))
    });
    done.map_err(|source| failed(directory, source))
}

fn place(directory: &Path) -> io::Result<PathBuf> {
    if is_on_bpffs(directory)? {
        return make(directory);
    }
    // Below /sys/fs/bpf the file system belongs there, for all to share.
    let system = Path::new(SYSTEM_BPFFS);
    let mount_point = if directory.starts_with(system) {
        system
    } else {
        directory
    };
    let outer = Outer::find();
    let reached = |path: &Path| {
        outer
            .as_ref()
            .map_or_else(|| path.to_owned(), |outer| outer.reach(path))
    };
    if !is_on_bpffs(&reached(directory))? {
        if mount_point == directory {
            make_empty(&reached(directory))?;
        }
        mount(mount_point, outer.as_ref())?;
    }
    // The mount may have come to us by itself.
    let place = if is_on_bpffs(directory)? {
        directory.to_owned()
    } else {
        reached(directory)
    };
    make(&place)
}

/// The mount namespace that we were started from, if it is not ours.
struct Outer {
    /// A process in it.
    pid: u32,
}

impl Outer {
    /// Our ancestors, then the first processes of the host: some of them may be
    /// closed to us, root or not.
    fn find() -> Option<Self> {
        let ours = fs::read_link("/proc/self/ns/mnt").ok()?;
        let ancestors = std::iter::successors(parent(std::process::id()), |pid| parent(*pid));
        ancestors.chain([1, 2]).find_map(|pid| {
            let theirs = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()?;
            let open = fs::read_dir(format!("/proc/{pid}/root")).is_ok();
            (theirs != ours && open).then_some(Self { pid })
        })
    }

    /// How a path of theirs is reached from here.
    fn reach(&self, path: &Path) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.pid)).join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The fourth field of `/proc/PID/stat` (proc(5)); the second one is a name in
/// parentheses, which may hold anything.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
        .filter(|parent| *parent > 0)
}

fn is_on_bpffs(directory: &Path) -> io::Result<bool> {
    existing_ancestor(directory).map_or(Ok(false), is_bpffs)
}

fn existing_ancestor(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|path| path.exists())
}

fn is_bpffs(path: &Path) -> io::Result<bool> {
    let statistics = rustix::fs::statfs(path)?;
    Ok(statistics.f_type.cast_unsigned() == BPF_FS_MAGIC)
}

fn make(directory: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    private(directory)?;
    Ok(directory.to_owned())
}

fn private(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

/// A mount would hide what is there: somebody mixed up two directories.
fn make_empty(directory: &Path) -> io::Result<()> {
    make(directory)?;
    if fs::read_dir(directory)?.next().is_some() {
        return Err(io::Error::other(
            "it is not on a bpffs and not empty, so none is mounted there",
        ));
    }
    Ok(())
}

fn mount(directory: &Path, outer: Option<&Outer>) -> io::Result<()> {
    let mut command = Command::new("mount");
    if let Some(outer) = outer {
        command = Command::new("nsenter");
        command.args(["-m", "-t", &outer.pid.to_string(), "mount"]);
    }
    let status = command
        .args(["-t", "bpf", "-o", "mode=0700", "bpf"])
        .arg(directory)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "mounting a bpffs on {} failed",
            directory.display()
        )))
    }
}

/// A pin's name for an interface: bpffs refuses names with a dot.
#[must_use]
pub fn pin_name(interface: &str) -> String {
    interface.replace('%', "%25").replace('.', "%2e")
}

/// The interface a pin is named after.
#[must_use]
pub fn interface_of(pin: &str) -> String {
    pin.replace("%2e", ".").replace("%25", "%")
}
