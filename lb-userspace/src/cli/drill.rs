//! `holdfast drill`: asks no daemon; it makes one of its own.

use std::{
    env,
    path::{Path, PathBuf},
    pin::pin,
    sync::atomic::Ordering,
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::{
    args, candidate,
    error::{Error, Exit},
    terminal::{Look, Terminal},
    text::{NONE, Tone, count, numbers, paint, plain, table, words},
};
use crate::{
    api::model::{Document, Failure, Kind},
    drill::{
        self, ACCIDENTS, News, Settings, Source,
        error::{DrillError, Result},
        report::{Drill, Row, Summary},
        stage::{self, Stop},
    },
};

pub(super) async fn drill(args: &args::Drill, terminal: &mut Terminal<'_>) -> std::result::Result<Exit, Error> {
    if args.list {
        terminal.answer(&Document::new(Accidents::all()), |all, _| all.text())?;
        return Ok(Exit::Done);
    }
    drill::chosen(&args.only)?;
    let is_stdin = args.file.as_deref() == Some(Path::new(candidate::STDIN));
    if !stage::is_here() {
        let handed = if is_stdin {
            candidate::read_stdin()?
        } else {
            String::new()
        };
        // What is to be said is said on the stage.
        return Ok(exit(stage::perform(&handed).await?));
    }
    let handed = stage::handed()?;
    let settings = Settings {
        source: match &args.file {
            None => Source::BuiltIn,
            Some(_) if is_stdin => Source::Text(handed),
            Some(path) => Source::File(path.clone()),
        },
        only: args.only.clone(),
        holdfastd: args.holdfastd.clone().map_or_else(beside, Ok)?,
    };
    let held = hold(settings, terminal).await?;
    let wrong = !held.held();
    terminal.answer(&Document::new(held), text)?;
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

/// How the same command ended on the stage.
const fn exit(code: u8) -> Exit {
    match code {
        0 => Exit::Done,
        7 => Exit::Denied,
        64 => Exit::Usage,
        130 => Exit::Interrupted,
        _ => Exit::Failed,
    }
}

fn beside() -> Result<PathBuf> {
    let own = env::current_exe().map_err(DrillError::io("finding this program"))?;
    Ok(own.with_file_name("holdfastd"))
}

/// The drill has a thread of its own, which blocks; here its news are told, and
/// signals heard.
async fn hold(settings: Settings, terminal: &mut Terminal<'_>) -> std::result::Result<Drill, Error> {
    let stop = Stop::default();
    stage::follow_outside(&stop);
    let (say, mut news) = mpsc::unbounded_channel();
    let seen = Stop::clone(&stop);
    let holding = thread::spawn(move || {
        drill::hold(&settings, &seen, &mut |news| {
            // Nobody listens any more when the command is being interrupted.
            say.send(news).ok();
        })
    });
    let progress = terminal.err.is_seen.then(progress);
    let mut told_to_stop = pin!(stage::told_to_stop());
    let mut stopping = false;
    loop {
        tokio::select! {
            told = news.recv() => match told {
                Some(told) => tell(told, progress.as_ref(), terminal)?,
                None => break,
            },
            () = &mut told_to_stop, if !stopping => {
                stopping = true;
                stop.store(true, Ordering::Relaxed);
            }
        }
    }
    if let Some(progress) = progress {
        progress.finish_and_clear();
    }
    let held = holding
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    if stop.load(Ordering::Relaxed) {
        return Err(DrillError::Stopped.into());
    }
    Ok(held)
}

fn progress() -> ProgressBar {
    let progress = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {msg}") {
        progress.set_style(style);
    }
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}

fn tell(news: News, progress: Option<&ProgressBar>, terminal: &mut Terminal<'_>) -> std::result::Result<(), Error> {
    match (news, progress) {
        (News::Setting, Some(progress)) => progress.set_message("namespaces, backends, a daemon"),
        (News::Happens(name, nth, all), Some(progress)) => {
            progress.set_length(all as u64);
            progress.set_position(nth as u64);
            progress.set_message(name);
        }
        (News::Became(row), Some(progress)) => {
            if !row.held {
                progress.println(line(&row, terminal.err.color));
            }
        }
        (News::Became(row), None) => terminal.say(&line(&row, terminal.err.color))?,
        (News::Setting | News::Happens(..), None) => {}
    }
    Ok(())
}

fn line(row: &Row, color: bool) -> String {
    let (tone, mark) = if row.held {
        (Tone::Good, "ok")
    } else {
        (Tone::Bad, "NOT HELD")
    };
    let complaints = plain(&row.complaints.join("; "));
    let text = format!(
        "{} {}: {} {complaints}",
        paint(color, tone, mark),
        row.name,
        plain(&row.outcome)
    );
    text.trim_end().to_owned()
}

fn text(drill: &Drill, look: Look) -> String {
    let columns = [
        words(""),
        words("ACCIDENT"),
        words("EXPECTED"),
        words("WHAT HAPPENED"),
        numbers("TIME"),
        numbers("PACKETS LOST"),
        numbers("CONNECTIONS BROKEN"),
        numbers("REMOVED UNAPPROVED"),
    ];
    let rows = drill.rows.iter().map(|row| {
        vec![
            if row.held { "ok" } else { "✗" }.to_owned(),
            if look.wide {
                row.accident.clone()
            } else {
                row.name.clone()
            },
            row.expected.clone(),
            row.outcome.clone(),
            row.took_ms
                .map_or_else(|| NONE.to_owned(), |took| format!("{} ms", count(took))),
            lost(row),
            count(row.connections_broken),
            count(row.removed_unapproved.len() as u64),
        ]
    });
    let mut parts = Vec::new();
    if !drill.adapted.is_empty() {
        let adapted = drill.adapted.iter().map(|change| format!("  {}", plain(change)));
        let adapted: Vec<String> = adapted.collect();
        parts.push(format!("In the copy is not as in the file:\n{}", adapted.join("\n")));
    }
    parts.push(table(&columns, rows));
    let wrong: Vec<String> = drill
        .rows
        .iter()
        .filter(|row| !row.held)
        .map(|row| line(row, look.color))
        .collect();
    if !wrong.is_empty() {
        parts.push(wrong.join("\n"));
    }
    parts.push(sum(&drill.summary));
    parts.join("\n\n")
}

fn lost(row: &Row) -> String {
    match (row.packets_lost, row.window.as_str()) {
        (0, _) => "0".to_owned(),
        (lost, "none") => count(lost),
        (lost, window) => format!("{} ({window})", count(lost)),
    }
}

fn sum(summary: &Summary) -> String {
    format!(
        "{} of {} accidents survived; {} removed unapproved; {} of {} packets lost, {} of them where none may be; \
         {} connections broken; {} s",
        summary.held,
        summary.accidents,
        summary.removed_unapproved,
        count(summary.packets_lost),
        count(summary.packets_sent),
        count(summary.packets_lost_outside_windows),
        count(summary.connections_broken),
        summary.seconds
    )
}

/// What `--list` shows.
#[derive(Debug, serde::Serialize)]
struct Accidents {
    accidents: Vec<Listed>,
}

#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: &'static str,
    accident: &'static str,
    expected: String,
    window: &'static str,
}

