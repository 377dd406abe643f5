//! Where in a text something is.

use serde_saphyr::{Location, Spanned};

/// A part of a text.
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
