//! The rig in the guest, and what the host asks of it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    net::{SocketAddr, UdpSocket},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use support::{
    addresses::{CLIENT_HOSTS, Family, client},
    config::{DATAGRAMS, STREAMS},
    daemon::Outcome,
    netns::Namespace,
    process::Process,
    rig::{Layout, Rig},
    topology::Shape,
    vm::wire::{Answer, End, Privileges, Request, Started},
};

use crate::{
    attempts::{self, Held},
    boot::DISK,
    unit,
};

const NOTIFY: &str = "/run/notify";
/// Says that it is ready within this.
const READY: Duration = Duration::from_secs(90);
/// A datagram that was forwarded is answered within this.
const ANSWERED: Duration = Duration::from_secs(10);
/// One that was not, would have been within this.
const UNANSWERED: Duration = Duration::from_secs(1);
/// What web/be1 has in the first configuration.
const START_WEIGHT: u32 = 100;
/// Datagrams come from this port of each of the client's addresses.
const PORT: u16 = 40_000;

#[derive(Debug)]
pub struct Balancer {
    rig: Rig,
    daemon: Option<Process>,
    /// Descriptors of what is the daemon's.
    held: Option<Held>,
}

impl Balancer {
    /// Everything but the daemon: a network of two arms with three backends. What
    /// a host keeps is on its disk; the first boot puts the configuration there.
    pub fn build() -> Result<Self> {
        let disk = Path::new(DISK);
        let mut rig = Rig::without_daemon(&Layout::of(Shape::TwoArm, 3), |mut fleet| {
            fleet.hash_key_file = disk.join("hash.key");
            fleet.draining("2s", "20s")
        })?;
        let installation = &mut rig.installation;
        installation.state = disk.join("state");
        installation.config = disk.join("config.yaml");
        installation.pins = PathBuf::from("/sys/fs/bpf/holdfast");
        installation.environment = vec![("NOTIFY_SOCKET".to_owned(), NOTIFY.to_owned())];
        if !installation.state.is_dir() {
            fs::create_dir(&installation.state)?;
            let mut file = File::create(&installation.config)?;
            file.write_all(rig.fleet.yaml().as_bytes())?;
            // It was there long before the power goes.
            file.sync_all()?;
            File::open(disk)?.sync_all()?;
        }
        Ok(Self {
            rig,
            daemon: None,
            held: None,
        })
    }

    /// What the daemon has printed.
    pub fn log(&self) -> String {
        self.rig.daemon_log()
    }

    pub fn answer(&mut self, request: Request) -> Result<Answer> {
        Ok(match request {
            Request::Start(privileges) => Answer::Started(self.start(privileges)?),
            Request::Holdfast(arguments) => Answer::Ended(self.holdfast(&arguments)?),
            Request::Apply { weight, further } => {
                let further = [further.as_slice(), &["-o".to_owned(), "json".to_owned()]].concat();
                Answer::Ended(self.apply(weight, &further)?)
            }
            Request::Why(sources) => {
                let ask = |&source| self.rig.installation.why_tcp_by_api(source, STREAMS.v4());
                Answer::Why(sources.iter().map(ask).collect::<Result<_>>()?)
            }
            Request::Guard(on) => {
                self.rig.fleet.guard = on;
                Answer::Ended(self.apply(START_WEIGHT, &["-o".to_owned(), "json".to_owned()])?)
            }
            Request::Hold => {
                self.held = Some(Held::open(&self.rig.installation.pins)?);
                Answer::Done
            }
            Request::Attempt(what) => Answer::Attempted(attempts::make(&self.rig, self.held.as_ref(), what)?),
            Request::End(how) => {
                let daemon = self.daemon.take().context("no daemon runs")?;
                match how {
                    End::Terminate => daemon.terminate()?,
                    End::Kill => daemon.kill()?,
                };
                Answer::Done
            }
            Request::Log => Answer::Log(self.log()),
            Request::ApplyWithoutEnd { .. } => bail!("it has no one answer"),
        })
    }

    fn holdfast(&self, arguments: &[String]) -> Result<Outcome> {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.rig.installation.run(&arguments)
    }

    /// The file of the change is not on the disk: nothing but the daemon's own
    /// store says after a reboot what was applied.
    pub fn apply(&self, weight: u32, further: &[String]) -> Result<Outcome> {
        let file = "/run/change.yaml";
        fs::write(file, self.rig.fleet.clone().weighing("web", "be1", weight).yaml())?;
        let arguments = ["apply", "-f", file].map(str::to_owned);
        self.holdfast(&[&arguments, further].concat())
    }

