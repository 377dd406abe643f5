//! What can be typed: the arguments, and the help made from them.

mod agent;
mod backend;
mod change;
mod lock;
mod look;
mod offline;
mod recover;
mod vip;
mod watch;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub use agent::{Agent, AgentRun, Mode};
pub use backend::{BackendObjects, Drain, Weight, Wished};
pub use change::{Apply, Diff, Interfaces, Plan, Preview, Rollback, Trial};
pub use lock::{Approve, BreakGlass, Hold, Reject, Undelete, WhyRefused, Wipe};
pub use look::{BackendPath, Bpf, Journal, JournalExport, JournalVerify, Objects, Show, Why};
pub use offline::{Completions, Config, ConfigCheck, ConfigInit, Drill, Export, Man};
pub use recover::Recover;
pub use vip::{VipObjects, WishedVip};
pub use watch::{Doctor, Top};

/// Controls the Holdfast load balancer of this host.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "holdfast",
    version,
    subcommand_required = true,
    arg_required_else_help = false,
    disable_help_subcommand = true,
    before_help = "\
Examples:
  holdfast status                          what is served, and by which program
  holdfast plan -f config.yaml             what a configuration would change
  holdfast apply -f config.yaml -m 'why'   show the plan, then apply it
  holdfast why 198.51.100.7 40000 203.0.113.10 443 tcp",
    after_help = "\
Exit codes: 0 done, or no change; 1 failed; 2 changes present (--detailed-exitcode);
3 refused; 4 stale plan; 5 daemon unreachable; 6 applied and rolled back;
7 permission denied; 64 usage. `diff` follows diff(1): 0 same, 1 different."
)]
pub struct Cli {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Socket of the daemon
    #[arg(long, global = true, value_name = "PATH", default_value = DEFAULT_SOCKET, env = "HOLDFAST_SOCKET")]
    pub socket: PathBuf,
    /// What to print on stdout
    #[arg(short, long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Short for -o json
    #[arg(short = 'j', long = "json", global = true, action = ArgAction::SetTrue, conflicts_with = "output")]
    pub json: bool,
    /// Print no colors (NO_COLOR in the environment does the same)
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub no_color: bool,
}

/// Where the daemon serves unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/holdfast/holdfastd.sock";

impl Globals {
    #[must_use]
    pub const fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// What stdout holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text and tables for people
    Table,
    /// The same with more columns
    Wide,
    /// One document of the API; pretty on a terminal, else one line
    Json,
    /// The same document as YAML
    Yaml,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Show what is served and whether it is in sync
    #[command(before_help = "Examples:\n  holdfast status\n  holdfast status -o json | jq .inSync")]
    Status,
    /// Show what a configuration would change, and change nothing
    Plan(Plan),
    /// Run packets through what is served and through what a plan would serve
    Preview(Preview),
    /// Compare a configuration with what is served, or two generations
    Diff(Diff),
    /// Apply a plan, or plan a configuration and apply that
    Apply(Apply),
    /// Keep the generation that is on trial
    #[command(before_help = "Examples:\n  holdfast apply -f config.yaml --confirm-within 2m && holdfast confirm")]
    Confirm,
    /// Take back the generation that is on trial
    #[command(before_help = "Examples:\n  holdfast abort")]
    Abort,
    /// Apply an earlier generation's content as a new generation
    Rollback(Rollback),
    /// Approve a plan that waits, with your signature
    Approve(Approve),
    /// Refuse somebody's plan that waits
    #[command(before_help = "Examples:\n  holdfast reject 7f3a9c -m 'not on a Friday'")]
    Reject(Reject),
    /// Take your own plan back that waits
    #[command(before_help = "Examples:\n  holdfast withdraw 7f3a9c -m 'the wrong VIP'")]
    Withdraw(Reject),
    /// List the plans that wait for approvals
    #[command(before_help = "Examples:\n  holdfast approvals\n  holdfast approvals -o json | jq .plans")]
    Approvals,
    /// Freeze changes; health and next hops are followed
    Hold(Hold),
    /// Take changes again
    #[command(before_help = "Examples:\n  holdfast resume")]
    Resume,
    /// Open the lock for a while, in an emergency
    BreakGlass(BreakGlass),
    /// End read-only: put the store right, from what the kernel serves
    Recover(Recover),
    /// Serve again what was removed
    Undelete(Undelete),
    /// Serve nothing any more
    Wipe(Wipe),
    /// Explain what stands against a plan, and who may override it
    WhyRefused(WhyRefused),
    /// List the generations, newest first
    #[command(before_help = "Examples:\n  holdfast history\n  holdfast history -o json | jq '.generations[0]'")]
    History,
    /// Show a generation, or a plan in a file
    Show(Show),
    /// List or show VIPs, or take one out of service
    #[command(before_help = "\
Examples:
  holdfast vip list
  holdfast vip show web4
  holdfast vip maint web4 -m 'a flood'   drop its packets
  holdfast vip ready web4
  holdfast vip reset web4                as the file says")]
    Vip {
        #[command(subcommand)]
        command: VipObjects,
    },
    /// List or show pools
    #[command(before_help = "Examples:\n  holdfast pool list\n  holdfast pool show web")]
    Pool {
        #[command(subcommand)]
        command: Objects,
    },
    /// List, show, drain or reweight backends
    #[command(before_help = "\
Examples:
  holdfast backend list
  holdfast backend show web/be1
  holdfast backend drain web/be1 --deadline 30m --wait
  holdfast backend ready web/be1
  holdfast backend weight web/be1 50
  holdfast backend reset web/be1        as the file says")]
    Backend {
        #[command(subcommand)]
        command: BackendObjects,
    },
    /// Put the program back on interfaces of the configuration
    #[command(before_help = "Examples:\n  holdfast attach lb0")]
    Attach(Interfaces),
    /// Take the program off interfaces; their packets then pass by it
    #[command(before_help = "Examples:\n  holdfast detach lb1 -m 'replacing the cable'")]
    Detach(Interfaces),
    /// Ask the kernel what it does with a packet, and why
    Why(Why),
    /// Check a configuration file, or make a new one
    Config {
        #[command(subcommand)]
        command: Config,
    },
    /// Look at the programs and maps in the kernel
    Bpf {
        #[command(subcommand)]
        command: Bpf,
    },
    /// Look at the journal of changes, check it, take it elsewhere
    Journal {
        #[command(subcommand)]
        command: Journal,
    },
    /// Run the agent, on a backend
    Agent {
        #[command(subcommand)]
        command: Agent,
    },
    /// Print what other programs take
    #[command(before_help = "Examples:\n  holdfast export prometheus-rules > /etc/prometheus/rules.d/holdfast.yaml")]
    Export {
        #[command(subcommand)]
        what: Export,
    },
    /// Watch VIPs, backends and drops as they are now
    Top(Top),
    /// Look for what is wrong with this host, and how to put it right
    Doctor(Doctor),
    /// Let accidents happen to a balancer of your own configuration, in namespaces
    Drill(Drill),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page, or write one for each command
    Man(Man),
}
