//! Where things are, and the commands of cargo as xtask calls them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The root of the checkout: the parent of this package.
pub fn root() -> Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").context("not started by cargo: type `cargo xtask …`")?;
    let root = Path::new(&package)
        .parent()
        .context("this package has no parent folder")?;
    Ok(root.to_path_buf())
}

/// What is fetched or built once and kept for all checkouts: `~/.cache/holdfast`, or
/// under `XDG_CACHE_HOME`.
pub fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    Ok(base.join("holdfast"))
}

/// Where cargo put this program, and so where it puts `holdfastd` and the
/// demo: right whatever `CARGO_TARGET_DIR` says.
pub fn binary(name: &str) -> Result<PathBuf> {
    built(own()?.with_file_name(name))
}

/// The same of the release profile, whose folder is beside that of ours.
pub fn release_binary(name: &str) -> Result<PathBuf> {
    let own = own()?;
    let profiles = own
        .ancestors()
        .nth(2)
        .context("this program is in no profile's folder")?;
    built(profiles.join("release").join(name))
}

fn own() -> Result<PathBuf> {
    env::current_exe().context("finding the path of this program")
}

fn built(path: PathBuf) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("{} was not built", path.display());
    }
    Ok(path)
}

/// Cargo, working on the checkout for the host.
pub fn cargo() -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()?);
    for name in inherited_from_cargo() {
        command.env_remove(name);
    }
    Ok(command)
}

/// Variables that `cargo run` set for this program. Build scripts ask cargo
/// to run again when they change, so a nested cargo must not see them.
fn inherited_from_cargo() -> impl Iterator<Item = String> {
    env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

/// Finds a command as a shell would, and in the folders of administrators,
/// which Debian leaves out of the `PATH` of other users.
pub fn find_command(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Whether the effective user is root, as the kernel tells it.
pub fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| effective_uid(&status) == Some(0))
}

/// The second number of `Uid: real effective saved filesystem` (proc(5)).
fn effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::effective_uid;

    #[test]
    fn effective_uid_is_the_second_number() {
        let status = "Name:\txtask\nUid:\t1000\t0\t1000\t1000\nGid:\t4\t5\t6\t7\n";
        assert_eq!(effective_uid(status), Some(0));
        assert_eq!(effective_uid("Name:\txtask\n"), None);
    }
}
