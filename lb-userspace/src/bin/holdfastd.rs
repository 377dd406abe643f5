//! `holdfastd`: the daemon.

use std::{io::IsTerminal as _, process::ExitCode};

use clap::Parser as _;
use holdfast::daemon::{self, Arguments};
use tracing_subscriber::EnvFilter;

/// Usage errors; clap's own 2 means "changes present" here.
const USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nobody to tell if this fails.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let filter = EnvFilter::try_from_env("HOLDFAST_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match daemon::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("holdfastd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
