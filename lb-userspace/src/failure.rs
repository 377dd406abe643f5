//! From what went wrong inside to what the API says: code, sentence, next
//! command, exit code. The one place where errors become text for people.

mod lock;
mod sqlite;

use std::{error::Error, io, path::Path};

use crate::{
    api::{model::Failure, socket::BindError},
    clock::Now,
    confirm::OnTrial,
    layout,
    neighbours::NetlinkError,
    plan::{Finding, WishError, code::Code, policy},
    publish::PublishError,
    rehearsal::Objection,
    revision::RevisionError,
    store::StoreError,
};

pub use self::lock::*;

/// Exit codes of the command line that failures carry.
const FAILED: u8 = 1;
const REFUSED: u8 = 3;
const STALE: u8 = 4;
const ROLLED_BACK: u8 = 6;
const DENIED: u8 = 7;
const USAGE: u8 = 64;

/// A sentence with all its causes.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = sqlite::words(error).unwrap_or_else(|| error.to_string());
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

fn failure(code: &str, exit: u8, message: String, fix: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        message,
        fix: Some(fix.to_owned()),
        exit,
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let message = format!("{}. Nothing was changed.", chain(&error));
        match error {
            PublishError::Kernel(_) => failure("HF3001", FAILED, message, "see the daemon's log, then apply again"),
            PublishError::NoSlots => failure("HF3002", FAILED, message, "use fewer pools"),
            PublishError::Rehearsal(source) if source.downcast_ref().is_some_and(Objection::is_drops) => failure(
                "HF3020",
                REFUSED,
                message,
                "holdfast backend list: is there a next hop for one of the pool's backends?",
            ),
            PublishError::Rehearsal(_) => failure(
                "HF3003",
                FAILED,
                message,
                "report this: the program does not do what the plan says",
            ),
        }
    }
}

/// What a preview has against a plan, as the apply would say it.
#[must_use]
pub fn of_preview(objection: Objection) -> Failure {
    PublishError::Rehearsal(Box::new(objection)).into()
}

/// Previews are made one at a time, and with pauses.
#[must_use]
pub fn previews_wait() -> Failure {
    let message = "another preview is under way, or was just now: the daemon has other things to do, too".to_owned();
    failure("HF3021", FAILED, message, "ask again in a few seconds")
}

impl From<RevisionError> for Failure {
    fn from(error: RevisionError) -> Self {
        failure(
            "HF3004",
            FAILED,
            format!("{error}. Nothing was changed."),
            "change less at once",
        )
    }
}

impl From<crate::vips::VipTableError> for Failure {
    fn from(error: crate::vips::VipTableError) -> Self {
        failure(
            "HF3005",
            FAILED,
            format!("{}. Nothing was changed.", chain(&error)),
            "use fewer VIPs",
        )
    }
}

impl From<crate::kernel::KernelError> for Failure {
    fn from(error: crate::kernel::KernelError) -> Self {
        failure("HF3001", FAILED, chain(&error), "see the daemon's log")
    }
}

impl From<layout::NotARoot> for Failure {
    fn from(error: layout::NotARoot) -> Self {
        failure("HF3006", FAILED, chain(&error), "holdfast bpf dump")
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        let fix = "see who removes or makes files there; systemctl restart holdfastd interrupts no traffic";
        failure("HF5001", FAILED, chain(&error), fix)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = format!("{}. Nothing was changed.", chain(&error));
        let fix = match &error {
            StoreError::Directory { path, .. } | StoreError::OpenToAll { path } => {
                format!("ls -ld {}; correct it, then: holdfast recover", path.display())
            }
            StoreError::File { path, .. } => format!(
                "ls -l {0}; df -h {0}; correct it, then: holdfast recover",
                path.parent().unwrap_or(path).display()
            ),
            StoreError::Sqlite(_) => "df -h and dmesg say what the disk of the state directory has; holdfast status \
                                      says whether changes are taken"
                .to_owned(),
            StoreError::InUse { path } => {
                format!("fuser {} says who: stop it, then: holdfast recover", path.display())
            }
            StoreError::Journal(_) | StoreError::Projections | StoreError::Content { .. } => {
                "holdfast journal verify".to_owned()
            }
            StoreError::Newer { .. } => "start the holdfastd that wrote it".to_owned(),
            StoreError::OutOfOrder(_) => "report this, with the output of: holdfast journal list".to_owned(),
            StoreError::EmptyFile { .. }
            | StoreError::NotAStore { .. }
            | StoreError::Link { .. }
            | StoreError::Damaged { .. }
            | StoreError::FailedCheck { .. }
            | StoreError::Length { .. }
            | StoreError::AlteredSchema { .. }
            | StoreError::LeftOver { .. }
            | StoreError::Older { .. }
            | StoreError::OtherHost { .. } => "holdfast recover".to_owned(),
            StoreError::Key(_) => "holdfast doctor".to_owned(),
        };
        failure(error.code(), FAILED, message, &fix)
    }
}

impl From<NetlinkError> for Failure {
    fn from(error: NetlinkError) -> Self {
        failure(
            "HF3007",
            FAILED,
            format!("the kernel's network configuration: {}", chain(&error)),
            "see the daemon's log",
        )
    }
}

impl From<policy::Stale> for Failure {
    fn from(stale: policy::Stale) -> Self {
        let exit = match stale {
            policy::Stale::Environment { .. } => REFUSED,
            policy::Stale::Generation { .. } | policy::Stale::Content { .. } => STALE,
        };
        failure(
            stale.code().as_str(),
            exit,
            format!("{stale}. Nothing was changed."),
            "plan again: holdfast plan -f FILE",
        )
    }
}

