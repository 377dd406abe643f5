//! A balancer with two arms, traffic to all its VIPs, and a daemon that is killed
//! again and again. Whatever is served, every datagram tells it: the pools of
//! two configurations have no backend in common, and all backends are behind one
//! gateway, whose address is in every frame.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    fmt::Write as _,
    fs, io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Pid;
use serde_json::Value;
use support::{
    config::UNPROTECTED,
    contract::Status,
    daemon::{Binaries, Installation},
    netns::{Namespace, ip_batch, ip_batch_in},
    pass::PassPrograms,
    process::Process,
    run::{RunId, Scratch},
    scrape, tracer, wait,
};

use super::traffic::{Sent, Traffic, VIPS};

/// A daemon is ready within this, or something is wrong.
const READY: Duration = Duration::from_mins(3);

/// The idle arm, which is detached and attached.
pub const IDLE: &str = "lb1";

/// Which of the two configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Left,
    Right,
}

impl Side {
    pub const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    pub const fn of(sent: Sent) -> Self {
        if sent.backend < 100 { Self::Left } else { Self::Right }
    }
}

/// What serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub generation: u64,
    pub side: Side,
    pub attached: BTreeSet<String>,
}

impl Served {
    /// It is what was aimed at. Numbers of generations that were discarded are not
    /// used again, so the one after this may have a later number.
    pub fn is(&self, aim: &Self, before: &Self) -> bool {
        let later = aim.generation > before.generation && self.generation >= aim.generation;
        (later || self.generation == aim.generation) && (self.side, &self.attached) == (aim.side, &aim.attached)
    }

    /// The first that was ever served: the one before it may have been discarded.
    pub const fn is_first(&self) -> bool {
        matches!(self.generation, 1 | 2)
    }
}

pub struct Site {
    pub daemon: Option<Process>,
    pub traffic: Traffic,
    pub installation: Installation,
    pub inside: Namespace,
    /// Of the gateway's MAC address now.
    pub hop: u8,
    /// How the next daemon is started: a build of it, or of its program.
    pub build: Build,
    /// What served when the pins were lost; none: nothing is known.
    pub last: Option<Served>,
    /// The history before the store was damaged.
    pub remembered: Vec<Value>,
    /// What the last command that failed said.
    pub said: String,
    notices: UnixDatagram,
    scratch: Scratch,
    _outside: Namespace,
    _pass: PassPrograms,
}

/// A build of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    Usual,
    /// With another program.
    Later,
    /// With maps of another layout.
    Relaid,
}

impl Site {
    /// With nothing served yet.
    pub fn new() -> Result<Self> {
        let id = RunId::new();
        let scratch = Scratch::new(&id)?;
        let (inside, outside) = (
            Namespace::create(id.namespace("lb"))?,
            Namespace::create(id.namespace("gen"))?,
        );
        outside.turn_ipv6_on()?;
        let (lb, generator) = (inside.name(), outside.name());
        let link = |near, far| format!("link add {near} netns {lb} type veth peer name {far} netns {generator}");
        ip_batch(&[link("lb0", "gen0"), link(IDLE, "gen1")])?;
        let up = |interface: &str| format!("link set {interface} up");
        let near = "02:00:00:00:aa:00";
        ip_batch_in(
            lb,
            &[
                format!("link set lb0 address {near}"),
                up("lb0"),
                up(IDLE),
                "addr add 10.9.0.1/24 dev lb0".to_owned(),
                "route add 10.0.1.0/24 via 10.9.0.254".to_owned(),
            ],
        )?;
        ip_batch_in(
            generator,
            &[
                up("gen0"),
                up("gen1"),
                "addr add 10.9.0.2/24 dev gen0".to_owned(),
                "addr add fd09::2/64 dev gen0".to_owned(),
                format!("neigh replace 10.9.0.1 lladdr {near} dev gen0 nud permanent"),
                format!("neigh replace fd09::1 lladdr {near} dev gen0 nud permanent"),
                "route add 203.0.113.0/24 via 10.9.0.1".to_owned(),
                "route add 2001:db8:cb00:7100::/64 via fd09::1 dev gen0".to_owned(),
            ],
        )?;
        let pass = PassPrograms::attach(&outside, &["gen0".to_owned(), "gen1".to_owned()])?;
        let notices = UnixDatagram::bind(scratch.path("notices"))?;
        notices.set_nonblocking(true)?;
        let notify = scratch.path("notices").to_string_lossy().into_owned();
        let installation = Installation {
            binaries: Binaries::find()?,
            config: scratch.path("config.yaml"),
            state: scratch.path("state"),
            socket: scratch.path("holdfastd.sock"),
            pins: scratch.bpf().join("lb"),
            log: scratch.path("holdfastd.log"),
            arguments: Vec::new(),
            environment: vec![("NOTIFY_SOCKET".to_owned(), notify)],
        };
        fs::create_dir(&installation.state)?;
        let site = Self {
            daemon: None,
            traffic: Traffic::start(&outside)?,
            installation,
            inside,
            hop: 1,
            build: Build::Usual,
            last: None,
            remembered: Vec::new(),
            said: String::new(),
            notices,
            scratch,
            _outside: outside,
            _pass: pass,
        };
        site.set_hop(1)?;
        site.write(Side::Left)?;
        Ok(site)
    }

