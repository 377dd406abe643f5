//! A second operating system on this kernel: this machine's files under a layer
//! of its own, systemd as its first process, in a network namespace of the rig.
//! What is installed in it, and what it mounts, is gone with it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{MountFlags, UnmountFlags};

use crate::{daemon::Outcome, netns::Namespace, process::Process, wait};

/// Booted within this, on a machine that does other things, too.
const BOOTED: Duration = Duration::from_mins(1);

const BPFFS: &str = "\
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount -t bpf -o mode=0700 bpf /sys/fs/bpf
";

/// The files of a guest; they outlive its boots.
#[derive(Debug)]
pub struct Disk {
    /// A tmpfs, with the layer and what overlayfs needs.
    layers: PathBuf,
}

impl Disk {
    /// This machine's files as they are now, below a layer that is empty.
    pub fn over_this_machine(directory: PathBuf) -> Result<Self> {
        fs::create_dir(&directory)?;
        rustix::mount::mount("none", &directory, "tmpfs", MountFlags::empty(), None)?;
        let disk = Self { layers: directory };
        for folder in ["upper", "work", "root"] {
            fs::create_dir(disk.layers.join(folder))?;
        }
        let options = format!("lowerdir=/,upperdir={0}/upper,workdir={0}/work", disk.layers.display());
        let options = std::ffi::CString::new(options)?;
        rustix::mount::mount(
            "overlay",
            disk.root(),
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .context("mounting an overlay")?;
        disk.disable_services()?;
        // On a host of its own systemd mounts it before anything else; in a
        // container it leaves that to the host.
        let units = disk.path("/etc/systemd/system");
        fs::write(units.join("guest-bpffs.service"), BPFFS)?;
        fs::create_dir(units.join("sysinit.target.wants"))?;
        std::os::unix::fs::symlink(
            "/etc/systemd/system/guest-bpffs.service",
            units.join("sysinit.target.wants/guest-bpffs.service"),
        )?;
        Ok(disk)
    }

    /// What this machine starts at boot is not for the guest; what a package
    /// enables in it is.
    fn disable_services(&self) -> Result<()> {
        for entry in fs::read_dir(self.path("/etc/systemd/system"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "wants") {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }

    /// Where its root directory is.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.layers.join("root")
    }

    /// A path of the guest, from here.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root().join(inside.trim_start_matches('/'))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for mount in [self.root(), self.layers.clone()] {
            if let Err(error) = rustix::mount::unmount(&mount, UnmountFlags::DETACH) {
                eprintln!("warning: {}: {error}", mount.display());
            }
        }
    }
}

/// A guest that runs.
#[derive(Debug)]
pub struct Guest {
    container: Process,
    /// Its first process, as seen from here.
    init: u32,
}

impl Guest {
    /// Boots it in a network namespace, and waits until its basic services are
    /// there.
    pub fn boot(disk: &Disk, namespace: &Namespace, log: &Path) -> Result<Self> {
        let mut command = Command::new("systemd-nspawn");
        command
            .arg("--directory")
            .arg(disk.root())
            .arg("--network-namespace-path")
            .arg(Path::new("/run/netns").join(namespace.name()))
            .arg(format!("--machine={}", namespace.name()))
            .args([
                "--boot",
                "--register=no",
                "--keep-unit",
                "--console=pipe",
                "--link-journal=no",
                "--capability=all",
                "--system-call-filter=bpf perf_event_open",
            ])
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes");
        // In its own namespaces: it starts from ours, not from the rig's.
        let mut container = Process::start_here(command, log)?;
        let parent = container.id();
        let mut init = None;
        container.wait_ready("a guest's systemd", BOOTED, || {
            init = first_child(parent);
            init.is_some_and(|init| {
                run_in(init, &["systemctl", "is-active", "multi-user.target"])
                    .is_ok_and(|outcome| outcome.code == Some(0))
            })
        })?;
        let init = init.context("the guest has no first process")?;
        Ok(Self { container, init })
    }

    /// Runs a command in it.
    pub fn run(&self, command: &[&str]) -> Result<Outcome> {
        run_in(self.init, command)
    }

    /// Runs a command in it that must succeed; what it printed.
    pub fn must(&self, command: &[&str]) -> Result<String> {
        let outcome = self.run(command)?;
        if outcome.code != Some(0) {
            let journal = self.run(&["journalctl", "--no-pager", "-n", "30"])?;
            bail!(
                "{}: {:?}\n{}\n{}",
                command.join(" "),
                outcome.code,
                outcome.said(),
                journal.stdout
            );
        }
        Ok(outcome.stdout)
    }

    /// Waits until a command succeeds.
    pub fn wait(&self, at_most: Duration, command: &[&str]) -> Result<String> {
        wait::until(at_most, &command.join(" "), || {
            let outcome = self.run(command).ok()?;
            (outcome.code == Some(0)).then_some(outcome.stdout)
        })
    }

    /// A property of a unit.
    pub fn unit(&self, unit: &str, property: &str) -> Result<String> {
        let shown = self.must(&["systemctl", "show", "--value", "-p", property, unit])?;
        Ok(shown.trim().to_owned())
    }

    /// Everything in it is killed at once; nothing is written any more.
    pub fn cut_power(self) -> Result<()> {
        // Its death is that of every process of its namespace.
        let killed = Command::new("kill").args(["-9", &self.init.to_string()]).status()?;
        ensure!(killed.success(), "the guest's first process could not be killed");
        self.container.kill()?;
        Ok(())
    }
}

fn run_in(init: u32, command: &[&str]) -> Result<Outcome> {
    let output = Command::new("nsenter")
        .args([
            "--target",
            &init.to_string(),
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--",
        ])
        .args(command)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .output()
        .context("starting nsenter")?;
    Ok(Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The first child of a process (proc(5), `children`).
fn first_child(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
