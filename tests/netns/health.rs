//! Checks that fail and pass, and what becomes of connections: real checks of
//! real sockets. What is checked is a port of its own, so that the connections
//! of a backend that "fails" could go on, and must.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use support::{
    addresses::{BALANCER, Family},
    config::{Fleet, Pool, STREAMS},
    contract::{SLOTS, Status},
    rig::{Layout, Rig},
    services::{EchoAt, Service},
    streams::{Load, LoadShape, Report},
    topology::{Shape, Topology},
    wait,
};

const OPEN: usize = 64;
const CHECKED: u16 = 8080;

/// Interval · fall, with its jitter, and a timeout.
pub const NOTICED: Duration = Duration::from_millis(3 * 220 + 200);
pub const CHECK: &str = "tcp: { port: 8080 }, interval: 200ms, timeout: 200ms, rise: 2, fall: 3";

/// A rig whose backends are checked.
pub struct Checked {
    pub rig: Rig,
    /// What is checked, by backend.
    doors: Vec<Option<Service>>,
}

impl Checked {
    pub fn build(backends: u8, adapt: impl FnOnce(Fleet) -> Fleet) -> Result<Self> {
        // Checks begin when there is something to check.
        let mut wanted = None;
        let mut rig = Rig::build_with(&Layout::of(Shape::OneArm, backends), |fleet| {
            let fleet = adapt(without_dns(fleet));
            let mut unchecked = fleet.clone();
            unchecked.pools.iter_mut().for_each(|pool| pool.keys.clear());
            wanted = Some(fleet);
            unchecked
        })?;
        rig.fleet = wanted.context("a fleet was adapted")?;
        let mut checked = Self {
            doors: (0..backends).map(|_| None).collect(),
            rig,
        };
        for nth in 1..=backends {
            checked.open(nth)?;
        }
        checked.rig.installation.apply(&checked.rig.fleet)?;
        Ok(checked)
    }

    /// Four backends in one pool, each seen to be up.
    pub fn up(keys: &str) -> Result<Self> {
        let checked = Self::build(4, |fleet| fleet.saying("web", &format!("health: {{ {CHECK}{keys} }}")))?;
        checked.wait("all backends up", NOTICED * 4, |status| {
            status
                .backends()
                .all(|(_, backend)| backend.health.state == "up" && backend.slots == SLOTS / 4)
        })?;
        Ok(checked)
    }

    pub fn open(&mut self, nth: u8) -> Result<()> {
        let host = self.rig.host(&format!("be{nth}")).context("the backend")?;
        let at = EchoAt {
            tcp: CHECKED,
            udp: Vec::new(),
        };
        let service = Service::echo(&host.namespace, &host.name, &at)?;
        self.doors[usize::from(nth) - 1] = Some(service);
        Ok(())
    }

    pub fn close(&mut self, nth: u8) {
        self.doors[usize::from(nth) - 1] = None;
    }

    pub fn status(&self) -> Result<Status> {
        self.rig.installation.status()
    }

    pub fn wait(&self, what: &str, within: Duration, holds: impl Fn(&Status) -> bool) -> Result<Status> {
        wait::until(within, what, || self.status().ok().filter(&holds)).with_context(|| {
            format!(
                "{:?}\n{}",
                self.status().map(|status| status.pools),
                self.rig.daemon_log()
            )
        })
    }

    pub fn streams(&self) -> Result<Load> {
        let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
        let load = Load::start(&self.rig.network.client, shape)?;
        load.wait(Duration::from_secs(10), "open streams", |report| {
            report.open().count() == OPEN
        })?;
        Ok(load)
    }

    /// Whom new connections reach.
    fn reached(&self) -> Result<Report> {
        let shape = LoadShape::short(STREAMS.v4(), Topology::client_addresses(Family::V4), 200, 400);
        let load = Load::start(&self.rig.network.client, shape)?;
        load.wait(Duration::from_secs(10), "200 connections", |report| {
            report.completed() == 200
        })?;
        load.stop()
    }
}

/// The pool `dns` has the same hosts and no checks; its VIPs are not needed.
fn without_dns(mut fleet: Fleet) -> Fleet {
    fleet.vips.retain(|vip| vip.pool == "web");
    fleet.pools.retain(|pool| pool.name == "web");
    fleet
}

pub fn slots(status: &Status, backend: &str) -> u32 {
    status.backend("web", backend).map_or(0, |backend| backend.slots)
}

pub fn state<'s>(status: &'s Status, backend: &str) -> &'s str {
    status
        .backend("web", backend)
        .map_or("", |backend| backend.health.state.as_str())
}

pub fn reasons(status: &Status) -> &[String] {
    status
        .pools
        .iter()
        .find(|pool| pool.name == "web")
        .map_or(&[], |pool| &pool.reasons)
}

