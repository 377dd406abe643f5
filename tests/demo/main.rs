//! `holdfast-demo`: real connections through the real balancer, while it is
//! changed, refused, killed and restarted under them. Ends with a scorecard,
//! and with exit code 0 only if everything held.

mod acts;
mod dashboard;
mod drawing;
mod interrupt;
mod lock;
mod people;
mod preflight;
mod scorecard;
mod stage;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::{scorecard::Scorecard, stage::Stage};

/// Shows real connections through the balancer while it is changed under them.
#[derive(Clone, Debug, Parser)]
#[command(name = "holdfast-demo", version)]
struct Arguments {
    /// Do not draw; say in lines what happens.
    #[arg(long)]
    headless: bool,
    /// How the scorecard is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// How long the acts last together, about; without set-up and clean-up.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u16).range(20..=3600))]
    seconds: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Wrong usage (sysexits.h), as `holdfast` has it; clap's own would be 2.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(err) => {
            // Where there is nobody to read it, the exit code says it too.
            err.print().ok();
            return ExitCode::from(if err.use_stderr() { USAGE } else { 0 });
        }
    };
    let missing = preflight::missing();
    if !missing.is_empty() {
        for problem in missing {
            eprintln!("✗ {}\n    fix: {}", problem.what, problem.fix);
        }
        return ExitCode::FAILURE;
    }
    match perform(&arguments) {
        Ok(scorecard) => {
            match arguments.output {
                Output::Table => print!("{scorecard}"),
                Output::Json => println!("{:#}", scorecard.json()),
            }
            if scorecard.passed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Everything between the first namespace and the last clean-up.
fn perform(arguments: &Arguments) -> Result<Scorecard> {
    interrupt::listen()?;
    let draws = !arguments.headless && io::stdout().is_terminal();
    let mut stage = Stage::set(f64::from(arguments.seconds), draws)?;
    let result = acts::all(&mut stage);
    let mut scorecard = stage.strike()?;
    match result {
        Ok(acts) => scorecard.acts = acts,
        Err(err) if interrupt::happened() => {
            eprintln!("interrupted; everything is cleaned up");
            return Err(err);
        }
        Err(err) => return Err(err),
    }
    Ok(scorecard)
}