impl From<WishError> for Failure {
    fn from(error: WishError) -> Self {
        let (code, exit, fix) = match error {
            WishError::NoBackend { .. } => ("HF5007", FAILED, "holdfast backend list"),
            WishError::NoVip { .. } => ("HF5007", FAILED, "holdfast vip list"),
            WishError::NotAVip(_) => ("HF5002", USAGE, "holdfast vip --help"),
            WishError::NotABackend(_) | WishError::Weight(_) => ("HF5002", USAGE, "holdfast backend --help"),
            WishError::Deadline { .. } => (
                "HF5002",
                USAGE,
                "name a shorter one, or raise the pool's `drain.deadline` in the file",
            ),
        };
        failure(code, exit, format!("{error}. Nothing was changed."), fix)
    }
}

impl From<policy::Altered> for Failure {
    fn from(altered: policy::Altered) -> Self {
        let message = format!("{altered}. Nothing was changed.");
        failure(
            altered.code().as_str(),
            REFUSED,
            message,
            "plan again: holdfast plan -f FILE",
        )
    }
}

/// The digest in the request is not the plan's.
#[must_use]
pub fn digest_mismatch() -> Failure {
    let message = "the digest sent with the plan is not the plan's. Nothing was changed.".to_owned();
    failure(
        Code::Altered.as_str(),
        REFUSED,
        message,
        "plan again: holdfast plan -f FILE",
    )
}

/// Findings that refuse a plan.
#[must_use]
pub fn refused(refusals: &[&Finding]) -> Failure {
    let mut message: Vec<&str> = refusals.iter().map(|finding| finding.message.as_str()).collect();
    message.dedup();
    if !message.iter().any(|text| text.contains("Nothing was changed")) {
        message.push("Nothing was changed.");
    }
    Failure {
        code: refusals
            .first()
            .map_or_else(String::new, |finding| finding.code.clone()),
        message: message.join(" "),
        fix: refusals.iter().find_map(|finding| finding.fix.clone()),
        exit: REFUSED,
    }
}

/// The daemon takes no changes now.
#[must_use]
pub fn read_only(reason: &str) -> Failure {
    let message = format!("the daemon is read-only: {reason}. Nothing was changed.");
    failure(
        Code::ReadOnly.as_str(),
        REFUSED,
        message,
        "holdfast status says what is wrong; holdfast recover puts the store right",
    )
}

/// Nothing is served that a store could be rebuilt from.
#[must_use]
pub fn nothing_to_recover_from(reason: Option<&str>) -> Failure {
    let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    failure(
        "HF3022",
        FAILED,
        format!("the daemon does not know what the kernel serves{why}. Nothing was changed."),
        "put a backup of the state directory in its place, and start the daemon again",
    )
}

/// A store that was of no use is out of the way, and the new one is not whole.
#[must_use]
pub fn half_recovered(error: &StoreError, aside: Option<&str>) -> Failure {
    let aside = aside.map_or_else(String::new, |aside| format!("; the store before is kept in {aside}"));
    failure(
        error.code(),
        FAILED,
        format!(
            "the new store could not be filled: {}. What is served is as it was{aside}.",
            chain(error)
        ),
        "correct that, then: holdfast recover",
    )
}

/// The hash key in use cannot be compared with its file, or written into it.
#[must_use]
pub fn hash_key(path: &Path, source: &io::Error) -> Failure {
    failure(
        "HF3023",
        FAILED,
        format!("the hash key file {}: {source}", path.display()),
        "make the file's directory writable for the daemon; then: holdfast recover",
    )
}

/// Another plan while a generation is on trial.
#[must_use]
pub fn on_trial(trial: &OnTrial, now: Now) -> Failure {
    let message = format!(
        "generation {} of {} is on trial until {}: no other plan is taken before it is confirmed or taken back. \
         Nothing was changed.",
        trial.generation,
        trial.author,
        trial.term.until(now)
    );
    failure(
        Code::OnTrial.as_str(),
        REFUSED,
        message,
        "holdfast confirm, or holdfast abort",
    )
}

/// Nothing is to be confirmed.
#[must_use]
pub fn no_trial() -> Failure {
    let message = "no generation is on trial. Nothing was changed.".to_owned();
    failure(Code::NoTrial.as_str(), FAILED, message, "holdfast history")
}

/// It is being taken back.
#[must_use]
pub fn too_late(trial: &OnTrial) -> Failure {
    let over = match &trial.worse {
        Some(worse) => format!("generation {} is worse than before ({worse})", trial.generation),
        None => format!(
            "the {} s to confirm generation {} are over",
            trial.term.within, trial.generation
        ),
    };
    let message = format!("{over}: generation {} is served again", trial.term.back_to);
    failure(
        Code::TrialOver.as_str(),
        ROLLED_BACK,
        message,
        "holdfast history; apply it again",
    )
}

/// A file without any content.
#[must_use]
pub fn empty(file: &str, serving: usize) -> Failure {
    let message = format!("{file} is empty: the candidate has 0 VIPs; {serving} are serving. Nothing was changed.");
    failure(
        Code::Empty.as_str(),
        REFUSED,
        message,
        "look at the file; holdfast config init writes a sample",
    )
}

/// Nothing is served yet, or not that.
#[must_use]
pub fn absent(what: &str) -> Failure {
    failure("HF5004", FAILED, format!("there is no {what}"), "holdfast history")
}

/// The text of a request is not a configuration.
#[must_use]
pub fn bad_configuration(text: String) -> Failure {
    failure("HF1000", FAILED, text, "holdfast config check FILE")
}

/// The request itself makes no sense.
#[must_use]
pub fn bad_request(message: String) -> Failure {
    failure("HF5002", USAGE, message, "holdfast help")
}
