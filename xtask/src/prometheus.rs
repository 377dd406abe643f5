//! Prometheus and promtool, which tests give the metrics and the alert rules to.
//! Out of Debian's package, which is unpacked into the cache and not installed:
//! that would start a server on this machine.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    packages,
    progress::{run_quiet, say},
    workspace,
};

const PACKAGE: &str = "prometheus";
const PROGRAMS: [&str; 2] = ["prometheus", "promtool"];

/// Fetches what is not in the cache yet. Where there is no such package, the test that
/// needs it fails, and no other.
pub fn ensure() -> Result<()> {
    let cache = workspace::cache()?.join(PACKAGE);
    let programs = cache.join("usr/bin");
    if PROGRAMS.iter().all(|name| programs.join(name).is_file()) {
        return Ok(());
    }
    if !packages::knows(PACKAGE)? {
        say(&format!(
            "    Debian's package {PACKAGE} is not to be had here: put prometheus and promtool into {}",
            programs.display()
        ));
        return Ok(());
    }
    say("    fetching prometheus: scrapes the daemon and reads the alert rules, in the tests of the level `netns`");
    let fetched = cache.join("fetched");
    fs::create_dir_all(&fetched).with_context(|| format!("creating {}", fetched.display()))?;
    let mut fetch = Command::new("apt-get");
    fetch.args(["download", PACKAGE]).current_dir(&fetched);
    run_quiet("prometheus-download", "apt-get download prometheus", &mut fetch)?;
    let package = newest(&fetched)?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(&package).arg(&cache);
    run_quiet("prometheus-unpack", "dpkg-deb --extract prometheus.deb", &mut unpack)?;
    fs::remove_dir_all(&fetched).with_context(|| format!("removing {}", fetched.display()))
}

fn newest(folder: &std::path::Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let packages = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let found = packages.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    found.max().context("apt-get downloaded nothing")
}
