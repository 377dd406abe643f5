//! `holdfast backend drain --wait`: watches a drain to its end. It only looks:
//! the drain goes on without it.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;

use super::super::{
    args::{BackendPath, Format},
    error::{Error, Exit},
    terminal::Terminal,
    text::count,
};
use crate::{
    api::{
        client::Client,
        model::{BackendStatus, Document, Kind},
    },
    config::BackendState,
};

/// Between two looks; the daemon looks at flows once a second.
const LOOK: Duration = Duration::from_millis(500);

/// Where nobody watches a bar, a line is said as often, and when the number of
/// slots changes much.
const SAY: Duration = Duration::from_secs(10);

/// How a drain stands; a line of `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DrainProgress {
    pool: String,
    backend: String,
    stage: Stage,
    /// Slots in which connections may still be the backend's.
    dirty_slots: u32,
    /// As many as there were when the wait began.
    of_slots: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl Kind for DrainProgress {
    const KIND: &'static str = "DrainProgress";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Stage {
    Draining,
    /// No connection is left.
    Drained,
    /// The deadline came first: what was open was ended.
    Deadline,
    /// Somebody put it into service again, or took it out of the configuration.
    Cancelled,
    /// Whoever waited does no more; the drain goes on.
    Left,
}

pub async fn drained(path: &BackendPath, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let mut watch = Watch::new(path, terminal);
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let stage = loop {
        let status = client.status().await?.body;
        let pools = status.pools.iter().filter(|pool| pool.name == path.pool);
        let found = pools
            .flat_map(|pool| &pool.backends)
            .find(|backend| backend.name == path.backend);
        let stage = watch.stage(found, Timestamp::now());
        watch.show(stage, terminal)?;
        if stage != Stage::Draining {
            break stage;
        }
        tokio::select! {
            _ = &mut interrupted => break Stage::Left,
            () = tokio::time::sleep(LOOK) => {}
        }
    };
    watch.bar.finish_and_clear();
    match stage {
        Stage::Drained => {
            terminal.say(&format!("{path} has no connections any more"))?;
            Ok(Exit::Done)
        }
        Stage::Deadline => Err(Error::DeadlineCame(path.clone())),
        Stage::Cancelled => Err(Error::DrainCancelled(path.clone())),
        Stage::Draining | Stage::Left => {
            watch.document(Stage::Left, terminal)?;
            terminal.say(&format!(
                "the drain of {path} goes on; holdfast backend ready {path} ends it, drain {path} --wait waits again"
            ))?;
            Ok(Exit::Interrupted)
        }
    }
}

struct Watch {
    path: BackendPath,
    bar: ProgressBar,
    /// When it began to wait, and said something last.
    begun: Instant,
    said: Option<Instant>,
    dirty: u32,
    of: u32,
    until: Option<Timestamp>,
    /// Slots were dirty at a look, and when that was.
    seen_dirty: Option<Timestamp>,
}

impl Watch {
    fn new(path: &BackendPath, terminal: &Terminal<'_>) -> Self {
        let bar = if terminal.err.is_seen {
            // On a line of 80 columns; a longer message is cut.
            let style = ProgressStyle::with_template("[{bar:16}] {msg:!57}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        } else {
            ProgressBar::hidden()
        };
        Self {
            path: path.clone(),
            bar,
            begun: Instant::now(),
            said: None,
            dirty: 0,
            of: 0,
            until: None,
            seen_dirty: None,
        }
    }

    fn stage(&mut self, found: Option<&BackendStatus>, now: Timestamp) -> Stage {
        let Some(backend) = found.filter(|backend| backend.state == BackendState::Drain) else {
            return Stage::Cancelled;
        };
        self.until = backend.overridden.as_ref().and_then(|over| over.set.until);
        self.dirty = backend.dirty_slots;
        self.of = self.of.max(self.dirty);
        if self.dirty > 0 {
            self.seen_dirty = Some(now);
            return Stage::Draining;
        }
        // Slots that were dirty until the deadline were not cleaned by silence.
        let cut = self.until.is_some_and(|until| {
            let margin = jiff::SignedDuration::from_secs(1);
            self.seen_dirty
                .is_some_and(|seen| seen >= until.saturating_sub(margin).unwrap_or(until))
        });
        if cut { Stage::Deadline } else { Stage::Drained }
    }

    fn show(&mut self, stage: Stage, terminal: &mut Terminal<'_>) -> Result<(), Error> {
        self.bar.set_length(self.of.into());
        self.bar.set_position((self.of - self.dirty).into());
        let until = |format: &str| {
            let text = self.until.map(|until| format!(", until {}", until.strftime(format)));
            text.unwrap_or_default()
        };
        // Not a percentage: that of one slot left is rounded to all of them.
        self.bar.set_message(format!(
            "draining {}: {} slots left{}",
            self.path,
            count(self.dirty.into()),
            until("%H:%M:%SZ")
        ));
        let due = self.said.is_none_or(|said| said.elapsed() >= SAY);
        if stage == Stage::Draining && !due {
            return Ok(());
        }
        self.said = Some(Instant::now());
        if !terminal.err.is_seen && stage == Stage::Draining {
            terminal.say(&format!(
                "draining {}: connections may be left in {} of {} slots, {} s{}",
                self.path,
                count(self.dirty.into()),
                count(self.of.into()),
                self.begun.elapsed().as_secs(),
                until("%FT%TZ")
            ))?;
        }
        self.document(stage, terminal)
    }

    /// A line of JSON, where documents are printed.
    fn document(&self, stage: Stage, terminal: &mut Terminal<'_>) -> Result<(), Error> {
        let progress = DrainProgress {
            pool: self.path.pool.clone(),
            backend: self.path.backend.clone(),
            stage,
            dirty_slots: self.dirty,
            of_slots: self.of,
            until: self.until,
        };
        match terminal.format {
            Format::Table | Format::Wide => Ok(()),
            Format::Json => {
                let line = serde_json::to_string(&Document::new(progress)).map_err(Error::Json)?;
                terminal.print(&line)
            }
            Format::Yaml => {
                terminal.print("---")?;
                terminal.document(&Document::new(progress))
            }
        }
    }
}
