//! The real `holdfastd` and the real `holdfast`, on the stage.

use std::{
    fs::{self, File},
    os::unix::{
        fs::PermissionsExt as _,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;

use super::{
    error::{DrillError, Result},
    judge::Answer,
    network,
    people::Person,
    stage::{Stage, Stop, cover},
};
use crate::api::model::{Document, Status};

/// A daemon is ready within this, whatever it serves, or something is wrong.
const READY: Duration = Duration::from_secs(30);
/// A daemon that is told to stop does so within this.
const STOPPED: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(20);

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What was typed, without the command's own name.
    pub line: String,
    pub exit: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What it said, for a judge.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let code = self
            .stderr
            .split_once("error[")
            .and_then(|(_, rest)| rest.split_once(']'));
        Answer {
            command: self.line.clone(),
            exit: self.exit,
            code: code
                .map(|(code, _)| code.to_owned())
                .or_else(|| (self.exit == Some(64)).then(|| "usage".to_owned())),
        }
    }

    /// # Errors
    /// Unless it succeeded.
    pub fn done(self) -> Result<Self> {
        if self.exit == Some(0) {
            return Ok(self);
        }
        Err(DrillError::Command {
            command: format!("holdfast {}", self.line),
            code: self.exit.map_or("a signal".to_owned(), |exit| exit.to_string()),
            said: self.stderr.trim().to_owned(),
        })
    }
}

/// For people.
#[must_use]
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "nothing known".to_owned(),
    }
}

/// A daemon and what it is started with.
#[derive(Debug)]
pub struct Site {
    pub stage: Stage,
    pub stop: Stop,
    holdfastd: PathBuf,
    daemon: Option<Child>,
}

impl Site {
    /// # Errors
    /// When a program is not there.
    pub fn new(stage: Stage, stop: Stop, holdfastd: PathBuf) -> Result<Self> {
        // Where everybody of the drill may run it.
        let own = stage.path("holdfast");
        let program = std::env::current_exe().map_err(DrillError::io("finding this program"))?;
        fs::write(&own, "").map_err(DrillError::io(format!("writing {}", own.display())))?;
        cover(&own, &program)?;
        if !holdfastd.is_file() {
            return Err(DrillError::io(format!(
                "no daemon at {}; name one with --holdfastd",
                holdfastd.display()
            ))(std::io::ErrorKind::NotFound.into()));
        }
        Ok(Self {
            stage,
            stop,
            holdfastd,
            daemon: None,
        })
    }

