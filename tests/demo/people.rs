//! Who wants a change, and who approves it: real keys, made by `ssh-keygen`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// The first wants it; the others are asked.
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// People with a key each, all of whom may approve.
pub struct People {
    directory: PathBuf,
}

impl People {
    /// Makes their keys beside the file that names them.
    pub fn new(approvers: &Path) -> Result<Self> {
        let directory = approvers.parent().context("a file in a directory")?.to_owned();
        let people = Self { directory };
        let mut lines = String::new();
        for name in NAMES {
            let key = people.key(name);
            let mut command = Command::new("ssh-keygen");
            command
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
                .arg(&key);
            let made = command.status().context("running ssh-keygen")?;
            ensure!(made.success(), "ssh-keygen: {made}");
            let public = fs::read_to_string(key.with_extension("pub"))?;
            writeln!(lines, "{name} namespaces=\"holdfast-plan-v1\" {}", public.trim())?;
        }
        fs::write(approvers, lines).with_context(|| approvers.display().to_string())?;
        Ok(people)
    }

    /// Somebody's private key.
    pub fn key(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
