//! A balancer: its namespace, its daemon, and its programs, to be run.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use aya::{
    maps::{Array, Map, MapData, PerCpuArray},
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use aya_obj::programs::XdpAttachType;
use lb_common::{
    abi::node::Node,
    verdict::{AgentVerdict, Verdict},
};
use support::{
    daemon::{Binaries, Installation},
    netns::{Namespace, ip_batch},
    oracle::{Action, Fate, Site},
    process::Process,
    run::{RunId, Scratch},
    sites,
};

/// `BPF_PROG_TEST_RUN` takes no frame shorter than an Ethernet header.
pub const SHORTEST: usize = 14;

/// Loopback, which stands for itself where no interface is given.
pub const LOOPBACK: u32 = 1;

/// Fields are dropped in their order: the daemon before its network.
#[derive(Debug)]
pub struct Balancer {
    daemon: Option<Process>,
    pub installation: Installation,
    /// As it was asked for, with the interfaces' real indices.
    pub site: Site,
    namespace: Namespace,
    _far: Namespace,
    scratch: Scratch,
}

impl Balancer {
    /// Starts the real daemon with the configuration of `site`.
    pub fn start(mut site: Site) -> Result<Self> {
        let id = RunId::new();
        let scratch = Scratch::new(&id)?;
        let (namespace, far) = (
            Namespace::create(id.namespace("lb"))?,
            Namespace::create(id.namespace("far"))?,
        );
        link(&namespace, &far, &mut site)?;
        let installation = Installation {
            binaries: Binaries::find()?,
            config: scratch.path("config.yaml"),
            state: scratch.path("state"),
            socket: scratch.path("holdfastd.sock"),
            pins: scratch.bpf().join("lb"),
            log: scratch.path("holdfastd.log"),
            arguments: Vec::new(),
            environment: Vec::new(),
        };
        fs::create_dir(&installation.state)?;
        fs::write(&installation.config, sites::yaml(&site, &scratch.path("hash.key")))?;
        let daemon = installation.start(&namespace)?;
        let balancer = Self {
            daemon: Some(daemon),
            installation,
            site,
            namespace,
            _far: far,
            scratch,
        };
        // Or the fate of a packet would depend on those before it.
        balancer.limit_answers(u32::MAX)?;
        Ok(balancer)
    }

    /// Kills the daemon, does something meanwhile, and starts another one.
    pub fn restart_after(&mut self, meanwhile: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        self.daemon.take().context("no daemon runs")?.kill()?;
        meanwhile(self)?;
        self.daemon = Some(self.installation.start(&self.namespace)?);
        self.limit_answers(u32::MAX)
    }

    /// Kills the daemon. What it published is served as before, but nobody
    /// looks at links, learns of paths or sets limits while packets are tried.
    pub fn alone(mut self) -> Result<Self> {
        self.daemon.take().context("no daemon runs")?.kill()?;
        self.limit_answers(u32::MAX)?;
        Ok(self)
    }

    /// Lets the program send so many ICMP errors a second, on each CPU.
    pub fn limit_answers(&self, per_second: u32) -> Result<()> {
        let map = MapData::from_pin(self.pins().join("maps/NODE"))?;
        let mut map: Array<_, [u8; size_of::<Node>()]> = Array::try_from(Map::Array(map))?;
        let mut node: Node = bytemuck::pod_read_unaligned(&map.get(&0, 0)?);
        node.answers_per_second = per_second;
        map.set(0, bytemuck::cast::<Node, [u8; size_of::<Node>()]>(node), 0)?;
        Ok(())
    }

    /// Where the daemon pinned programs and maps.
    #[must_use]
    pub fn pins(&self) -> &Path {
        &self.installation.pins
    }

    /// A place for files.
    #[must_use]
    pub const fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Index of an interface that is there and not ours.
    pub fn foreign_interface(&self) -> Result<u32> {
        self.namespace.ip("link add other0 type veth peer name other1")?;
        ifindex(&self.namespace, "other0")
    }

    /// Works in the balancer's namespace, where its interfaces can be named.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.namespace.run(work)?
    }

    pub fn balancer(&self) -> Result<Program> {
        let names = Verdict::ALL.iter().map(|verdict| verdict.name());
        Program::open(self.pins(), "balancer", "COUNTERS", names.collect())
    }

    pub fn agent(&self) -> Result<Program> {
        let names = AgentVerdict::ALL.iter().map(|verdict| verdict.name());
        Program::open(self.pins(), "agent", "AGENT_COUNTERS", names.collect())
    }
}

