//! Native and generic mode: what is got is what was asked for, and is reported.

use anyhow::{Result, ensure};
use support::{
    addresses::Family,
    config::{Encap, HTTP, Interface},
    contract::Status,
    exchange::{self, Wire},
    rig::{Layout, Rig},
    topology::{Shape, Topology},
};

#[test]
fn one_arm_in_generic_mode_carries_both_families() -> Result<()> {
    mode_carries(&Layout {
        mode: "generic",
        outer: Family::V6,
        ..Layout::of(Shape::OneArm, 2).beside()
    })
}

#[test]
fn two_arm_in_generic_mode_carries_both_families() -> Result<()> {
    mode_carries(&Layout {
        mode: "generic",
        encap: Encap::Gue,
        ..Layout::of(Shape::TwoArm, 2).beside()
    })
}

#[test]
fn native_mode_is_reported_for_every_interface() -> Result<()> {
    mode_carries(&Layout::of(Shape::ThreeArm, 2).beside())
}

#[test]
fn driver_without_native_mode_is_refused_and_nothing_is_attached_in_its_place() -> Result<()> {
    let rig = Rig::start_beside(Shape::OneArm, 2, 2)?;
    let balancer = &rig.network.balancer;
    balancer.ip("link add alien0 type bridge")?;
    balancer.ip("link set alien0 up")?;
    let before = rig.installation.status()?;
    let with = |mode| {
        let mut fleet = rig.fleet.clone();
        let name = "alien0".to_owned();
        fleet.interfaces.push(Interface { name, mode });
        fleet
    };

    rig.installation.write(&with("native"))?;
    let config = rig.installation.config.to_string_lossy();
    let refused = rig.installation.run(&["apply", "-f", &config])?;
    assert_eq!(refused.code, Some(1), "{}", refused.said());
    ensure!(refused.said().contains("HF3009"), "{}", refused.said());
    let link = balancer.ip("-d link show alien0")?;
    ensure!(!link.contains("xdp"), "attached all the same: {link}");
    let after = rig.installation.status()?;
    assert_eq!((after.generation, after.revision), (before.generation, before.revision));
    assert_eq!(modes(&after), modes(&before));

    rig.installation.apply(&with("generic"))?;
    let link = balancer.ip("-d link show alien0")?;
    ensure!(link.contains("xdpgeneric"), "not attached: {link}");
    let status = rig.installation.status()?;
    let expected = [("lb0", Some("native")), ("alien0", Some("generic"))];
    assert_eq!(modes(&status), expected);
    Ok(())
}

fn mode_carries(layout: &Layout) -> Result<()> {
    let rig = Rig::build(layout)?;
    let status = rig.installation.status()?;
    let expected = layout.shape.interfaces().iter().map(|name| (*name, Some(layout.mode)));
    assert_eq!(modes(&status), expected.collect::<Vec<_>>());
    for name in layout.shape.interfaces() {
        let link = rig.network.balancer.ip(&format!("link show {name}"))?;
        assert_eq!(link.contains("xdpgeneric"), layout.mode == "generic", "{link}");
    }
    for family in Family::BOTH {
        for source in Topology::client_addresses(family).into_iter().take(8) {
            let client = &rig.network.client;
            let exchange = || exchange::exchange(Wire::Http, source, HTTP.of(family), 300_000);
            let exchanged = client.run(exchange)??;
            ensure!(exchanged.is_intact(), "from {source}: {exchanged:?}");
        }
    }
    let status = rig.installation.status()?;
    assert_eq!(status.dropped().packets, 0, "{:?}", status.verdicts);
    Ok(())
}

fn modes(status: &Status) -> Vec<(&str, Option<&str>)> {
    let interfaces = status.interfaces.iter();
    interfaces
        .map(|interface| (interface.name.as_str(), interface.mode.as_deref()))
        .collect()
}
