//! Configurations of a size of our choice, published as the daemon does it but
//! in this process, below pins of their own.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::LazyLock,
};

use anyhow::{Context, Result, ensure};
use aya::maps::{Map, MapData, PerCpuArray};
use holdfast::{
    agent,
    config::{self, Config, MacAddr},
    kernel::{Kernel as _, aya::KernelBalancer, upgrade::Object},
    layout::{Layout, RootFacts},
    part::Part,
    plan::{Content, Overrides},
    publish::{Published, Publisher},
    rehearsal,
    revision::{BackendId, Hop, Hops, Revision},
};
use ipnet::{Ipv4Net, Ipv6Net};
use lb_common::{
    abi::{
        agent::Peers,
        counters::{COUNTERS, FIRST_FREE},
        flows::seconds,
        hash_key::{HASH_KEY_BYTES, HashKey},
        node::Node,
    },
    verdict::Verdict,
};
use rustix::time::{ClockId, clock_gettime};
use support::config::UNPROTECTED;

/// The first VIP of every site; the others follow it, one address each.
pub const FIRST_VIP: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);
/// Its twin, for TCP and UDP; it has no others after it.
pub const FIRST_VIP_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
/// A VIP that chooses a slot by the source address alone.
pub const BY_SOURCE: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 1);
/// A VIP whose flows are hashed with SipHash.
pub const BY_SIPHASH: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 2);
/// Of all of them.
pub const PORT: u16 = 443;
/// In none of the sites.
pub const NOBODYS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const NOBODYS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
/// Where encapsulated packets come from.
pub const SOURCE_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 255, 0, 0), 16);
pub const SOURCE_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd00, 0xff, 0, 0, 0, 0, 0, 0), 64);

/// VIPs of every site beside those that are counted.
#[cfg(test)]
pub const MORE_VIPS: usize = 5;

/// Any will do, but the same one in every run.
static KEY: LazyLock<HashKey> = LazyLock::new(|| {
    let bytes: [u8; HASH_KEY_BYTES] = std::array::from_fn(|at| (at as u8).wrapping_mul(151) ^ 0x5a);
    HashKey::from_bytes(&bytes)
});

/// How much is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub pools: usize,
    pub backends_in_pool: usize,
    /// IPv4 addresses with a VIP for TCP each, spread over the pools in turn.
    pub vips: usize,
    pub carried: Carried,
}

/// How packets travel to backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    IpipV4,
    IpipV6,
    GueV4,
    GueV6,
    L2,
}

impl Carried {
    const fn encap(self) -> &'static str {
        match self {
            Self::IpipV4 | Self::IpipV6 => "ipip",
            Self::GueV4 | Self::GueV6 => "gue",
            Self::L2 => "l2",
        }
    }

    /// The address of a backend, by its number in the whole site.
    fn backend(self, number: usize) -> IpAddr {
        let number = number as u32 + 1;
        match self {
            Self::IpipV4 | Self::GueV4 | Self::L2 => {
                Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() | number).into()
            }
            Self::IpipV6 | Self::GueV6 => {
                let [_, high, middle, low] = number.to_be_bytes();
                let low = u16::from_be_bytes([middle, low]);
                Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, high.into(), low).into()
            }
        }
    }
}

/// An interface as the balancer sees it.
#[derive(Clone, Debug)]
pub struct Arm {
    pub name: String,
    pub ifindex: u32,
    pub mac: [u8; 6],
}

impl Arm {
    /// One that there need not be, because a test run sends nothing. But it comes
    /// by the loopback interface, so that one is the first.
    pub fn imagined(number: u8) -> Self {
        Self {
            name: format!("lb{number}"),
            ifindex: 1 + u32::from(number) * 4000,
            mac: [0x02, 0, 0, 0, 1, number],
        }
    }
}

