//! Every error of a configuration at once, each with its place.

use std::{fmt, sync::Arc};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan};

use super::{code::Code, place::Place, problem::Problem};

/// Errors that are kept; beyond, they are counted. A file can hold a million.
const MAX_KEPT: usize = 1000;

/// Errors that are shown: drawing one reads the file.
const MAX_SHOWN: usize = 50;

/// One thing wrong, with its place.
#[derive(Debug)]
pub struct ConfigError {
    pub problem: Problem,
    /// Absent: it is about the file as a whole.
    pub place: Option<Place>,
    /// Where the other thing is that it collides with.
    pub other: Option<Place>,
}

impl ConfigError {
    pub(super) const fn of_file(problem: Problem) -> Self {
        Self {
            problem,
            place: None,
            other: None,
        }
    }

    pub(super) const fn at(problem: Problem, place: Place) -> Self {
        Self {
            problem,
            place: Some(place),
            other: None,
        }
    }

    /// About two places: the second of two that collide, and the first.
    pub(super) const fn between(problem: Problem, place: Place, other: Place) -> Self {
        Self {
            problem,
            place: Some(place),
            other: Some(other),
        }
    }
}

/// The errors found so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    kept: Vec<ConfigError>,
    beyond: usize,
}

impl Found {
    pub(super) fn push(&mut self, error: ConfigError) {
        if self.kept.len() < MAX_KEPT {
            self.kept.push(error);
        } else {
            self.beyond += 1;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl From<ConfigError> for Found {
    fn from(error: ConfigError) -> Self {
        Self {
            kept: vec![error],
            beyond: 0,
        }
    }
}

/// All that is wrong with a configuration; never nothing.
pub struct ConfigErrors {
    file: String,
    text: Arc<str>,
    errors: Vec<ConfigError>,
    beyond: usize,
}

impl ConfigErrors {
    /// Sorts the errors by place: they were found object by object.
    pub(super) fn new(file: &str, text: &str, found: impl Into<Found>) -> Self {
        let Found {
            kept: mut errors,
            beyond,
        } = found.into();
        debug_assert!(!errors.is_empty(), "a configuration without errors is not refused");
        errors.sort_by_key(|error| error.place.map(|place| place.offset));
        Self {
            file: file.to_owned(),
            text: text.into(),
            errors,
            beyond,
        }
    }

    /// The errors in the order of the text: the first thousand found.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.errors.iter()
    }

    /// How many there are in all; never 0.
    pub const fn count(&self) -> usize {
        self.errors.len() + self.beyond
    }

    /// The code of the first error in the file.
    pub fn code(&self) -> Code {
        self.errors[0].problem.code()
    }

    /// The file holds nothing at all: what an operator meant with it is not a
    /// slip in the text but "serve nothing", and is answered as such.
    pub fn is_empty_document(&self) -> bool {
        self.code() == Code::DocumentEmpty
    }

    /// Drawings with the line and a caret, for people; `width` in columns.
    ///
    /// # Panics
    /// Never: a message can be written to a string.
    pub fn render(&self, color: bool, width: usize) -> String {
        let theme = if color {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_links(false);
        let source = Arc::new(NamedSource::new(&self.file, Arc::clone(&self.text)));
        let mut drawn = String::new();
        for error in self.errors.iter().take(MAX_SHOWN) {
            let drawing = Drawing { error, source: &source };
            handler
                .render_report(&mut drawn, &drawing)
                .expect("a message can be written to a string");
        }
        drawn.push_str(&self.and_more());
        drawn
    }

    fn and_more(&self) -> String {
        match self.count().saturating_sub(MAX_SHOWN) {
            0 => String::new(),
            more => format!("{}: {more} more errors are not shown\n", self.file),
        }
    }
}

/// One line for each error: `file:line:column: error[HF1023]: …`.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().take(MAX_SHOWN).enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.file)?;
            if let Some(place) = error.place {
                write!(f, "{}:{}:", place.line, place.column)?;
            }
            write!(f, " error[{}]: {}", error.problem.code(), error.problem)?;
            if let Some(fix) = error.problem.fix() {
                write!(f, " ({fix})")?;
            }
        }
        match self.and_more() {
            more if more.is_empty() => Ok(()),
            more => write!(f, "\n{}", more.trim_end()),
        }
    }
}

/// As `Display`: the text is not repeated where an error is unwrapped.
impl fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigErrors {}

/// An error beside its text, as miette draws it.
#[derive(Debug)]
struct Drawing<'a> {
    error: &'a ConfigError,
    source: &'a NamedSource<Arc<str>>,
}

impl fmt::Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error.problem)
    }
}

impl std::error::Error for Drawing<'_> {}

impl Diagnostic for Drawing<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.error.problem.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error
            .problem
            .fix()
            .map(|fix| Box::new(fix) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.error.place.map(|_| self.source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let here = self.error.place?;
        let label = |place: Place, text: &str| {
            LabeledSpan::new_with_span(Some(text.to_owned()), SourceSpan::from((place.offset, place.length)))
        };
        let other = self.error.other.map(|place| label(place, "the other one"));
        Some(Box::new(std::iter::once(label(here, "here")).chain(other)))
    }
}