/// Every stream went on, and no byte was wrong.
pub fn ensure_unbroken(load: Load) -> Result<()> {
    let report = load.stop()?;
    println!("{report}");
    ensure!(
        (report.connections(), report.completed()) == (OPEN, OPEN),
        "{report}: {:?}",
        report.broken().collect::<Vec<_>>()
    );
    Ok(())
}

#[test]
fn backend_that_fails_gets_no_new_connections_keeps_its_own_and_comes_home() -> Result<()> {
    let mut checked = Checked::up("")?;
    let before = checked.status()?;
    let load = checked.streams()?;
    // The control: nothing happens, nothing breaks.
    thread::sleep(Duration::from_secs(1));
    ensure!(load.report().broken().count() == 0, "broken without a change");

    checked.close(2);
    let closed = Instant::now();
    let down = checked.wait("be2 out of service", NOTICED + Duration::from_secs(1), |status| {
        slots(status, "be2") == 0
    })?;
    println!("out of service after {:?}", closed.elapsed());
    assert_eq!(state(&down, "be2"), "down");
    let error = down
        .backend("web", "be2")
        .and_then(|backend| backend.health.error.clone());
    ensure!(error.as_deref() == Some("connection refused"), "{error:?}");
    for other in ["be1", "be3", "be4"] {
        ensure!(
            slots(&down, other).abs_diff(SLOTS / 3) <= 1,
            "{other}: {:?}",
            down.pools
        );
    }
    let reached = checked.reached()?;
    ensure!(!reached.by_backend().contains_key("be2"), "{reached}");

    checked.open(2)?;
    let back = checked.wait("be2 back in service", Duration::from_secs(3), |status| {
        slots(status, "be2") == SLOTS / 4
    })?;
    assert_eq!(back.pools[0].table_digest, before.pools[0].table_digest, "not home");
    assert_eq!(
        back.generation, before.generation,
        "health makes revisions, never generations"
    );
    let journal = checked.rig.installation.run(&["journal", "list"])?.stdout;
    ensure!(journal.contains("web/be2 down: connection refused"), "{journal}");
    ensure_unbroken(load)
}

#[test]
fn pool_in_which_all_fail_serves_with_all_and_says_panic() -> Result<()> {
    let mut checked = Checked::up("")?;
    let load = checked.streams()?;
    (1..=4).for_each(|nth| checked.close(nth));
    let panic = checked.wait("panic", NOTICED * 2 + Duration::from_secs(1), |status| {
        reasons(status) == ["panic"]
    })?;
    for nth in 1..=4 {
        let name = format!("be{nth}");
        ensure!(slots(&panic, &name) == SLOTS / 4, "{:?}", panic.pools);
        assert_eq!(state(&panic, &name), "down");
    }
    let said = checked.rig.installation.run(&["status"])?.stdout;
    ensure!(said.contains("▲ PANIC pool web"), "{said}");
    ensure!(checked.reached()?.completed() == 200, "not all served");
    checked.open(3)?;
    checked.wait("be3 alone in service", Duration::from_secs(3), |status| {
        slots(status, "be3") == SLOTS && reasons(status).is_empty()
    })?;
    ensure_unbroken(load)
}

#[test]
fn fallback_pool_serves_and_gives_back_without_a_broken_connection() -> Result<()> {
    let mut checked = Checked::build(4, |fleet| {
        let mut fleet = fleet
            .saying("web", &format!("health: {{ {CHECK} }}"))
            .saying("web", "fallbackPool: sorry");
        let be4 = fleet.pools[0].backends.pop().into_iter().collect();
        fleet.pools.push(Pool {
            name: "sorry",
            backends: be4,
            keys: vec![format!("health: {{ {CHECK} }}")],
            ..fleet.pools[0].clone()
        });
        fleet
    })?;
    checked.wait("all backends up", NOTICED * 4, |status| {
        status.backends().all(|(_, backend)| backend.health.state == "up")
    })?;
    let guests = |status: &Status| {
        let web = status.pools.iter().find(|pool| pool.name == "web");
        web.and_then(|pool| pool.fallback.first().map(|guest| guest.slots))
    };
    let before = checked.status()?;
    assert_eq!(guests(&before), Some(0));
    let load = checked.streams()?;
    (1..=3).for_each(|nth| checked.close(nth));
    checked.wait(
        "the fallback pool serves",
        NOTICED * 2 + Duration::from_secs(1),
        |status| guests(status) == Some(SLOTS) && reasons(status) == ["fallback"],
    )?;
    let reached = checked.reached()?;
    assert_eq!(reached.by_backend().keys().collect::<Vec<_>>(), ["be4"], "{reached}");
    ensure!(load.report().broken().count() == 0, "broken on the way there");
    let there = checked.streams()?;
    (1..=3).try_for_each(|nth| checked.open(nth))?;
    let back = checked.wait("the pool serves itself", Duration::from_secs(4), |status| {
        guests(status) == Some(0)
            && status.pools.iter().all(|pool| pool.reasons.is_empty())
            && (1..=3).all(|nth| slots(status, &format!("be{nth}")).abs_diff(SLOTS / 3) <= 1)
    })?;
    let digest = |status: &Status| {
        status
            .pools
            .iter()
            .find(|pool| pool.name == "web")
            .map(|pool| pool.table_digest.clone())
    };
    assert_eq!(digest(&back), digest(&before), "not home");
    thread::sleep(Duration::from_secs(1));
    ensure_unbroken(there)?;
    ensure_unbroken(load)
}

