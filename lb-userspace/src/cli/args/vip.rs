//! Arguments of `holdfast vip`.

use clap::{ArgAction, Args, Subcommand};

/// What can be done with VIPs.
#[derive(Clone, Debug, Subcommand)]
pub enum VipObjects {
    /// List them all
    List,
    /// Show one
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Put it into service
    #[command(before_help = "Examples:\n  holdfast vip ready web4 -m 'the flood is over'")]
    Ready(WishedVip),
    /// Take it out of service at once: its packets are dropped
    #[command(before_help = "Examples:\n  holdfast vip maint web4 -m 'a flood from everywhere'")]
    Maint(WishedVip),
    /// Let the file say its state again
    #[command(before_help = "Examples:\n  holdfast vip reset web4")]
    Reset(WishedVip),
}

/// A VIP, and how its change is made.
#[derive(Clone, Debug, Args)]
pub struct WishedVip {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Show the plan, and change nothing
    #[arg(long, action = ArgAction::SetTrue)]
    pub plan: bool,
    /// Why, for the history
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
}
