//! The guard in the kernel: what it refuses to other processes of root, and to whom it refuses
//! nothing.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use support::{
    contract::Applied,
    vm::{
        kernel::Kernel,
        machine::Guest,
        wire::{Attempted, Attempts, End, Privileges},
    },
    wait,
};

use crate::on;

/// The daemon looks once in a quarter of a second.
const SOON: Duration = Duration::from_secs(10);

/// `EPERM`
const REFUSED: i32 = 1;

/// What `status` says of the guard; null: nothing.
fn guard_of(guest: &mut Guest) -> Result<Value> {
    let status: Value = guest.holdfast(&["status"])?;
    Ok(status["guard"].clone())
}

fn until_state(guest: &mut Guest, state: &str) -> Result<Value> {
    wait::until(SOON, state, || {
        let guard = guard_of(guest).ok()?;
        (guard["state"] == state).then_some(guard)
    })
}

fn ensure_nothing_lost(attempted: &Attempted) -> Result<()> {
    ensure!(
        attempted.sent > 20 && attempted.answered == attempted.sent,
        "of {} datagrams {} were answered",
        attempted.sent,
        attempted.answered
    );
    Ok(())
}

fn ensure_all_done(attempted: &Attempted) -> Result<()> {
    let refused: Vec<_> = attempted
        .attempts
        .iter()
        .filter(|attempt| attempt.error.is_some())
        .collect();
    ensure!(
        refused.is_empty() && attempted.attempts.len() >= 7,
        "refused: {refused:?}"
    );
    ensure_nothing_lost(attempted)
}

/// Each of them, and how many that were of each kind.
fn ensure_all_refused(attempted: &Attempted) -> Result<BTreeMap<String, u64>> {
    let done: Vec<_> = attempted
        .attempts
        .iter()
        .filter(|attempt| attempt.error != Some(REFUSED))
        .collect();
    ensure!(
        done.is_empty() && attempted.attempts.len() >= 7,
        "not refused: {done:?}"
    );
    ensure_nothing_lost(attempted)?;
    let mut kinds = BTreeMap::new();
    for attempt in &attempted.attempts {
        let deed = attempt.deed.clone().context("it is the daemon's")?;
        *kinds.entry(deed).or_default() += 1;
    }
    Ok(kinds)
}

/// The finding of `doctor`.
fn finding(guest: &mut Guest) -> Result<Value> {
    let outcome = guest.run(&["doctor", "-o", "json"])?;
    let diagnosis: Value = outcome.json()?;
    let findings = diagnosis["findings"].as_array().context("no findings")?;
    let finding = findings.iter().find(|finding| finding["check"] == "guard");
    finding.cloned().context("doctor does not look at the guard")
}

#[test]
fn guard_refuses_to_others_every_write_to_what_is_ours_and_nothing_to_anybody_else() -> Result<()> {
    Kernel::all()?.iter().try_for_each(|kernel| {
        on(kernel, "", |machine| {
            let mut guest = machine.boot()?;
            guest.start()?;
            // Nothing of it is there unless somebody asks for it.
            ensure!(guard_of(&mut guest)?.is_null(), "a guard without anybody asking for it");
            let finding_off = finding(&mut guest)?;
            ensure!(
                finding_off["level"] == "ok"
                    && finding_off["measured"] == "off; this host can: `guard: true` in `node:`"
            );
            let free = guest.attempt(Attempts::Touch)?;
            ensure!(free.programs == 0, "{} LSM programs", free.programs);
            ensure_all_done(&free)?;

            guest.hold()?;
            let applied: Applied = guest.guard(true)?;
            ensure!(applied.generation == 2, "{applied:?}");
            until_state(&mut guest, "on")?;
            let mut counted = ensure_all_refused(&guest.attempt(Attempts::Harm)?)?;
            for (deed, count) in ensure_all_refused(&guest.attempt(Attempts::Touch)?)? {
                *counted.entry(deed).or_default() += count;
            }
            let guard = guard_of(&mut guest)?;
            ensure!(
                guard["refused"] == serde_json::to_value(&counted)?,
                "{guard}, after {counted:?}"
            );
            ensure_all_done(&guest.attempt(Attempts::Foreign)?)?;
            ensure!(
                guard_of(&mut guest)?["refused"] == guard["refused"],
                "others were counted"
            );
            ensure_told(&mut guest, &counted)?;
            let finding_on = finding(&mut guest)?;
            let refused: u64 = counted.values().sum();
            ensure!(
                finding_on["level"] == "ok"
                    && finding_on["measured"] == format!("on; {refused} changes by others were refused"),
                "{finding_on}"
            );
            daemon_is_not_hindered(&mut guest)?;
            off_is_off(&mut guest)
        })
    })
}

