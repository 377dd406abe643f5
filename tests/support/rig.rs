//! The whole thing: network, agents, services, daemon. Up in about two seconds,
//! and gone when dropped.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    addresses::{ENCAP_SOURCE, Family},
    config::{DATAGRAMS, Encap, Fleet, HTTP, RAW, STREAMS},
    contract::Status,
    daemon::{Binaries, Installation},
    exchange::{self, Wire},
    pass::PassPrograms,
    process::Process,
    run::{Footprint, RunId, Scratch},
    services::{EchoAt, Service},
    topology::{BackendHost, ROOMY, Shape, Topology},
    turn::{Company, Turn},
    wait,
};

/// Next hops are resolved within this.
const RESOLVED: Duration = Duration::from_secs(10);

/// What a rig is made of.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub shape: Shape,
    pub backends: u8,
    /// How many of them are configured, the first ones.
    pub configured: usize,
    pub underlay_mtu: u16,
    pub encap: Encap,
    /// Which of their addresses backends have in the configuration: the family
    /// of outer headers.
    pub outer: Family,
    /// `native` or `generic`.
    pub mode: &'static str,
    /// With whom it runs at the same time.
    pub company: Company,
}

impl Layout {
    /// IP in IPv4 in drivers, with room for it, to all of these backends.
    #[must_use]
    pub const fn of(shape: Shape, backends: u8) -> Self {
        Self {
            shape,
            backends,
            configured: backends as usize,
            underlay_mtu: ROOMY,
            encap: Encap::Ipip,
            outer: Family::V4,
            mode: "native",
            company: Company::Alone,
        }
    }

    /// It may stand beside others that say so: nothing of it is measured.
    #[must_use]
    pub const fn beside(self) -> Self {
        Self {
            company: Company::Beside,
            ..self
        }
    }

    /// Bytes that travelling to a backend adds to a packet.
    #[must_use]
    pub const fn overhead(&self) -> u16 {
        self.encap.overhead(self.outer)
    }
}

/// A running rig. Fields are dropped in their order: first what sends and
/// decides, then the network under it.
#[derive(Debug)]
pub struct Rig {
    daemon: Option<Process>,
    services: Vec<Service>,
    _pass: PassPrograms,
    pub network: Topology,
    pub installation: Installation,
    scratch: Scratch,
    /// What was applied first.
    pub fleet: Fleet,
    _turn: Turn,
}

impl Rig {
    /// A network of this shape with so many backends, all of them serving, the
    /// first `configured` of them in the configuration.
    pub fn start(shape: Shape, backends: u8, configured: usize) -> Result<Self> {
        Self::build(&Layout {
            configured,
            ..Layout::of(shape, backends)
        })
    }

    /// The same, beside others.
    pub fn start_beside(shape: Shape, backends: u8, configured: usize) -> Result<Self> {
        Self::build(&Layout {
            configured,
            ..Layout::of(shape, backends).beside()
        })
    }

    pub fn build(layout: &Layout) -> Result<Self> {
        Self::build_with(layout, |fleet| fleet)
    }

    /// With another configuration than the standard one.
    pub fn build_with(layout: &Layout, adapt: impl FnOnce(Fleet) -> Fleet) -> Result<Self> {
        let mut rig = Self::without_daemon(layout, adapt)?;
        rig.start_daemon()?;
        rig.wait_resolved()?;
        Ok(rig)
    }

    /// All of it but the daemon, which somebody else starts in the balancer's
    /// namespace.
    pub fn without_daemon(layout: &Layout, adapt: impl FnOnce(Fleet) -> Fleet) -> Result<Self> {
        let turn = Turn::take(layout.company);
        let binaries = Binaries::find()?;
        let id = RunId::new();
        let scratch = Scratch::new(&id)?;
        let network =
            Topology::build(&id, layout.shape, layout.backends, layout.underlay_mtu).context("building the network")?;
        let pass = PassPrograms::attach(&network.router, &network.router_ends())?;
        let installation = Installation {
            binaries,
            config: scratch.path("config.yaml"),
            state: scratch.path("state"),
            socket: scratch.path("holdfastd.sock"),
            pins: scratch.bpf().join("lb"),
            log: scratch.path("holdfastd.log"),
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        fs::create_dir(&installation.state)?;
        let hosts = &network.backends[..layout.configured];
        let fleet = Fleet::standard(layout.shape, hosts, scratch.path("hash.key"))
            .on(hosts, layout.outer)
            .by(layout.encap)
            .in_mode(layout.mode);
        let mut rig = Self {
            daemon: None,
            services: Vec::new(),
            _pass: pass,
            network,
            installation,
            scratch,
            fleet: adapt(fleet),
            _turn: turn,
        };
        rig.serve_backends(layout.encap)?;
        rig.installation.write(&rig.fleet)?;
        Ok(rig)
    }

    /// The run's own directory; gone with the rig.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        self.scratch.root()
    }