/// The configuration's text. Backends are behind the last of the arms.
pub fn yaml(shape: Shape, arms: &[Arm]) -> String {
    let mut text = format!("apiVersion: holdfast/v1\nenvironment: bench\n{UNPROTECTED}\nnode:\n  interfaces:\n");
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes all that is written");
    for arm in arms {
        line(format!("    - {{ name: {}, mode: native }}", arm.name));
    }
    let ((v4, v4_bits), (v6, v6_bits)) = (SOURCE_V4, SOURCE_V6);
    line(format!(
        "  encapSource: {{ v4: {v4}/{v4_bits}, v6: \"{v6}/{v6_bits}\" }}"
    ));
    line("  hashKeyFile: /var/lib/holdfast/hash.key\npools:".to_owned());
    let behind = arms.last().map_or("lb0", |arm| &arm.name);
    for pool in 0..shape.pools {
        line(format!(
            "  - name: pool{pool}\n    encap: {}\n    backends:",
            shape.carried.encap()
        ));
        for backend in 0..shape.backends_in_pool {
            let number = pool * shape.backends_in_pool + backend;
            let address = shape.carried.backend(number);
            let [_, high, middle, low] = (number as u32 + 1).to_be_bytes();
            line(format!(
                "      - {{ name: be{backend}, address: \"{address}\", weight: 100, \
                 nextHop: {{ mac: \"02:00:01:{high:02x}:{middle:02x}:{low:02x}\", interface: {behind} }} }}"
            ));
        }
    }
    line("vips:".to_owned());
    let mut vip = |name: &str, address: IpAddr, protocol: &str, pool: usize, more: &str| {
        line(format!(
            "  - {{ name: {name}, address: \"{address}\", port: {PORT}, protocol: {protocol}, \
             pool: pool{pool}{more} }}"
        ));
    };
    for nth in 0..shape.vips {
        let address = Ipv4Addr::from_bits(FIRST_VIP.to_bits() + nth as u32);
        vip(&format!("vip{nth}"), address.into(), "tcp", nth % shape.pools, "");
    }
    vip("udp", FIRST_VIP.into(), "udp", 0, "");
    vip("six", FIRST_VIP_V6.into(), "tcp", 0, "");
    vip("six-udp", FIRST_VIP_V6.into(), "udp", 0, "");
    vip("by-source", BY_SOURCE.into(), "tcp", 0, ", affinity: source");
    vip("by-siphash", BY_SIPHASH.into(), "tcp", 0, ", hash: siphash");
    text
}

/// As it stands in a plan.
pub fn content(text: &str) -> Result<Content> {
    let config = config::parse("bench.yaml", text)?.config;
    Ok(Content::new(config, Overrides::default()))
}

/// What the neighbour tables would say: the configured next hops.
pub fn hops(config: &Config, arms: &[Arm]) -> Result<Hops> {
    let mut hops = Hops::new();
    for pool in &config.pools {
        for backend in &pool.backends {
            let given = backend.next_hop.as_ref().context("a backend without a next hop")?;
            let arm = arms.iter().find(|arm| arm.name == given.interface);
            let arm = arm.context("a next hop behind no arm")?;
            let id = BackendId {
                pool: pool.name.clone(),
                backend: backend.name.clone(),
            };
            let hop = Hop {
                mac: given.mac,
                interface: arm.name.clone(),
                interface_mac: MacAddr(arm.mac),
                ifindex: arm.ifindex,
                mtu: 1600,
            };
            hops.insert(id, hop);
        }
    }
    Ok(hops)
}

/// A balancer in the kernel that this process publishes to.
pub struct Site {
    pub publisher: Publisher<KernelBalancer>,
    pub arms: Vec<Arm>,
    pub revision: Option<Revision>,
    /// Of that revision: what did not change is taken from there.
    pub layout: Option<Layout>,
    published: u64,
}

impl Site {
    /// Programs and maps below `directory`, on a BPF file system; nothing is
    /// published.
    pub fn open(directory: &Path, arms: Vec<Arm>) -> Result<Self> {
        std::fs::create_dir(directory).with_context(|| format!("making {}", directory.display()))?;
        let mut kernel = KernelBalancer::open(directory, Object::built_in())?;
        kernel.set_hash_key(&KEY)?;
        kernel.set_node(&node(&arms)?)?;
        kernel.set_peers(&peers()?)?;
        Ok(Self {
            publisher: Publisher::new(kernel),
            arms,
            revision: None,
            layout: None,
            published: 0,
        })
    }

    /// Opens one and publishes a configuration of this size.
    pub fn serving(directory: &Path, arms: Vec<Arm>, shape: Shape) -> Result<Self> {
        let mut site = Self::open(directory, arms)?;
        let revision = site.next(content(&yaml(shape, &site.arms))?)?;
        let layout = Layout::of(&revision, None)?;
        site.publish(revision, layout)?;
        Ok(site)
    }

    /// What would be published for this content.
    pub fn next(&self, content: Content) -> Result<Revision> {
        let hops = hops(&content.config, &self.arms)?;
        let clock = clock_gettime(ClockId::MonotonicCoarse);
        let nanoseconds = clock.tv_sec.cast_unsigned() * 1_000_000_000 + clock.tv_nsec.cast_unsigned();
        let content = Part::new(content);
        Ok(Revision::next(
            self.revision.as_ref(),
            &content,
            &hops,
            seconds(nanoseconds),
        )?)
    }

