//! Commands and configurations of the documents, as they are written there.
//!
//! Every fence without a language holds commands, which are run where they
//! stand, one a line, and must end with 0. A comment right before a fence says
//! what is otherwise, and is not seen by readers:
//!
//! ```text
//! <!-- run: on be1 -->               on that machine; `on backends`: on each
//! <!-- run: as ann -->               by that user of the machine
//! <!-- run: exit 3 -->               each command ends with this
//! <!-- run: stays until COMMAND -->  goes on running; COMMAND succeeds then
//! <!-- run: keys q after TEXT -->    on a terminal; this (or `Ctrl-C`) is typed when
//!                                    the text is seen
//! <!-- run: at packages -->          by the tests of another level
//! <!-- run: not, REASON -->          by no test
//! <!-- run: file NAME -->            is written to this file
//! <!-- run: shows -->                is what the command before printed
//! ```
//!
//! The first five can be said together, with `;` between them.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};

mod matching;
mod site;
mod walk;

pub use matching::ensure_shown;
pub use site::{BACKENDS, Site, number};
pub use walk::Walk;

/// A fence of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub document: &'static str,
    /// Of its first fence line, from 1.
    pub line: usize,
    pub language: String,
    pub role: Role,
    pub text: String,
}

/// What a fence is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    Commands {
        /// A machine, or `backends`.
        on: String,
        /// A user of the machine; `None`: root.
        user: Option<String>,
        exit: i32,
        way: Way,
    },
    /// Commands that tests of another level run.
    Elsewhere(String),
    /// Commands that nothing runs, and why.
    Unrun(String),
    /// Written to a file of the operator's.
    File(String),
    /// What the last command printed.
    Shown,
    /// In a language: an example.
    Example,
}

/// How a command comes to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Ends,
    /// Not by itself; it works once this command succeeds.
    Stays(String),
    /// On a terminal: when these are typed, once it shows something.
    Keys {
        keys: String,
        after: String,
    },
}

/// A document as it is now.
///
/// # Errors
/// If it cannot be read, or as [`blocks`].
pub fn read(document: &'static str) -> Result<Vec<Block>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    blocks(document, &text)
}

/// Where commands run unless it is said.
pub const BALANCER: &str = "balancer";

impl Block {
    /// Its commands, as they are typed: a line that ends with `\` goes on.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        let lines = joined.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }

    /// A whole one.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        self.language == "yaml" && self.text.contains("apiVersion: holdfast/")
    }

    /// For messages.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.document, self.line)
    }
}

/// All fences of a document, in order.
///
/// # Errors
/// If a comment says what nobody knows, a fence is not closed, or a command
/// could hide in an indented block.
pub fn blocks(document: &'static str, text: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut said: Option<&str> = None;
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let place = || format!("{document}:{number}");
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let mut inside = Vec::new();
            loop {
                let (line, _) = lines.next().with_context(|| format!("{}: no end", place()))?;
                if line.trim() == "```" {
                    break;
                }
                inside.push(line);
            }
            blocks.push(Block {
                document,
                line: number,
                language: language.to_owned(),
                role: role(said.take(), language).with_context(place)?,
                text: format!("{}\n", inside.join("\n")),
            });
        } else if let Some(comment) = line.strip_prefix("<!-- run:") {
            said = Some(comment.strip_suffix("-->").with_context(place)?.trim());
        } else {
            ensure!(said.is_none(), "{}: a comment for no fence", place());
            ensure!(!line.starts_with("    "), "{}: write a fence around it", place());
        }
    }
    ensure!(said.is_none(), "{document} ends with a comment for no fence");
    Ok(blocks)
}

fn role(said: Option<&str>, language: &str) -> Result<Role> {
    let Some(said) = said else {
        return Ok(if language.is_empty() {
            commands(BALANCER, None, 0, Way::Ends)
        } else {
            Role::Example
        });
    };
    let (word, rest) = words(said);
    match word {
        "at" => return Ok(Role::Elsewhere(rest.to_owned())),
        "not" => {
            ensure!(!rest.is_empty(), "not run, and no reason is given");
            return Ok(Role::Unrun(rest.to_owned()));
        }
        "file" => return Ok(Role::File(rest.to_owned())),
        "shows" => return Ok(Role::Shown),
        _ => {}
    }
    let (mut on, mut user, mut exit, mut way) = (BALANCER, None, 0, Way::Ends);
    for part in said.split(';') {
        match words(part) {
            ("on", machine) => on = machine,
            ("as", name) => user = Some(name),
            ("exit", code) => exit = code.parse().context("an exit code")?,
            ("stays", until) => {
                let until = until.strip_prefix("until ").context("stays until what?")?;
                way = Way::Stays(until.to_owned());
            }
            ("keys", typed) => {
                let (keys, after) = typed.split_once(" after ").context("keys after what?")?;
                way = Way::Keys {
                    keys: keys.replace("Ctrl-C", "\x03"),
                    after: after.to_owned(),
                };
            }
            (other, _) => bail!("`run: {other}` says nothing"),
        }
    }
    Ok(commands(on, user, exit, way))
}

fn words(part: &str) -> (&str, &str) {
    let part = part.trim();
    let (word, rest) = part.split_once([' ', ',']).unwrap_or((part, ""));
    (word, rest.trim())
}

fn commands(on: &str, user: Option<&str>, exit: i32, way: Way) -> Role {
    Role::Commands {
        on: on.to_owned(),
        user: user.map(str::to_owned),
        exit,
        way,
    }
}

#[cfg(test)]
mod tests;