/// A pinned program, and the counters of its verdicts.
pub struct Program {
    xdp: Xdp,
    counters: PerCpuArray<MapData, [u64; 2]>,
    verdicts: Vec<&'static str>,
}

impl Program {
    fn open(pins: &Path, name: &str, counters: &str, verdicts: Vec<&'static str>) -> Result<Self> {
        let path = pins.join("prog").join(name);
        let xdp = Xdp::from_pin(&path, XdpAttachType::Interface);
        let counters = MapData::from_pin(pins.join("maps").join(counters))?;
        Ok(Self {
            xdp: xdp.with_context(|| format!("opening {}", path.display()))?,
            counters: PerCpuArray::try_from(Map::PerCpuArray(counters))?,
            verdicts,
        })
    }

    /// Runs a frame as if it had come by the interface `ingress` of this
    /// thread's namespace: the action, and the frame afterwards.
    pub fn run(&self, frame: &[u8], ingress: u32) -> Result<(Action, Vec<u8>)> {
        let context = xdp_md(frame.len(), ingress);
        let mut output = vec![0; frame.len() + 256];
        let result = self.xdp.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut output),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        })?;
        output.truncate(result.data_size_out as usize);
        // `enum xdp_action` of the kernel's include/uapi/linux/bpf.h.
        let action = match result.return_value {
            1 => Action::Drop,
            2 => Action::Pass,
            3 => Action::Tx,
            4 => Action::Redirect,
            other => anyhow::bail!("action {other}, which is aborted or none"),
        };
        Ok((action, output))
    }

    /// The same, with the verdict by the counter that moved.
    pub fn fate(&self, frame: &[u8], ingress: u32) -> Result<Fate> {
        let before = self.counts()?;
        let (action, bytes) = self.run(frame, ingress)?;
        let after = self.counts()?;
        let counted = (0..self.verdicts.len()).filter(|&at| before[at] != after[at]);
        let [verdict] = counted.collect::<Vec<_>>()[..] else {
            anyhow::bail!("one verdict a packet: {before:?}, then {after:?}");
        };
        ensure!(after[verdict][0] == before[verdict][0] + 1, "counted once");
        ensure!(
            after[verdict][1] == before[verdict][1] + frame.len() as u64,
            "bytes as they came"
        );
        Ok(Fate {
            verdict: self.verdicts[verdict].to_owned(),
            action,
            bytes,
        })
    }

    /// Packets and bytes of every verdict.
    pub fn counts(&self) -> Result<Vec<[u64; 2]>> {
        (0..self.verdicts.len()).map(|at| self.count_at(at)).collect()
    }

    /// Packets of one verdict.
    pub fn packets(&self, verdict: &str) -> Result<u64> {
        let at = self.verdicts.iter().position(|name| *name == verdict);
        Ok(self.count_at(at.with_context(|| format!("no verdict {verdict}"))?)?[0])
    }

    fn count_at(&self, at: usize) -> Result<[u64; 2]> {
        let values = self.counters.get(&u32::try_from(at)?, 0)?;
        Ok(values
            .iter()
            .fold([0, 0], |[packets, bytes], one| [packets + one[0], bytes + one[1]]))
    }
}

/// `struct xdp_md`: data, data_end, data_meta, ingress_ifindex,
/// rx_queue_index, egress_ifindex.
fn xdp_md(length: usize, ingress: u32) -> Vec<u8> {
    let words = [0, length as u32, 0, ingress, 0, 0];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The site's interfaces. Their far ends have no address, and IPv6 is off, so
/// that nobody sends anything.
fn link(namespace: &Namespace, far: &Namespace, site: &mut Site) -> Result<()> {
    for interface in &mut site.interfaces {
        let (name, mtu) = (&interface.name, interface.mtu);
        let mac = interface.mac.map(|byte| format!("{byte:02x}")).join(":");
        ip_batch(&[format!(
            "link add {name} address {mac} mtu {mtu} netns {} type veth peer name {name} mtu {mtu} netns {}",
            namespace.name(),
            far.name()
        )])?;
        namespace.ip(&format!("link set {name} up"))?;
        far.ip(&format!("link set {name} up"))?;
        interface.ifindex = ifindex(namespace, name)?;
    }
    Ok(())
}

fn ifindex(namespace: &Namespace, name: &str) -> Result<u32> {
    let printed = namespace.ip(&format!("-j link show dev {name}"))?;
    let links: serde_json::Value = serde_json::from_str(&printed)?;
    let index = links[0]["ifindex"].as_u64();
    Ok(u32::try_from(index.with_context(|| format!("no index: {printed}"))?)?)
}