    /// The same, serving.
    pub fn serving() -> Result<Self> {
        let mut site = Self::new()?;
        site.start()?;
        Ok(site)
    }

    /// The gateway has this MAC address from now on.
    pub fn set_hop(&self, hop: u8) -> Result<()> {
        let words = format!("neigh replace 10.9.0.254 lladdr 02:00:00:00:0a:{hop:02x} dev lb0 nud permanent");
        self.inside.ip(&words).map(drop)
    }

    /// Writes a configuration.
    pub fn write(&self, side: Side) -> Result<()> {
        let mut pools = String::new();
        for (pool, base) in [("web", 10), ("dns", 20)] {
            writeln!(pools, "- name: {pool}\n  encap: ipip\n  table: maglev\n  backends:")?;
            for (of, base) in [(Side::Left, base), (Side::Right, base + 100)] {
                // In maintenance: the program lets go of those at once, so that each
                // revision says one thing of every flow.
                let state = if of == side { "ready" } else { "maint" };
                for number in base..base + 3 {
                    writeln!(
                        pools,
                        "  - {{ name: be{number}, address: 10.0.1.{number}, weight: 100, state: {state} }}"
                    )?;
                }
            }
        }
        let vips = VIPS.map(|(name, address, port, pool)| {
            format!("- {{ name: {name}, address: \"{address}\", port: {port}, protocol: udp, pool: {pool} }}\n")
        });
        let text = format!(
            "apiVersion: holdfast/v1\nenvironment: lab\n{UNPROTECTED}\n\
             node: {{ interfaces: [{{ name: lb0, mode: native }}, {{ name: {IDLE}, mode: native }}], \
             encapSource: {{ v4: 10.255.0.0/16 }}, hashKeyFile: {key} }}\npools:\n{pools}vips:\n{vips}",
            key = self.hash_key().display(),
            vips = vips.concat(),
        );
        fs::write(&self.installation.config, text).context("writing the configuration")
    }

