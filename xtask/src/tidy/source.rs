//! Rust source without what is not code, so that a rule about `unsafe` does
//! not trip over a sentence about it.

use std::{iter::Peekable, str::Chars};

/// The text with the contents of comments, strings and characters replaced by
/// spaces. Lines keep their numbers.
pub fn code(text: &str) -> String {
    let mut scanner = Scanner {
        rest: text.chars().peekable(),
        code: String::with_capacity(text.len()),
    };
    while let Some(character) = scanner.rest.next() {
        scanner.step(character);
    }
    scanner.code
}

/// Whether a line holds this word, not merely as a part of a longer one.
pub fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(continues_word) && !after.is_some_and(continues_word)
    })
}

fn continues_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

struct Scanner<'a> {
    rest: Peekable<Chars<'a>>,
    code: String,
}

impl Scanner<'_> {
    fn step(&mut self, character: char) {
        match (character, self.rest.peek()) {
            ('/', Some('/')) => self.blank_line_comment(),
            ('/', Some('*')) => self.blank_block_comment(),
            ('"', _) => self.blank_string(),
            ('r', Some('"' | '#')) if !self.code.chars().next_back().is_some_and(continues_word) => {
                self.blank_raw_string();
            }
            ('\'', _) => self.blank_character(),
            _ => self.code.push(character),
        }
    }

    fn blank(&mut self, character: char) {
        self.code.push(if character == '\n' { '\n' } else { ' ' });
    }

    fn blank_line_comment(&mut self) {
        self.blank('/');
        while let Some(character) = self.rest.next_if(|&next| next != '\n') {
            self.blank(character);
        }
    }

    /// Block comments nest. Both characters of a mark are taken together:
    /// `/*/` closes nothing.
    fn blank_block_comment(&mut self) {
        self.blank('/');
        self.skip_blanked();
        let mut depth = 1_usize;
        while depth > 0 {
            let Some(character) = self.rest.next() else { return };
            self.blank(character);
            match (character, self.rest.peek()) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => continue,
            }
            self.skip_blanked();
        }
    }

    fn skip_blanked(&mut self) {
        if let Some(character) = self.rest.next() {
            self.blank(character);
        }
    }

    fn blank_string(&mut self) {
        self.code.push('"');
        while let Some(character) = self.rest.next() {
            match character {
                '"' => {
                    self.code.push('"');
                    return;
                }
                '\\' => {
                    self.blank(character);
                    self.skip_blanked();
                }
                _ => self.blank(character),
            }
        }
    }

    /// After an `r`: `r"…"`, `r#"…"#`, or a raw identifier such as `r#type`.
    fn blank_raw_string(&mut self) {
        self.code.push('r');
        let mut hashes = 0_usize;
        while self.rest.next_if_eq(&'#').is_some() {
            self.code.push('#');
            hashes += 1;
        }
        if self.rest.next_if_eq(&'"').is_none() {
            return;
        }
        self.code.push('"');
        while let Some(character) = self.rest.next() {
            self.blank(character);
            let mut closing = 0_usize;
            while character == '"' && closing < hashes && self.rest.next_if_eq(&'#').is_some() {
                self.code.push(' ');
                closing += 1;
            }
            if character == '"' && closing == hashes {
                return;
            }
        }
    }

    /// `'x'` and `'\n'` are characters; `'a` is a lifetime.
    fn blank_character(&mut self) {
        self.code.push('\'');
        let mut ahead = self.rest.clone();
        let first = ahead.next();
        let escaped = first == Some('\\');
        if !escaped && ahead.next() != Some('\'') {
            return;
        }
        self.skip_blanked();
        if escaped {
            self.skip_blanked();
        }
        for character in self.rest.by_ref() {
            if character == '\'' {
                self.code.push('\'');
                return;
            }
            self.code.push(' ');
        }
    }
}
