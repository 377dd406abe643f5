//! What clients send reaches backends and comes back as it was, by weight, and
//! is counted.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use support::{
    addresses::Family,
    config::{DATAGRAMS, HTTP, RAW, STREAMS},
    contract::{Status, Traffic},
    datagrams::{self, DatagramReport, DatagramShape, Datagrams},
    exchange::{self, Wire},
    rig::Rig,
    statistics,
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
    wait,
};

#[test]
fn one_arm_payloads_arrive_intact_both_ways() -> Result<()> {
    payloads_arrive_intact(Shape::OneArm)
}

#[test]
fn two_arm_payloads_arrive_intact_both_ways() -> Result<()> {
    payloads_arrive_intact(Shape::TwoArm)
}

#[test]
fn one_arm_every_backend_is_used_in_proportion_to_its_weight() -> Result<()> {
    backends_are_used_by_weight(Shape::OneArm)
}

#[test]
fn two_arm_every_backend_is_used_in_proportion_to_its_weight() -> Result<()> {
    backends_are_used_by_weight(Shape::TwoArm)
}

#[test]
fn one_arm_counters_account_for_every_frame() -> Result<()> {
    counters_account_for_every_frame(Shape::OneArm, "ForwardTx")
}

#[test]
fn two_arm_counters_account_for_every_frame() -> Result<()> {
    counters_account_for_every_frame(Shape::TwoArm, "ForwardRedirect")
}

fn payloads_arrive_intact(shape: Shape) -> Result<()> {
    let rig = Rig::start_beside(shape, 4, 4)?;
    let mut backends = std::collections::BTreeSet::new();
    for (nth, source) in Topology::client_addresses(Family::V4).into_iter().enumerate() {
        // One byte, a segment that is full to the last byte, many segments.
        let length = [1, 1448, 300_000][nth % 3];
        for (wire, target) in [(Wire::Http, HTTP.v4()), (Wire::Raw, RAW.v4())] {
            let client = &rig.network.client;
            let exchanged = client.run(|| exchange::exchange(wire, source, target, length))??;
            ensure!(
                exchanged.is_intact(),
                "{source}, {wire:?}, {length} bytes: {exchanged:?}"
            );
            backends.insert(exchanged.backend);
        }
    }
    ensure!(backends.len() == 4, "only {backends:?} answered 58 exchanges");
    let report = send(&rig, 2000)?;
    assert_eq!(
        (report.sent, report.answered, report.wrong),
        (2000, 2000, 0),
        "{report:?}"
    );
    ensure!(report.by_backend.len() == 4, "{report:?}");
    Ok(())
}

fn backends_are_used_by_weight(shape: Shape) -> Result<()> {
    const CONNECTIONS: usize = 2400;
    let rig = Rig::start_beside(shape, 4, 4)?;
    let weights = [("be1", 100), ("be2", 100), ("be3", 50), ("be4", 150)];
    let fleet = rig.fleet.clone().weighing("web", "be3", 50).weighing("web", "be4", 150);
    rig.installation.apply(&fleet)?;
    let shape = LoadShape::short(STREAMS.v4(), Topology::client_addresses(Family::V4), CONNECTIONS, 800);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(30), "all short connections", |report| {
        report.completed() == CONNECTIONS
    })?;
    let report = load.stop()?;
    println!("{report}");
    let by_backend = report.by_backend();
    let observed = weights.map(|(name, _)| by_backend.get(name).copied().unwrap_or_default());
    let fit = statistics::fit(&observed, &weights.map(|(_, weight)| weight));
    println!("{observed:?} against weights {weights:?}: {fit:?}");
    ensure!(fit.holds(), "{observed:?} against {weights:?}: {fit:?}");
    Ok(())
}

fn counters_account_for_every_frame(shape: Shape, verdict: &str) -> Result<()> {
    const DATAGRAM_COUNT: u64 = 5000;
    // Ethernet, IPv4, UDP, and 128 bytes of payload.
    const FRAME: u64 = 14 + 20 + 8 + 128;
    let rig = Rig::start_beside(shape, 4, 4)?;
    let (seen_before, before) = settled(&rig)?;
    let report = send(&rig, DATAGRAM_COUNT)?;
    assert_eq!(report.answered, DATAGRAM_COUNT, "{report:?}");
    let (seen_after, after) = settled(&rig)?;

    let expected = Traffic {
        packets: DATAGRAM_COUNT,
        bytes: DATAGRAM_COUNT * FRAME,
    };
    assert_eq!(after.forwarded() - before.forwarded(), expected);
    assert_eq!(after.verdicts[verdict] - before.verdicts[verdict], expected);
    assert_eq!(after.of_vips() - before.of_vips(), expected);
    assert_eq!(after.of_backends() - before.of_backends(), expected);
    assert_eq!((after.dropped() - before.dropped()).packets, 0);
    // Everything the interfaces received has a verdict, and nothing has two.
    let received = after.received() - before.received();
    assert_eq!(received.packets, seen_after - seen_before, "{:?}", after.verdicts);
    for (name, &count) in &report.by_backend {
        let of = |status: &Status| status.backend("dns", name).map(|backend| backend.traffic.packets);
        assert_eq!(
            of(&after).zip(of(&before)).map(|(after, before)| after - before),
            Some(count)
        );
    }
    Ok(())
}

fn send(rig: &Rig, count: u64) -> Result<DatagramReport> {
    // Many ports of many addresses: 116 flows.
    let sources = Topology::client_addresses(Family::V4).repeat(4);
    let shape = DatagramShape {
        target: DATAGRAMS.v4(),
        sources,
        length: datagrams::SHORT,
        per_second: 4000,
        at_most: count,
    };
    Datagrams::start(&rig.network.client, shape)?.complete()
}

/// Frames the balancer's interfaces have received, and a status that was read
/// while none came.
fn settled(rig: &Rig) -> Result<(u64, Status)> {
    wait::until(Duration::from_secs(10), "a quiet moment", || {
        let seen = frames_received(rig).ok()?;
        let status = rig.installation.status().ok()?;
        let still = frames_received(rig).ok()? == seen;
        still.then_some((seen, status))
    })
}

fn frames_received(rig: &Rig) -> Result<u64> {
    let mut sum = 0;
    for interface in rig.network.shape.interfaces() {
        let printed = rig.network.balancer.ip(&format!("-s -j link show dev {interface}"))?;
        let links: serde_json::Value = serde_json::from_str(&printed)?;
        sum += links[0]["stats64"]["rx"]["packets"]
            .as_u64()
            .with_context(|| format!("no count of received packets: {printed}"))?;
    }
    Ok(sum)
}