    fn hash_key(&self) -> PathBuf {
        self.scratch.path("hash.key")
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn start(&mut self) -> Result<()> {
        self.daemon = Some(self.spawn()?);
        self.wait_ready()
    }

    pub fn wait_ready(&mut self) -> Result<()> {
        let Self { daemon, notices, .. } = self;
        let daemon = daemon.as_mut().context("no daemon")?;
        daemon.wait_ready("a daemon that is ready", READY, || heard_ready(notices))
    }

    /// The daemon was heard to be ready.
    pub fn is_ready(&self) -> bool {
        heard_ready(&self.notices)
    }

    pub fn spawn(&self) -> Result<Process> {
        self.forget_notices();
        let mut command = Command::new(self.program());
        self.direct(&mut command);
        Process::start(&self.inside, command, &self.installation.log)
    }

    /// Starts one that has stopped before its first instruction.
    pub fn spawn_stopped(&self) -> Result<Process> {
        self.forget_notices();
        let mut command = Command::new("sh");
        command
            .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""])
            .arg(self.program());
        self.direct(&mut command);
        let process = Process::start(&self.inside, command, &self.installation.log)?;
        let id = Pid::from_raw(i32::try_from(process.id())?);
        wait::until(READY, "a process that stops itself", || {
            tracer::is_stopped(id).is_ok_and(|is| is).then_some(())
        })?;
        Ok(process)
    }

    fn program(&self) -> PathBuf {
        match self.build {
            Build::Usual | Build::Later => self.installation.binaries.holdfastd(),
            Build::Relaid => self.installation.binaries.relaid(),
        }
    }

    fn direct(&self, command: &mut Command) {
        self.installation.direct(command);
        if self.build == Build::Later {
            command
                .arg("--program")
                .arg(self.installation.binaries.program("later"));
        }
    }

    fn forget_notices(&self) {
        while self.notices.recv(&mut [0; 4096]).is_ok() {}
    }

    pub fn kill(&mut self) -> Result<()> {
        self.daemon.take().context("no daemon")?.kill()?;
        Ok(())
    }

    /// Runs `holdfast`, which must succeed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let outcome = self.installation.run(arguments)?;
        ensure!(
            outcome.code == Some(0),
            "holdfast {}: {}",
            arguments.join(" "),
            outcome.said()
        );
        Ok(outcome.stdout)
    }

    /// Makes the daemon do something.
    pub fn poke(&self) {
        // It may be gone, or not be there yet.
        drop(self.ask_status());
    }

    fn ask_status(&self) -> Result<Status> {
        let stream = std::os::unix::net::UnixStream::connect(&self.installation.socket)?;
        stream.set_read_timeout(Some(READY))?;
        let (_, body) = scrape::get(stream, "/v1/status")?;
        serde_json::from_str(&body).with_context(|| body)
    }

    /// What the daemon says it serves; it must say that all is well.
    pub fn served(&self) -> Result<Served> {
        let status = self.installation.status()?;
        let Status {
            mode,
            program_problem,
            journal_problem,
            ..
        } = &status;
        ensure!(
            mode == "normal" && program_problem.is_none() && journal_problem.is_none(),
            "{mode}, {program_problem:?}, {journal_problem:?}"
        );
        Self::read(&status)
    }

    /// The same while it says that something is wrong.
    pub fn serves(&self) -> Result<Served> {
        Self::read(&self.installation.status()?)
    }

    fn read(status: &Status) -> Result<Served> {
        let serving = status.backends().filter(|(_, backend)| backend.slots > 0);
        let sides: BTreeSet<Side> = serving
            .map(|(_, backend)| {
                Side::of(Sent {
                    backend: last_byte(backend.address),
                    hop: 0,
                })
            })
            .collect();
        let [side] = Vec::from_iter(sides)[..] else {
            bail!("backends of both sides have slots");
        };
        let attached = status.interfaces.iter().filter(|interface| interface.prog_id != 0);
        Ok(Served {
            generation: status.generation,
            side,
            attached: attached.map(|interface| interface.name.clone()).collect(),
        })
    }

    /// Nothing is served, and nothing is known.
    pub fn raze(&mut self) -> Result<()> {
        self.lose_pins()?;
        self.last = None;
        self.write(Side::Left)?;
        fs::remove_dir_all(&self.installation.state)?;
        fs::create_dir(&self.installation.state)?;
        match fs::remove_file(self.hash_key()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What a reboot does to what is pinned. Returns when packets pass by.
    pub fn lose_pins(&mut self) -> Result<()> {
        if self.daemon.is_some() {
            self.last = Some(self.served()?);
            self.kill()?;
        }
        if self.installation.pins.exists() {
            fs::remove_dir_all(&self.installation.pins)?;
        }
        Ok(())
    }

    /// Something happens to the store while no daemon runs; the next one is read-only.
    pub fn damage(&mut self, happens: fn(PathBuf) -> io::Result<()>) -> Result<()> {
        self.remembered = self.history()?;
        self.kill()?;
        happens(self.state().join("holdfast.db")).context("the damage")?;
        self.start()?;
        let mode = self.installation.status()?.mode;
        ensure!(mode == "read-only", "after the damage it is {mode}");
        Ok(())
    }

    /// The last generations; the kernel remembers more of them than these.
    pub fn history(&self) -> Result<Vec<Value>> {
        const LAST: usize = 20;
        let history: Value = self.installation.ask(&["history"])?;
        let mut generations = history["generations"].as_array().context("generations")?.clone();
        generations.sort_by_key(|generation| Reverse(generation["generation"].as_u64()));
        generations.truncate(LAST);
        Ok(generations)
    }

    /// The stores that were set aside, which are removed. What was cut short before it moved
    /// one has made a directory for it.
    pub fn take_set_aside(&self) -> Result<Vec<Vec<u8>>> {
        let directory = self.state().join("set-aside");
        let times = fs::read_dir(&directory).context("nothing was set aside")?;
        let mut stores = Vec::new();
        for time in times {
            let store = time?.path().join("holdfast.db");
            if store.exists() {
                stores.push(fs::read(store)?);
            }
        }
        fs::remove_dir_all(&directory)?;
        Ok(stores)
    }

    pub fn state(&self) -> &Path {
        &self.installation.state
    }

    /// Waits for something that the daemon is to do.
    #[expect(clippy::unused_self, reason = "it reads as what is waited for")]
    pub fn until(&self, at_most: Duration, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !holds()? {
            ensure!(began.elapsed() < at_most, "{what}: not within {at_most:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn heard_ready(notices: &UnixDatagram) -> bool {
    let mut buffer = [0; 4096];
    while let Ok(length) = notices.recv(&mut buffer) {
        if String::from_utf8_lossy(&buffer[..length]).contains("READY=1") {
            return true;
        }
    }
    false
}

const fn last_byte(address: std::net::IpAddr) -> u8 {
    match address {
        std::net::IpAddr::V4(address) => address.octets()[3],
        std::net::IpAddr::V6(address) => address.octets()[15],
    }
}
