//! What is served: in force by the daemon's word, and by the kernel's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result, ensure};
use support::{
    addresses::Family,
    api,
    config::{HTTP, STREAMS},
    contract::Status,
    rig::Rig,
    topology::Topology,
};

/// Ports of the client from which flows are asked after, of each VIP.
const FLOWS: u16 = 4;

/// A VIP and where it leads.
type Vip = (String, IpAddr, u16, String, String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Backend {
    address: IpAddr,
    weight: u32,
    state: String,
    up: bool,
    slots: u32,
}

#[derive(Clone, Debug)]
pub struct Served {
    pub generation: u64,
    environment: String,
    mode: String,
    vips: BTreeSet<Vip>,
    /// By pool and name.
    backends: BTreeMap<(String, String), Backend>,
    /// Digests of lookup tables, by pool.
    tables: BTreeMap<String, String>,
    /// Interfaces: how the program is attached by the daemon's word.
    attached: BTreeMap<String, Option<String>>,
    /// Backends of flows, as the program in the kernel decides.
    flows: Vec<Option<String>>,
}

/// What a way may do beside leaving all that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Nothing; not even a generation.
    Nothing,
    /// Further VIPs, in generations of their own.
    Adds,
}

impl Served {
    pub fn by(rig: &Rig) -> Result<Self> {
        let socket = &rig.installation.socket;
        let answer = api::ask(socket, "GET", "/v1/status", &serde_json::Value::Null)?;
        ensure!(answer.is_success(), "{answer:?}");
        let balancer = answer.body["pins"]["programs"]["prog/balancer"].as_u64();
        let balancer = balancer.context("the balancer's program")?;
        let status: Status = serde_json::from_value(answer.body)?;
        let vip = |vip: &support::contract::Vip| {
            let (name, protocol, pool) = (vip.name.clone(), vip.protocol.clone(), vip.pool.clone());
            (name, vip.address, vip.port, protocol, pool)
        };
        let backends = status.backends().map(|(pool, backend)| {
            let is = Backend {
                address: backend.address,
                weight: backend.weight,
                state: backend.state.clone(),
                up: backend.up,
                slots: backend.slots,
            };
            ((pool.name.clone(), backend.name.clone()), is)
        });
        let tables = status.pools.iter();
        let mut attached = BTreeMap::new();
        for interface in &status.interfaces {
            let there = rig.network.balancer.ip(&format!("link show dev {}", interface.name))?;
            let program = format!("id {balancer} ");
            ensure!(
                u64::from(interface.prog_id) == balancer && there.contains("prog/xdp") && there.contains(&program),
                "the balancer is not on {}: {there}",
                interface.name
            );
            attached.insert(interface.name.clone(), interface.mode.clone());
        }
        Ok(Self {
            generation: status.generation,
            environment: status.environment.clone(),
            mode: status.mode.clone(),
            vips: status.vips.iter().map(vip).collect(),
            backends: backends.collect(),
            tables: tables
                .map(|pool| (pool.name.clone(), pool.table_digest.clone()))
                .collect(),
            attached,
            flows: flows(rig)?,
        })
    }

    /// Whether all that was served `before` is: the same VIPs, backends, weights,
    /// states, slots and flows.
    pub fn ensure_not_less(&self, before: &Self, more: More) -> Result<()> {
        if more == More::Nothing {
            let (is, was) = (self.generation, before.generation);
            ensure!(is == was, "generation {was} was served, and {is} is");
            ensure!(self.vips == before.vips, "VIPs: {:?}, {:?}", before.vips, self.vips);
        }
        let gone: Vec<&Vip> = before.vips.difference(&self.vips).collect();
        ensure!(gone.is_empty(), "VIPs that are served no more: {gone:?}");
        for (named, was) in &before.backends {
            let is = self.backends.get(named).with_context(|| format!("no {named:?}"))?;
            ensure!(is == was, "{named:?} was {was:?} and is {is:?}");
        }
        ensure!(
            self.tables == before.tables,
            "tables: {:?}, {:?}",
            before.tables,
            self.tables
        );
        ensure!(
            self.attached == before.attached,
            "attached: {:?}, {:?}",
            before.attached,
            self.attached
        );
        ensure!(
            self.flows == before.flows,
            "flows: {:?}, {:?}",
            before.flows,
            self.flows
        );
        ensure!(
            self.environment == before.environment,
            "environment {}",
            self.environment
        );
        // A hold takes nothing away; what a daemon in trouble does, may.
        ensure!(
            self.mode == "normal" || self.mode == "hold",
            "the daemon is {}",
            self.mode
        );
        Ok(())
    }
}

fn flows(rig: &Rig) -> Result<Vec<Option<String>>> {
    let mut flows = Vec::new();
    for port in [STREAMS, HTTP] {
        for family in Family::BOTH {
            let source = *Topology::client_addresses(family).first().context("a client")?;
            for number in 0..FLOWS {
                let source = SocketAddr::new(source, 40_000 + number);
                let why = rig.installation.why_tcp_by_api(source, port.of(family))?;
                ensure!(why.verdict.starts_with("Forward"), "{source}: {why:?}");
                flows.push(why.backend);
            }
        }
    }
    Ok(flows)
}