#[test]
fn balancer_that_hears_nobody_suspects_itself_and_nothing_moves() -> Result<()> {
    let checked = Checked::up("")?;
    let before = checked.status()?;
    let load = checked.streams()?;
    // What backends answer to checks is lost; what they answer to clients is not.
    let cut = |how: &str| {
        let hosts = checked.rig.network.backends.iter();
        let route = format!("route {how} blackhole {}/32", BALANCER.v4);
        hosts
            .map(|host| host.namespace.ip(&route).map(drop))
            .collect::<Result<Vec<()>>>()
    };
    cut("add")?;
    let suspected = checked.wait("suspicion", NOTICED * 2 + Duration::from_secs(1), |status| {
        reasons(status) == ["suspicion"]
    })?;
    assert_eq!(suspected.pools[0].table_digest, before.pools[0].table_digest);
    thread::sleep(Duration::from_secs(2));
    let later = checked.status()?;
    assert_eq!(later.pools[0].table_digest, before.pools[0].table_digest);
    ensure!(
        checked.rig.daemon_log().contains("suspicion"),
        "{}",
        checked.rig.daemon_log()
    );
    cut("del")?;
    checked.wait("all up again", Duration::from_secs(4), |status| {
        reasons(status).is_empty() && status.backends().all(|(_, backend)| backend.health.state == "up")
    })?;
    ensure_unbroken(load)
}

#[test]
fn backends_go_no_faster_than_velocity_lets_them() -> Result<()> {
    let mut checked = Checked::up(", velocity: { percent: 25, count: 1, window: 3s }")?;
    (1..=3).for_each(|nth| checked.close(nth));
    let out = |status: &Status| (1..=4).filter(|nth| slots(status, &format!("be{nth}")) == 0).count();
    checked.wait("the first is out", NOTICED + Duration::from_secs(1), |status| {
        out(status) == 1
    })?;
    let first = Instant::now();
    checked.wait("all three are known to be down", Duration::from_secs(1), |status| {
        (1..=3).all(|nth| state(status, &format!("be{nth}")) == "down")
    })?;
    let limited = checked.status()?;
    assert_eq!((out(&limited), reasons(&limited)), (1, &["velocity".to_owned()][..]));
    checked.wait("the second is out", Duration::from_secs(4), |status| out(status) == 2)?;
    ensure!(first.elapsed() > Duration::from_secs(2), "after {:?}", first.elapsed());
    checked.wait("the third is out", Duration::from_secs(4), |status| out(status) == 3)?;
    Ok(())
}

#[test]
fn backend_that_flaps_each_second_is_held_down() -> Result<()> {
    let mut checked = Checked::build(3, |fleet| {
        fleet.saying(
            "web",
            "health: { tcp: { port: 8080 }, interval: 100ms, timeout: 100ms, rise: 1, fall: 1, \
             damping: { suppress: 3000, reuse: 1000, halfLife: 3s } }",
        )
    })?;
    checked.wait("all backends up", Duration::from_secs(3), |status| {
        status.backends().all(|(_, backend)| backend.health.state == "up")
    })?;
    let load = checked.streams()?;
    let mut moved = Vec::new();
    for _ in 0..12 {
        let before = checked.status()?.pools[0].table_digest.clone();
        checked.close(2);
        thread::sleep(Duration::from_millis(500));
        checked.open(2)?;
        thread::sleep(Duration::from_millis(500));
        let after = checked.status()?;
        moved.push(before != after.pools[0].table_digest || slots(&after, "be2") > 0);
    }
    println!("tables moved in these seconds: {moved:?}");
    // Its penalty is 3,000 after the fifth time at the latest.
    ensure!(moved[6..].iter().all(|moved| !moved), "tables still move: {moved:?}");
    assert_eq!(state(&checked.status()?, "be2"), "held");
    checked.wait("be2 is released", Duration::from_secs(15), |status| {
        state(status, "be2") == "up" && slots(status, "be2") > 0
    })?;
    ensure_unbroken(load)
}

