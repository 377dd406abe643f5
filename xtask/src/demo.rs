//! `cargo xtask demo`: real connections through the balancer, in namespaces.

use std::process::{Command, Stdio};

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
    let mut command = command(true, None)?;
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    say(&format!("==> {}", shown(&command)));
    let output = command.output().with_context(|| starting(&command))?;
    let scorecard = String::from_utf8_lossy(&output.stdout);
    println!("{scorecard}");
    if !output.status.success() {
        bail!("the demo did not hold: {}{}", output.status, problems(&scorecard));
    }
    Ok(())
}

fn play(headless: bool, output: Option<Output>) -> Result<()> {
    let mut command = command(headless, output)?;
    say(&format!("==> {}", shown(&command)));
    let status = command.status().with_context(|| starting(&command))?;
    if !status.success() {
        bail!("the demo did not hold: {status}");
    }
    Ok(())
}

fn command(headless: bool, output: Option<Output>) -> Result<Command> {
    let mut command = Command::new(workspace::binary("holdfast-demo")?);
    if headless {
        command.arg("--headless");
    }
    if let Some(output) = output {
        command.args(["-o", output.name()]);
    }
    Ok(command)
}

fn starting(command: &Command) -> String {
    format!("starting {}", shown(command))
}

/// What did not hold, as the scorecard marks it.
fn problems(scorecard: &str) -> String {
    let marked = scorecard.lines().filter(|line| line.trim_start().starts_with('✗'));
    marked.flat_map(|line| ["\n", line]).collect()
}

#[cfg(test)]
mod tests {
    use super::problems;

    #[test]
    fn problems_of_a_scorecard_are_told_and_without_one_there_are_none() {
        let scorecard = "SCORECARD\n ✓ one\n ✗ two\n     ✗ because\n";
        assert_eq!(problems(scorecard), "\n ✗ two\n     ✗ because");
        assert_eq!(problems("thread 'main' panicked"), "");
    }
}
