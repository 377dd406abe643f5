//! The whole thing: network, agents, services, daemon. Up in about two seconds,
//! and gone when dropped.

use std::{
    fs,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    config::{DATAGRAMS, Fleet, HTTP, RAW, STREAMS},
    contract::Status,
    daemon::{Binaries, Installation},
    exchange::{self, Wire},
    pass::PassPrograms,
    process::Process,
    run::{Footprint, RunId, Scratch},
    services::{EchoAt, Service},
    topology::{BackendHost, ENCAP_SOURCE, Shape, Topology},
    wait,
};

/// One rig at a time in a process: two of them would measure each other.
static TURN: Mutex<()> = Mutex::new(());

/// Next hops are resolved within this.
const RESOLVED: Duration = Duration::from_secs(10);

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
    _turn: MutexGuard<'static, ()>,
}

impl Rig {
    /// A network of this shape with so many backends, all of them serving, the
    /// first `configured` of them in the configuration.
    pub fn start(shape: Shape, backends: u8, configured: usize) -> Result<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let binaries = Binaries::find()?;
        let id = RunId::new();
        let scratch = Scratch::new(&id)?;
        let network = Topology::build(&id, shape, backends).context("building the network")?;
        let pass = PassPrograms::attach(&network.router, &network.router_ends())?;
        let installation = Installation {
            binaries,
            config: scratch.path("config.yaml"),
            state: scratch.path("state"),
            socket: scratch.path("holdfastd.sock"),
            pins: scratch.bpf().join("lb"),
            log: scratch.path("holdfastd.log"),
        };
        fs::create_dir(&installation.state)?;
        let fleet = Fleet::standard(shape, &network.backends[..configured], scratch.path("hash.key"));
        let mut rig = Self {
            daemon: None,
            services: Vec::new(),
            _pass: pass,
            network,
            installation,
            scratch,
            fleet,
            _turn: turn,
        };
        rig.serve_backends()?;
        rig.installation.write(&rig.fleet)?;
        rig.start_daemon()?;
        rig.wait_resolved()?;
        Ok(rig)
    }

    /// Starts the daemon in the balancer's namespace and waits until it is
    /// ready.
    pub fn start_daemon(&mut self) -> Result<()> {
        self.daemon = Some(self.installation.start(&self.network.balancer)?);
        Ok(())
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

    fn serve_backends(&mut self) -> Result<()> {
        for host in &self.network.backends {
            self.attach_agent(host)?;
            let at = EchoAt {
                tcp: STREAMS.port(),
                udp: DATAGRAMS,
            };
            self.services.push(Service::echo(&host.namespace, &host.name, at)?);
            for (wire, port) in [(Wire::Http, HTTP.port()), (Wire::Raw, RAW.port())] {
                self.services
                    .push(exchange::serve(&host.namespace, &host.name, wire, port)?);
            }
        }
        Ok(())
    }

    /// The command attaches and pins the agent, and ends; the pin holds it.
    fn attach_agent(&self, host: &BackendHost) -> Result<()> {
        let mut command = Command::new(self.installation.binaries.holdfast());
        command.args(["agent", "run", "--interface", "eth0", "--from", ENCAP_SOURCE]);
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
