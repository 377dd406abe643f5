//! `cargo xtask demo`: real connections through the balancer, in namespaces.

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{
    build,
    progress::{say, shown},
    workspace,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Do not draw; only report.
    #[arg(long)]
    headless: bool,
    /// How the scorecard is printed.
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Json,
}

impl Output {
    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    build::everything()?;
    play(arguments.headless, arguments.output)
}

/// The run for machines, of what has been built.
pub fn headless() -> Result<()> {
    play(true, Some(Output::Json))
}

fn play(headless: bool, output: Option<Output>) -> Result<()> {
    let demo = workspace::binary("holdfast-demo")?;
    let mut command = Command::new(&demo);
    if headless {
        command.arg("--headless");
    }
    if let Some(output) = output {
        command.args(["-o", output.name()]);
    }
    say(&format!("==> {}", shown(&command)));
    let status = command
        .status()
        .with_context(|| format!("starting {}", demo.display()))?;
    if !status.success() {
        bail!("the demo did not hold: {status}");
    }
    Ok(())
}
