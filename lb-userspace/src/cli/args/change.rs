//! Arguments of the commands that change something, or plan to.

use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args};

use crate::config::{ObjectName, seconds::Seconds};

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast plan -f config.yaml
  holdfast plan -f config.yaml --remove backend/web/be5 --out p.plan
  holdfast plan -f config.yaml --sample 5s
  holdfast plan -f config.yaml --detailed-exitcode || echo changes")]
pub struct Plan {
    #[command(flatten)]
    pub candidate: Candidate,
    /// Keep the plan in a file, for `holdfast apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Sample live packets for this time, at most 20s, and show what would become of them; 0s: none
    #[arg(long, value_name = "TIME")]
    pub sample: Option<Seconds>,
    /// Exit with 2 if there are changes
    #[arg(long, action = ArgAction::SetTrue)]
    pub detailed_exitcode: bool,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast preview p.plan
  holdfast preview 7f3a9c --sample 5s        a plan that waits for approvals
  holdfast preview p.plan -o json | jq .newDrops")]
pub struct Preview {
    /// The plan: its digest, or as much of it as names one that waits, or its file
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Sample live packets for this time, at most 20s, and show what would become of them; 0s: none
    #[arg(long, value_name = "TIME")]
    pub sample: Option<Seconds>,
}

/// A configuration and what may go missing in it.
#[derive(Clone, Debug, Args)]
pub struct Candidate {
    /// Configuration file; `-` is stdin
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// An object that may be missing: vip/NAME, pool/NAME or backend/POOL/NAME
    #[arg(long, value_name = "KIND/NAME", action = ArgAction::Append)]
    pub remove: Vec<ObjectName>,
}

#[derive(Clone, Debug, Args)]
#[command(
    group = ArgGroup::new("sides").args(["file", "from"]).required(true),
    before_help = "\
Examples:
  holdfast diff -f config.yaml        from what is served to the file
  holdfast diff --from 40 --to 41     between two generations
  holdfast diff --from 40             from a generation to what is served"
)]
pub struct Diff {
    /// Configuration file to compare with what is served; `-` is stdin
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Generation to compare from
    #[arg(long, value_name = "GENERATION")]
    pub from: Option<u64>,
    /// Generation to compare to; the running one if absent
    #[arg(long, value_name = "GENERATION", requires = "from", conflicts_with = "file")]
    pub to: Option<u64>,
}

/// A change that is taken back unless it is confirmed.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Trial {
    /// Take it back unless `holdfast confirm` comes within this time: 30s, 5m, 1h
    #[arg(long, value_name = "TIME")]
    pub confirm_within: Option<Seconds>,
    /// Wait until it is confirmed (exit 0) or taken back (exit 6)
    #[arg(long, action = ArgAction::SetTrue)]
    pub wait: bool,
}

#[derive(Clone, Debug, Args)]
#[command(
    group = ArgGroup::new("what").args(["plan", "file"]).required(true),
    before_help = "\
Examples:
  holdfast apply p.plan                      a plan made before, exactly as it was shown
  holdfast apply -f config.yaml -m 'add be7'
  holdfast apply -f config.yaml --remove vip/dns
  holdfast apply -f config.yaml --confirm-within 2m"
)]
pub struct Apply {
    /// Plan made by `holdfast plan --out`, or one that waits: its digest, or as
    /// much of it as names one
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Configuration file to plan and apply at once; `-` is stdin
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// An object that may be missing: vip/NAME, pool/NAME or backend/POOL/NAME
    #[arg(long, value_name = "KIND/NAME", action = ArgAction::Append, conflicts_with = "plan")]
    pub remove: Vec<ObjectName>,
    /// Sample live packets for this time, at most 20s, and apply nothing if some would be dropped; 0s: none
    #[arg(long, value_name = "TIME")]
    pub sample: Option<Seconds>,
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    #[command(flatten)]
    pub trial: Trial,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast rollback              to the generation before the running one
  holdfast rollback 40 -m 'be5 is slow'")]
pub struct Rollback {
    /// Generation whose content to serve again; the one before the running one if absent
    #[arg(value_name = "GENERATION")]
    pub generation: Option<u64>,
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    #[command(flatten)]
    pub trial: Trial,
}

#[derive(Clone, Debug, Args)]
pub struct Interfaces {
    /// Interfaces of the configuration
    #[arg(value_name = "INTERFACE", required = true)]
    pub interfaces: Vec<String>,
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    #[command(flatten)]
    pub trial: Trial,
}