    /// Starts the daemon in the balancer's namespace and waits until it is
    /// ready.
    pub fn start_daemon(&mut self) -> Result<()> {
        self.daemon = Some(self.installation.start(&self.network.balancer)?);
        Ok(())
    }

    /// The same, by a command that ends up as the daemon.
    pub fn start_daemon_by(&mut self, command: Command) -> Result<()> {
        self.daemon = Some(self.installation.start_by(&self.network.balancer, command, &[])?);
        Ok(())
    }

    /// A daemon runs that this rig started.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.daemon.is_some()
    }

    /// `kill -9` of the daemon.
    pub fn kill_daemon(&mut self) -> Result<()> {
        let daemon = self.daemon.take().context("no daemon runs")?;
        daemon.kill()?;
        Ok(())
    }

    /// Asks the daemon to stop (SIGTERM), as an init system does.
    pub fn stop_daemon(&mut self) -> Result<()> {
        let daemon = self.daemon.take().context("no daemon runs")?;
        daemon.terminate()?;
        Ok(())
    }

    /// What the daemon has printed so far.
    #[must_use]
    pub fn daemon_log(&self) -> String {
        fs::read_to_string(&self.installation.log).unwrap_or_default()
    }

    /// Waits until every backend's next hop is known.
    pub fn wait_resolved(&self) -> Result<Status> {
        wait::until(RESOLVED, "next hops of all backends", || {
            let status = self.installation.status().ok()?;
            let resolved = status.backends().all(|(_, backend)| backend.up);
            resolved.then_some(status)
        })
        .with_context(|| self.daemon_log())
    }

    /// What has to be gone once the rig is.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        let network = &self.network;
        let backends = network.backends.iter().map(|host| &host.namespace);
        let all = [&network.client, &network.router, &network.balancer]
            .into_iter()
            .chain(backends);
        Footprint {
            namespaces: all.map(|namespace| namespace.name().to_owned()).collect(),
            directory: self.scratch.root().to_owned(),
        }
    }

    #[must_use]
    pub fn host(&self, name: &str) -> Option<&BackendHost> {
        self.network.backends.iter().find(|host| host.name == name)
    }

    fn serve_backends(&mut self, encap: Encap) -> Result<()> {
        for host in &self.network.backends {
            // What comes by its own MAC addresses is not wrapped.
            if encap != Encap::L2 {
                self.attach_agent(host)?;
            }
            let at = EchoAt {
                tcp: STREAMS.port,
                udp: DATAGRAMS.both().to_vec(),
            };
            self.services.push(Service::echo(&host.namespace, &host.name, &at)?);
            for (wire, port) in [(Wire::Http, HTTP.port), (Wire::Raw, RAW.port)] {
                self.services
                    .push(exchange::serve(&host.namespace, &host.name, wire, port)?);
            }
        }
        Ok(())
    }

    /// The command attaches and pins the agent, and ends; the pin holds it.
    fn attach_agent(&self, host: &BackendHost) -> Result<()> {
        let mut command = Command::new(self.installation.binaries.holdfast());
        command.args(["agent", "run", "--interface", "eth0"]);
        for prefix in ENCAP_SOURCE {
            command.args(["--from", prefix]);
        }
        command
            .arg("--pin-dir")
            .arg(self.scratch.bpf().join(format!("agent-{}", host.name)));
        let output = host.namespace.run(|| command.output())??;
        ensure!(
            output.status.success(),
            "agent of {}: {}",
            host.name,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}
