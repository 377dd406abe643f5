//! Where a command prints: stdout is data, stderr is talk.

use std::{
    io::{self, Write},
    pin::pin,
    time::Duration,
};

use anstream::{AutoStream, ColorChoice, stream::RawStream};
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

/// One of the two streams.
pub struct Stream<'a> {
    pub to: &'a mut dyn Write,
    /// Somebody sees what is printed as it comes.
    pub is_seen: bool,
    pub color: bool,
}

impl<'a> Stream<'a> {
    /// A stream of the process. Whether it is in color, anstream decides from
    /// NO_COLOR, CLICOLOR_FORCE and TERM.
    fn of_process<T: RawStream>(stream: &'a mut T, globals: &Globals) -> Self {
        let choice = AutoStream::choice(stream);
        Self {
            is_seen: stream.is_terminal(),
            color: !globals.no_color && choice != ColorChoice::Never,
            to: stream,
        }
    }

    /// Text, ended by one line feed.
    fn print(&mut self, text: &str) -> Result<(), Error> {
        writeln!(self.to, "{}", text.trim_end_matches('\n')).map_err(Error::Output)
    }
}

/// Where a command prints, and what.
pub struct Terminal<'a> {
    /// Data. JSON is spread over lines where it is seen.
    pub out: Stream<'a>,
    /// Talk. Progress is shown where it is seen.
    pub err: Stream<'a>,
    pub format: Format,
    /// Columns of text on stderr.
    pub width: usize,
}

impl<'a> Terminal<'a> {
    /// The process's own streams.
    pub fn of_process(globals: &Globals, out: &'a mut io::Stdout, err: &'a mut io::Stderr) -> Self {
        let size = rustix::termios::tcgetwinsize(&*err);
        Self {
            out: Stream::of_process(out, globals),
            err: Stream::of_process(err, globals),
            format: globals.format(),
            width: size.map_or(WIDTH, |size| usize::from(size.ws_col).max(NARROWEST)),
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
            Format::Json if self.out.is_seen => serde_json::to_string_pretty(document).map_err(Error::Json)?,
            Format::Json => serde_json::to_string(document).map_err(Error::Json)?,
            Format::Yaml => serde_saphyr::to_string(document).map_err(Error::Yaml)?,
        };
        self.print(&text)
    }

    /// Data, ended by one line feed.
    pub fn print(&mut self, text: &str) -> Result<(), Error> {
        self.out.print(text)
    }

    /// Data, as it is.
    pub fn print_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.to.write_all(bytes).map_err(Error::Output)
    }

    /// Talk, ended by one line feed.
    pub fn say(&mut self, text: &str) -> Result<(), Error> {
        self.err.print(text)
    }

    pub const fn look(&self) -> Look {
        Look {
            color: self.out.color,
            wide: matches!(self.format, Format::Wide),
        }
    }

    /// Waits; once it takes over a second and somebody watches, says for what.
    pub async fn patiently<F: Future>(&self, what: &'static str, work: F) -> F::Output {
        let mut work = pin!(work);
        if !self.err.is_seen {
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
/// Columns below which nothing can be drawn.
const NARROWEST: usize = 40;
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);