    fn start(&mut self, privileges: Privileges) -> Result<Started> {
        ensure!(self.daemon.is_none(), "a daemon runs already");
        let flows = self.rig.network.client.run(Flows::open)??;
        let before = flows.send_once(UNANSWERED)?;
        // Of a daemon before.
        if Path::new(NOTIFY).exists() {
            fs::remove_file(NOTIFY)?;
        }
        let heard = UnixDatagram::bind(NOTIFY)?;
        let installation = &self.rig.installation;
        let mut command = Command::new(installation.binaries.holdfastd());
        installation.direct(&mut command);
        if privileges == Privileges::Unit {
            unit::as_of_the_unit(&mut command);
        }
        let begun = Instant::now();
        self.daemon = Some(start_in(&self.rig.network.balancer, command, &installation.log)?);
        wait_ready(&heard).with_context(|| self.where_it_is())?;
        let ready_ms = begun.elapsed().as_millis() as u64;
        // At this very moment, before anything else is asked or sent.
        let answered = flows.send_once(ANSWERED)?;
        Ok(Started {
            before,
            attached: self.attached()?,
            answered,
            ready_ms,
        })
    }

    /// Where a daemon is that does not come to its end: all its threads.
    fn where_it_is(&self) -> String {
        let Some(daemon) = &self.daemon else {
            return "no daemon runs".to_owned();
        };
        let tasks = format!("/proc/{}/task", daemon.id());
        let Ok(threads) = fs::read_dir(&tasks) else {
            return "the daemon has ended".to_owned();
        };
        let threads = threads.filter_map(Result::ok).map(|thread| {
            let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
            format!(
                "{} {} {}",
                read("comm").trim(),
                read("syscall").trim(),
                read("stack").replace('\n', " <")
            )
        });
        threads.collect::<Vec<_>>().join("; ")
    }

    fn attached(&self) -> Result<Vec<String>> {
        let links = fs::read_dir(self.rig.installation.pins.join("links"))?;
        let mut names = links
            .map(|link| Ok(link?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<String>>>()?;
        names.sort();
        Ok(names)
    }
}

fn start_in(namespace: &Namespace, command: Command, log: &Path) -> Result<Process> {
    Process::start(namespace, command, log).context("starting holdfastd")
}

/// Reads what the daemon tells systemd until it says that it is ready.
fn wait_ready(heard: &UnixDatagram) -> Result<()> {
    heard.set_read_timeout(Some(READY))?;
    let mut buffer = [0; 4096];
    loop {
        let length = heard.recv(&mut buffer).context("the daemon did not say READY=1")?;
        if String::from_utf8_lossy(&buffer[..length])
            .lines()
            .any(|line| line == "READY=1")
        {
            return Ok(());
        }
    }
}

/// A socket for each of the client's addresses, the same in every boot.
#[derive(Debug)]
struct Flows(Vec<UdpSocket>);

impl Flows {
    /// In the calling thread's namespace.
    fn open() -> io::Result<Self> {
        let open = |host| {
            let socket = UdpSocket::bind(SocketAddr::new(client(host).of(Family::V4), PORT))?;
            socket.connect(DATAGRAMS.v4())?;
            Ok(socket)
        };
        CLIENT_HOSTS.map(open).collect::<io::Result<_>>().map(Self)
    }

    /// One datagram of each flow, never sent again; who answered within `patience`
    /// of the last.
    fn send_once(&self, patience: Duration) -> Result<Vec<Option<String>>> {
        for socket in &self.0 {
            socket.send(b"first").context("sending a datagram")?;
        }
        let until = Instant::now() + patience;
        self.0.iter().map(|socket| answer_by(socket, until)).collect()
    }
}

/// The name in front of an answer: `be1 first`.
fn answer_by(socket: &UdpSocket, until: Instant) -> Result<Option<String>> {
    let left = until.saturating_duration_since(Instant::now());
    socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
    let mut buffer = [0; 64];
    match socket.recv(&mut buffer) {
        Ok(length) => {
            let said = String::from_utf8_lossy(&buffer[..length]);
            let (name, echoed) = said.split_once(' ').context("an answer without a name")?;
            ensure!(echoed == "first", "another datagram came back: {said}");
            Ok(Some(name.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
