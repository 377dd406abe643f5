//! Arguments of the commands that need no daemon.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use clap_complete::Shell;

#[derive(Clone, Debug, Subcommand)]
pub enum Config {
    /// Check a file and show every error with its place
    Check(ConfigCheck),
    /// Print the JSON Schema of the file
    #[command(before_help = "Examples:\n  holdfast config schema > holdfast.schema.json")]
    Schema,
    /// Print a first configuration to edit
    Init(ConfigInit),
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "Examples:\n  holdfast config check config.yaml && echo fine")]
pub struct ConfigCheck {
    /// Configuration file; `-` is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "Examples:\n  holdfast config init --environment lab --interface eth0 > config.yaml")]
pub struct ConfigInit {
    /// Name of the environment it is for
    #[arg(long, value_name = "NAME", default_value = "lab")]
    pub environment: String,
    /// Interface that packets for VIPs come in by
    #[arg(long, value_name = "INTERFACE", default_value = "eth0")]
    pub interface: String,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Export {
    /// Print alert rules for Prometheus
    PrometheusRules,
    /// Print a dashboard for Grafana
    Grafana,
    /// Print the API of the daemon as an OpenAPI 3.1 document
    Openapi,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast drill                                    with a configuration that is built in
  holdfast drill -f /etc/holdfast/config.yaml       with a copy of yours
  holdfast drill --only half-file --only killed
  holdfast drill --list")]
pub struct Drill {
    /// Configuration file to drill with a copy of; `-` is stdin
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Let only this accident happen; may be given again
    #[arg(long, value_name = "NAME", action = ArgAction::Append)]
    pub only: Vec<String>,
    /// List the accidents, and let none happen
    #[arg(long, action = ArgAction::SetTrue, conflicts_with_all = ["file", "only"])]
    pub list: bool,
    /// The daemon to start; by default the one beside this program
    #[arg(long, value_name = "PATH")]
    pub holdfastd: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast completions bash > /etc/bash_completion.d/holdfast
  source <(holdfast completions zsh)")]
pub struct Completions {
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast man | man -l -
  holdfast man --out /usr/share/man/man1")]
pub struct Man {
    /// Directory to write all pages to
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
