//! Interfaces go down, are renamed, vanish and come back, lose their program or
//! have another one: followed, said first, journaled, attached again within a
//! second, and nothing of anybody else's is touched.

use std::{
    os::{fd::AsFd as _, unix::net::UnixStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use holdfast::kernel::sys;
use rustix::{
    net::sockopt::socket_peercred,
    process::{Signal, kill_process},
};
use serde_json::Value;
use support::{
    addresses::Family,
    config::{Interface, STREAMS},
    pass::PassPrograms,
    rig::Rig,
    scrape::Scrape,
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
        cut(&rig, "lb0")?;
        let took = until_attached(&rig, "lb0")?;
        println!("attached again after {took:.0?}");
        ensure!(took <= AGAIN, "attached again after {took:?}");
    }
    journaled(&rig, "LinkLost", "the program was taken off lb0", true)?;
    first_line(&rig, "● SERVING")?;
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
    first_line(&rig, "▲ INTERFACE lb0 is down: nothing comes in there")?;
    journaled(&rig, "NotAttached", "lb0 is down", false)?;
    balancer.ip("link set lb0 up")?;
    no_problem_of(&rig, "lb0")?;
    journaled(&rig, "InterfaceWell", "lb0 is well again", true)?;
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
    first_line(&rig, "▲ INTERFACE lb0 is named other0 now")?;
    journaled(&rig, "NotAttached", "lb0 is named other0 now", false)?;
    let renamed = interface(&rig, "lb0")?;
    assert_eq!(
        (&renamed["ifindex"], &renamed["progId"]),
        (&before["ifindex"], &before["progId"])
    );
    let bytes = load.report().bytes();
    thread::sleep(Duration::from_secs(1));
    ensure!(load.report().bytes() > bytes, "streams stand still");

    balancer.ip("link set other0 name lb0")?;
    no_problem_of(&rig, "lb0")?;
    journaled(&rig, "InterfaceWell", "lb0 is well again", true)?;
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
    journaled(&rig, "LinkLost", "lb0 is another interface: number", true)
}

#[test]
fn interface_made_anew_is_attached_within_a_second_and_others_notice_nothing() -> Result<()> {
    let rig = with_spare()?;
    let load = open_streams(&rig)?;
    let balancer = &rig.network.balancer;
    for _ in 0..3 {
        balancer.ip("link del spare0")?;
        problem_of(&rig, "spare0", "there is no such interface")?;
        first_line(&rig, "▲ NOT ATTACHED spare0: there is no such interface. Serving")?;
        balancer.ip("link add spare0 type veth peer name far0")?;
        let took = until_attached(&rig, "spare0")?;
        println!("attached after {took:.0?}");
        ensure!(took <= AGAIN, "attached after {took:?}");
        balancer.ip("link set spare0 up")?;
        balancer.ip("link set far0 up")?;
        no_problem_of(&rig, "spare0")?;
    }
    journaled(&rig, "NotAttached", "there is no such interface", false)?;
    journaled(&rig, "InterfaceWell", "spare0 is well again", true)?;
    let drifts = drifts(&rig)?;
    ensure!(
        drifts.iter().all(|drift| drift["what"] != "LinkLost"),
        "nobody took the program off: {drifts:?}"
    );
    finish(load)
}

#[test]
fn only_interface_that_is_deleted_is_the_first_that_status_says() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 2, 2)?;
    rig.network.balancer.ip("link del lb0")?;
    let line = first_line(
        &rig,
        "▲ NOT ATTACHED lb0: there is no such interface. No packet comes in.",
    )?;
    println!("{line}");
    journaled(&rig, "NotAttached", "there is no such interface", false)
}

#[test]
fn interface_moved_away_with_another_of_its_name_and_number_is_noticed() -> Result<()> {
    let rig = with_spare()?;
    let (balancer, router) = (&rig.network.balancer, &rig.network.router);
    let before = xdp_program(&rig, "spare0")?;
    // Else it would see the one that is missing first.
    signal(&rig, Signal::STOP)?;
    balancer.ip(&format!("link set spare0 netns {}", router.name()))?;
    balancer.ip(&format!("link add spare0 index {SPARE} type veth peer name far1"))?;
    signal(&rig, Signal::CONT)?;
    let began = Instant::now();
    let program =
        wait::until(SEEN, "the program", || xdp_program(&rig, "spare0").ok()).with_context(|| rig.daemon_log())?;
    let took = began.elapsed();
    println!("attached after {took:.0?}");
    ensure!(took <= AGAIN, "attached after {took:?}");
    assert_eq!(program, before, "another program");
    let left = router.ip("-d link show spare0")?;
    ensure!(!left.contains("prog/xdp"), "still on the one that was moved: {left}");
    journaled(&rig, "LinkLost", "spare0 is another interface of the same number", true)?;
    balancer.ip("link set spare0 up")?;
    balancer.ip("link set far1 up")?;
    no_problem_of(&rig, "spare0")?;
    first_line(&rig, "● SERVING")?;
    // Without another one it is said where it is.
    balancer.ip(&format!("link set spare0 name away0 netns {}", router.name()))?;
    problem_of(&rig, "spare0", "it is in another network namespace")?;
    Ok(())
}

