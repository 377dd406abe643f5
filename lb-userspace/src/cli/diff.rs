//! `holdfast diff`, with the exit codes of diff(1): 0 same, 1 different, more
//! if there is trouble.

use serde::Serialize;

use super::{
    args,
    candidate::Candidate,
    error::{Error, Exit},
    terminal::Terminal,
};
use crate::{
    api::{
        client::Client,
        model::{Document, Kind},
    },
    plan::{Change, Overrides, PoolEffect, diff, render},
};

/// The exit code of trouble.
pub(super) const TROUBLE: u8 = 2;

/// What would have to change to get from one side to the other.
#[derive(Debug, Serialize)]
pub(super) struct Diff {
    /// A generation, or a file.
    from: String,
    to: String,
    changes: Vec<Change>,
    /// What is set by command on the side `to`: it holds, whatever a file says.
    #[serde(skip_serializing_if = "Overrides::is_empty")]
    overrides: Overrides,
    /// Of a file only: which slots move depends on the table that is served.
    effects: Vec<PoolEffect>,
}

impl Kind for Diff {
    const KIND: &'static str = "Diff";
}

pub(super) async fn diff(args: &args::Diff, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let diff = match (&args.file, args.from) {
        (Some(path), _) => {
            let candidate = Candidate::read(path)?;
            let to = candidate.file.clone();
            let request = candidate.into_request(&[]);
            let plan = terminal.patiently("planning", client.plan(&request)).await?.body;
            Diff {
                from: format!("generation {}", plan.base.generation),
                to,
                overrides: plan.target.overrides,
                changes: plan.changes,
                effects: plan.effects,
            }
        }
        (None, Some(from)) => between(from, args.to, client, terminal).await?,
        // clap lets no command through that names neither.
        (None, None) => return Err(Error::NothingToApply),
    };
    let same = diff.changes.is_empty();
    terminal.answer(&Document::new(diff), |diff, look| {
        let text = render::diff_text(&diff.from, &diff.to, &diff.changes, &diff.effects, look.color);
        format!("{text}{}", render::overrides_text(&diff.overrides, look.color))
    })?;
    Ok(if same { Exit::Done } else { Exit::Failed })
}

/// Two generations; without `to`, the running one.
async fn between(from: u64, to: Option<u64>, client: &Client, terminal: &Terminal<'_>) -> Result<Diff, Error> {
    let to = match to {
        Some(to) => to,
        None => {
            terminal
                .patiently("asking the daemon", client.status())
                .await?
                .body
                .generation
        }
    };
    let before = terminal
        .patiently("reading the store", client.generation(from))
        .await?
        .body;
    let after = terminal
        .patiently("reading the store", client.generation(to))
        .await?
        .body;
    Ok(Diff {
        from: format!("generation {from}"),
        to: format!("generation {to}"),
        overrides: after.content.overrides.clone(),
        changes: diff::diff(Some(&before.content), &after.content),
        effects: Vec::new(),
    })
}
