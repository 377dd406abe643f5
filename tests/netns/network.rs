//! The rig itself: what it builds carries traffic, before any balancer is in
//! the way.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use support::{
    addresses::Family,
    datagrams::{self, DatagramShape, Datagrams},
    exchange::{self, Wire},
    run::{Footprint, RunId, Scratch},
    services::{EchoAt, Service},
    streams::{Load, LoadShape},
    topology::{BackendHost, ROOMY, Shape, Topology},
    turn::Turn,
};

/// Routed straight to a backend's own address.
#[test]
fn rig_without_a_balancer_carries_streams_datagrams_and_payloads() -> Result<()> {
    let _turn = Turn::alone();
    let network = Topology::build(&RunId::new(), Shape::TwoArm, 2, ROOMY)?;
    let host = network.backends.last().context("two backends")?;
    let _echo = Service::echo(&host.namespace, &host.name, &echo_at(host))?;
    let _http = exchange::serve(&host.namespace, &host.name, Wire::Http, 80)?;
    let _raw = exchange::serve(&host.namespace, &host.name, Wire::Raw, 9000)?;
    let at = |port| SocketAddr::new(host.address.of(Family::V4), port);
    let sources = Topology::client_addresses(Family::V4);

    let streams = Load::start(&network.client, LoadShape::long_lived(at(443), sources.clone(), 16))?;
    let short = Load::start(&network.client, LoadShape::short(at(443), sources.clone(), 300, 600))?;
    let datagrams = Datagrams::start(
        &network.client,
        DatagramShape {
            target: at(53),
            sources: sources.clone(),
            length: datagrams::SHORT,
            per_second: 2000,
            at_most: 1000,
        },
    )?;
    for (wire, port) in [(Wire::Http, 80), (Wire::Raw, 9000)] {
        let exchanged = network
            .client
            .run(|| exchange::exchange(wire, sources[3], at(port), 500_000))??;
        ensure!(
            exchanged.is_intact() && exchanged.backend == "be2",
            "{wire:?}: {exchanged:?}"
        );
    }
    let datagrams = datagrams.complete()?;
    assert_eq!((datagrams.answered, datagrams.wrong), (1000, 0), "{datagrams:?}");
    short.wait(Duration::from_secs(5), "300 short connections", |report| {
        report.completed() == 300
    })?;
    let report = streams.stop()?;
    println!("{report}");
    assert_eq!((report.connections(), report.completed()), (16, 16), "{report}");
    assert!(report.bytes() > 16 * 512 * 5, "{report}");
    Ok(())
}

/// A stream that is cut is reported, so that a green run means something.
#[test]
fn stream_whose_server_goes_away_is_reported_broken() -> Result<()> {
    let _turn = Turn::alone();
    let network = Topology::build(&RunId::new(), Shape::OneArm, 1, ROOMY)?;
    let host = network.backends.first().context("one backend")?;
    let echo = Service::echo(&host.namespace, &host.name, &echo_at(host))?;
    let target = SocketAddr::new(host.address.of(Family::V4), 443);
    let load = Load::start(
        &network.client,
        LoadShape::long_lived(target, Topology::client_addresses(Family::V4), 8),
    )?;
    load.wait(Duration::from_secs(5), "8 open streams", |report| {
        report.open().count() == 8
    })?;
    drop(echo);
    load.wait(Duration::from_secs(5), "8 broken streams", |report| {
        report.broken().count() >= 8
    })?;
    Ok(())
}

/// Nothing is left after a run, even one that ends in a panic.
#[test]
fn rig_leaves_nothing_behind_after_a_panic() -> Result<()> {
    let id = RunId::new();
    let namespaces = ["client", "router", "lb", "be1"]
        .map(|role| id.namespace(role))
        .to_vec();
    let panicked = std::thread::spawn(move || {
        let scratch = Scratch::new(&id).expect("a scratch directory");
        let _network = Topology::build(&id, Shape::OneArm, 1, ROOMY).expect("a network");
        std::panic::panic_any(scratch.root().to_owned());
    })
    .join();
    let directory = *panicked
        .expect_err("it panics")
        .downcast::<PathBuf>()
        .expect("the scratch directory's path");
    let remains = Footprint { namespaces, directory }.remains()?;
    ensure!(remains.is_empty(), "still there: {remains:?}");
    Ok(())
}

fn echo_at(host: &BackendHost) -> EchoAt {
    EchoAt {
        tcp: 443,
        udp: host.address.both().map(|address| SocketAddr::new(address, 53)).to_vec(),
    }
}
