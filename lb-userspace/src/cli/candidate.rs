//! The configuration that a command was given: read, and checked here first,
//! because the place of an error is best shown where the file is.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::error::Error;
use crate::{
    api::model::PlanRequest,
    config::{self, ConfigErrors, ObjectName, limits::MAX_FILE_BYTES},
};

/// The name that means stdin.
pub(super) const STDIN: &str = "-";

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

pub(super) fn read_stdin() -> Result<String, Error> {
    read_within(io::stdin().lock()).map_err(|source| Error::Read {
        path: PathBuf::from("stdin"),
        source,
    })
}

/// The limit is that of a file. What is longer is an error: a text cut off
/// there could be a configuration that means something else.
fn read_within(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_FILE_BYTES {
        let message = format!("more than {MAX_FILE_BYTES} bytes, the limit of a configuration");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{MAX_FILE_BYTES, read_within};

    #[test]
    fn stdin_may_be_as_long_as_a_file_and_no_longer() {
        let longest = "#".repeat(MAX_FILE_BYTES);
        assert_eq!(
            read_within(longest.as_bytes()).expect("a file's length").len(),
            MAX_FILE_BYTES
        );
        let longer = format!("{longest}#");
        let error = read_within(longer.as_bytes()).expect_err("a byte too many");
        assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
    }
}
