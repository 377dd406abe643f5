//! Every error of a configuration at once, each with its place.

use std::{fmt, sync::Arc};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan};
use serde_saphyr::{Location, Spanned};

use super::{code::Code, problem::Problem};

/// Errors that are shown; beyond, they are counted. A file of a mebibyte can
/// hold a hundred thousand, and drawing one reads the file.
const MAX_SHOWN: usize = 50;

/// Where in the text something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// Bytes from the beginning of the text.
    pub offset: usize,
    /// Bytes.
    pub length: usize,
}

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

/// All that is wrong with a configuration; never none.
pub struct ConfigErrors {
    file: String,
    text: Arc<str>,
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// `errors` in the order they were found; they are sorted by place.
    pub(super) fn new(file: &str, text: &str, mut errors: Vec<ConfigError>) -> Self {
        debug_assert!(!errors.is_empty(), "a configuration without errors is not refused");
        errors.sort_by_key(|error| error.place.map(|place| place.offset));
        Self {
            file: file.to_owned(),
            text: text.into(),
            errors,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.errors.iter()
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
            // Writing to a String fails only if a Display of ours does.
            handler
                .render_report(&mut drawn, &drawing)
                .expect("a message can be written to a string");
        }
        drawn.push_str(&self.and_more());
        drawn
    }

    fn and_more(&self) -> String {
        match self.errors.len().saturating_sub(MAX_SHOWN) {
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

impl Place {
    /// Of a value; where it was used, if it came through an alias.
    pub(super) fn of<T>(value: &Spanned<T>) -> Self {
        Self::at(value.referenced)
    }

    /// The parser gives bytes for every node of a text in memory.
    fn at(location: Location) -> Self {
        let span = location.span();
        Self {
            line: location.line() as u32,
            column: location.column() as u32,
            offset: span.byte_offset().unwrap_or(0) as usize,
            length: span.byte_len().unwrap_or(0) as usize,
        }
    }

    /// Of an error in the YAML itself: the scanner counts characters, and the
    /// end of the input may be a line that is not there.
    pub(super) fn of_syntax(location: Option<Location>, text: &str) -> Self {
        let end = text.trim_end().len();
        let offset = match location.map(|location| location.span()) {
            None => 0,
            Some(span) => match span.byte_offset() {
                Some(offset) => offset as usize,
                None => byte_of_character(text, span.offset() as usize),
            },
        };
        let length = location.and_then(|location| location.span().byte_len()).unwrap_or(0) as usize;
        let offset = text.floor_char_boundary(offset.min(end));
        Self {
            length: text.floor_char_boundary((offset + length).min(text.len())) - offset,
            ..Self::of_byte(offset, text)
        }
    }

    /// Of the byte `offset`, which begins a character.
    pub(super) fn of_byte(offset: usize, text: &str) -> Self {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() as u32 + 1,
            column: before[line_start..].chars().count() as u32 + 1,
            offset,
            length: 1,
        }
    }

    /// What stands there.
    pub(super) fn slice(self, text: &str) -> &str {
        text.get(self.offset..self.offset + self.length).unwrap_or_default()
    }
}

fn byte_of_character(text: &str, at: usize) -> usize {
    text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte)
}

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
