//! Trials that end before their time, because it is worse than before; and what
//! does not end one.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::{
    addresses::Family,
    config::{Backend, DATAGRAMS, Fleet, Pool, STREAMS},
    contract::Status,
    daemon::Outcome,
    datagrams::{self, DatagramShape, Datagrams},
    flood::{Each, Flood},
    rig::{Layout, Rig},
    topology::{Shape, Topology},
    wait,
};

use super::health::{self, Checked};

/// Far beyond the end of what ends by itself.
const TRIAL: [&str; 2] = ["--confirm-within", "5m"];

/// Five seconds, and as long for whatever else, on a busy machine.
const ENDS: Duration = Duration::from_secs(25);

const PER_SECOND: u32 = 400;

#[test]
fn trial_whose_checks_fail_is_taken_back_in_seconds_and_breaks_nothing() -> Result<()> {
    let checked = Checked::up("")?;
    let load = checked.streams()?;
    let before = checked.rig.installation.status()?;
    let mut fleet = checked.rig.fleet.clone();
    fleet.pools[0].keys = vec![format!("health: {{ {} }}", health::CHECK.replace("8080", "8081"))];
    let outcome = apply(&checked.rig, &fleet, &[&TRIAL[..], &["--wait"]].concat())?;
    assert_eq!(outcome.code, Some(6), "{}", outcome.said());
    let why = "taken back: pool web has 0 healthy backends, 4 before";
    ensure!(outcome.said().contains(why), "{}", outcome.said());
    let after = checked.rig.installation.status()?;
    assert_eq!(
        (after.generation, &after.digest),
        (before.generation + 2, &before.digest)
    );
    ensure_told(&checked.rig, &after, why)?;
    checked.wait("all backends up again", ENDS, |status| {
        status.backends().all(|(_, backend)| backend.health.state == "up")
    })?;
    health::ensure_unbroken(load)
}

#[test]
fn neither_rubbish_nor_silence_ends_a_trial() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::TwoArm, 2).beside())?;
    let load = datagrams(&rig)?;
    wait_live(&rig)?;
    let before = rig.installation.status()?;
    ensure_ok(&apply(&rig, &rig.fleet.clone().weighing("web", "be1", 7), &TRIAL)?)?;
    drop(load);
    let std::net::SocketAddr::V4(target) = STREAMS.v4() else {
        anyhow::bail!("an IPv4 VIP has an IPv4 address");
    };
    let flood = Flood::start(&rig.network.client, target, Each::Junk, 3000)?;
    thread::sleep(Duration::from_secs(15));
    let sent = flood.stop()?;
    let after = rig.installation.status()?;
    let dropped: u64 = ["DropFragment", "DropTcpOffset", "DropShortL4"]
        .iter()
        .map(|verdict| after.verdicts[*verdict].packets - before.verdicts[*verdict].packets)
        .sum();
    println!("{sent} sent, {dropped} dropped");
    ensure!(dropped > 10_000 && dropped <= sent, "{dropped} of {sent} dropped");
    assert_eq!(after.generation, before.generation + 1, "{}", rig.daemon_log());
    let log = rig.daemon_log();
    ensure!(log.contains("less than half of the packets"), "{log}");
    // Nobody was there for a while, and it shows.
    let (_, quiet) = live(&rig)?;
    ensure!(quiet.is_some_and(|quiet| quiet >= 10), "{quiet:?}");
    ensure_ok(&rig.installation.run(&["confirm"])?)
}

