//! What goes to the same backend, and by which hash.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use support::{
    addresses::Family,
    config::{HTTP, RAW, STREAMS},
    exchange::{self, Wire},
    rig::{Layout, Rig},
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
};

#[test]
fn source_affinity_keeps_a_client_on_one_backend_over_ports_and_vips() -> Result<()> {
    with_source_affinity("fast")
}

#[test]
fn source_affinity_by_siphash_keeps_a_client_on_one_backend_too() -> Result<()> {
    with_source_affinity("siphash")
}

fn with_source_affinity(hash: &'static str) -> Result<()> {
    let rig = Rig::build_with(&Layout::of(Shape::OneArm, 4).beside(), |mut fleet| {
        for vip in &mut fleet.vips {
            vip.affinity = "source";
            vip.hash = hash;
        }
        fleet
    })?;
    for family in Family::BOTH {
        let mut all = BTreeSet::new();
        for source in Topology::client_addresses(family) {
            let mut backends = BTreeSet::new();
            for (wire, target) in [(Wire::Http, HTTP), (Wire::Raw, RAW)].repeat(3) {
                let client = &rig.network.client;
                let exchanged = client.run(|| exchange::exchange(wire, source, target.of(family), 1000))??;
                ensure!(exchanged.is_intact(), "{exchanged:?}");
                backends.insert(exchanged.backend);
            }
            ensure!(backends.len() == 1, "{source} was sent to {backends:?}");
            all.extend(backends);
        }
        // All four, but for one run in a thousand.
        ensure!(all.len() > 2, "{family:?}: all clients are on {all:?}");
    }
    Ok(())
}

#[test]
fn siphash_spreads_connections_and_the_command_line_knows_where() -> Result<()> {
    let rig = Rig::build_with(&Layout::of(Shape::TwoArm, 4).beside(), |mut fleet| {
        for vip in &mut fleet.vips {
            vip.hash = "siphash";
        }
        fleet
    })?;
    for family in Family::BOTH {
        let shape = LoadShape::long_lived(STREAMS.of(family), Topology::client_addresses(family), 96);
        let load = Load::start(&rig.network.client, shape)?;
        let report = load.wait(std::time::Duration::from_secs(10), "open streams", |report| {
            report.open().count() == 96
        })?;
        for record in report.open() {
            let why = rig.installation.why_tcp(record.source, record.target)?;
            assert_eq!(why.backend, record.backend, "{}", record.source);
        }
        ensure!(report.by_backend().len() == 4, "{report}");
        let report = load.stop()?;
        assert_eq!((report.connections(), report.completed()), (96, 96), "{report}");
    }
    Ok(())
}
