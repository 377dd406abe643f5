//! An accident: what happens, and what has to become of it.

use std::time::Duration;

use super::{error::Result, scene::Scene};

/// What has to become of an accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Every command is refused, with one of these codes or what they begin with.
    Refused(&'static [&'static str]),
    /// All is whole again within this, counted from the accident.
    Healed(Duration),
    /// Goes on serving what it served, and takes no changes, until `recover`: then
    /// all is whole again.
    ReadOnly(Duration),
}

/// When packets may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Never.
    None,
    /// Between the accident and its healing: the kernel has nothing to forward
    /// with.
    UntilHealed,
    /// As long as it lasts: what failed is not the balancer.
    NotOurs,
}

/// One line of the corpus.
#[derive(Clone, Copy, Debug)]
pub struct Accident {
    /// For `--only`.
    pub name: &'static str,
    /// For people.
    pub what: &'static str,
    pub expected: Expected,
    pub window: Window,
    /// A change that was asked for, and takes nothing away, may be served
    /// afterwards.
    pub may_move: bool,
    pub happen: fn(&mut Scene) -> Result<()>,
}

impl Accident {
    /// Everything is refused.
    pub const fn refused(
        name: &'static str,
        what: &'static str,
        codes: &'static [&'static str],
        happen: fn(&mut Scene) -> Result<()>,
    ) -> Self {
        Self::of(name, what, Expected::Refused(codes), happen)
    }

    /// All is whole again within so many milliseconds.
    pub const fn healed(
        name: &'static str,
        what: &'static str,
        within_ms: u64,
        happen: fn(&mut Scene) -> Result<()>,
    ) -> Self {
        Self::of(name, what, Expected::Healed(Duration::from_millis(within_ms)), happen)
    }

    /// The daemon serves on, read-only until `recover`.
    pub const fn read_only(name: &'static str, what: &'static str, happen: fn(&mut Scene) -> Result<()>) -> Self {
        Self::of(name, what, Expected::ReadOnly(RESTARTED), happen)
    }

    pub const fn of(
        name: &'static str,
        what: &'static str,
        expected: Expected,
        happen: fn(&mut Scene) -> Result<()>,
    ) -> Self {
        Self {
            name,
            what,
            expected,
            window: Window::None,
            may_move: false,
            happen,
        }
    }

    /// The same with packets lost at times.
    #[must_use]
    pub const fn losing(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// The same with a change that was asked for.
    #[must_use]
    pub const fn moving(self) -> Self {
        Self { may_move: true, ..self }
    }
}

/// What the sentinel mends, it mends within a second; looking takes its time,
/// too.
pub const MENDED_MS: u64 = 2_000;
/// A daemon that was killed, or started upon something strange, is ready within
/// this on a busy host.
pub const RESTARTED_MS: u64 = 20_000;
const RESTARTED: Duration = Duration::from_millis(RESTARTED_MS);

impl Expected {
    /// For the table.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Refused(codes) => format!("refused: {}", codes.join(", ")),
            Self::Healed(within) => format!("whole within {} s", within.as_secs()),
            Self::ReadOnly(_) => "read-only, whole by recover".to_owned(),
        }
    }

    /// How long is waited for it.
    #[must_use]
    pub const fn patience(self) -> Duration {
        match self {
            Self::Refused(_) => Duration::from_secs(5),
            Self::Healed(within) | Self::ReadOnly(within) => within,
        }
    }
}

impl Window {
    /// For the document and the table.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::UntilHealed => "until healed",
            Self::NotOurs => "while it lasts",
        }
    }
}