impl Kind for Accidents {
    const KIND: &'static str = "Accidents";
}

impl Accidents {
    fn all() -> Self {
        let accidents = ACCIDENTS.iter().map(|of| Listed {
            name: of.name,
            accident: of.what,
            expected: of.expected.text(),
            window: of.window.text(),
        });
        Self {
            accidents: accidents.collect(),
        }
    }

    fn text(&self) -> String {
        let columns = [
            words("NAME"),
            words("ACCIDENT"),
            words("EXPECTED"),
            words("MAY LOSE PACKETS"),
        ];
        let rows = self.accidents.iter().map(|of| {
            vec![
                of.name.to_owned(),
                of.accident.to_owned(),
                of.expected.clone(),
                of.window.to_owned(),
            ]
        });
        table(&columns, rows)
    }
}

/// What the command line says of it; `message` has the root cause in it.
pub(super) fn failure(error: &DrillError, message: String) -> Failure {
    let (fix, exit) = match error {
        DrillError::NotRoot => (Some("run the command as root"), Exit::Denied),
        DrillError::Unknown(_) => (Some("holdfast drill --list"), Exit::Failed),
        DrillError::Stopped => (None, Exit::Interrupted),
        DrillError::Io { .. }
        | DrillError::Command { .. }
        | DrillError::Config { .. }
        | DrillError::Late { .. }
        | DrillError::Key(_)
        | DrillError::Answer(_) => (None, Exit::Failed),
    };
    Failure {
        code: error.code().to_owned(),
        message,
        fix: fix.map(str::to_owned),
        exit: exit as u8,
    }
}
