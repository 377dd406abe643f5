//! What Prometheus scrapes is what happened, to the packet.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use support::{
    addresses::Family,
    config::DATAGRAMS,
    contract::Status,
    datagrams::{self, DatagramShape, Datagrams},
    rig::Rig,
    scrape::Scrape,
    topology::{Shape, Topology},
};

const DOCUMENT: &str = include_str!("../../docs/metrics.md");

fn send(rig: &Rig, datagrams: u64) -> Result<()> {
    let shape = DatagramShape {
        target: DATAGRAMS.v4(),
        sources: Topology::client_addresses(Family::V4),
        length: datagrams::SHORT,
        per_second: 2000,
        at_most: datagrams,
    };
    let report = Datagrams::start(&rig.network.client, shape)?.complete()?;
    ensure!(report.answered == datagrams, "the rig lost datagrams: {report:?}");
    Ok(())
}

/// Every counter of `status`, against the scrape.
fn ensure_same(scrape: &Scrape, status: &Status) -> Result<()> {
    for (verdict, traffic) in &status.verdicts {
        let of = |what: &str| scrape.count(&format!("holdfast_xdp_{what}_total{{verdict=\"{verdict}\"}}"));
        assert_eq!(
            (of("packets")?, of("bytes")?),
            (traffic.packets, traffic.bytes),
            "{verdict}"
        );
    }
    for vip in &status.vips {
        let of = |what: &str| scrape.count(&format!("holdfast_vip_{what}_total{{vip=\"{}\"}}", vip.name));
        assert_eq!(
            (of("packets")?, of("bytes")?),
            (vip.traffic.packets, vip.traffic.bytes),
            "{vip:?}"
        );
    }
    for (pool, backend) in status.backends() {
        let labels = format!("{{pool=\"{}\",backend=\"{}\"}}", pool.name, backend.name);
        let of = |what: &str| scrape.count(&format!("holdfast_backend_{what}{labels}"));
        assert_eq!(
            (of("packets_total")?, of("bytes_total")?),
            (backend.traffic.packets, backend.traffic.bytes)
        );
        assert_eq!(of("weight")?, u64::from(backend.weight));
        assert_eq!(of("up")?, u64::from(backend.up));
    }
    assert_eq!(scrape.count("holdfast_config_generation")?, status.generation);
    assert_eq!(scrape.count("holdfast_config_in_sync")?, u64::from(status.in_sync));
    Ok(())
}

#[test]
fn metrics_count_each_packet_and_go_on_when_the_daemon_does_not() -> Result<()> {
    let mut rig = Rig::start_beside(Shape::TwoArm, 2, 2)?;
    let socket = rig.installation.socket.clone();
    let vip = "holdfast_vip_packets_total{vip=\"dns4\"}";
    let before = Scrape::of_socket(&socket)?;
    send(&rig, 1_000)?;
    let (after, status) = quiet(&rig)?;
    assert_eq!(after.count(vip)? - before.count(vip)?, 1_000);
    ensure_same(&after, &status)?;
    assert_eq!(
        after.count("holdfast_xdp_attached{interface=\"lb0\",mode=\"native\"}")?,
        1
    );

    // A refusal is counted by its code.
    let pool = rig.fleet.clone().omitting("web", "be2");
    rig.installation.write(&pool)?;
    let refused = rig
        .installation
        .run(&["apply", "-f", &rig.installation.config.to_string_lossy()])?;
    assert_eq!(refused.code, Some(3), "{}", refused.said());
    let out_of_sync = Scrape::of_socket(&socket)?;
    assert_eq!(out_of_sync.count("holdfast_config_in_sync")?, 0);
    rig.installation.write(&rig.fleet)?;

    rig.kill_daemon()?;
    send(&rig, 500)?;
    rig.installation.arguments = ["--metrics", "127.0.0.1:9460"].map(str::to_owned).into();
    rig.start_daemon()?;
    let (restarted, status) = quiet(&rig)?;
    assert_eq!(restarted.count(vip)? - after.count(vip)?, 500);
    ensure_same(&restarted, &status)?;
    let counters = after
        .samples
        .iter()
        .filter(|(name, _)| name.contains("packets_total") || name.contains("bytes_total"));
    for (name, value) in counters {
        ensure!(restarted.value(name)? >= *value, "{name} went back");
    }
    let port: SocketAddr = "127.0.0.1:9460".parse()?;
    let by_port = rig.network.balancer.run(|| Scrape::of_port(port))??;
    assert_eq!(by_port.count(vip)?, restarted.count(vip)?);
    Ok(())
}

/// A scrape and a status between which nothing came.
fn quiet(rig: &Rig) -> Result<(Scrape, Status)> {
    for _ in 0..20 {
        let before = rig.installation.status()?;
        let scrape = Scrape::of_socket(&rig.installation.socket)?;
        let after = rig.installation.status()?;
        if before.verdicts == after.verdicts {
            return Ok((scrape, after));
        }
        thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("packets keep coming")
}

#[test]
fn document_lists_what_a_running_daemon_gives() -> Result<()> {
    let rig = Rig::start_beside(Shape::OneArm, 2, 2)?;
    let scrape = Scrape::of_socket(&rig.installation.socket)?;
    let documented = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut documented: Vec<String> = documented
        .map(|(name, rest)| {
            let kind = rest.split('|').nth(1).map_or("", str::trim);
            let ending = if kind == "counter" {
                "_total"
            } else if kind == "info" {
                "_info"
            } else {
                ""
            };
            name.strip_suffix(ending).unwrap_or(name).to_owned()
        })
        .collect();
    documented.sort();
    let scraped: Vec<String> = scrape.families.keys().cloned().collect();
    assert_eq!(documented, scraped);
    let one = scrape.samples.keys().next().context("samples")?;
    ensure!(!one.is_empty() && scrape.bytes > 1000);
    Ok(())
}