    /// Publishes a change of what is published.
    pub fn change(&mut self, change: impl FnOnce(&mut Config)) -> Result<()> {
        let revision = self.revision.as_ref().context("nothing is published")?;
        let mut content: Content = (*revision.state.content).clone();
        change(&mut content.config);
        let next = self.next(content)?;
        let layout = Layout::of(&next, self.layout.as_ref())?;
        self.publish(next, layout)?;
        Ok(())
    }

    /// Slots of the first pool that are dirty.
    pub fn dirty_slots(&self) -> usize {
        let tables = self.revision.as_ref().and_then(|revision| revision.tables.get("pool0"));
        tables.map_or(0, |tables| tables.dirty.len())
    }

    /// Publishes, with the packets of a rehearsal.
    pub fn publish(&mut self, revision: Revision, layout: Layout) -> Result<Published> {
        self.published += 1;
        let facts = RootFacts {
            generation: self.published,
            revision: self.published,
            digest: revision.state.content.digest(),
            state: revision.state.digest(),
        };
        let published = self.publisher.publish(&layout, &facts, |kernel, active| {
            rehearsal::rehearse(kernel, active, &revision).map_err(Into::into)
        })?;
        self.revision = Some(revision);
        self.layout = Some(layout);
        Ok(published)
    }

    pub const fn kernel(&self) -> &KernelBalancer {
        self.publisher.kernel()
    }

    /// Packets of each verdict so far, by its name.
    pub fn verdicts(&self) -> Result<Vec<(&'static str, u64)>> {
        let counters = self.kernel().counters(FIRST_FREE)?;
        let verdicts = Verdict::ALL.iter().zip(counters);
        Ok(verdicts
            .map(|(verdict, counter)| (verdict.name(), counter.packets))
            .collect())
    }

    /// Packets of each of the agent's verdicts so far, in their order.
    pub fn agent_verdicts(&self) -> Result<Vec<u64>> {
        let map = MapData::from_pin(self.kernel().directory().join("maps/AGENT_COUNTERS"))?;
        let map: PerCpuArray<_, [u64; 2]> = PerCpuArray::try_from(Map::PerCpuArray(map))?;
        let counts = map.iter().map(|values| Ok(values?.iter().map(|one| one[0]).sum()));
        counts.collect()
    }

    /// Σ Forward = Σ VIPs = Σ members: every packet was counted three times.
    pub fn conserves(&self) -> Result<()> {
        let revision = self.revision.as_ref().context("nothing is published")?;
        let counters = self.kernel().counters(COUNTERS)?;
        let packets = |counter: u16| counters[usize::from(counter)].packets;
        let verdicts = self.verdicts()?;
        let forwarded = verdicts.iter().filter(|(name, _)| name.starts_with("Forward"));
        let forwarded: u64 = forwarded.map(|(_, packets)| packets).sum();
        let vips: u64 = revision.state.vip_counters.values().copied().map(packets).sum();
        let pools = revision.state.pools.values();
        let members = pools.flat_map(|pool| pool.members.values().map(|member| packets(member.counter)));
        let members: u64 = members.sum();
        ensure!(
            forwarded == vips && vips == members,
            "{forwarded} packets were forwarded, VIPs counted {vips}, members {members}"
        );
        Ok(())
    }

    /// Chunk slots that hold something, with the id of the chunk.
    pub fn chunks(&self) -> Result<Vec<u32>> {
        let kernel = self.kernel();
        let ids = kernel.occupied()?.into_iter().map(|slot| Ok(kernel.chunk_id(slot)?));
        let mut ids: Vec<u32> = ids.filter_map(Result::transpose).collect::<Result<_>>()?;
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

/// The agent trusts what the sites' balancers send.
fn peers() -> Result<Peers> {
    let v4 = Ipv4Net::new(SOURCE_V4.0, SOURCE_V4.1)?;
    let v6 = Ipv6Net::new(SOURCE_V6.0, SOURCE_V6.1)?;
    Ok(agent::peers([v4.into(), v6.into()]))
}

/// What the program has to know of this host.
fn node(arms: &[Arm]) -> Result<Node> {
    let peers = peers()?;
    let mut node = Node {
        source_v4: peers.v4[0],
        source_v6: peers.v6[0],
        ..Node::default()
    };
    for (to, arm) in node.ifindex.iter_mut().zip(arms) {
        *to = arm.ifindex;
    }
    Ok(node)
}
