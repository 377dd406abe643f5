//! A machine that runs, and the disk that outlives its boots.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    net::SocketAddr,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use super::{
    image,
    kernel::Kernel,
    wire::{Answer, Attempted, Attempts, Booted, End, Privileges, Request, Started},
};
use crate::{contract::Why, daemon::Outcome, process::Process};

/// A guest says something within this, or is ended: every instruction of it is
/// translated, on a machine that does other things, too.
const SILENT: Duration = Duration::from_mins(3);
/// qemu opens the serial line within this.
const OPENED: Duration = Duration::from_secs(20);
/// As much as the journal of a test needs, many times over.
const DISK: u64 = 256 << 20;
/// Of the guest's console, in messages: bytes from its end.
const TAIL: usize = 4000;

/// A machine without power: a kernel, what it starts from, and its disk.
#[derive(Debug)]
pub struct Machine {
    kernel: Kernel,
    directory: TempDir,
    boots: u32,
    /// Further words for its kernel.
    words: String,
}

impl Machine {
    /// A new one with an empty disk; `guest` is the program `holdfast-guest`.
    pub fn new(kernel: &Kernel, guest: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("hf-vm-").tempdir()?;
        let machine = Self {
            kernel: kernel.clone(),
            directory,
            boots: 0,
            words: String::new(),
        };
        image::write(kernel, guest, machine.directory.path(), &machine.path("image"))?;
        File::create(machine.path("disk"))?.set_len(DISK)?;
        let made = Command::new("mkfs.ext4").arg("-q").arg(machine.path("disk")).status();
        ensure!(
            made.context("running `mkfs.ext4` (Debian package e2fsprogs)")?
                .success(),
            "mkfs.ext4 failed"
        );
        Ok(machine)
    }

    /// The same, whose kernel is told this, too.
    #[must_use]
    pub fn told(mut self, words: &str) -> Self {
        words.clone_into(&mut self.words);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Switches it on, and waits until the guest's network is there.
    pub fn boot(&mut self) -> Result<Guest> {
        self.boots += 1;
        let socket = self.path(&format!("wire-{}", self.boots));
        let console = self.path(&format!("console-{}", self.boots));
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        let mut qemu = Process::start_here(self.command(&socket), &console).context("starting a virtual machine")?;
        let mut wire = None;
        qemu.wait_ready("a virtual machine", OPENED, || {
            wire = listener.accept().ok();
            wire.is_some()
        })?;
        let (wire, _) = wire.context("no serial line")?;
        wire.set_nonblocking(false)?;
        wire.set_read_timeout(Some(SILENT))?;
        let mut guest = Guest {
            qemu,
            lines: BufReader::new(wire.try_clone()?),
            wire,
            booted: Booted::default(),
        };
        let Answer::Booted(booted) = guest.answer()? else {
            bail!("the guest did not say first that it has booted");
        };
        ensure!(
            booted.kernel == self.kernel.release(),
            "another kernel than {} has booted: {booted:?}",
            self.kernel.release()
        );
        guest.booted = booted;
        Ok(guest)
    }

    fn command(&self, socket: &Path) -> Command {
        let disk = format!("file={},if=virtio,format=raw", self.path("disk").display());
        // What the kernel does not know is init's environment. After a panic it
        // restarts at once, and a machine that restarts is ended.
        let words = format!(
            "console=ttyS0 quiet panic=-1 mitigations=off PATH={programs} HOLDFAST_BIN_DIR={programs} \
             HOLDFAST_BPF_DIR={bpf} {further}",
            further = self.words,
            programs = image::PROGRAMS,
            bpf = image::BPF,
        );
        let mut command = Command::new("qemu-system-x86_64");
        command
            // The fewer features a processor has, the less there is to translate:
            // half the time of `max`. One processor, because the test beside this
            // one has the other. The kernel wants random numbers at once.
            .args(["-accel", "tcg", "-cpu", "Nehalem,+rdrand", "-smp", "1", "-m", "1024"])
            .args(["-nodefaults", "-display", "none", "-no-reboot"])
            .args(["-serial", "stdio"])
            .arg("-chardev")
            .arg(format!("socket,id=wire,path={}", socket.display()))
            .args(["-serial", "chardev:wire"])
            .args(["-drive", &disk])
            .arg("-kernel")
            .arg(self.kernel.vmlinuz())
            .arg("-initrd")
            .arg(self.path("image"))
            .args(["-append", &words]);
        command
    }
}

/// A machine that runs; switched off when dropped.
#[derive(Debug)]
pub struct Guest {
    qemu: Process,
    lines: BufReader<UnixStream>,
    wire: UnixStream,
    pub booted: Booted,
}

impl Guest {
    /// Asks, and waits for the answer.
    fn ask(&mut self, request: &Request) -> Result<Answer> {
        self.tell(request)?;
        self.answer()
    }

    fn tell(&mut self, request: &Request) -> Result<()> {
        let line = format!("{}\n", serde_json::to_string(request)?);
        Ok(self.wire.write_all(line.as_bytes())?)
    }

