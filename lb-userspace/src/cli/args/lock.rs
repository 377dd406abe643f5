//! Arguments of the commands of the approval lock.

use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args};

use super::Trial;
use crate::config::{ObjectName, seconds::Seconds};

#[derive(Clone, Debug, Args)]
#[command(
    group = ArgGroup::new("how").args(["key", "agent", "signature", "out"]).required(true),
    before_help = "\
Examples:
  holdfast approve 7f3a9c --key ~/.ssh/id_ed25519
  holdfast approve p.plan --agent
  holdfast approve 7f3a9c --out p.plan && ssh-keygen -Y sign -n holdfast-plan-v1 -f KEY p.plan
  holdfast approve p.plan --signature p.plan.sig"
)]
pub struct Approve {
    /// The plan: its digest, or as much of it as names one that waits, or its file
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Sign with the private key in this file
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Sign with a key of the ssh-agent: its fingerprint or public key; without
    /// one, the only key there that may approve
    #[arg(long, value_name = "KEY", num_args = 0..=1, default_missing_value = "")]
    pub agent: Option<String>,
    /// Hand in a signature that ssh-keygen made
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,
    /// Write what is to be signed to this file, and sign nothing
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Say that the plan is yours: for authors who are root, and nobody knows who that is
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "out")]
    pub as_author: bool,
}

/// Of `reject` and of `withdraw`.
#[derive(Clone, Debug, Args)]
pub struct Reject {
    /// The plan: its digest, or as much of it as names one that waits, or its file
    #[arg(value_name = "PLAN")]
    pub plan: String,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "Examples:\n  holdfast hold -m 'until the other site is well again'")]
pub struct Hold {
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast break-glass -m 'INC-4711: be1 to be4 answer garbage, nobody else is awake'
  holdfast break-glass --end")]
pub struct BreakGlass {
    /// Why; it is in the journal, in `status` and in the log
    #[arg(short, long, value_name = "TEXT", required_unless_present = "end")]
    pub message: Option<String>,
    /// For how long the lock is open: at most 4h
    #[arg(long, value_name = "TIME", default_value = "15m")]
    pub within: Seconds,
    /// Shut it again
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "message")]
    pub end: bool,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast undelete vip/dns
  holdfast undelete backend/web/be5 -m 'it was the wrong one'")]
pub struct Undelete {
    /// What was removed: vip/NAME, pool/NAME or backend/POOL/NAME
    #[arg(value_name = "KIND/NAME", required = true)]
    pub objects: Vec<ObjectName>,
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    #[command(flatten)]
    pub trial: Trial,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "Examples:\n  holdfast wipe --environment lab -m 'this host is given away'")]
pub struct Wipe {
    /// The environment of this host, typed by somebody who means it
    #[arg(long, value_name = "NAME")]
    pub environment: String,
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    #[command(flatten)]
    pub trial: Trial,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "Examples:\n  holdfast why-refused p.plan")]
pub struct WhyRefused {
    /// The plan: its digest, or as much of it as names one that waits, or its file
    #[arg(value_name = "PLAN")]
    pub plan: String,
}
