//! What the balancer does not do for one person's word.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Result;
use support::{
    addresses::Family,
    config::HTTP,
    contract::Applied,
    daemon::Outcome,
    exchange::{self, Wire},
    topology::Topology,
    wait,
};

use crate::{
    acts::{FLAT, Notes, first_line, rate},
    stage::Stage,
};

/// Nobody answers within it: nobody is there.
const NOBODY: Duration = Duration::from_secs(1);
/// A trial of six seconds is over by then, on a busy machine, too.
const TAKEN_BACK: Duration = Duration::from_secs(30);
/// Refused, or not approved.
const REFUSED: i32 = 3;

pub fn refused(stage: &mut Stage, notes: &mut Notes) -> Result<()> {
    let before = stage.rig.installation.status()?;
    let rate_before = rate(stage)?;
    let omission = stage.fleet.clone().omitting("web", "be2").yaml();
    let removal = stage.fleet.clone().without("web", "be4").yaml();
    let mut fewer = stage.fleet.clone();
    fewer.vips.retain(|vip| vip.name != "web4");
    for (what, text, remove, code) in [
        ("an empty configuration", String::new(), None, "HF2000"),
        ("a configuration that forgot be2", omission, None, "HF2002"),
        (
            "a configuration without be4, which is not drained",
            removal,
            None,
            "HF2004",
        ),
        ("a VIP with traffic is to go", fewer.yaml(), Some("vip/web4"), "HF2001"),
    ] {
        let file = stage.rig.installation.config.with_file_name("refused.yaml");
        fs::write(&file, text)?;
        let path = file.to_string_lossy().into_owned();
        let mut arguments = vec!["apply", "-f", &path];
        arguments.extend(remove.iter().flat_map(|object| ["--remove", object]));
        stage.event(format!(
            "$ holdfast {}   # {what}",
            arguments.join(" ").replace(&path, "config.yaml")
        ));
        let outcome = stage.rig.installation.run(&arguments)?;
        let is_refused = outcome.code == Some(REFUSED) && outcome.said().contains(code);
        notes.check(is_refused, || {
            format!("{what}: exit {:?}: {}", outcome.code, outcome.said())
        });
        stage.event(line_with(&outcome, code));
        if is_refused {
            stage.book.refusals.push(code.to_owned());
        }
        stage.rest(0.02)?;
    }
    let rate_after = rate(stage)?;
    let after = stage.rig.installation.status()?;
    notes.check(
        after.generation == before.generation && after.revision == before.revision,
        || format!("generation {} became {}", before.generation, after.generation),
    );
    notes.check(rate_after * 100 >= rate_before * FLAT, || {
        format!("traffic fell from {rate_before} to {rate_after} bytes/s")
    });
    notes.measure("bytesPerSecondBefore", rate_before);
    notes.measure("bytesPerSecondAfter", rate_after);
    stage.event(format!("generation {} still serves; traffic is flat", after.generation));
    Ok(())
}

