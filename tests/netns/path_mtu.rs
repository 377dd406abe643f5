//! Links on the way that take less than their neighbours: before the backends,
//! where our own outer headers are too long, and before the client, where the
//! backends' answers are.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::{Context, Result, ensure};
use support::{
    addresses::Family,
    config::{Encap, RAW},
    exchange::{self, Exchange, Wire},
    rig::{Layout, Rig},
    topology::{Shape, Topology},
};

const LARGE: usize = 300_000;
/// What the narrow link takes.
const NARROW: u16 = 1400;

#[test]
fn narrow_underlay_to_one_ipv4_backend_is_learned_and_clients_are_told() -> Result<()> {
    narrow_underlay_is_learned(Encap::Ipip, Family::V4)
}

#[test]
fn narrow_underlay_to_one_ipv6_backend_is_learned_and_clients_are_told() -> Result<()> {
    narrow_underlay_is_learned(Encap::Gue, Family::V6)
}

#[test]
fn narrow_way_back_to_the_client_is_learned_by_the_backend_of_each_flow() -> Result<()> {
    let layout = Layout::of(Shape::TwoArm, 4).beside();
    narrow_way_back_is_learned(&layout)
}

#[test]
fn narrow_way_back_is_learned_through_gue_over_ipv6_too() -> Result<()> {
    let layout = Layout {
        encap: Encap::Gue,
        outer: Family::V6,
        ..Layout::of(Shape::OneArm, 4).beside()
    };
    narrow_way_back_is_learned(&layout)
}

/// A router between balancer and be1 takes less than the balancer's link. It
/// sends its errors to the sources of outer headers, which are routed to the
/// balancer.
fn narrow_underlay_is_learned(encap: Encap, outer: Family) -> Result<()> {
    let layout = Layout {
        encap,
        outer,
        ..Layout::of(Shape::OneArm, 2).beside()
    };
    let rig = Rig::build(&layout)?;
    let narrow = rig.network.backends[0].address.of(outer);
    rig.network.narrow(&format!("{narrow} dev br1"), NARROW)?;
    for family in Family::BOTH {
        let before = rig.installation.status()?;
        let mut of_narrow = 0;
        for source in Topology::client_addresses(family).into_iter().take(12) {
            let exchanged = large(&rig, source)?;
            if exchanged.backend == "be1" {
                of_narrow += 1;
                assert_eq!(
                    exchanged.path_mtu,
                    u32::from(NARROW - layout.overhead()),
                    "from {source}"
                );
            }
        }
        ensure!(of_narrow > 0, "{family:?}: no exchange went to be1");
        let after = rig.installation.status()?;
        let counted = |verdict| after.packets(verdict) - before.packets(verdict);
        ensure!(
            counted("AnswerTooBig") > 0,
            "{family:?}: no client was told: {:?}",
            after.verdicts
        );
        if family == Family::V4 {
            // Later packets are not too big any more.
            ensure!(counted("PassOuterError") > 0, "{:?}", after.verdicts);
        }
    }
    let status = rig.installation.status()?;
    for pool in ["web", "dns"] {
        let path = |name| status.backend(pool, name).map(|backend| backend.path.clone());
        let [be1, be2] = [path("be1"), path("be2")].map(Option::unwrap_or_default);
        assert_eq!((be1.mtu, be1.learned_mtu), (Some(NARROW), Some(NARROW)), "{pool}/be1");
        ensure!(be1.too_big > 0, "{pool}/be1: {be1:?}");
        assert_eq!(
            (be2.mtu, be2.learned_mtu, be2.too_big),
            (Some(layout.underlay_mtu), None, 0),
            "{pool}/be2"
        );
    }
    Ok(())
}

/// The router's link to the client takes less than the backends' answers have,
/// and its errors go to the VIP, as the answers' source: they have to reach the
/// backend that sent them.
fn narrow_way_back_is_learned(layout: &Layout) -> Result<()> {
    let rig = Rig::build(layout)?;
    for prefix in ["198.51.100.0/24", "fd00:c::/64"] {
        rig.network.narrow(&format!("{prefix} dev to-client"), NARROW)?;
    }
    for family in Family::BOTH {
        let before = rig.installation.status()?;
        let mut served = BTreeMap::new();
        for source in Topology::client_addresses(family) {
            served.insert(source, large(&rig, source)?.backend);
        }
        let backends: BTreeSet<_> = served.values().collect();
        // All four, but for one run in a thousand.
        ensure!(backends.len() > 2, "{family:?}: only {backends:?} answered");
        for host in &rig.network.backends {
            for (client, backend) in &served {
                let (learned, printed) = route_mtu(&rig, &host.name, *client)?;
                let expected = if *backend == host.name { NARROW } else { 1500 };
                assert_eq!(
                    learned, expected,
                    "{} for {client}, served by {backend}: {printed}",
                    host.name
                );
            }
        }
        let after = rig.installation.status()?;
        assert_eq!(after.dropped(), before.dropped(), "{:?}", after.verdicts);
    }
    Ok(())
}

fn large(rig: &Rig, source: IpAddr) -> Result<Exchange> {
    let target = RAW.of(Family::of(source));
    let exchanged = rig
        .network
        .client
        .run(|| exchange::exchange(Wire::Raw, source, target, LARGE))?
        .with_context(|| format!("from {source}"))?;
    ensure!(exchanged.is_intact(), "from {source}: {exchanged:?}");
    Ok(exchanged)
}

/// The MTU of a backend's route to a client, with what it has learned.
fn route_mtu(rig: &Rig, backend: &str, client: IpAddr) -> Result<(u16, String)> {
    let host = rig.host(backend).context("a backend of the rig")?;
    let vip = RAW.of(Family::of(client)).ip();
    let printed = host.namespace.ip(&format!("route get {client} from {vip}"))?;
    let words: Vec<&str> = printed.split_whitespace().collect();
    let at = words.iter().position(|&word| word == "mtu");
    let mtu = at.and_then(|at| words.get(at + 1));
    let mtu = mtu.with_context(|| format!("no MTU in {printed}"))?.parse()?;
    Ok((mtu, printed))
}
