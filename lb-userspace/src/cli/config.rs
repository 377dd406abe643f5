//! `holdfast config check|schema|init`: nothing here asks the daemon.

use super::{
    args,
    candidate::Candidate,
    error::{Error, Exit},
    terminal::Terminal,
};
use crate::config;

pub(super) fn config(command: &args::Config, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    match command {
        args::Config::Check(args) => {
            let candidate = Candidate::check(&args.file)?;
            terminal.say(&format!("{}: every rule holds", candidate.file))?;
        }
        args::Config::Schema => {
            let schema = serde_json::to_string_pretty(&config::schema()).map_err(Error::Json)?;
            terminal.print(&schema)?;
        }
        args::Config::Init(args) => terminal.print(&config::sample(&args.environment, &args.interface))?,
    }
    Ok(Exit::Done)
}