#[test]
fn restart_keeps_what_is_down_down() -> Result<()> {
    let mut checked = Checked::up("")?;
    let load = checked.streams()?;
    checked.close(2);
    let before = checked.wait("be2 out of service", NOTICED + Duration::from_secs(1), |status| {
        slots(status, "be2") == 0
    })?;
    checked.rig.kill_daemon()?;
    checked.rig.start_daemon()?;
    let after = checked.status()?;
    assert_eq!((state(&after, "be2"), state(&after, "be1")), ("down", "up"));
    assert_eq!(after.pools[0].table_digest, before.pools[0].table_digest);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(slots(&checked.status()?, "be2"), 0);
    checked.open(2)?;
    checked.wait("be2 back in service", Duration::from_secs(3), |status| {
        slots(status, "be2") == SLOTS / 4
    })?;
    ensure_unbroken(load)
}

#[test]
fn backend_that_joins_is_checked_first_and_starts_slowly() -> Result<()> {
    let mut checked = Checked::build(3, |mut fleet| {
        fleet.pools[0].backends.pop();
        fleet.saying("web", &format!("health: {{ {CHECK}, slowStart: 3s }}"))
    })?;
    checked.wait("all backends up", NOTICED * 4, |status| {
        status.backends().all(|(_, backend)| backend.health.state == "up")
    })?;
    checked.close(3);
    let load = checked.streams()?;
    let host = checked.rig.host("be3").context("be3 was made")?;
    let next = checked.rig.fleet.clone().with("web", host);
    checked.rig.installation.apply(&next)?;
    thread::sleep(Duration::from_secs(1));
    assert_eq!(
        slots(&checked.status()?, "be3"),
        0,
        "in service before any check passed"
    );
    checked.open(3)?;
    let little = checked.wait("be3 in service", Duration::from_secs(2), |status| {
        slots(status, "be3") > 0
    })?;
    ensure!(slots(&little, "be3") < SLOTS / 8, "{:?}", little.pools);
    checked.wait("be3 with all its weight", Duration::from_secs(6), |status| {
        slots(status, "be3").abs_diff(SLOTS / 3) <= 1
    })?;
    ensure_unbroken(load)
}

#[test]
fn hundred_changes_a_second_never_queue_up() -> Result<()> {
    const BACKENDS: u8 = 12;
    const STORM: Duration = Duration::from_secs(5);
    // Passes in every other tenth of a second, and always once the file is there.
    let directory = tempfile::tempdir()?;
    let calm = directory.path().join("calm");
    let script = format!(
        "test -e {} && exit 0; read up rest < /proc/uptime; case ${{up#*.}} in [02468]*) exit 0;; esac; exit 1",
        calm.display()
    );
    let checked = Checked::build(BACKENDS, |fleet| {
        let health = format!(
            "health: {{ exec: {{ command: [/bin/sh, -c, \"{script}\"] }}, interval: 100ms, timeout: 100ms, \
             rise: 1, fall: 1, damping: {{ suppress: 0 }} }}"
        );
        fleet.saying("web", &health)
    })?;
    let changes = || {
        let log = checked.rig.daemon_log();
        log.lines()
            .filter(|line| line.contains("backend=") && (line.contains(" up") || line.contains(" down")))
            .count()
    };
    let (before, begun, changed) = (checked.status()?, Instant::now(), changes());
    thread::sleep(STORM);
    let (after, took, changed) = (checked.status()?, begun.elapsed(), changes() - changed);
    let revisions = after.revision - before.revision;
    println!("{changed} changes and {revisions} revisions in {took:?}");
    ensure!(changed as u64 > 4 * revisions, "too few changes to queue up: {changed}");
    // One in each tenth of a second at most.
    ensure!(
        u128::from(revisions) <= took.as_millis() / 100 + 2,
        "{revisions} in {took:?}"
    );
    std::fs::write(&calm, "")?;
    // A check that was under way, the next one, and a second. (The last state may
    // have been there by chance before, so it is not waited for.)
    thread::sleep(Duration::from_millis(1400));
    let last = checked.status()?;
    let all = (1..=BACKENDS).all(|nth| {
        let name = format!("be{nth}");
        state(&last, &name) == "up" && slots(&last, &name).abs_diff(SLOTS / u32::from(BACKENDS)) <= 1
    });
    ensure!(all && reasons(&last).is_empty(), "{:?}", last.pools);
    thread::sleep(Duration::from_secs(1));
    let later = checked.status()?.revision;
    ensure!(
        later == last.revision,
        "revisions that had queued up: {} to {later}",
        last.revision
    );
    Ok(())
}
