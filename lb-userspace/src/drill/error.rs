//! Why there is no drill, or an accident could not be made.

use std::io;

use crate::config::ConfigErrors;

#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error("a drill makes namespaces and starts a daemon in them: that takes root")]
    NotRoot,
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error("`{command}` ended with {code}: {said}")]
    Command {
        command: String,
        /// Its exit code, or `a signal`.
        code: String,
        said: String,
    },
    /// Boxed: it holds the text.
    #[error("the configuration cannot be drilled with: {file} has errors")]
    Config { file: String, errors: Box<ConfigErrors> },
    #[error("there is no accident `{0}`")]
    Unknown(String),
    #[error("{what}: not within {seconds} s")]
    Late { what: String, seconds: u64 },
    #[error("a key could not be made: {0}")]
    Key(ssh_key::Error),
    #[error("not what was expected: {0}")]
    Answer(String),
    #[error("the drill was told to stop")]
    Stopped,
}

impl DrillError {
    /// For `map_err`: what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The code, as in `docs/failures.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotRoot => "HF5003",
            Self::Unknown(_) => "HF5007",
            Self::Io { .. }
            | Self::Command { .. }
            | Self::Config { .. }
            | Self::Late { .. }
            | Self::Key(_)
            | Self::Answer(_)
            | Self::Stopped => "HF5014",
        }
    }
}

pub type Result<T> = std::result::Result<T, DrillError>;
