//! As many backends as a pool may have, checked every second by one daemon.

use std::{
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use support::{
    addresses,
    config::{Backend, Encap, STREAMS},
    rig::{Layout, Rig},
    scrape::Scrape,
    topology::Shape,
    wait,
};

const BACKENDS: u16 = 2000;
/// All of them are the only host's, whoever it is.
const PREFIX: &str = "10.2.0.0/16";
const WATCHED: Duration = Duration::from_secs(10);
const ALL_UP: Duration = Duration::from_secs(30);

fn nth(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 2, high, low).into()
}

fn backends() -> Vec<Backend> {
    (1..=BACKENDS)
        .map(|number| Backend {
            name: format!("be{number}"),
            address: nth(number),
            weight: 100,
            state: "ready",
        })
        .collect()
}

#[test]
fn two_thousand_backends_are_checked_every_second_and_none_late() -> Result<()> {
    let layout = Layout {
        encap: Encap::Ipip,
        ..Layout::of(Shape::OneArm, 1)
    };
    let mut rig = Rig::without_daemon(&layout, |mut fleet| {
        fleet.pools[0].backends = backends();
        let port = STREAMS.port;
        fleet.saying(
            "web",
            &format!("health: {{ tcp: {{ port: {port} }}, via: direct, interval: 1s, timeout: 1s }}"),
        )
    })?;
    let host = &rig.network.backends[0];
    host.namespace.ip(&format!("route add local {PREFIX} dev lo"))?;
    let via = addresses::behind(1, 11).v4;
    rig.network.router.ip(&format!("route add {PREFIX} via {via}"))?;
    rig.start_daemon()?;
    let socket = rig.installation.socket.clone();

    wait::until(ALL_UP, "all backends up", || {
        let scrape = Scrape::of_socket(&socket).ok()?;
        let checked = scrape.samples.keys();
        let checked = checked.filter(|name| name.starts_with("holdfast_backend_check_duration_seconds"));
        (checked.count() == usize::from(BACKENDS)).then_some(())
    })?;
    let before = Scrape::of_socket(&socket)?;
    let began = Instant::now();
    thread::sleep(WATCHED);
    let after = Scrape::of_socket(&socket)?;
    let seconds = began.elapsed().as_secs_f64();

    let rise = |name: &str| -> Result<f64> { Ok(after.value(name)? - before.value(name)?) };
    let (checks, late) = (rise("holdfast_checks_total")?, rise("holdfast_checks_late_total")?);
    let cpu = rise("process_cpu_seconds_total")? / seconds;
    println!(
        "{:.0} checks a second, {late} late, {:.0} % of a processor",
        checks / seconds,
        cpu * 100.0
    );
    ensure!(late == 0.0, "{late} of {checks} checks began late");
    // Intervals vary by a tenth; fewer checks would be as bad as late ones.
    let expected = f64::from(BACKENDS) * seconds;
    ensure!(
        (checks / expected - 1.0).abs() < 0.05,
        "{checks} checks in {seconds:.1} s of {BACKENDS} backends"
    );
    let up = after.samples.iter().filter(|(name, value)| {
        name.starts_with("holdfast_backend_up{pool=\"web\"") && (**value - 1.0).abs() < f64::EPSILON
    });
    assert_eq!(up.count(), usize::from(BACKENDS));
    Ok(())
}
