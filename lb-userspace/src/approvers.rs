//! Reads the approvers' file. What it says is judged elsewhere.

use std::{fs, path::Path};

use crate::{api::model::Failure, approval::Signers, config::Config, failure};

/// Who may approve under a configuration, as the file says now; nobody, where
/// it names no file.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn signers_of(config: &Config) -> Result<Signers, Failure> {
    let path = config.protection.approvals.approvers.as_deref();
    path.map_or_else(|| Ok(Signers::default()), read)
}

fn read(path: &Path) -> Result<Signers, Failure> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| failure::no_signers(&name, &error))?;
    Signers::parse(&text).map_err(|error| failure::bad_signers(&name, &error))
}