/// Each refusal is an event that says who wanted what.
fn ensure_told(guest: &mut Guest, counted: &BTreeMap<String, u64>) -> Result<()> {
    let refused: u64 = counted.values().sum();
    let log = wait::until(SOON, "events", || {
        let log = guest.log().ok()?;
        let told = log.lines().filter(|line| line.contains("GuardRefused")).count();
        (told as u64 >= refused.min(16)).then_some(log)
    })?;
    let told = |words: &[&str]| {
        let mut lines = log.lines().filter(|line| line.contains("GuardRefused"));
        ensure!(
            lines.any(|line| words.iter().all(|word| line.contains(word))),
            "no event with {words:?} in {log}"
        );
        Ok(())
    };
    told(&["mapUpdate", "maps/ACTIVE", "init", "pid=1", "uid=0"])
}

/// What it does itself, and the daemon after it.
fn daemon_is_not_hindered(guest: &mut Guest) -> Result<()> {
    let before: Value = guest.holdfast(&["status"])?;
    let generation = before["generation"].as_u64().context("no generation")?;
    let drained: Applied = guest.holdfast(&["backend", "drain", "dns/be2"])?;
    ensure!(drained.generation == generation + 1, "{drained:?}");
    let detached: Applied = guest.holdfast(&["detach", "lb1"])?;
    ensure!(detached.generation == generation + 2, "{detached:?}");
    let attached: Applied = guest.holdfast(&["attach", "lb1"])?;
    ensure!(attached.generation == generation + 3, "{attached:?}");
    let back: Applied = guest.holdfast(&["rollback", &generation.to_string()])?;
    ensure!(back.generation == generation + 4, "{back:?}");
    // A link that is new is guarded, too.
    let soon = wait::until(SOON, "a guarded link", || {
        let touched = guest.attempt(Attempts::Touch).ok()?;
        ensure_all_refused(&touched).ok()
    });
    soon.map(drop)?;
    for (how, privileges) in [(End::Terminate, Privileges::Root), (End::Kill, Privileges::Unit)] {
        guest.end(how)?;
        // Without a daemon everything can be repaired.
        let free = guest.attempt(Attempts::Touch)?;
        ensure!(free.programs == 0, "{} LSM programs after the daemon", free.programs);
        ensure_all_done(&free)?;
        let started = guest.start_with(privileges)?;
        ensure!(started.attached == ["lb0", "lb1"], "{started:?}");
        ensure!(started.answered.iter().all(Option::is_some), "{started:?}");
        // When it says that it is ready, the guard is on.
        let guard = guard_of(guest)?;
        ensure!(guard["state"] == "on", "{guard} after the start");
        ensure_all_refused(&guest.attempt(Attempts::Touch)?)?;
    }
    // What it guards as a service is kept from the host's root, in another mount namespace.
    guest.hold()?;
    ensure_all_refused(&guest.attempt(Attempts::Harm)?)?;
    ensure_all_done(&guest.attempt(Attempts::Foreign)?)?;
    let verified = guest.run(&["bpf", "verify"])?;
    ensure!(verified.code == Some(0), "bpf verify: {}", verified.said());
    Ok(())
}

fn off_is_off(guest: &mut Guest) -> Result<()> {
    let _: Applied = guest.guard(false)?;
    until_state(guest, "off")?;
    let free = guest.attempt(Attempts::Touch)?;
    ensure!(free.programs == 0, "{} LSM programs", free.programs);
    ensure_all_done(&free)
}

#[test]
fn kernel_without_the_bpf_lsm_is_said_with_the_remedy_and_serves_all_the_same() -> Result<()> {
    on(&Kernel::newest()?, "lsm=lockdown,yama", |machine| {
        let mut guest = machine.boot()?;
        guest.start()?;
        let off = finding(&mut guest)?;
        ensure!(off["level"] == "ok", "{off}");
        let applied: Applied = guest.guard(true)?;
        ensure!(applied.generation == 2, "{applied:?}");
        let guard = until_state(&mut guest, "unavailable")?;
        let reason = guard["reason"].as_str().context("no reason")?.to_owned();
        ensure!(reason.contains("`bpf` is not among the security modules"), "{reason}");
        let missing = finding(&mut guest)?;
        ensure!(
            missing["level"] == "warn" && missing["measured"] == reason.as_str(),
            "{missing}"
        );
        let fix = missing["fix"].as_str().context("no remedy")?;
        ensure!(fix.contains(",bpf on the kernel's command line"), "{fix}");
        let free = guest.attempt(Attempts::Touch)?;
        ensure!(free.programs == 0, "{} LSM programs", free.programs);
        ensure_all_done(&free)?;
        let log = guest.log()?;
        let told = log.lines().filter(|line| line.contains("GuardUnavailable")).count();
        ensure!(told == 1, "told {told} times: {log}");
        Ok(())
    })
}
