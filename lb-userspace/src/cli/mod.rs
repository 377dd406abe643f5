//! The command line: `args` is what can be typed, each module of a command asks
//! the daemon and prints, and `terminal` is where.
//!
//! Nothing here decides about a change: plans are made, judged and applied by
//! the daemon.

mod agent;
pub mod args;
mod backend;
mod bpf;
mod candidate;
mod change;
mod config;
mod diff;
mod doctor;
mod drill;
mod error;
mod export;
mod history;
mod journal;
mod lock;
mod objects;
mod preview;
mod recover;
mod shell;
mod status;
mod terminal;
mod text;
mod top;
mod trial;
mod vip;
mod why;

#[cfg(test)]
mod tests;

use std::{io, process::ExitCode};

use clap::Parser;

use self::{
    args::{Cli, Command},
    error::{Error, Exit, failure_text},
    terminal::Terminal,
};
use crate::api::{
    client::Client,
    model::{Document, Failure},
};

/// The whole of `holdfast`.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => {
            // Not locked: a progress bar draws on stderr from its own thread.
            let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
            let mut terminal = Terminal::of_process(&cli.globals, &mut stdout, &mut stderr);
            ExitCode::from(run(&cli, &mut terminal))
        }
        Err(error) => usage(&error),
    }
}

/// Help and versions are answers; everything else is a usage error. (clap would
/// exit with 2, which means "changes present" here.)
fn usage(error: &clap::Error) -> ExitCode {
    let exit = usage_exit(error);
    match error.print() {
        Ok(()) => exit.into(),
        Err(_) => Exit::Failed.into(),
    }
}

fn usage_exit(error: &clap::Error) -> Exit {
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// Runs a command to its end; its exit code.
fn run(cli: &Cli, terminal: &mut Terminal<'_>) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(execute(cli, terminal)),
        Err(error) => Err(Error::Runtime(error)),
    };
    conclude(ended, &cli.command, terminal)
}

/// An error becomes talk on stderr and, where documents are printed, a
/// `Failure` on stdout.
fn conclude(ended: Result<Exit, Error>, command: &Command, terminal: &mut Terminal<'_>) -> u8 {
    let error = match ended {
        Ok(exit) => return exit as u8,
        Err(error) if error.is_broken_pipe() => return Exit::Done as u8,
        Err(error) => error,
    };
    let drawing = error.drawing(terminal.err.color, terminal.width);
    let mut failure = error.into_failure();
    if matches!(command, Command::Diff(_)) {
        // 1 means "different" there.
        failure.exit = failure.exit.max(diff::TROUBLE);
    }
    let exit = failure.exit;
    match report(failure, drawing.as_deref(), terminal) {
        // There is nowhere left to say anything.
        Ok(()) | Err(_) => exit,
    }
}

fn report(failure: Failure, drawing: Option<&str>, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    terminal.say(&failure_text(&failure, drawing, terminal.err.color))?;
    terminal.document(&Document::new(failure))
}

async fn execute(cli: &Cli, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let client = || Client::new(&cli.globals.socket);
    match &cli.command {
        Command::Status => status::status(&client()?, terminal).await,
        Command::Plan(args) => change::plan(args, &client()?, terminal).await,
        Command::Preview(args) => preview::preview(args, &client()?, terminal).await,
        Command::Diff(args) => diff::diff(args, &client()?, terminal).await,
        Command::Apply(args) => change::apply(args, &client()?, terminal).await,
        Command::Confirm => trial::confirm(&client()?, terminal).await,
        Command::Abort => trial::abort(&client()?, terminal).await,
        Command::Rollback(args) => change::rollback(args, &client()?, terminal).await,
        Command::Attach(args) => change::attach(args, &client()?, terminal).await,
        Command::Detach(args) => change::detach(args, &client()?, terminal).await,
        Command::Approve(args) => lock::approve(args, &client()?, terminal).await,
        Command::Reject(args) => lock::reject(args, &client()?, terminal).await,
        Command::Withdraw(args) => lock::withdraw(args, &client()?, terminal).await,
        Command::Approvals => lock::approvals(&client()?, terminal).await,
        Command::Hold(args) => lock::hold(args, &client()?, terminal).await,
        Command::Resume => lock::resume(&client()?, terminal).await,
        Command::BreakGlass(args) => lock::break_glass(args, &client()?, terminal).await,
        Command::Recover(args) => recover::recover(*args, &client()?, terminal).await,
        Command::Undelete(args) => lock::undelete(args, &client()?, terminal).await,
        Command::Wipe(args) => lock::wipe(args, &client()?, terminal).await,
        Command::WhyRefused(args) => lock::why_refused(args, &client()?, terminal).await,
        Command::History => history::history(&client()?, terminal).await,
        Command::Show(args) => history::show(args, &client()?, terminal).await,
        Command::Vip { command } => vip::vip(command, &client()?, terminal).await,
        Command::Pool { command } => objects::pools(command, &client()?, terminal).await,
        Command::Backend { command } => backend::backend(command, &client()?, terminal).await,
        Command::Why(args) => why::why(args, &client()?, terminal).await,
        Command::Config { command } => config::config(command, terminal),
        Command::Bpf { command } => bpf::bpf(*command, &client()?, terminal).await,
        Command::Journal { command } => journal::journal(command, client, terminal).await,
        Command::Agent { command } => agent::agent(command, terminal),
        Command::Export { what } => export::export(*what, terminal),
        Command::Top(args) => top::top(*args, &client()?, terminal).await,
        Command::Drill(args) => drill::drill(args, terminal).await,
        Command::Doctor(args) => doctor::doctor(args, &client()?, terminal).await,
        Command::Completions(args) => shell::completions(*args, terminal),
        Command::Man(args) => shell::man(args, terminal),
    }
}
