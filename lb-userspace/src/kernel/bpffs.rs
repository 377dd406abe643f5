//! The place for pins: a private directory on a bpffs that outlives us.
//!
//! A daemon started by `ip netns exec` sees a fresh `/sys` without bpffs, in a
//! mount namespace that dies with it, and its pins would die with it too. So
//! a pin directory below `/sys/fs/bpf` is then taken in the mount namespace of
//! process 1, through `/proc/1/root`.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
};

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
    place(directory).map_err(|source| KernelError::Bpffs {
        path: directory.to_owned(),
        source,
    })
}

fn place(directory: &Path) -> io::Result<PathBuf> {
    if let Some(existing) = existing_ancestor(directory) {
        if is_bpffs(existing)? {
            return make(directory);
        }
        if directory.starts_with(SYSTEM_BPFFS) {
            return place_in_system(directory);
        }
    }
    make(directory)?;
    // A mount would hide what is there: somebody mixed up two directories.
    if fs::read_dir(directory)?.next().is_some() {
        return Err(io::Error::other(
            "it is not on a bpffs and not empty, so none is mounted there",
        ));
    }
    mount(directory)?;
    private(directory)?;
    Ok(directory.to_owned())
}

/// Below `/sys/fs/bpf`, in the mount namespace of process 1.
fn place_in_system(directory: &Path) -> io::Result<PathBuf> {
    let root = Path::new("/proc/1/root");
    let outside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    if !is_bpffs(&outside(Path::new(SYSTEM_BPFFS)))? {
        let status = Command::new("nsenter")
            .args([
                "-t",
                "1",
                "-m",
                "mount",
                "-t",
                "bpf",
                "-o",
                "mode=0700",
                "bpf",
                SYSTEM_BPFFS,
            ])
            .status()?;
        if !status.success() {
            return Err(io::Error::other("mounting a bpffs on /sys/fs/bpf failed"));
        }
    }
    if is_bpffs(Path::new(SYSTEM_BPFFS))? {
        return make(directory);
    }
    make(&outside(directory))
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

fn mount(directory: &Path) -> io::Result<()> {
    let status = Command::new("mount")
        .args(["-t", "bpf", "-o", "mode=0700", "bpf"])
        .arg(directory)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("mount -t bpf failed"))
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
