//! `holdfastd`: the daemon.

use std::process::ExitCode;

use clap::Parser as _;
use holdfast::daemon::{self, Arguments};

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
    arguments.log_format.install();
    match daemon::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("holdfastd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
