//! Next hops are the kernel's neighbours, and follow them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use support::{
    addresses::Family,
    config::STREAMS,
    rig::{Layout, Rig},
    streams::{Load, LoadShape, Report},
    topology::{Shape, Topology},
    wait,
};

/// A stream has moved on when so many bytes more have come back.
const CHUNKS: u64 = 10 * 512;

#[test]
fn backend_whose_address_on_the_link_changes_is_followed() -> Result<()> {
    new_address_is_followed(Family::V4)
}

#[test]
fn backend_known_by_ipv6_whose_address_on_the_link_changes_is_followed() -> Result<()> {
    new_address_is_followed(Family::V6)
}

fn new_address_is_followed(family: Family) -> Result<()> {
    const NEW: &str = "02:00:00:00:be:01";
    let rig = Rig::build(&Layout {
        outer: family,
        ..Layout::of(Shape::TwoArm, 2)
    })?;
    let shape = LoadShape::long_lived(STREAMS.of(family), Topology::client_addresses(family), 32);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(10), "open streams", |report| {
        report.open().count() == 32
    })?;

    let host = rig.host("be1").context("be1 was made")?;
    host.namespace.ip(&format!("link set eth0 address {NEW}"))?;
    let changed = Instant::now();
    let at_change = bytes_of(&load.report(), "be1");
    ensure!(!at_change.is_empty(), "no stream is on be1");
    wait::until(Duration::from_secs(5), "streams of be1 go on", || {
        let now = bytes_of(&load.report(), "be1");
        let all = now.iter().zip(&at_change).all(|(now, then)| *now >= then + CHUNKS);
        all.then_some(())
    })
    .with_context(|| rig.daemon_log())?;
    println!("{} streams followed within {:?}", at_change.len(), changed.elapsed());

    let status = rig.installation.status()?;
    assert_eq!(status.verdicts["DropNoNextHop"].packets, 0);
    assert_eq!(status.generation, 1, "a next hop makes a revision, never a generation");
    let report = load.stop()?;
    assert_eq!((report.connections(), report.completed()), (32, 32), "{report}");
    Ok(())
}

/// Of each stream that this backend serves.
fn bytes_of(report: &Report, backend: &str) -> Vec<u64> {
    let of = report
        .records
        .iter()
        .filter(|record| record.backend.as_deref() == Some(backend));
    of.map(|record| record.bytes).collect()
}