#[test]
fn program_that_could_not_be_put_on_again_is_not_called_healed() -> Result<()> {
    let rig = with_spare()?;
    // The daemon sees all of it at once.
    signal(&rig, Signal::STOP)?;
    cut(&rig, "spare0")?;
    let theirs = PassPrograms::attach(&rig.network.balancer, &["spare0".to_owned()])?;
    signal(&rig, Signal::CONT)?;
    problem_of(&rig, "spare0", "another XDP program")?;
    first_line(&rig, "▲ NOT ATTACHED spare0: another XDP program is attached")?;
    journaled(&rig, "LinkLost", "the program was taken off spare0", false)?;
    journaled(&rig, "NotAttached", "another XDP program", false)?;
    // It is looked at many times, and said once.
    thread::sleep(Duration::from_secs(3));
    let drifts = drifts(&rig)?;
    let of = |part: &str| {
        let found = drifts.iter().filter_map(|drift| drift["found"].as_str());
        found.filter(|found| found.contains(part)).count()
    };
    assert_eq!((of("another XDP program"), of("taken off")), (1, 1), "{drifts:?}");
    ensure!(drifts.iter().all(|drift| drift["healed"] == false), "{drifts:?}");
    for kind in ["link", "interface"] {
        let name = format!("holdfast_drift_total{{kind=\"{kind}\"}}");
        let found = Scrape::of_socket(&rig.installation.socket)?.count(&name)?;
        ensure!(found > 0, "{name}: {found}");
    }
    drop(theirs);
    until_attached(&rig, "spare0")?;
    journaled(&rig, "InterfaceWell", "spare0 is well again", true)?;
    first_line(&rig, "● SERVING").map(drop)
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
    first_line(&rig, "▲ NOT ATTACHED spare0: another XDP program is attached")?;
    journaled(&rig, "NotAttached", "another XDP program", false)?;
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
    journaled(&rig, "InterfaceWell", "spare0 is well again", true)
}

/// Number of the spare interface: nobody else's, in no namespace.
const SPARE: u32 = 4711;

/// With an interface that nothing depends on.
fn with_spare() -> Result<Rig> {
    let mut rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let balancer = &rig.network.balancer;
    balancer.ip(&format!("link add spare0 index {SPARE} type veth peer name far0"))?;
    balancer.ip("link set spare0 up")?;
    balancer.ip("link set far0 up")?;
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

fn no_problem_of(rig: &Rig, name: &str) -> Result<()> {
    wait::until(SEEN, "no problem any more", || {
        let interface = interface(rig, name).ok()?;
        interface["problem"].is_null().then_some(())
    })
    .with_context(|| rig.daemon_log())
}

/// `holdfast status` begins with it.
fn first_line(rig: &Rig, start: &str) -> Result<String> {
    wait::until(SEEN, start, || {
        let status = rig.installation.run(&["status"]).ok()?;
        let line = status.stdout.lines().next()?.to_owned();
        line.starts_with(start).then_some(line)
    })
    .with_context(|| rig.daemon_log())
}

/// What the journal says of drift.
fn drifts(rig: &Rig) -> Result<Vec<Value>> {
    let journal: Value = rig.installation.ask(&["journal", "list"])?;
    let entries = journal["entries"].as_array().context("entries")?;
    let drifts = entries.iter().filter(|entry| entry["kind"] == "drift");
    Ok(drifts.map(|entry| entry["payload"].clone()).collect())
}

/// There is such an entry, and only such ones of these words.
fn journaled(rig: &Rig, what: &str, part: &str, healed: bool) -> Result<()> {
    let found = wait::until(SEEN, "an entry of the journal", || {
        let mut drifts = drifts(rig).ok()?;
        drifts.retain(|drift| drift["found"].as_str().is_some_and(|found| found.contains(part)));
        (!drifts.is_empty()).then_some(drifts)
    })
    .with_context(|| format!("{part}\n{}", rig.daemon_log()))?;
    for drift in found {
        assert_eq!(
            (&drift["what"], &drift["healed"]),
            (&what.into(), &healed.into()),
            "{drift}"
        );
    }
    Ok(())
}

/// As `bpftool link detach` does.
fn cut(rig: &Rig, name: &str) -> Result<()> {
    let link = sys::open_pin(&rig.installation.pins.join("links").join(name))?;
    Ok(sys::detach_link(link.as_fd())?)
}

/// To the daemon.
fn signal(rig: &Rig, signal: Signal) -> Result<()> {
    let daemon = socket_peercred(UnixStream::connect(&rig.installation.socket)?)?;
    Ok(kill_process(daemon.pid, signal)?)
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
