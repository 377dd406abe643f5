//! What one run of a rig leaves on the host, and how all of it goes away.
//!
//! Every name carries the run's id, so that several runs live side by side.
//! Each piece removes itself when it is dropped, also on a panic.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags};
use tempfile::TempDir;

/// Tells one run from all others on this host; a few hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// A new one: the process, and how many this process has made before.
    #[must_use]
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let nth = MADE.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:x}{nth:02x}", process::id()))
    }

    /// The network namespace of a role: `hf-3fa9c0-lb`.
    #[must_use]
    pub fn namespace(&self, role: &str) -> String {
        format!("hf-{}-{role}", self.0)
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

/// A private directory of the run, with a BPF file system of its own in it.
///
/// The file system is mounted in this process's mount namespace, which the
/// daemon shares: `ip netns exec` would hide it.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
}

impl Scratch {
    pub fn new(id: &RunId) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("hf-{}-", id.0))
            .tempdir()
            .context("making a temporary directory")?;
        let scratch = Self { directory };
        fs::create_dir(scratch.bpf())?;
        rustix::mount::mount("bpf", scratch.bpf(), "bpf", MountFlags::empty(), None)
            .context("mounting a BPF file system (is CAP_SYS_ADMIN there?)")?;
        Ok(scratch)
    }

    /// Where pins go.
    #[must_use]
    pub fn bpf(&self) -> PathBuf {
        self.path("bpf")
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Detached, so that an open pin does not keep the mount; the pins, and
        // with them programs and maps, go with the file system.
        if let Err(err) = rustix::mount::unmount(self.bpf(), UnmountFlags::DETACH)
            && err != rustix::io::Errno::INVAL
        {
            eprintln!("warning: {}: {}", self.bpf().display(), io::Error::from(err));
        }
    }
}

/// What a run has on the host.
#[derive(Clone, Debug)]
pub struct Footprint {
    pub namespaces: Vec<String>,
    pub directory: PathBuf,
}

impl Footprint {
    /// What of it is there now, one line each.
    pub fn remains(&self) -> Result<Vec<String>> {
        let namespaces = crate::netns::ip(&["netns", "list"])?;
        // A line is a name, and an id in parentheses if it has one.
        let there: Vec<&str> = namespaces.lines().filter_map(|line| line.split(' ').next()).collect();
        let kept = self.namespaces.iter().filter(|name| there.contains(&name.as_str()));
        let mut remains: Vec<String> = kept.map(|name| format!("namespace {name}")).collect();
        if self.directory.exists() {
            remains.push(format!("directory {}", self.directory.display()));
        }
        let mounts = fs::read_to_string("/proc/mounts")?;
        if mounts.contains(&*self.directory.to_string_lossy()) {
            remains.push(format!("a mount in {}", self.directory.display()));
        }
        Ok(remains)
    }
}