#[test]
fn plan_by_which_a_vip_would_drop_does_not_even_go_on_trial() -> Result<()> {
    let rig = Rig::build(&Layout::of(Shape::TwoArm, 2).beside())?;
    let load = datagrams(&rig)?;
    wait_live(&rig)?;
    let before = rig.installation.status()?;
    let mut fleet = rig.fleet.clone();
    let dns = fleet.pools.iter().find(|pool| pool.name == "dns").context("the pool")?;
    // A host that is not there.
    let mut nobody: Backend = dns.backends[0].clone();
    nobody.name = "be9".to_owned();
    nobody.address = nowhere(&nobody)?;
    let dark = Pool {
        name: "dark",
        backends: vec![nobody],
        ..dns.clone()
    };
    fleet.pools.push(dark);
    for vip in fleet.vips.iter_mut().filter(|vip| vip.socket == DATAGRAMS.v4()) {
        vip.pool = "dark";
    }
    let refused = apply(&rig, &fleet, &TRIAL)?;
    assert_eq!(refused.code, Some(3), "{}", refused.said());
    ensure!(
        refused.said().contains("HF3020") && refused.said().contains("DropNoNextHop"),
        "{}",
        refused.said()
    );
    let after = rig.installation.status()?;
    assert_eq!((after.generation, &after.digest), (before.generation, &before.digest));
    let report = load.stop()?;
    ensure!(report.sent > 100 && report.answered == report.sent, "{report:?}");
    Ok(())
}

/// The last host of the backends' network.
fn nowhere(backend: &Backend) -> Result<std::net::IpAddr> {
    let std::net::IpAddr::V4(address) = backend.address else {
        anyhow::bail!("{} is not IPv4", backend.address);
    };
    let [a, b, c, _] = address.octets();
    Ok([a, b, c, 253].into())
}

fn datagrams(rig: &Rig) -> Result<Datagrams> {
    let shape = DatagramShape {
        target: DATAGRAMS.v4(),
        sources: Topology::client_addresses(Family::V4),
        length: datagrams::SHORT,
        per_second: PER_SECOND,
        at_most: 1_000_000,
    };
    Datagrams::start(&rig.network.client, shape)
}

/// Packets a second of the VIP, and for how many seconds there was none.
fn live(rig: &Rig) -> Result<(u64, Option<u64>)> {
    let status: Value = rig.installation.ask(&["status"])?;
    let vips = status["vips"].as_array().context("no VIPs")?;
    let vip = vips.iter().find(|vip| vip["name"] == "dns4").context("no dns4")?;
    let pps = vip["pps"].as_u64().context("no rate")?;
    Ok((pps, vip["quietSeconds"].as_u64()))
}

/// Until the daemon sees what is sent, for as long as a baseline takes.
fn wait_live(rig: &Rig) -> Result<()> {
    let half = u64::from(PER_SECOND) / 2;
    wait::until(ENDS, "the VIP is live", || {
        let (pps, quiet) = live(rig).ok()?;
        (pps > half && quiet.is_some_and(|quiet| quiet <= 2)).then_some(())
    })?;
    let vip = rig.installation.run(&["vip", "show", "dns4"])?.stdout;
    ensure!(vip.contains("Packets a second") && vip.contains("s ago"), "{vip}");
    let silent = rig.installation.run(&["vip", "show", "raw6"])?.stdout;
    ensure!(silent.contains("never"), "{silent}");
    let wide = rig.installation.run(&["status", "-o", "wide"])?.stdout;
    ensure!(wide.contains("PPS") && wide.contains("QUIET"), "{wide}");
    Ok(())
}

/// Why, in the status and in the history.
fn ensure_told(rig: &Rig, after: &Status, why: &str) -> Result<()> {
    let said = rig.installation.run(&["status"])?.stdout;
    let line = format!("not served any more: generation {} ({why})", after.generation - 1);
    ensure!(said.contains(&line), "{said}");
    let history = rig.installation.run(&["history"])?.stdout;
    ensure!(history.contains(why), "{history}");
    Ok(())
}

fn apply(rig: &Rig, fleet: &Fleet, further: &[&str]) -> Result<Outcome> {
    rig.installation.write(fleet)?;
    let config = rig.installation.config.to_string_lossy();
    rig.installation.run(&[&["apply", "-f", &config], further].concat())
}

fn ensure_ok(outcome: &Outcome) -> Result<()> {
    ensure!(outcome.code == Some(0), "{:?}: {}", outcome.code, outcome.said());
    Ok(())
}
