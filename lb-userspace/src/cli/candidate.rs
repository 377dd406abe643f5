//! The configuration that a command was given: read, and checked here first,
//! because the place of an error is best shown where the file is.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::error::Error;
use crate::{
    api::model::PlanRequest,
    config::{self, ConfigErrors, ObjectName},
};

/// The name that means stdin.
const STDIN: &str = "-";

/// A configuration's text and where it came from.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) file: String,
    pub(super) text: String,
}

impl Candidate {
    /// Reads a file. An empty one is handed on: what it asks for is a change
    /// like any other, and it is the daemon that refuses it.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        match Self::check(path) {
            Err(Error::Config { file, errors }) if errors.is_empty_document() => Ok(Self {
                file,
                text: String::new(),
            }),
            checked => checked,
        }
    }

    /// Reads a file in which every rule holds.
    pub(super) fn check(path: &Path) -> Result<Self, Error> {
        let (file, judged) = if path == Path::new(STDIN) {
            let text = read_stdin()?;
            let judged = config::parse("stdin", &text);
            ("stdin".to_owned(), judged.map(|_| text))
        } else {
            let judged = config::load(path);
            (path.display().to_string(), judged.map(|loaded| loaded.text))
        };
        match judged {
            Ok(text) => Ok(Self { file, text }),
            Err(errors) => Err(invalid(file, errors)),
        }
    }

    /// Asks what it would change.
    pub(super) fn into_request(self, remove: &[ObjectName]) -> PlanRequest {
        PlanRequest {
            file: self.file,
            text: self.text,
            remove: remove.to_vec(),
        }
    }
}

fn invalid(file: String, errors: ConfigErrors) -> Error {
    Error::Config {
        file,
        errors: Box::new(errors),
    }
}

/// The limit is that of a request, with room for what JSON escapes.
fn read_stdin() -> Result<String, Error> {
    const LIMIT: u64 = 2 << 20;
    let mut text = String::new();
    let read = io::stdin().lock().take(LIMIT).read_to_string(&mut text);
    read.map(|_| text).map_err(|source| Error::Read {
        path: PathBuf::from("stdin"),
        source,
    })
}