    /// What it says next; a failure of the guest is an error.
    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => bail!("the machine ended\n{}", self.console()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("silence for {} s\n{}", SILENT.as_secs(), self.console())
            }
            Err(error) => return Err(error.into()),
        }
        match serde_json::from_str(&line).with_context(|| line)? {
            Answer::Failed(why) => bail!("in the guest: {why}\n{}", self.console()),
            answer @ (Answer::Booted(_)
            | Answer::Started(_)
            | Answer::Ended(_)
            | Answer::Why(_)
            | Answer::Attempted(_)
            | Answer::Done
            | Answer::Log(_)) => Ok(answer),
        }
    }

    /// The end of what its kernel and its init printed.
    fn console(&self) -> String {
        let printed = self.qemu.printed();
        let from = printed.len().saturating_sub(TAIL);
        String::from_utf8_lossy(&printed.as_bytes()[from..]).into_owned()
    }

    /// Starts the daemon, and sends packets the moment it is ready.
    pub fn start(&mut self) -> Result<Started> {
        self.start_with(Privileges::Root)
    }

    /// The same, of a daemon with no more than this.
    pub fn start_with(&mut self, privileges: Privileges) -> Result<Started> {
        let answer = self.ask(&Request::Start(privileges))?;
        let Answer::Started(started) = answer else {
            bail!("not an answer to a start: {answer:?}");
        };
        Ok(started)
    }

    /// Runs `holdfast` with these arguments.
    pub fn run(&mut self, arguments: &[&str]) -> Result<Outcome> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        ended(self.ask(&Request::Holdfast(arguments))?)
    }

    /// Runs `holdfast … -o json`, which must succeed.
    pub fn holdfast<T: DeserializeOwned>(&mut self, arguments: &[&str]) -> Result<T> {
        succeeded(&self.run(&[arguments, &["-o", "json"]].concat())?)
    }

    /// Applies the first configuration with another weight of web/be1.
    pub fn apply<T: DeserializeOwned>(&mut self, weight: u32, further: &[&str]) -> Result<T> {
        let further = further.iter().map(|&argument| argument.to_owned()).collect();
        succeeded(&ended(self.ask(&Request::Apply { weight, further })?)?)
    }

    /// Where the kernel sends a TCP flow from each of these.
    pub fn why(&mut self, sources: &[SocketAddr]) -> Result<Vec<Why>> {
        let answer = self.ask(&Request::Why(sources.to_vec()))?;
        let Answer::Why(flows) = answer else {
            bail!("not where flows go: {answer:?}");
        };
        Ok(flows)
    }

    /// Applies the first configuration with the guard in the kernel or without it.
    pub fn guard<T: DeserializeOwned>(&mut self, on: bool) -> Result<T> {
        succeeded(&ended(self.ask(&Request::Guard(on))?)?)
    }

    /// Opens maps and links of the daemon, and keeps the descriptors.
    pub fn hold(&mut self) -> Result<()> {
        self.done(&Request::Hold)
    }

    /// Ends the daemon.
    pub fn end(&mut self, how: End) -> Result<()> {
        self.done(&Request::End(how))
    }

    fn done(&mut self, request: &Request) -> Result<()> {
        let answer = self.ask(request)?;
        ensure!(matches!(answer, Answer::Done), "not done: {answer:?}");
        Ok(())
    }

    /// Does that to maps, links and pins.
    pub fn attempt(&mut self, what: Attempts) -> Result<Attempted> {
        let answer = self.ask(&Request::Attempt(what))?;
        let Answer::Attempted(attempted) = answer else {
            bail!("not what became of attempts: {answer:?}");
        };
        Ok(attempted)
    }

    /// What the daemon has logged.
    pub fn log(&mut self) -> Result<String> {
        let answer = self.ask(&Request::Log)?;
        let Answer::Log(log) = answer else {
            bail!("not a log: {answer:?}");
        };
        Ok(log)
    }

    /// Applies one weight after another until the power goes.
    pub fn apply_without_end(&mut self, first: u32) -> Result<()> {
        self.tell(&Request::ApplyWithoutEnd { first })
    }

    /// The next of them that was applied.
    pub fn applied<T: DeserializeOwned>(&mut self) -> Result<T> {
        succeeded(&ended(self.answer()?)?)
    }

    /// The power is off: nothing in it runs or is written from this instant on.
    /// What the guest had not yet given to its disk is lost.
    pub fn cut_power(self) -> Result<()> {
        self.cut_power_during::<serde_json::Value>().map(drop)
    }

    /// The same; what was answered until then and not yet read.
    pub fn cut_power_during<T: DeserializeOwned>(mut self) -> Result<Vec<T>> {
        self.qemu.kill()?;
        let mut answers = Vec::new();
        let mut line = String::new();
        // The last line may be half of one.
        while self.lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            answers.push(succeeded(&ended(serde_json::from_str(&line)?)?)?);
            line.clear();
        }
        Ok(answers)
    }
}

fn ended(answer: Answer) -> Result<Outcome> {
    let Answer::Ended(outcome) = answer else {
        bail!("not the end of a command: {answer:?}");
    };
    Ok(outcome)
}

fn succeeded<T: DeserializeOwned>(outcome: &Outcome) -> Result<T> {
    ensure!(outcome.code == Some(0), "exit {:?}: {}", outcome.code, outcome.said());
    outcome.json()
}
