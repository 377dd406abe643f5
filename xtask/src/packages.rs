//! Debian packages: what is missing, why it is needed, and how to get it.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, bail};

use crate::{
    progress::{run_quiet, say},
    workspace::{find_command, is_root},
};

/// Something that is installed as a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub why: &'static str,
}

impl Package {
    pub fn new(name: impl Into<String>, why: &'static str) -> Self {
        Self { name: name.into(), why }
    }
}

/// Commands that building and running need, with their package.
const COMMANDS: [(&str, &str, &str); 10] = [
    ("cc", "gcc", "compiles SQLite, which the daemon's store is built on"),
    ("curl", "curl", "asks for metrics, in tests of the operator's guide"),
    ("ip", "iproute2", "makes the network namespaces of demo and tests"),
    (
        "bpftool",
        "bpftool",
        "runs the pinned program from outside, in the tests of the kernel level",
    ),
    (
        "ssh-keygen",
        "openssh-client",
        "signs and verifies from outside, in the unit tests and those of the level `netns`",
    ),
    (
        "ssh-agent",
        "openssh-client",
        "holds a key, in the unit tests of approvals",
    ),
    (
        "systemd-nspawn",
        "systemd-container",
        "starts the packages under systemd, in the tests of the level `packages`",
    ),
    (
        "qemu-system-x86_64",
        "qemu-system-x86",
        "boots virtual machines and cuts their power, in the tests of the level `vm`",
    ),
    (
        "mkfs.ext4",
        "e2fsprogs",
        "makes file systems for tests: disks of their own",
    ),
    ("xz", "xz-utils", "unpacks the modules of kernels for virtual machines"),
];

/// Packages whose command is not on this machine.
pub fn missing_commands() -> Vec<Package> {
    COMMANDS
        .iter()
        .filter(|(command, ..)| find_command(command).is_none())
        .map(|&(_, package, why)| Package::new(package, why))
        .collect()
}

/// Whether this machine has Debian's packages at all.
pub fn available() -> bool {
    find_command("apt-get").is_some()
}

/// Installs packages, having said what and why.
pub fn install(packages: &[Package]) -> Result<()> {
    for package in packages {
        say(&format!("    installing {}: {}", package.name, package.why));
    }
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let command = format!("apt-get install -y --no-install-recommends {}", names.join(" "));
    if !available() {
        bail!("this machine has no apt-get: install what the lines above name, then try again");
    }
    if !is_root() {
        bail!("packages are installed by root: run\n\n    sudo apt-get update && sudo {command}\n\nthen try again");
    }
    refresh()?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "--no-install-recommends"]).args(&names);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run_quiet("apt-get-install", &command, &mut install)
}

/// Whether the list of packages holds this one. A fresh container has no list
/// yet, so root fetches it first.
pub fn knows(name: &str) -> Result<bool> {
    if !available() {
        return Ok(false);
    }
    if is_root() {
        refresh()?;
    }
    let shown = Command::new("apt-cache").args(["show", name]).output();
    Ok(shown.is_ok_and(|output| output.status.success()))
}

/// Fetches the list of packages, once in a run.
fn refresh() -> Result<()> {
    static REFRESHED: AtomicBool = AtomicBool::new(false);
    if REFRESHED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    run_quiet(
        "apt-get-update",
        "refreshing the list of packages",
        Command::new("apt-get").arg("update"),
    )
}
