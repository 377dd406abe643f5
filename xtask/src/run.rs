//! `cargo xtask run`: the daemon on this host, from a checkout.

use std::{os::unix::process::CommandExt, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{build, progress::say, workspace};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration to serve.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Further arguments of holdfastd: --state-dir, --socket, --pin-dir.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    further: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    build::everything()?;
    let daemon = workspace::binary("holdfastd")?;
    say(&format!(
        "==> {} --config {}",
        daemon.display(),
        arguments.config.display()
    ));
    // Replaced, not started: signals reach the daemon as if typed at it.
    let error = Command::new(&daemon)
        .arg("--config")
        .arg(&arguments.config)
        .args(&arguments.further)
        .exec();
    Err(error).with_context(|| format!("starting {}", daemon.display()))
}
