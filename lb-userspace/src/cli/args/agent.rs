//! Arguments of the agent's commands, which run on a backend.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::config::XdpMode;

#[derive(Clone, Debug, Subcommand)]
pub enum Agent {
    /// Attach the agent to an interface, or change whom it trusts
    #[command(before_help = "\
Examples:
  holdfast agent run --interface eth0 --from 10.255.0.0/16 --pin-dir /sys/fs/bpf/holdfast
  holdfast agent run --interface eth0 --from 10.255.0.0/16 --from fd00:ff::/64 --pin-dir P --mode generic")]
    Run(AgentRun),
}

#[derive(Clone, Debug, Args)]
pub struct AgentRun {
    /// Interface that encapsulated packets come in by
    #[arg(long, value_name = "INTERFACE")]
    pub interface: String,
    /// Prefix that balancers send from (their encapSource); may be given again
    #[arg(long, value_name = "PREFIX", required = true)]
    pub from: Vec<IpNet>,
    /// Directory in a bpffs for the agent's pins
    #[arg(long, value_name = "DIR")]
    pub pin_dir: PathBuf,
    /// Where in the kernel it runs; never replaced silently
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Mode::Native)]
    pub mode: Mode,
}

/// [`XdpMode`] as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// In the driver
    Native,
    /// In the network stack
    Generic,
}

impl From<Mode> for XdpMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
        }
    }
}
