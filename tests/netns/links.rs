//! Interfaces go down, are renamed, vanish and come back, lose their program or
//! have another one: followed, said, attached again within a second, and nothing
//! of anybody else's is touched.

use std::{
    os::fd::AsFd as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use holdfast::kernel::sys;
use serde_json::Value;
use support::{
    addresses::Family,
    config::{Interface, STREAMS},
    pass::PassPrograms,
    rig::Rig,
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
    wait,
};

const OPEN: usize = 32;

/// From the event to the program being back.
const AGAIN: Duration = Duration::from_secs(1);

/// For what is only to be seen some time.
const SEEN: Duration = Duration::from_secs(5);

#[test]
fn link_cut_behind_the_daemons_back_is_attached_again_within_a_second() -> Result<()> {
    let rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let load = open_streams(&rig)?;
    for _ in 0..3 {
        // As `bpftool link detach` does.
        let link = sys::open_pin(&rig.installation.pins.join("links/lb0"))?;
        sys::detach_link(link.as_fd())?;
        drop(link);
        let took = until_attached(&rig, "lb0")?;
        println!("attached again after {took:.0?}");
        ensure!(took <= AGAIN, "attached again after {took:?}");
    }
    finish(load)
}

#[test]
fn interface_that_is_down_is_said_and_breaks_nothing_when_it_comes_back() -> Result<()> {
    let rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let load = open_streams(&rig)?;
    let balancer = &rig.network.balancer;
    balancer.ip("link set lb0 down")?;
    let problem = problem_of(&rig, "lb0", "is down")?;
    println!("{problem}");
    balancer.ip("link set lb0 up")?;
    wait::until(SEEN, "no problem any more", || {
        interface(&rig, "lb0").ok().filter(|lb0| lb0["problem"].is_null())
    })?;
    finish(load)
}

#[test]
fn renamed_interface_keeps_its_program_until_another_has_the_name() -> Result<()> {
    let rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let load = open_streams(&rig)?;
    let before = interface(&rig, "lb0")?;
    let balancer = &rig.network.balancer;
    balancer.ip("link set lb0 name other0")?;
    let problem = problem_of(&rig, "lb0", "is named other0 now")?;
    println!("{problem}");
    let renamed = interface(&rig, "lb0")?;
    assert_eq!(
        (&renamed["ifindex"], &renamed["progId"]),
        (&before["ifindex"], &before["progId"])
    );
    let bytes = load.report().bytes();
    thread::sleep(Duration::from_secs(1));
    ensure!(load.report().bytes() > bytes, "streams stand still");

    balancer.ip("link set other0 name lb0")?;
    wait::until(SEEN, "no problem any more", || {
        interface(&rig, "lb0").ok().filter(|lb0| lb0["problem"].is_null())
    })?;
    finish(load)?;

    // Now somebody else gets the name.
    balancer.ip("link set lb0 name other0")?;
    problem_of(&rig, "lb0", "is named other0 now")?;
    balancer.ip("link add lb0 type veth peer name far0")?;
    let new = wait::until(SEEN, "the new interface is attached", || {
        let new = interface(&rig, "lb0").ok()?;
        (new["ifindex"] != before["ifindex"] && new["progId"] != 0).then_some(new)
    })?;
    ensure!(new["progId"] == before["progId"], "another program: {new}");
    let left = balancer.ip("-d link show other0")?;
    ensure!(!left.contains("prog/xdp"), "still on the renamed one: {left}");
    Ok(())
}

#[test]
fn interface_made_anew_is_attached_within_a_second_and_others_notice_nothing() -> Result<()> {
    let rig = with_spare()?;
    let load = open_streams(&rig)?;
    let balancer = &rig.network.balancer;
    for _ in 0..3 {
        balancer.ip("link del spare0")?;
        problem_of(&rig, "spare0", "there is no such interface")?;
        balancer.ip("link add spare0 type veth peer name far0")?;
        let took = until_attached(&rig, "spare0")?;
        println!("attached after {took:.0?}");
        ensure!(took <= AGAIN, "attached after {took:?}");
    }
    finish(load)
}

#[test]
fn mtu_of_an_interface_is_followed_with_a_revision() -> Result<()> {
    let rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let before = rig.installation.status()?;
    rig.network.balancer.ip("link set lb1 mtu 1550")?;
    wait::until(SEEN, "the next hops' MTU", || {
        let status: Value = rig.installation.ask(&["status"]).ok()?;
        let backends = status["pools"][0]["backends"].as_array()?;
        backends
            .iter()
            .all(|backend| backend["path"]["mtu"] == 1550)
            .then_some(())
    })?;
    let after = rig.installation.status()?;
    ensure!(after.revision > before.revision, "no revision");
    assert_eq!(after.generation, before.generation);
    Ok(())
}

#[test]
fn foreign_program_is_named_with_its_owner_and_never_replaced() -> Result<()> {
    let rig = with_spare()?;
    let balancer = &rig.network.balancer;
    // It comes while ours is off.
    let detached = rig.installation.run(&["detach", "spare0"])?;
    assert_eq!(detached.code, Some(0), "{}", detached.said());
    let theirs = PassPrograms::attach(balancer, &["spare0".to_owned()])?;
    let id = xdp_program(&rig, "spare0")?;
    rig.installation.run(&["attach", "spare0"])?;
    let problem = problem_of(&rig, "spare0", "another XDP program")?;
    println!("{problem}");
    let pid = format!("pid {}", std::process::id());
    for part in [format!("program {id} (pass)"), pid] {
        ensure!(problem.contains(&part), "no `{part}` in: {problem}");
    }
    // A configuration that brings it in anew is refused.
    let fresh = Interface {
        name: "far0".to_owned(),
        mode: "native",
    };
    let far = PassPrograms::attach(balancer, &["far0".to_owned()])?;
    let mut fleet = rig.fleet.clone();
    fleet.interfaces.push(fresh);
    rig.installation.write(&fleet)?;
    let config = rig.installation.config.to_string_lossy();
    let refused = rig.installation.run(&["apply", "-f", &config])?;
    assert_eq!(refused.code, Some(1), "{}", refused.said());
    ensure!(refused.said().contains("HF3012"), "{}", refused.said());
    assert_eq!(xdp_program(&rig, "spare0")?, id, "stolen");
    drop(far);
    // It goes by itself: ours comes.
    drop(theirs);
    until_attached(&rig, "spare0")?;
    Ok(())
}

/// With an interface that nothing depends on.
fn with_spare() -> Result<Rig> {
    let mut rig = Rig::start(Shape::TwoArm, 2, 2)?;
    rig.network.balancer.ip("link add spare0 type veth peer name far0")?;
    let mut fleet = rig.fleet.clone();
    fleet.interfaces.push(Interface {
        name: "spare0".to_owned(),
        mode: "native",
    });
    rig.installation.apply(&fleet)?;
    rig.fleet = fleet;
    Ok(rig)
}

fn interface(rig: &Rig, name: &str) -> Result<Value> {
    let status: Value = rig.installation.ask(&["status"])?;
    let interfaces = status["interfaces"].as_array().context("no interfaces")?;
    let found = interfaces.iter().find(|interface| interface["name"] == name);
    found.cloned().with_context(|| format!("no {name} in {status}"))
}

fn problem_of(rig: &Rig, name: &str, part: &str) -> Result<String> {
    wait::until(SEEN, part, || {
        let problem = interface(rig, name).ok()?["problem"].as_str()?.to_owned();
        problem.contains(part).then_some(problem)
    })
    .with_context(|| rig.daemon_log())
}

/// Looks at the pin, not at what the daemon says; from now on.
fn until_attached(rig: &Rig, name: &str) -> Result<Duration> {
    let began = Instant::now();
    let pin = rig.installation.pins.join("links").join(name);
    let attached = || {
        let facts = sys::link_facts(sys::open_pin(&pin).ok()?.as_fd()).ok()?;
        (facts.ifindex != 0).then_some(())
    };
    while attached().is_none() {
        ensure!(began.elapsed() < SEEN, "not attached again\n{}", rig.daemon_log());
        thread::sleep(Duration::from_millis(2));
    }
    Ok(began.elapsed())
}

fn xdp_program(rig: &Rig, name: &str) -> Result<u64> {
    let links: Value = serde_json::from_str(&rig.network.balancer.ip(&format!("-d -j link show {name}"))?)?;
    links[0]["xdp"]["prog"]["id"]
        .as_u64()
        .with_context(|| links.to_string())
}

fn open_streams(rig: &Rig) -> Result<Load> {
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(10), "open streams", |report| {
        report.open().count() == OPEN
    })?;
    Ok(load)
}

fn finish(load: Load) -> Result<()> {
    let report = load.stop()?;
    println!("{report}");
    assert_eq!((report.connections(), report.completed()), (OPEN, OPEN), "{report}");
    Ok(())
}
