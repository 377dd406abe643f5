//! `holdfast preview`, and the preview that plans are shown with.

use std::path::PathBuf;

use super::{
    args, change,
    error::{Error, Exit},
    lock,
    terminal::{Look, Terminal},
    text::{Tone, paint, plain},
};
use crate::{
    api::{
        client::{Client, ClientError},
        model::{Document, PreviewRequest},
    },
    config::Seconds,
    plan::Plan,
    preview::{NewDrop, OTHER_PACKETS, Preview},
};

/// Exit 3 if an apply would be refused because of it.
pub(super) async fn preview(args: &args::Preview, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let path = PathBuf::from(&args.plan);
    let plan = if path.is_file() {
        change::read_plan(&path)?
    } else {
        lock::waiting(&args.plan, client).await?
    };
    let preview = ask(plan, args.sample, client, terminal).await?;
    terminal.answer(&preview, preview_text)?;
    Ok(if preview.body.refusal.is_some() {
        Exit::Refused
    } else {
        Exit::Done
    })
}

async fn ask(
    plan: Plan,
    sample: Option<Seconds>,
    client: &Client,
    terminal: &Terminal<'_>,
) -> Result<Document<Preview>, ClientError> {
    let request = PreviewRequest {
        plan,
        sample: sample.map(|within| within.0),
    };
    terminal.patiently("previewing", client.preview(&request)).await
}

/// The preview of a plan that is shown; nothing, if it changes nothing. Where
/// nobody asked for a sample, a plan is shown without a preview rather than not
/// at all: an apply makes its own.
pub(super) async fn beside(
    plan: &Plan,
    sample: Option<Seconds>,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Option<Preview>, Error> {
    if plan.is_empty() || plan.is_refused() {
        return Ok(None);
    }
    match ask(plan.clone(), sample, client, terminal).await {
        Ok(preview) => Ok(Some(preview.body)),
        Err(ClientError::Failed(failure)) if sample.is_none() => {
            terminal.say(&format!("no preview: {}", plain(&failure.message)))?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// What live packets have against a plan; what made-up ones have, the daemon says
/// itself when it is handed in.
pub(super) fn objection_of_traffic(preview: Preview) -> Option<ClientError> {
    let live = preview.sampled?;
    let is_first = preview.new_drops.is_empty() && preview.contradictions.is_empty();
    let drops = live.new_drops.iter().any(|drop| !drop.measured);
    preview.refusal.filter(|_| is_first && drops).map(ClientError::Failed)
}

pub(super) fn preview_text(preview: &Preview, look: Look) -> String {
    let head = paint(look.color, Tone::Heading, "PREVIEW");
    let mut lines = vec![format!("{head} {}", plain(&preview.summary))];
    lines.extend(preview.contradictions.iter().take(TOLD).map(|contradiction| {
        let text = format!(" ✗ vip {}: {}", contradiction.vip, contradiction.what);
        paint(look.color, Tone::Bad, &plain(&text))
    }));
    let live = preview.sampled.iter().flat_map(|live| &live.new_drops);
    for (drops, what) in [
        (preview.new_drops.iter().collect::<Vec<_>>(), "made"),
        (live.collect(), "sampled"),
    ] {
        lines.extend(drops.into_iter().take(TOLD).map(|drop| drop_text(drop, what, look)));
    }
    if let Some(why) = &preview.not_sampled {
        lines.push(format!("   no live packets were sampled: {}", plain(why)));
    }
    if let Some(refusal) = &preview.refusal {
        let text = format!(" ✗ {} {}", refusal.code, plain(&refusal.message));
        lines.push(paint(look.color, Tone::Bad, &text));
        lines.extend(refusal.fix.iter().map(|fix| format!("   fix: {}", plain(fix))));
    }
    lines.join("\n")
}

fn drop_text(drop: &NewDrop, what: &str, look: Look) -> String {
    let NewDrop {
        vip,
        packets,
        verdict,
        measured,
    } = drop;
    let (of, why) = match (vip.as_str(), measured) {
        (OTHER_PACKETS, _) => ("packets of no VIP".to_owned(), "; no plan is refused for them"),
        (vip, true) => (format!("vip {vip}: packets"), "; the blast radius says so"),
        (vip, false) => (format!("vip {vip}: packets"), ""),
    };
    let text = format!(" ▲ {of} that were forwarded end with {verdict} ({packets} {what}{why})");
    paint(look.color, Tone::Bad, &plain(&text))
}

/// VIPs that are told one by one.
const TOLD: usize = 8;