    #[must_use]
    pub fn daemon_program(&self) -> &Path {
        &self.holdfastd
    }

    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.stage.path("config.yaml")
    }

    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.stage.path("disk").join("state")
    }

    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.stage.pins()
    }

    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.stage.path("run").join("holdfastd.sock")
    }

    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.stage.path("holdfastd.log")
    }

    /// A file for somebody's commands.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.stage.path("desk").join(name);
        fs::write(&path, text).map_err(DrillError::io(format!("writing {}", path.display())))?;
        Ok(path.display().to_string())
    }

    /// Starts the daemon, and does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(&mut self, further: &[&str]) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(DrillError::io("opening the daemon's log"))?;
        let errors = log.try_clone().map_err(DrillError::io("opening the daemon's log"))?;
        fs::create_dir_all(self.state()).ok();
        let mut command = Command::new(&self.holdfastd);
        command.arg("--config").arg(self.config());
        command.arg("--state-dir").arg(self.state());
        command.arg("--socket").arg(self.socket());
        command.arg("--pin-dir").arg(self.pins());
        command
            .args(further)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        let child = network::within("lb", || command.spawn())?;
        self.daemon = Some(child.map_err(DrillError::io(format!("starting {}", self.holdfastd.display())))?);
        Ok(())
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer.
    pub fn start(&mut self, further: &[&str]) -> Result<()> {
        self.launch(further)?;
        self.wait_ready()
    }

    /// # Errors
    /// When the daemon ends, or does not answer.
    pub fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY;
        loop {
            if self.status().is_ok() {
                // As the group that may open it would be set.
                return fs::set_permissions(self.socket(), fs::Permissions::from_mode(0o666))
                    .map_err(DrillError::io("opening the socket to the drill's people"));
            }
            let ended = self.daemon.as_mut().and_then(|daemon| daemon.try_wait().ok().flatten());
            if let Some(status) = ended {
                self.daemon = None;
                return Err(DrillError::Command {
                    command: "holdfastd".to_owned(),
                    code: ending(status),
                    said: self.last_words(),
                });
            }
            self.pause_until(deadline, "the daemon is ready")?;
        }
    }

    /// The end of the daemon's log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[log.len().saturating_sub(2_000)..]).into_owned();
        log.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
    }

    fn pause_until(&self, deadline: Instant, what: &str) -> Result<()> {
        self.pause(GLANCE)?;
        if Instant::now() < deadline {
            return Ok(());
        }
        Err(DrillError::Late {
            what: what.to_owned(),
            seconds: READY.as_secs(),
        })
    }

    /// Waits a little.
    ///
    /// # Errors
    /// When the drill shall end.
    pub fn pause(&self, duration: Duration) -> Result<()> {
        thread::sleep(duration);
        if self.stop.load(Ordering::Relaxed) {
            return Err(DrillError::Stopped);
        }
        Ok(())
    }

    /// Waits until something holds.
    ///
    /// # Errors
    /// When it does not within this time, or the drill shall end.
    pub fn until(&self, what: &str, within: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + within;
        while !holds() {
            if Instant::now() >= deadline {
                return Err(DrillError::Late {
                    what: what.to_owned(),
                    seconds: within.as_secs(),
                });
            }
            self.pause(GLANCE)?;
        }
        Ok(())
    }

    /// A daemon runs that has not ended.
    pub fn is_up(&mut self) -> bool {
        self.daemon
            .as_mut()
            .is_some_and(|daemon| matches!(daemon.try_wait(), Ok(None)))
    }

    /// The daemon's process.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        let id = self.daemon.as_ref()?.id();
        Pid::from_raw(i32::try_from(id).ok()?)
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It may have ended already.
            kill_process(pid, signal).ok();
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().ok();
            daemon.wait().ok();
        }
    }

    /// SIGTERM, and SIGKILL if that does not help.
    pub fn terminate(&mut self) {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOPPED;
        while self.is_up() && Instant::now() < deadline {
            thread::sleep(GLANCE);
        }
        self.kill();
    }

    /// The command line, at somebody's terminal.
    #[must_use]
    pub fn command(&self, person: Person) -> Command {
        let mut command = Command::new(self.stage.path("holdfast"));
        command
            .arg("--socket")
            .arg(self.socket())
            .current_dir(self.stage.path("desk"))
            .stdin(Stdio::null())
            .process_group(0);
        if person != Person::Root {
            command.uid(person.uid()).gid(person.uid());
        }
        command
    }

    /// What somebody types.
    ///
    /// # Errors
    /// When the command cannot be run.
    pub fn types(&self, person: Person, line: &[&str]) -> Result<Ran> {
        let output = self.command(person).args(line).output();
        let output = output.map_err(DrillError::io("running holdfast"))?;
        Ok(Ran {
            line: line.join(" "),
            exit: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// What a command says as a document.
    ///
    /// # Errors
    /// When it fails, or says something else.
    pub fn ask<T: DeserializeOwned>(&self, line: &[&str]) -> Result<T> {
        let line = [line, &["-o", "json"]].concat();
        let ran = self.types(Person::Root, &line)?.done()?;
        serde_json::from_str::<Document<T>>(&ran.stdout)
            .map(|document| document.body)
            .map_err(|error| DrillError::Answer(format!("holdfast {}: {error}", ran.line)))
    }

    /// # Errors
    /// When the daemon does not answer.
    pub fn status(&self) -> Result<Status> {
        self.ask(&["status"])
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Everything below a directory, copied.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_all(from: &Path, to: &Path) -> Result<()> {
    let copying = || DrillError::io(format!("copying {} to {}", from.display(), to.display()));
    fs::create_dir_all(to).map_err(copying())?;
    let mode = fs::metadata(from).map_err(copying())?.permissions();
    fs::set_permissions(to, mode).map_err(copying())?;
    for entry in fs::read_dir(from).map_err(copying())? {
        let entry = entry.map_err(copying())?;
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(copying())?;
        }
    }
    Ok(())
}
