//! A process of the rig: never outlives it.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{netns::Namespace, wait};

/// From SIGTERM to SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

/// A child; terminated when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command in a namespace. What it prints is added to `log`. A
    /// process group of its own keeps a terminal's Ctrl-C from it: the rig ends
    /// it, in its turn.
    pub fn start(namespace: &Namespace, command: Command, log: &Path) -> Result<Self> {
        Self::spawn(command, log, |command| Ok(namespace.run(|| command.spawn())??))
    }

    /// The same in this process's own namespaces.
    pub fn start_here(command: Command, log: &Path) -> Result<Self> {
        Self::spawn(command, log, |command| Ok(command.spawn()?))
    }

    fn spawn(mut command: Command, log: &Path, spawn: impl FnOnce(&mut Command) -> Result<Child>) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0);
        let child = spawn(&mut command).with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|err| format!("({}: {err})", self.log.display()))
    }

    /// Waits until `ready` holds; an early end, or none in time, is an error
    /// with what was printed.
    pub fn wait_ready(&mut self, what: &str, at_most: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let seen = wait::until(at_most, what, || match self.child.try_wait() {
            Ok(None) => ready().then_some(Ok(())),
            Ok(Some(status)) => Some(Err(status)),
            Err(_) => None,
        });
        match seen {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => bail!("{what}: it ended with {status}\n{}", self.printed()),
            Err(err) => Err(err.context(self.printed())),
        }
    }

    /// SIGKILL, as a crash would be.
    pub fn kill(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// SIGTERM, and SIGKILL if that does not help.
    pub fn terminate(mut self) -> io::Result<ExitStatus> {
        self.end()
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        if let Ok(status) = wait::until(PATIENCE, "its end", || self.child.try_wait().transpose()) {
            return status;
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(err) = self.end() {
            eprintln!("warning: process {}: {err}", self.child.id());
        }
    }
}
