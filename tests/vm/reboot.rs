//! What a host serves after its power went, the moment it says that it is ready.

use std::{env, net::SocketAddr, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use support::{
    addresses::{CLIENT_HOSTS, Family, client},
    contract::{Applied, Status, Why},
    vm::{
        kernel::Kernel,
        machine::{Guest, Machine},
        wire::Started,
    },
    wait,
};

use crate::on;

/// Flows of which it is asked where they go: two of each of the client's
/// addresses, and none of those that send datagrams.
const PORTS: [u16; 2] = [50_001, 50_002];

/// How long after the last answer the power goes, each time: somewhere in the next
/// change, which takes a second or some.
fn into_the_change() -> impl Iterator<Item = Duration> {
    let cuts = if env::var("HOLDFAST_LONG").is_ok_and(|value| value == "1") {
        12
    } else {
        2
    };
    (0..cuts).map(|nth| Duration::from_millis(150 + nth * 550 % 1300))
}

/// All slots are clean so soon after a change, on a busy machine.
const CLEAN: Duration = Duration::from_mins(1);

/// What must be the same after a reboot.
#[derive(Debug)]
struct Seen {
    status: Status,
    flows: Vec<Why>,
}

impl Seen {
    /// Once no slot has flows of an earlier owner any more: which flows those are,
    /// only memory knows.
    fn of(guest: &mut Guest) -> Result<Self> {
        let status = wait::until(CLEAN, "clean slots", || {
            let status: Status = guest.holdfast(&["status"]).ok()?;
            let clean = status.backends().all(|(_, backend)| backend.dirty_slots == 0);
            clean.then_some(status)
        })?;
        let sources = CLIENT_HOSTS.flat_map(|host| {
            let address = client(host).of(Family::V4);
            PORTS.map(|port| SocketAddr::new(address, port))
        });
        let flows = guest.why(&sources.collect::<Vec<_>>())?;
        Ok(Self { status, flows })
    }

    /// The same generation, and every flow where it was.
    fn ensure_same(&self, before: &Self) -> Result<()> {
        let served = |seen: &Self| (seen.status.generation, seen.status.digest.clone());
        ensure!(
            served(self) == served(before),
            "served was {:?}, is {:?}",
            served(before),
            served(self)
        );
        for (pool, was) in self.status.pools.iter().zip(&before.status.pools) {
            ensure!(
                (&pool.name, &pool.table_digest) == (&was.name, &was.table_digest),
                "the table of {} is another",
                pool.name
            );
        }
        ensure!(
            self.flows.len() == before.flows.len() && self.flows.len() > 50,
            "too few flows"
        );
        for (is, was) in self.flows.iter().zip(&before.flows) {
            let place = |why: &Why| Why {
                revision: 0,
                ..why.clone()
            };
            ensure!(
                place(is) == place(was) && is.backend.is_some(),
                "a flow was {was:?}, is {is:?}"
            );
        }
        Ok(())
    }
}

/// Nothing was forwarded before; ready means attached, and every first datagram of
/// a flow reaches a backend.
fn ensure_serving_when_ready(started: &Started) -> Result<()> {
    ensure!(
        started.before.len() == CLIENT_HOSTS.count() && started.before.iter().all(Option::is_none),
        "something forwards without a daemon: {started:?}"
    );
    ensure!(started.attached == ["lb0", "lb1"], "ready without links: {started:?}");
    ensure!(
        started.answered.len() == started.before.len() && started.answered.iter().all(Option::is_some),
        "datagrams were lost when it was ready: {started:?}"
    );
    Ok(())
}

/// The journal says how this boot began, and the kernel serves what it says.
fn ensure_served_again(guest: &mut Guest) -> Result<()> {
    let journal: Value = guest.holdfast(&["journal", "list"])?;
    let entries = journal["entries"].as_array().context("no entries")?;
    let again = entries.iter().rev().find(|entry| entry["kind"] == "servedAgain");
    let again = again.with_context(|| format!("no servedAgain in {journal}"))?;
    ensure!(
        again["payload"]["rebooted"] == true && again["payload"]["boot"] == guest.booted.boot.as_str(),
        "{again} in boot {}",
        guest.booted.boot
    );
    let verified = guest.run(&["bpf", "verify"])?;
    ensure!(verified.code == Some(0), "bpf verify: {}", verified.said());
    let status: Status = guest.holdfast(&["status"])?;
    ensure!(status.mode == "normal", "{status:?}");
    Ok(())
}

fn weight(status: &Status) -> Result<u32> {
    Ok(status.backend("web", "be1").context("no web/be1")?.weight)
}

#[test]
fn host_that_lost_power_forwards_every_flow_as_before_when_it_is_ready() -> Result<()> {
    Kernel::all()?
        .iter()
        .try_for_each(|kernel| on(kernel, "", lose_power_and_return))
}

fn lose_power_and_return(machine: &mut Machine) -> Result<()> {
    let mut guest = machine.boot()?;
    let first = guest.booted.clone();
    let started = guest.start()?;
    println!("ready in {} ms", started.ready_ms);
    ensure_serving_when_ready(&started)?;
    let applied: Applied = guest.apply(37, &[])?;
    ensure!(applied.generation == 2, "{applied:?}");
    let drained: Applied = guest.holdfast(&["backend", "drain", "dns/be2"])?;
    ensure!(drained.generation == 3, "{drained:?}");
    let before = Seen::of(&mut guest)?;
    guest.cut_power()?;

    let mut guest = machine.boot()?;
    ensure!(guest.booted.boot != first.boot, "it is the same boot");
    let again = guest.start()?;
    println!("ready in {} ms", again.ready_ms);
    ensure_serving_when_ready(&again)?;
    // A drained backend has none of them, before its drain it had some.
    let on_be2 = |started: &Started| started.answered.iter().flatten().any(|name| name == "be2");
    ensure!(on_be2(&started) && !on_be2(&again), "{started:?}, then {again:?}");
    for (was, is) in started.answered.iter().zip(&again.answered) {
        ensure!(
            was.as_deref() == Some("be2") || was == is,
            "{started:?}, then {again:?}"
        );
    }
    let after = Seen::of(&mut guest)?;
    after.ensure_same(&before)?;
    ensure!(weight(&after.status)? == 37, "{:?}", after.status);
    let be2 = after.status.backend("dns", "be2").context("no dns/be2")?;
    ensure!(be2.state == "drain" && be2.overridden.is_some(), "{be2:?}");
    ensure_served_again(&mut guest)
}

#[test]
fn change_on_trial_when_the_power_went_is_not_served_again() -> Result<()> {
    on(&Kernel::oldest()?, "", |machine| {
        let mut guest = machine.boot()?;
        ensure_serving_when_ready(&guest.start()?)?;
        let _: Applied = guest.apply(37, &[])?;
        let confirmed = Seen::of(&mut guest)?;
        let tried: Applied = guest.apply(7, &["--confirm-within", "1h"])?;
        let trial: Status = guest.holdfast(&["status"])?;
        ensure!(
            (tried.generation, trial.generation, weight(&trial)?) == (3, 3, 7),
            "{trial:?}"
        );
        guest.cut_power()?;

        let mut guest = machine.boot()?;
        ensure_serving_when_ready(&guest.start()?)?;
        let after = Seen::of(&mut guest)?;
        ensure!(
            (after.status.generation, weight(&after.status)?) == (4, 37),
            "{:?}",
            after.status
        );
        ensure!(after.status.digest == confirmed.status.digest, "another content");
        let status: Value = guest.holdfast(&["status"])?;
        ensure!(status["trial"].is_null(), "{status}");
        ensure_served_again(&mut guest)
    })
}

/// Weights go up by one from here, as generations do.
const FIRST: u32 = 10;

#[test]
fn power_that_goes_during_a_change_leaves_the_old_or_the_new_whole() -> Result<()> {
    on(&Kernel::newest()?, "", |machine| {
        let mut guest = machine.boot()?;
        ensure_serving_when_ready(&guest.start()?)?;
        let mut next = FIRST;
        for delay in into_the_change() {
            guest.apply_without_end(next)?;
            let mut told: Applied = guest.applied()?;
            next += 1;
            for _ in 0..2 {
                let further: Applied = guest.applied()?;
                ensure!(further.generation == told.generation + 1, "{further:?}");
                told = further;
                next += 1;
            }
            thread::sleep(delay);
            for further in guest.cut_power_during::<Applied>()? {
                told = further;
                next += 1;
            }

            guest = machine.boot()?;
            ensure_serving_when_ready(&guest.start()?)?;
            let status: Status = guest.holdfast(&["status"])?;
            let lost = status.generation + 1 == told.generation;
            println!(
                "told of generation {}, {delay:?} later the power went, then served {}",
                told.generation, status.generation
            );
            // What was acknowledged is durable; of what was not, all or nothing.
            ensure!(
                !lost && status.generation - told.generation <= 1,
                "told of {told:?}, served is {status:?}"
            );
            let further = u32::try_from(status.generation - told.generation)?;
            ensure!(weight(&status)? == next - 1 + further, "{status:?}, after {told:?}");
            next += further;
            ensure_served_again(&mut guest)?;
        }
        Ok(())
    })
}
