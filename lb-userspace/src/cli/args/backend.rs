//! Arguments of `holdfast backend`.

use clap::{ArgAction, Args, Subcommand, value_parser};

use super::look::BackendPath;
use crate::config::{Seconds, limits::MAX_WEIGHT};

/// What can be done with backends.
#[derive(Clone, Debug, Subcommand)]
pub enum BackendObjects {
    /// List them all, pool by pool
    List,
    /// Show one
    Show {
        /// Its pool and its name
        #[arg(value_name = "POOL/NAME")]
        path: BackendPath,
    },
    /// Give it no new connections; those it has end by themselves
    Drain(Drain),
    /// Put it into service; ends a drain
    #[command(before_help = "Examples:\n  holdfast backend ready web/be2 -m 'the new kernel is in'")]
    Ready(Wished),
    /// Take it out of service at once; its connections break
    #[command(before_help = "Examples:\n  holdfast backend maint web/be2 -m 'it answers garbage'")]
    Maint(Wished),
    /// Set its weight
    Weight(Weight),
    /// Let the file say its state and weight again
    #[command(before_help = "Examples:\n  holdfast backend reset web/be2")]
    Reset(Wished),
}

/// A backend, and how its change is made.
#[derive(Clone, Debug, Args)]
pub struct Wished {
    /// Its pool and its name
    #[arg(value_name = "POOL/NAME")]
    pub path: BackendPath,
    /// Show the plan, and change nothing
    #[arg(long, action = ArgAction::SetTrue)]
    pub plan: bool,
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast backend drain web/be2 -m 'a new kernel'
  holdfast backend drain web/be2 --deadline 30m --wait && ssh be2 reboot
  holdfast backend ready web/be2             ends the drain")]
pub struct Drain {
    #[command(flatten)]
    pub wished: Wished,
    /// End connections that are still open after this time, such as 30m; the pool's `drain` holds, too
    #[arg(long, value_name = "TIME")]
    pub deadline: Option<Seconds>,
    /// Wait until it has no connections any more: exit 0; exit 1 if the deadline ended some
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "plan")]
    pub wait: bool,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast backend weight web/be2 50
  holdfast backend weight web/be2 50 --plan   show what it would move")]
pub struct Weight {
    #[command(flatten)]
    pub wished: Wished,
    /// Share of the pool's flows, relative to the others
    #[arg(value_name = "WEIGHT", value_parser = value_parser!(u32).range(0..=i64::from(MAX_WEIGHT)))]
    pub weight: u32,
}
