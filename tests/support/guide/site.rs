//! Where the documents' commands are run: the machines, names and addresses
//! that they speak of.

use std::collections::BTreeMap;

use anyhow::Result;

use super::BALANCER;
use crate::{
    addresses::{self, VIPS},
    config::Encap,
    machine::Machine,
    rig::{Layout, Rig},
    topology::{BackendHost, Shape},
};

/// As `holdfast config init` has them.
pub const BACKENDS: u8 = 4;
/// The documents' VIPs and backends in IPv6.
const VIPS_V6: &str = "2001:db8::/64";
const UNDERLAY_V6: &str = "fd00:1::";

/// A balancer with `lb0` and `lb1`, and backends `be1` to `be4` that are hosts
/// like any other so far: without agent, without the VIPs, with a strict
/// `rp_filter`. Nothing runs yet but their services.
#[derive(Debug)]
pub struct Site {
    /// Gone before the networks they stand on.
    pub machines: BTreeMap<String, Machine>,
    pub rig: Rig,
}

impl Site {
    pub fn build() -> Result<Self> {
        // In bare frames: the backends have no agent yet.
        let layout = Layout {
            encap: Encap::L2,
            ..Layout::of(Shape::OneArm, BACKENDS).beside()
        };
        let rig = Rig::without_daemon(&layout, |fleet| fleet)?;
        number(&rig)?;
        rig.network.backends.iter().try_for_each(strip)?;
        let mut machines = BTreeMap::new();
        let backends = rig.network.backends.iter();
        let all = backends.map(|host| (host.name.as_str(), &host.namespace));
        for (name, namespace) in all.chain([(BALANCER, &rig.network.balancer)]) {
            machines.insert(name.to_owned(), Machine::of(namespace, name, rig.directory())?);
        }
        Ok(Self { machines, rig })
    }
}

/// The documents' addresses beside those of the rig.
pub fn number(rig: &Rig) -> Result<()> {
    let network = &rig.network;
    let (router, balancer) = (&network.router, &network.balancer);
    router.ip(&format!("addr add {UNDERLAY_V6}1/64 dev br1 nodad"))?;
    router.ip(&format!(
        "route add {VIPS_V6} via {} onlink dev to-lb0",
        addresses::BALANCER.v6
    ))?;
    router.ip(&format!(
        "link add to-lb1 type veth peer name lb1 netns {}",
        balancer.name()
    ))?;
    router.ip("link set to-lb1 up")?;
    balancer.ip("link set lb1 up")?;
    for (host, nth) in network.backends.iter().zip(11..) {
        host.namespace
            .ip(&format!("addr add {UNDERLAY_V6}{nth}/64 dev eth0 nodad"))?;
    }
    Ok(())
}

/// Takes from a backend what its operator is to give it.
fn strip(host: &BackendHost) -> Result<()> {
    for vip in VIPS {
        host.namespace.ip(&format!("addr del {}/32 dev lo", vip.v4))?;
        host.namespace.ip(&format!("addr del {}/128 dev lo", vip.v6))?;
    }
    for (key, value) in [
        ("all/rp_filter", "0"),
        ("eth0/rp_filter", "1"),
        ("all/arp_ignore", "0"),
        ("all/arp_announce", "0"),
    ] {
        host.namespace.sysctl(&format!("ipv4/conf/{key}"), value)?;
    }
    Ok(())
}
