//! What comes in by which interface: the kernel counts it, also what the program
//! takes, and it decides what detaching one ends.

use std::{
    net::{IpAddr, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::{
    addresses::Family,
    config::{DATAGRAMS, Interface, STREAMS},
    daemon::Outcome,
    datagrams::{self, DatagramShape, Datagrams},
    offload,
    rig::{Layout, Rig},
    scrape::Scrape,
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
    wait,
};

const OPEN: usize = 32;

/// A daemon watches an interface for a minute before it says anything of it.
const KNOWN: Duration = Duration::from_secs(90);

#[test]
fn kernel_counts_in_either_mode_what_the_program_sends_on_and_drops() -> Result<()> {
    for (shape, mode) in [
        (Shape::OneArm, "native"),
        (Shape::TwoArm, "native"),
        (Shape::OneArm, "generic"),
        (Shape::TwoArm, "generic"),
    ] {
        let rig = Rig::build(&Layout {
            mode,
            ..Layout::of(shape, 2).beside()
        })?;
        let before = counted(&rig)?;
        datagrams(&rig, 1000, 2000)?.complete()?;
        fragments(&rig, 100)?;
        let after = counted(&rig)?;
        let since = |what: fn(&Counted) -> u64| what(&after) - what(&before);
        println!("{shape:?}, {mode}: {before:?}, {after:?}");
        ensure!(since(|counted| counted.forwarded) >= 1000, "not forwarded");
        ensure!(since(|counted| counted.dropped) >= 100, "not dropped");
        ensure!(since(|counted| counted.bytes) > 1100 * 100, "too few bytes");
        // Every frame runs the program, and few come between two counts.
        let (program, kernel) = (since(|counted| counted.program), since(|counted| counted.kernel));
        ensure!(
            program.abs_diff(kernel) <= 20,
            "{shape:?}, {mode}: the program had {program}, and the kernel counted {kernel}"
        );
    }
    Ok(())
}

#[derive(Debug)]
struct Counted {
    /// Of all verdicts.
    program: u64,
    forwarded: u64,
    dropped: u64,
    /// Of all interfaces.
    kernel: u64,
    bytes: u64,
}

fn counted(rig: &Rig) -> Result<Counted> {
    // What was sent has arrived.
    thread::sleep(Duration::from_millis(500));
    let scrape = Scrape::of_socket(&rig.installation.socket)?;
    let sum = |prefix: &str| {
        let names = scrape.samples.keys().filter(|name| name.starts_with(prefix));
        names.map(|name| scrape.count(name)).sum::<Result<u64>>()
    };
    Ok(Counted {
        program: sum("holdfast_xdp_packets_total{")?,
        forwarded: sum("holdfast_xdp_packets_total{verdict=\"Forward")?,
        dropped: sum("holdfast_xdp_packets_total{verdict=\"Drop")?,
        kernel: sum("holdfast_interface_rx_packets_total{")?,
        bytes: sum("holdfast_interface_rx_bytes_total{")?,
    })
}

/// Datagrams in two fragments each.
fn fragments(rig: &Rig, count: usize) -> Result<()> {
    let sent = rig.network.client.run(|| -> std::io::Result<()> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for _ in 0..count.div_ceil(2) {
            socket.send_to(&[0; 2500], DATAGRAMS.v4())?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    })?;
    sent.context("sending fragments")
}

fn datagrams(rig: &Rig, at_most: u64, per_second: u32) -> Result<Datagrams> {
    let shape = DatagramShape {
        target: DATAGRAMS.v4(),
        sources: Topology::client_addresses(Family::V4),
        length: datagrams::SHORT,
        per_second,
        at_most,
    };
    Datagrams::start(&rig.network.client, shape)
}

#[test]
fn detached_interface_ends_its_share_and_is_refused_by_what_was_measured() -> Result<()> {
    let rig = with_two_uplinks()?;
    let load = open_streams(&rig)?;
    wait::until(Duration::from_secs(30), "packets a second are known", || {
        (packets_a_second(&rig).ok()? > 100).then_some(())
    })?;
    let refused = detach(&rig, "lb1")?;
    ensure_refused(&refused, &["HF2061", "was not watched for a minute yet"])?;
    // Then it is known that hardly anything comes in there.
    let detached = wait::until(KNOWN, "lb1 is known to be idle", || {
        thread::sleep(Duration::from_secs(1));
        detach(&rig, "lb1").ok().filter(|outcome| outcome.code == Some(0))
    })?;
    println!("{}", detached.said());
    let lb1 = rig.installation.status()?.interfaces[1].prog_id;
    assert_eq!(lb1, 0, "still attached");
    // Something does now and then, so that it is on trial.
    let confirmed = rig.installation.run(&["confirm"])?;
    assert_eq!(confirmed.code, Some(0), "{}", confirmed.said());

    let busy = detach(&rig, "lb0")?;
    ensure_refused(&busy, &["HF2006"])?;
    let attached = rig.installation.run(&["attach", "lb1"])?;
    assert_eq!(attached.code, Some(0), "{}", attached.said());
    let busy = detach(&rig, "lb0")?;
    println!("{}", busy.said());
    ensure_refused(&busy, &["HF2061", "100 %", "10%"])?;

    // Half as much by the second uplink is too much, too.
    let half = u32::try_from(packets_a_second(&rig)? / 2)?;
    let second = datagrams(&rig, u64::MAX, half)?;
    let refused = wait::until(Duration::from_secs(30), "lb1 is busy", || {
        let share = planned_share(&rig).ok()?;
        (share > 20).then(|| detach(&rig, "lb1").ok()).flatten()
    })?;
    println!("{}", refused.said());
    ensure_refused(&refused, &["HF2061", "up to", "10%"])?;
    let report = second.stop()?;
    ensure!(report.answered > 0, "nothing came in by lb1: {report:?}");
    let report = load.stop()?;
    assert_eq!((report.connections(), report.completed()), (OPEN, OPEN), "{report}");
    Ok(())
}

/// A second link from the router, by which datagrams come; all frames leave by
/// the first.
fn with_two_uplinks() -> Result<Rig> {
    let rig = Rig::start(Shape::OneArm, 2, 2)?;
    let (balancer, router) = (&rig.network.balancer, &rig.network.router);
    balancer.ip(&format!(
        "link add lb1 mtu 1600 type veth peer name to-lb1 mtu 1600 netns {}",
        router.name()
    ))?;
    for (namespace, interface, address) in [(balancer, "lb1", "10.77.0.2/30"), (router, "to-lb1", "10.77.0.1/30")] {
        namespace.run(|| offload::turn_off(interface))??;
        namespace.ip(&format!("addr add {address} dev {interface}"))?;
        namespace.ip(&format!("link set {interface} up"))?;
    }
    let IpAddr::V4(vip) = DATAGRAMS.v4().ip() else {
        anyhow::bail!("no IPv4 address");
    };
    router.ip(&format!("route replace {vip}/32 via 10.77.0.2 dev to-lb1"))?;
    let mut fleet = rig.fleet.clone();
    fleet.interfaces.push(Interface {
        name: "lb1".to_owned(),
        mode: "native",
    });
    rig.installation.apply(&fleet)?;
    // Now what protects by default does.
    fleet.protection = String::new();
    rig.installation.apply(&fleet)?;
    Ok(rig)
}

fn open_streams(rig: &Rig) -> Result<Load> {
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(10), "open streams", |report| {
        report.open().count() == OPEN
    })?;
    Ok(load)
}

fn detach(rig: &Rig, interface: &str) -> Result<Outcome> {
    rig.installation.run(&["detach", interface])
}

fn ensure_refused(outcome: &Outcome, parts: &[&str]) -> Result<()> {
    ensure!(outcome.code == Some(3), "not refused: {}", outcome.said());
    for part in parts {
        ensure!(outcome.said().contains(part), "no `{part}` in: {}", outcome.said());
    }
    Ok(())
}

/// For all VIPs.
fn packets_a_second(rig: &Rig) -> Result<u64> {
    let status: Value = rig.installation.ask(&["status"])?;
    let vips = status["vips"].as_array().context("no VIPs")?;
    Ok(vips.iter().filter_map(|vip| vip["pps"].as_u64()).sum())
}

/// Of them, in percent, for the VIP of the second uplink.
fn planned_share(rig: &Rig) -> Result<u64> {
    let status: Value = rig.installation.ask(&["status"])?;
    let vips = status["vips"].as_array().context("no VIPs")?;
    let of_second = vips.iter().find(|vip| vip["name"] == "dns4").context("no dns4")?;
    let packets = of_second["pps"].as_u64().context("no packets a second")?;
    Ok(packets * 100 / packets_a_second(rig)?.max(1))
}
