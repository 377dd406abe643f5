//! Where a command prints: stdout is data, stderr is talk.

use std::{
    io::{self, IsTerminal, Write},
    pin::pin,
    time::Duration,
};

use anstream::ColorChoice;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{
    args::{Format, Globals},
    error::Error,
};
use crate::api::model::{Document, Kind};

/// How text for people is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub color: bool,
    /// More columns.
    pub wide: bool,
}

/// The two streams, and how to print on them.
pub struct Terminal<'a> {
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    pub format: Format,
    /// Somebody sees stdout as it comes: colors, JSON over several lines.
    pub out_is_seen: bool,
    /// Somebody sees stderr as it comes: colors and progress.
    pub err_is_seen: bool,
    pub out_color: bool,
    pub err_color: bool,
    /// Columns of text on stderr.
    pub width: usize,
}

impl<'a> Terminal<'a> {
    /// The process's own streams.
    pub fn of_process(globals: &Globals, out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        // NO_COLOR, CLICOLOR_FORCE and TERM=dumb are looked at there.
        let colors = |choice| !globals.no_color && choice != ColorChoice::Never;
        Self {
            out,
            err,
            format: globals.format(),
            out_is_seen: stdout.is_terminal(),
            err_is_seen: stderr.is_terminal(),
            out_color: colors(anstream::AutoStream::choice(&stdout)),
            err_color: colors(anstream::AutoStream::choice(&stderr)),
            width: rustix::termios::tcgetwinsize(&stderr).map_or(WIDTH, |size| usize::from(size.ws_col).max(40)),
        }
    }

    /// Prints an answer: the document itself, or text made from it.
    pub fn answer<T>(&mut self, document: &Document<T>, text: impl FnOnce(&T, Look) -> String) -> Result<(), Error>
    where
        T: Kind + Serialize,
    {
        match self.format {
            Format::Table | Format::Wide => {
                let look = self.look();
                self.print(&text(&document.body, look))
            }
            Format::Json | Format::Yaml => self.document(document),
        }
    }

    /// Prints a document, if documents are printed.
    pub fn document<T: Serialize>(&mut self, document: &T) -> Result<(), Error> {
        let text = match self.format {
            Format::Table | Format::Wide => return Ok(()),
            Format::Json if self.out_is_seen => serde_json::to_string_pretty(document).map_err(Error::Json)?,
            Format::Json => serde_json::to_string(document).map_err(Error::Json)?,
            Format::Yaml => serde_saphyr::to_string(document).map_err(Error::Yaml)?,
        };
        self.print(&text)
    }

    /// Data, ended by one line feed.
    pub fn print(&mut self, text: &str) -> Result<(), Error> {
        writeln!(self.out, "{}", text.trim_end_matches('\n')).map_err(Error::Output)
    }

    /// Talk, ended by one line feed.
    pub fn say(&mut self, text: &str) -> Result<(), Error> {
        writeln!(self.err, "{}", text.trim_end_matches('\n')).map_err(Error::Output)
    }

    pub const fn look(&self) -> Look {
        Look {
            color: self.out_color,
            wide: matches!(self.format, Format::Wide),
        }
    }

    /// Waits; once it takes over a second and somebody watches, says for what.
    pub async fn patiently<F: Future>(&self, what: &'static str, work: F) -> F::Output {
        let mut work = pin!(work);
        if !self.err_is_seen {
            return work.await;
        }
        if let Ok(output) = tokio::time::timeout(PATIENCE, &mut work).await {
            return output;
        }
        let progress = ProgressBar::new_spinner().with_message(what);
        progress.enable_steady_tick(TICK);
        let output = work.await;
        progress.finish_and_clear();
        output
    }
}

/// Columns where stderr is not a terminal.
const WIDTH: usize = 100;
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);
