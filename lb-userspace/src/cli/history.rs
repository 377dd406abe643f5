//! `holdfast history` and `holdfast show`.

use std::path::PathBuf;

use super::{
    args, change,
    error::{Error, Exit},
    terminal::{Look, Terminal},
    text::{fields, numbers, or_none, table, words},
};
use crate::{
    api::{
        client::Client,
        model::{Document, GenerationDetail, History},
    },
    plan::render,
};

pub(super) async fn history(client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let history = terminal.patiently("reading the store", client.history()).await?;
    terminal.answer(&history, history_text)?;
    Ok(Exit::Done)
}

/// A number is a generation; everything else is the file of a plan.
pub(super) async fn show(args: &args::Show, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    if let Ok(number) = args.what.parse() {
        let generation = terminal
            .patiently("reading the store", client.generation(number))
            .await?;
        // Rendered beforehand: the content is shown as YAML, which can fail.
        let content = serde_saphyr::to_string(&generation.body.content).map_err(Error::Yaml)?;
        terminal.answer(&generation, |detail, look| generation_text(detail, &content, look))?;
    } else {
        let plan = change::read_plan(&PathBuf::from(&args.what))?;
        terminal.answer(&Document::new(plan), |plan, look| render::plan_text(plan, look.color))?;
    }
    Ok(Exit::Done)
}

fn history_text(history: &History, look: Look) -> String {
    const COLUMNS: [super::text::Column; 9] = [
        numbers("GENERATION"),
        words("RUNNING"),
        words("APPLIED"),
        words("AUTHOR"),
        words("CAUSE"),
        words("CONFIRMED"),
        words("DIGEST"),
        numbers("VIPS"),
        numbers("BACKENDS"),
    ];
    let mut columns = COLUMNS.to_vec();
    if !look.wide {
        columns.truncate(COLUMNS.len() - 2);
    }
    columns.push(words("MESSAGE"));
    let rows = history.generations.iter().map(|summary| {
        let mut row = vec![
            summary.generation.to_string(),
            if summary.running { "yes" } else { "" }.to_owned(),
            summary.applied.to_string(),
            summary.author.clone(),
            summary.cause.clone(),
            match summary.confirmed {
                None => "-",
                Some(true) => "yes",
                Some(false) => "no",
            }
            .to_owned(),
            summary.digest.short(),
        ];
        if look.wide {
            row.extend([summary.vips.to_string(), summary.backends.to_string()]);
        }
        row.push(or_none(summary.message.as_ref()));
        row
    });
    table(&columns, rows)
}

fn generation_text(detail: &GenerationDetail, content: &str, look: Look) -> String {
    let summary = &detail.summary;
    let running = if summary.running { " (running)" } else { "" };
    let head = fields([
        ("Generation", format!("{}{running}", summary.generation)),
        ("Digest", summary.digest.to_string()),
        ("Applied", summary.applied.to_string()),
        ("Author", summary.author.clone()),
        ("Cause", summary.cause.clone()),
        ("Message", or_none(summary.message.as_ref())),
    ]);
    let changes = render::changes_text(&detail.changes, &[], look.color);
    format!("{head}\n\nChanges\n{changes}\nContent\n{content}")
}
