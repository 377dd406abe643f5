//! `cargo xtask tidy`: rules of the repository that neither rustc nor clippy
//! knows. Every rule is a pure function of texts, in `rules`, `verdicts` and
//! `promises`;
//! this file reads the texts.

mod promises;
mod rules;
mod source;
mod verdicts;

#[cfg(test)]
mod tests;

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::Path,
};

use anyhow::{Context, Result, bail};

use crate::{progress::say, workspace};

/// Folders that hold nothing anybody wrote.
const IGNORED_FOLDERS: [&str; 2] = ["target", ".git"];
/// Kinds of files that are read.
const EXTENSIONS: [&str; 7] = ["rs", "md", "toml", "yaml", "yml", "sh", "json"];
/// Files without an extension that are read.
const NAMES: [&str; 2] = ["run", ".gitignore"];

/// A text of the repository.
struct File {
    /// Relative to the root, with slashes.
    path: String,
    text: String,
}

impl File {
    fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == extension)
    }
}

/// A rule that is broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Violation {
    path: String,
    /// Counted from 1.
    line: usize,
    message: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

pub fn run() -> Result<()> {
    let mut files = Vec::new();
    collect(&workspace::root()?, "", &mut files)?;
    let mut found: Vec<Violation> = files.iter().flat_map(rules::check).collect();
    found.extend(verdicts::check(&files));
    found.extend(promises::check(&files));
    for violation in &found {
        println!("{violation}");
    }
    if !found.is_empty() {
        bail!("{} violations", found.len());
    }
    say(&format!("tidy: {} files keep the rules", files.len()));
    Ok(())
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().with_context(|| format!("looking at {path}"))?;
        if kind.is_dir() && !IGNORED_FOLDERS.contains(&name.as_str()) {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() && is_read(&name) {
            let text = fs::read_to_string(entry.path()).with_context(|| format!("reading {path}"))?;
            files.push(File { path, text });
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(())
}

fn is_read(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    NAMES.contains(&name) || extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}
