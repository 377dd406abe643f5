//! `holdfast plan|apply|rollback|attach|detach`: ask for a plan, show it, and
//! hand the same plan back to be applied.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    args,
    candidate::Candidate,
    error::{Error, Exit},
    lock, preview,
    terminal::{Look, Terminal},
    text::{Tone, count, paint, plain},
    trial,
};
use crate::{
    api::{
        client::Client,
        model::{Applied, ApplyRequest, Document, InterfacesRequest, RollbackRequest},
    },
    config::Seconds,
    plan::{Plan, file, render},
    preview::Preview,
};

pub(super) async fn plan(args: &args::Plan, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let candidate = Candidate::read(&args.candidate.file)?;
    let request = candidate.into_request(&args.candidate.remove);
    let plan = terminal.patiently("planning", client.plan(&request)).await?;
    let preview = preview::beside(&plan.body, args.sample, client, terminal).await?;
    terminal.answer(&plan, |plan, look| with_preview(plan, preview.as_ref(), look))?;
    if plan.body.is_refused() {
        // No file: a plan that nobody may apply is not worth keeping.
        return Ok(Exit::Refused);
    }
    if let Some(path) = &args.out {
        keep(&plan.body, path, terminal)?;
    }
    let changes = args.detailed_exitcode && !plan.body.is_empty();
    Ok(if changes { Exit::Changes } else { Exit::Done })
}

/// Of documents only the plan: the preview is another one.
fn with_preview(plan: &Plan, preview: Option<&Preview>, look: Look) -> String {
    let mut text = render::plan_text(plan, look.color);
    text.extend(preview.map(|preview| preview::preview_text(preview, look)));
    text
}

fn keep(plan: &Plan, path: &Path, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    fs::write(path, file::export(plan)).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })?;
    let path = path.display();
    terminal.say(&format!("kept as {path}; to apply exactly this: holdfast apply {path}"))
}

pub(super) async fn apply(args: &args::Apply, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let plan = match (&args.plan, &args.file) {
        (Some(path), _) => match lock::digits(path) {
            Some(digits) => lock::waiting(digits, client).await?,
            None => read_plan(path)?,
        },
        (None, Some(path)) => {
            let request = Candidate::read(path)?.into_request(&args.remove);
            terminal.patiently("planning", client.plan(&request)).await?.body
        }
        // clap lets no command through that names neither.
        (None, None) => return Err(Error::NothingToApply),
    };
    carry_out_sampled(plan, args.message.clone(), args.trial, args.sample, client, terminal).await
}

/// The plan of a file that `holdfast plan --out` wrote.
pub(super) fn read_plan(path: &PathBuf) -> Result<Plan, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Read {
        path: path.clone(),
        source,
    })?;
    file::import(&bytes).map_err(|source| Error::PlanFile {
        path: path.clone(),
        source,
    })
}

pub(super) async fn rollback(
    args: &args::Rollback,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    let request = RollbackRequest {
        generation: args.generation,
    };
    let plan = terminal.patiently("planning", client.rollback(&request)).await?.body;
    carry_out(plan, args.message.clone(), args.trial, client, terminal).await
}

pub(super) async fn attach(
    args: &args::Interfaces,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    let plan = terminal
        .patiently("planning", client.attach(&request_for(args)))
        .await?
        .body;
    carry_out(
        plan,
        args.message.clone(),
        trial::for_attach(args, terminal).await?,
        client,
        terminal,
    )
    .await
}

pub(super) async fn detach(
    args: &args::Interfaces,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    let plan = terminal
        .patiently("planning", client.detach(&request_for(args)))
        .await?
        .body;
    carry_out(plan, args.message.clone(), args.trial, client, terminal).await
}

fn request_for(args: &args::Interfaces) -> InterfacesRequest {
    InterfacesRequest {
        interfaces: args.interfaces.clone(),
    }
}

/// Shows a plan, and that is all.
pub(super) async fn shown(plan: &Document<Plan>, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let preview = preview::beside(&plan.body, None, client, terminal).await?;
    terminal.answer(plan, |plan, look| with_preview(plan, preview.as_ref(), look))?;
    Ok(if plan.body.is_refused() {
        Exit::Refused
    } else {
        Exit::Done
    })
}

/// Shows a plan and applies it as it was shown.
pub(super) async fn carry_out(
    plan: Plan,
    message: Option<String>,
    trial: args::Trial,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    carry_out_sampled(plan, message, trial, None, client, terminal).await
}

async fn carry_out_sampled(
    plan: Plan,
    message: Option<String>,
    trial: args::Trial,
    sample: Option<Seconds>,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    // What is refused is handed in all the same, so that journal, metrics and
    // `status` say that somebody tried; what is shown is the plan.
    let refused = plan.is_refused().then(|| Box::new(plan.clone()));
    if refused.is_none() {
        // Talk: stdout is for what became of it.
        terminal.say(&render::plan_text(&plan, terminal.err.color))?;
    }
    // Of others an apply says the same itself.
    let is_risky = plan.needs > 0 || plan.trial.is_some();
    if (is_risky || sample.is_some())
        && let Some(preview) = preview::beside(&plan, sample, client, terminal).await?
    {
        let look = Look {
            color: terminal.err.color,
            ..Look::default()
        };
        terminal.say(&preview::preview_text(&preview, look))?;
        if let Some(objection) = preview::objection_of_traffic(preview) {
            return Err(objection.into());
        }
    }
    let digest = plan.digest();
    let request = ApplyRequest {
        plan,
        digest,
        message,
        confirm_within: trial.confirm_within.map(|within| within.0),
    };
    let applied: Document<Applied> = match (terminal.patiently("applying", client.apply(&request)).await, refused) {
        (Err(_), Some(plan)) => return Err(Error::Refused(plan)),
        (applied, _) => applied?,
    };
    terminal.answer(&applied, applied_text)?;
    match applied.body.confirm_until {
        Some(_) if trial.wait => trial::wait(&applied.body, client, terminal).await,
        Some(_) | None => Ok(Exit::Done),
    }
}

pub(super) fn applied_text(applied: &Applied, look: Look) -> String {
    let Applied {
        generation,
        revision,
        digest,
        chunks_written,
        chunks_shared,
        ..
    } = applied;
    let mut lines = vec![if applied.unchanged {
        format!("no change: serving generation {generation} revision {revision}")
    } else {
        let moved: u32 = applied.effects.iter().map(|effect| effect.slots_moved).sum();
        let head = format!(
            "● SERVING generation {generation} revision {revision}, digest {}",
            digest.short()
        );
        format!(
            "{}\n{chunks_written} chunks written, {chunks_shared} shared, {} slots moved, published in {} us",
            paint(look.color, Tone::Good, &head),
            count(u64::from(moved)),
            count(applied.publish_us)
        )
    }];
    lines.extend(
        applied
            .preview
            .iter()
            .map(|preview| format!("preview: {}", plain(preview))),
    );
    if let Some(until) = applied.confirm_until {
        let text = format!("on trial until {until}: holdfast confirm, or it is taken back");
        lines.push(paint(look.color, Tone::Caution, &text));
    }
    lines.extend(applied.notes.iter().map(|note| format!("note: {}", plain(note))));
    lines.join("\n")
}