pub fn locked(stage: &mut Stage, notes: &mut Notes) -> Result<()> {
    let broken_before = stage.load()?.report().broken().count();
    stage.fleet = stage.with_a_team();
    let _: Applied = stage.rig.installation.apply(&stage.fleet)?;
    stage.event("$ holdfast apply -f config.yaml        # a team adds a line: approvals: { remove: 2 }");
    let before = stage.rig.installation.status()?;
    notes.check(answers(stage)?, || "HTTP did not answer before".to_owned());
    // Until the exchange just now is as long ago as `liveVipWindow` asks.
    stage.event("the VIP http4 is quiet; it is to go");
    let plan = wait::until(TAKEN_BACK, "a quiet VIP", || {
        planned(stage).ok().filter(|(outcome, _)| outcome.code == Some(0))
    });
    let (_, plan) = plan?;
    stage.event("$ holdfast plan -f config.yaml --remove vip/http4 --out p.plan");

    ask(stage, notes, &["apply", &plan], REFUSED)?;
    approve(stage, notes, &plan, "alice", &["--as-author"])?;
    approve(stage, notes, &plan, "bob", &[])?;
    let short = ask(stage, notes, &["apply", &plan], REFUSED)?;
    notes.check(short.said().contains("1 of 2 approvals"), || short.said());
    approve(stage, notes, &plan, "carol", &[])?;

    let applied: Applied = stage
        .rig
        .installation
        .ask(&["apply", &plan, "-m", "it is not needed any more"])?;
    stage.event("$ holdfast apply p.plan                # on trial for 6 s; nobody confirms");
    notes.check(applied.generation == before.generation + 1, || {
        format!("generation {} became {}", before.generation, applied.generation)
    });
    notes.check(!answers(stage)?, || "the VIP still answers".to_owned());
    let after = wait::until(TAKEN_BACK, "what nobody confirmed to be taken back", || {
        let status = stage.rig.installation.status().ok()?;
        (status.generation > applied.generation).then_some(status)
    })?;
    notes.check(after.digest == before.digest, || "other content is served".to_owned());
    notes.check(answers(stage)?, || "the VIP did not come back".to_owned());
    stage.event(format!(
        "nobody confirmed: generation {} has the VIP again",
        after.generation
    ));
    notes.measure("approvals", 2);
    let broken = stage.load()?.report().broken().count() - broken_before;
    notes.check(broken == 0, || format!("{broken} connections broke"));
    stage.rest(0.05)
}

/// The plan, and its file.
fn planned(stage: &Stage) -> Result<(Outcome, String)> {
    let installation = &stage.rig.installation;
    let mut fleet = stage.fleet.clone();
    fleet.vips.retain(|vip| vip.name != "http4");
    installation.write(&fleet)?;
    let file = installation
        .config
        .with_file_name("p.plan")
        .to_string_lossy()
        .into_owned();
    let config = installation.config.to_string_lossy();
    let arguments = ["plan", "-f", &config, "--remove", "vip/http4", "--out", &file];
    Ok((installation.run(&arguments)?, file))
}

fn approve(stage: &Stage, notes: &mut Notes, plan: &str, who: &str, more: &[&str]) -> Result<()> {
    let key = stage.people.key(who).to_string_lossy().into_owned();
    let arguments = [&["approve", plan, "--key", &key], more].concat();
    let outcome = stage.rig.installation.run(&arguments)?;
    stage.event(format!(
        "$ holdfast approve p.plan --key ~{who}/.ssh/id_ed25519 {}",
        more.join(" ")
    ));
    notes.check(outcome.code == Some(0), || format!("{who}: {}", outcome.said()));
    Ok(())
}

/// Runs a command that is to end in this way.
fn ask(stage: &Stage, notes: &mut Notes, arguments: &[&str], code: i32) -> Result<Outcome> {
    let outcome = stage.rig.installation.run(arguments)?;
    stage.event(format!("$ holdfast {} p.plan", arguments[0]));
    stage.event(line_with(&outcome, "error"));
    notes.check(outcome.code == Some(code), || {
        format!("{}: exit {:?}: {}", arguments[0], outcome.code, outcome.said())
    });
    Ok(outcome)
}

fn line_with(outcome: &Outcome, text: &str) -> String {
    let said = outcome.said();
    let line = said.lines().find(|line| line.contains(text));
    line.map_or_else(
        || first_line(outcome),
        |line| format!("{} (exit {})", line.trim(), outcome.code.unwrap_or(-1)),
    )
}

/// A client gets HTTP from the VIP that is to go.
fn answers(stage: &Stage) -> Result<bool> {
    let client = &stage.rig.network.client;
    let target: SocketAddr = HTTP.v4();
    // Hangs up at once: the server has one client at a time.
    let reached = client.run(|| TcpStream::connect_timeout(&target, NOBODY).map(drop))?;
    if reached.is_err() {
        return Ok(false);
    }
    let source = Topology::client_addresses(Family::V4)[0];
    let exchanged = client.run(|| exchange::exchange(Wire::Http, source, target, 1000))??;
    Ok(exchanged.is_intact())
}
