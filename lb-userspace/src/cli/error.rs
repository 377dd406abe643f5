//! Why a command did not do it, and what that means for its exit code.

use std::{error::Error as _, io, path::PathBuf, process::ExitCode};

use super::{
    agent,
    args::BackendPath,
    drill,
    text::{Tone, paint, plain},
};
use crate::{
    agent::AgentError,
    api::{client::ClientError, model::Failure},
    approval::SignError,
    config::ConfigErrors,
    digest::Digest,
    drill::error::DrillError,
    plan::{Plan, Severity, file::PlanFileError, render},
    store::{ExportError, StoreError},
};

/// How a command ended, for scripts. A [`Failure`] of the daemon brings its own
/// number, from the same list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or there was nothing to do.
    Done = 0,
    /// Failed; for `diff`: there are differences, as diff(1) says it.
    Failed = 1,
    /// `plan --detailed-exitcode`: there are changes.
    Changes = 2,
    /// Refused by policy; nothing was changed.
    Refused = 3,
    /// Applied, and taken back because nobody confirmed it.
    RolledBack = 6,
    /// Whoever asked may not.
    Denied = 7,
    /// Ctrl-C, as shells count signals.
    Interrupted = 130,
    /// The command line makes no sense.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {}", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no {kind} `{name}`; there are: {known}")]
    NoSuchObject {
        kind: &'static str,
        name: String,
        known: String,
    },
    /// Boxed: it holds the text.
    #[error("{file} has {}", errors_in(.errors))]
    Config { file: String, errors: Box<ConfigErrors> },
    #[error("cannot take the plan in {}", .path.display())]
    PlanFile {
        path: PathBuf,
        #[source]
        source: PlanFileError,
    },
    #[error("{} is no public key in OpenSSH's format: {cause}", .path.display())]
    NotAKey { path: PathBuf, cause: ssh_key::Error },
    /// Of a copy. Boxed: it is large.
    #[error(transparent)]
    Store(Box<StoreError>),
    #[error("cannot take {} for an export of the journal", .path.display())]
    Export {
        path: PathBuf,
        #[source]
        source: ExportError,
    },
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Drill(#[from] DrillError),
    #[error("the deadline of the drain of {0} has passed; connections that were still open were ended")]
    DeadlineCame(BackendPath),
    #[error("{0} does not drain any more: somebody changed it")]
    DrainCancelled(BackendPath),
    #[error("name a plan or a configuration file")]
    NothingToApply,
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("the daemon answered with another plan than {0}")]
    OtherPlan(Digest),
    /// A plan that some finding refuses.
    #[error("{}. Nothing was changed.", headline(.0).trim_end_matches('.'))]
    Refused(Box<Plan>),
    #[error("cannot print")]
    Output(#[source] io::Error),
    #[error("cannot write JSON")]
    Json(#[source] serde_json::Error),
    #[error("cannot write YAML")]
    Yaml(#[source] serde_saphyr::SerializeError),
    #[error("cannot start")]
    Runtime(#[source] io::Error),
}

impl Error {
    /// Whoever read stdout has seen enough (`holdfast status | head -1`).
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What is to be seen below the error, for people; it stands in the place
    /// of a fix.
    pub fn drawing(&self, color: bool, width: usize) -> Option<String> {
        match self {
            Self::Config { errors, .. } | Self::Drill(DrillError::Config { errors, .. }) => {
                Some(errors.render(color, width))
            }
            Self::Refused(plan) => Some(render::plan_text(plan, color)),
            Self::Client(_)
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::NoSuchObject { .. }
            | Self::PlanFile { .. }
            | Self::NotAKey { .. }
            | Self::Store(_)
            | Self::Export { .. }
            | Self::NothingToApply
            | Self::Sign(_)
            | Self::OtherPlan(_)
            | Self::DeadlineCame(_)
            | Self::DrainCancelled(_)
            | Self::Agent(_)
            | Self::Drill(_)
            | Self::Output(_)
            | Self::Json(_)
            | Self::Yaml(_)
            | Self::Runtime(_) => None,
        }
    }

    /// As it is said, in text and as a document.
    pub fn into_failure(self) -> Failure {
        let message = with_root_cause(&self);
        let (code, fix, exit) = match self {
            Self::Client(ClientError::Failed(failure)) => return failure,
            Self::Client(error) => {
                return Failure {
                    message,
                    ..error.into_failure()
                };
            }
            Self::Config { errors, .. } => return invalid(&errors, message),
            Self::PlanFile { .. } => (
                "HF5009",
                Some("holdfast plan -f FILE --out PLAN".to_owned()),
                Exit::Failed,
            ),
            Self::Agent(error) => return agent::failure(&error, message),
            Self::Drill(error) => return drill::failure(&error, message),
            Self::DeadlineCame(path) => ("HF5011", Some(format!("holdfast backend show {path}")), Exit::Failed),
            Self::DrainCancelled(path) => (
                "HF5012",
                Some(format!("holdfast history; holdfast backend drain {path} --wait")),
                Exit::Failed,
            ),
            Self::NothingToApply => ("HF5002", None, Exit::Usage),
            Self::Read { .. } | Self::Write { .. } | Self::NotAKey { .. } => ("HF5006", None, Exit::Failed),
            Self::Store(error) => (error.code(), None, Exit::Failed),
            Self::Export { .. } => ("HF4003", None, Exit::Failed),
            Self::Sign(error) => (error.code(), Some(error.fix().to_owned()), Exit::Failed),
            Self::OtherPlan(_) => ("HF2017", Some("holdfast approvals".to_owned()), Exit::Refused),
            Self::NoSuchObject { kind, .. } => ("HF5007", Some(format!("holdfast {kind} list")), Exit::Failed),
            Self::Refused(plan) => return refusal(&plan, message),
            Self::Output(_) | Self::Json(_) | Self::Yaml(_) | Self::Runtime(_) => ("HF5008", None, Exit::Failed),
        };
        Failure {
            code: code.to_owned(),
            message,
            fix,
            exit: exit as u8,
        }
    }
}

/// The message and its root cause, on one line. What lies between them says
/// how a library is made, not what went wrong.
fn with_root_cause(error: &Error) -> String {
    let Some(first) = error.source() else {
        return error.to_string();
    };
    let mut root = first;
    while let Some(deeper) = root.source() {
        root = deeper;
    }
    format!("{error}: {root}")
}

fn errors_in(errors: &ConfigErrors) -> String {
    match errors.iter().count() {
        1 => "an error".to_owned(),
        count => format!("{count} errors"),
    }
}

fn invalid(errors: &ConfigErrors, message: String) -> Failure {
    Failure {
        code: errors.code().to_string(),
        message,
        fix: None,
        exit: Exit::Failed as u8,
    }
}

/// What the first finding that refuses a plan says.
fn headline(plan: &Plan) -> &str {
    let refusing = plan
        .findings
        .iter()
        .find(|finding| finding.severity == Severity::Refuse);
    refusing.map_or("the plan is refused", |finding| finding.message.as_str())
}

fn refusal(plan: &Plan, message: String) -> Failure {
    let refusing = plan
        .findings
        .iter()
        .find(|finding| finding.severity == Severity::Refuse);
    Failure {
        code: refusing.map_or_else(|| "HF2000".to_owned(), |finding| finding.code.clone()),
        message,
        fix: refusing.and_then(|finding| finding.fix.clone()),
        exit: Exit::Refused as u8,
    }
}

/// A failure for people: what, then what there is to see of it or to do.
pub fn failure_text(failure: &Failure, drawing: Option<&str>, color: bool) -> String {
    let head = paint(color, Tone::Bad, &format!("error[{}]", failure.code));
    let mut text = format!("{head}: {}", plain(&failure.message));
    if let Some(drawing) = drawing {
        text.push('\n');
        text.push_str(drawing);
    } else if let Some(fix) = &failure.fix {
        text.push_str("\n  fix: ");
        text.push_str(&plain(fix));
    }
    text
}
