//! `holdfast recover`.

use super::{
    args,
    error::{Error, Exit},
    terminal::{Look, Terminal},
    text::{Tone, paint, plain},
};
use crate::api::{
    client::Client,
    model::{KeyFile, Mode, RecoverRequest, Recovery},
};

pub(super) async fn recover(args: args::Recover, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let request = RecoverRequest { dry_run: args.dry_run };
    let recovery = terminal.patiently("recovering", client.recover(&request)).await?;
    let stuck = !args.dry_run && recovery.body.why.is_some() && !recovery.body.recovered;
    terminal.answer(&recovery, |recovery, look| text(recovery, args.dry_run, look))?;
    Ok(if stuck { Exit::Failed } else { Exit::Done })
}

fn text(recovery: &Recovery, dry_run: bool, look: Look) -> String {
    let serving = format!("generation {} revision {}", recovery.generation, recovery.revision);
    let mut lines = Vec::new();
    match &recovery.why {
        None => lines.push(format!(
            "nothing to recover: the daemon is not read-only, and serves {serving}"
        )),
        Some(why) if dry_run => would(recovery, why, &mut lines),
        Some(why) => did(recovery, why, &serving, look, &mut lines),
    }
    lines.extend(trial(recovery));
    let written = if dry_run { "would be written" } else { "is written" };
    match recovery.hash_key {
        KeyFile::Same => {}
        KeyFile::Gone => lines.push(format!("the file of the hash key was gone: it {written}")),
        KeyFile::Other => lines.push(format!(
            "the file of the hash key had another key than the one in use: that one {written}, the other is kept beside it"
        )),
    }
    lines.join("\n")
}

/// Whoever recovers has to know that what is served may change at once.
fn trial(recovery: &Recovery) -> Option<String> {
    let trial = recovery.trial.as_ref()?;
    let (generation, until, back_to) = (trial.generation, trial.until, trial.back_to);
    Some(if recovery.trial_is_over {
        format!(
            "▲ generation {generation} was on trial until {until}, and nobody confirmed it: generation {back_to} is \
             served again as soon as changes are taken"
        )
    } else {
        format!(
            "generation {generation} is on trial until {until}: unless somebody confirms it before (holdfast confirm), \
             generation {back_to} is served again"
        )
    })
}

fn would(recovery: &Recovery, why: &str, lines: &mut Vec<String>) {
    lines.push(format!("the daemon is read-only: {}", plain(why)));
    lines.push(match recovery.remembered {
        Some(generations) => format!(
            "the store would be made anew from what the kernel remembers: {generations} generations, overrides, lock"
        ),
        None => "the store agrees with the kernel: changes would be taken again".to_owned(),
    });
}

fn did(recovery: &Recovery, why: &str, serving: &str, look: Look, lines: &mut Vec<String>) {
    let (tone, line) = if recovery.recovered {
        let changes = match recovery.mode {
            Mode::Hold => "changes are on hold, as they were",
            Mode::Normal | Mode::ReadOnly => "changes are taken again",
        };
        let line = format!("● RECOVERED: {serving} is served as before, and {changes}");
        (Tone::Good, line)
    } else {
        let line = "▲ STILL READ-ONLY: the store is put right; holdfast status says what else is wrong".to_owned();
        (Tone::Bad, line)
    };
    lines.push(paint(look.color, tone, &line));
    lines.push(format!("it was read-only: {}", plain(why)));
    if let Some(generations) = recovery.remembered {
        lines.push(format!(
            "the store is new: {generations} generations from the kernel, with overrides and lock"
        ));
        lines.push("plans that waited for approvals are to be planned again".to_owned());
    }
    let aside = recovery.aside.iter();
    lines.extend(aside.map(|aside| format!("the store before is kept in {}", plain(aside))));
}
