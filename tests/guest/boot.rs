//! From a kernel with nothing to one with file systems, modules and a disk.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount_change},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use support::vm::{image::MODULES, wire::Booted};

/// What persists of a machine.
pub const DISK: &str = "/var/lib/holdfast";

const DEVICE: &str = "/dev/vda";

/// What every system mounts.
pub fn mount() -> Result<()> {
    for (kind, at) in [
        ("devtmpfs", "/dev"),
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("bpf", "/sys/fs/bpf"),
        ("securityfs", "/sys/kernel/security"),
    ] {
        rustix::mount::mount(kind, at, kind, MountFlags::empty(), None).with_context(|| format!("mounting {at}"))?;
    }
    // As systemd has them: what is mounted here is mounted in the namespaces of services, too.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).context("sharing what is mounted")
}

/// Loads the modules of the image, in the order of their names.
pub fn load_modules() -> Result<()> {
    let mut modules = fs::read_dir(MODULES)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()?;
    modules.sort();
    for module in modules {
        let named = || format!("loading {}", module.display());
        rustix::system::finit_module(File::open(&module)?, c"", 0).with_context(named)?;
    }
    Ok(())
}

/// As a host mounts its root: what is not synced is written some time later.
pub fn mount_disk() -> Result<()> {
    rustix::mount::mount(DEVICE, DISK, "ext4", MountFlags::empty(), None)
        .with_context(|| format!("mounting {DEVICE} at {DISK}"))
}

/// A serial port that carries bytes as they are.
pub fn open_raw(port: &str) -> Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .open(port)
        .with_context(|| format!("opening {port}"))?;
    let mut mode = tcgetattr(&file)?;
    mode.make_raw();
    tcsetattr(&file, OptionalActions::Now, &mode)?;
    Ok(file)
}

pub fn booted() -> Result<Booted> {
    let read = |name: &str| -> Result<String> {
        let path = format!("/proc/sys/kernel/{name}");
        Ok(fs::read_to_string(&path).context(path)?.trim().to_owned())
    };
    Ok(Booted {
        kernel: read("osrelease")?,
        boot: read("random/boot_id")?,
    })
}
