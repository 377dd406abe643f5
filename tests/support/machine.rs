//! A host of the rig as its operator has it: besides its network its own /etc,
//! /run, /var/lib and bpffs, so that commands are run there as they are written,
//! and its own home directory.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    daemon::{Binaries, Outcome},
    netns::Namespace,
    process::Process,
};

/// What is written there is written to layers in a tmpfs at `$1`. The directories
/// at the end are those that a package or systemd makes, and Prometheus has.
const MOUNTS: &str = "\
set -e
mount -t tmpfs tmpfs \"$1\"
for layer in etc var/lib; do
    mkdir -p \"$1/$layer\" \"$1/overlay/$layer\"
    mount -t overlay overlay -o \"lowerdir=/$layer,upperdir=$1/$layer,workdir=$1/overlay/$layer\" \"/$layer\"
done
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mkdir -p /etc/holdfast /var/lib/holdfast /run/holdfast /etc/prometheus/rules.d
echo mounted
exec sleep infinity";

const MOUNTED: Duration = Duration::from_secs(10);

/// Its mounts are gone with it.
#[derive(Debug)]
pub struct Machine {
    name: String,
    /// Holds the mount namespace.
    anchor: Process,
    home: PathBuf,
    log: PathBuf,
    path: OsString,
}

impl Machine {
    /// Over a network namespace, with what it writes below `directory`.
    pub fn of(namespace: &Namespace, name: &str, directory: &Path) -> Result<Self> {
        let at = |what: &str| directory.join(format!("{name}-{what}"));
        let (home, layers, log) = (at("home"), at("layers"), at("log"));
        fs::create_dir(&home)?;
        fs::create_dir(&layers)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", MOUNTS, "sh"]);
        command.arg(&layers);
        let mut anchor = Process::start(namespace, command, &at("mounts"))?;
        let log_of_mounts = at("mounts");
        anchor.wait_ready("mounts of a machine", MOUNTED, || {
            fs::read_to_string(&log_of_mounts).is_ok_and(|said| said.contains("mounted"))
        })?;
        let programs = Binaries::find()?.holdfast();
        let first = programs.parent().context("a directory")?.to_owned();
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(std::iter::once(first).chain(env::split_paths(&path)))?;
        Ok(Self {
            name: name.to_owned(),
            anchor,
            home,
            log,
            path,
        })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its operator's shell is.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A command line for its shell.
    #[must_use]
    pub fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.anchor.id().to_string(), "--mount", "--net", "--"])
            .args(["env", "--chdir"])
            .arg(&self.home)
            // A shell that waits would not pass signals on.
            .args(["sh", "-c", line])
            .env("PATH", &self.path)
            .env_remove("SSH_CONNECTION");
        command
    }

    /// The same for the shell of one of its users, who has a directory
    /// `/run/USER` and commands in `/run/commands`.
    #[must_use]
    pub fn shell_as(&self, user: &str, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.anchor.id().to_string(), "--mount", "--net", "--"])
            .args(["env", "--chdir", &format!("/run/{user}"), &format!("HOME=/run/{user}")])
            .args(["setpriv", "--reuid", user, "--regid", user, "--init-groups"])
            .args(["sh", "-c", line])
            .env("PATH", format!("/run/commands:{}", self.path.display()))
            .env_remove("SSH_CONNECTION");
        command
    }

    /// Runs a command line to its end.
    pub fn run(&self, line: &str) -> Result<Outcome> {
        Self::end(self.shell(line))
    }

    /// The same as one of its users.
    pub fn run_as(&self, user: &str, line: &str) -> Result<Outcome> {
        Self::end(self.shell_as(user, line))
    }

    fn end(mut command: Command) -> Result<Outcome> {
        let output = command.output().context("running nsenter")?;
        Ok(Outcome {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts one that does not end by itself.
    pub fn start(&self, line: &str) -> Result<Process> {
        Process::start_here(self.shell(&format!("exec {line}")), &self.log)
    }

    /// What those have printed that were started.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
