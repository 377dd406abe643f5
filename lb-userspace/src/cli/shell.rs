//! `holdfast completions` and `holdfast man`, made from the arguments.

use std::{fs, io, path::Path};

use clap::CommandFactory;
use clap_mangen::Man;

use super::{
    args::{self, Cli},
    error::{Error, Exit},
    terminal::Terminal,
};
use crate::daemon;

pub(super) fn completions(args: args::Completions, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    // Rendered first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "holdfast", &mut script);
    terminal.print_bytes(&script)?;
    Ok(Exit::Done)
}

pub(super) fn man(args: &args::Man, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    if let Some(directory) = &args.out {
        fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
            .and_then(|()| daemon_page(directory))
            .map_err(|source| Error::Write {
                path: directory.clone(),
                source,
            })?;
        terminal.say(&format!("wrote the manual pages to {}", directory.display()))?;
    } else {
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page).map_err(Error::Output)?;
        terminal.print_bytes(&page)?;
    }
    Ok(Exit::Done)
}

/// The daemon's page, in the section of what administrators run.
fn daemon_page(directory: &Path) -> io::Result<()> {
    let page = Man::new(daemon::Arguments::command()).section("8");
    page.render(&mut fs::File::create(directory.join("holdfastd.8"))?)
}
