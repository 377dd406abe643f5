//! Everything a contributor types: `cargo xtask setup · build · run · demo ·
//! test · bench · dist · ci · tidy`.
//!
//! Each command runs whatever set-up is missing first. Progress goes to
//! standard error, so that standard output holds results only (the scorecard
//! of `demo -o json`, the figures of `bench`, the last line of `test`).

mod bench;
mod build;
mod ci;
mod demo;
mod dist;
mod kernels;
mod linker;
mod packages;
mod progress;
mod prometheus;
mod run;
mod setup;
mod test;
mod tidy;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The one build tool of Holdfast.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what building and running need; says what and why before it does.
    Setup,
    /// Build the BPF objects, then the daemon, the command line and the tests.
    Build {
        /// With a log line for every packet, which the daemon shows at
        /// `HOLDFAST_LOG=debug`. For the lab: it is slow.
        #[arg(long)]
        trace: bool,
    },
    /// Build, then serve on this host: `holdfastd --config FILE …`.
    Run(run::Arguments),
    /// Build, then balance real connections in network namespaces.
    Demo(demo::Arguments),
    /// Build, then run every level of tests, and end with one line of totals.
    Test(test::Arguments),
    /// Build with full optimisation, then measure what packets, changes and
    /// memory cost, beside the goals.
    Bench(bench::Arguments),
    /// Build with full optimisation, then make a tarball and a Debian package.
    Dist(dist::Arguments),
    /// What a merge needs: format, lints, documents, tidy, demo, tests.
    Ci,
    /// Check the rules of the repository that neither rustc nor clippy knows.
    Tidy,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        // These two end with their own last line, whatever happens.
        Command::Test(arguments) => return test::run(&arguments),
        Command::Ci => return ci::run(),
        Command::Setup => setup::ensure()
            .and_then(|_| kernels::for_tests())
            .and_then(|()| prometheus::ensure()),
        Command::Build { trace } => build::everything_with(trace),
        Command::Run(arguments) => run::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Dist(arguments) => dist::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Tidy => tidy::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
