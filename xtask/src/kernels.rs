//! Kernels for virtual machines: Debian's packages of them, downloaded and
//! unpacked into `target/vm`, and not installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    packages,
    progress::{run_quiet, say},
    workspace,
};

/// Packages that depend on the newest kernel of a series. Release after release has
/// the first; the second is the next release's kernel where a release offers it.
const SERIES: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-6.12-cloud-amd64"];

/// What a machine needs beyond its kernel, in the order of loading.
const MODULES: [&str; 10] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "llc",
    "stp",
    "bridge",
    "veth",
];

/// Makes sure that `target/vm` has the kernels; `target/vm/RELEASE/{vmlinuz,modules}`.
pub fn for_tests() -> Result<()> {
    let folder = workspace::root()?.join("target/vm");
    if !packages::available() {
        bail!("kernels for virtual machines are Debian's packages, and this machine has no apt-get");
    }
    let mut releases = Vec::new();
    for series in SERIES {
        if let Some(package) = newest_of(series)? {
            releases.push(ensure_kernel(&folder, &package)?);
        }
    }
    ensure!(!releases.is_empty(), "no package named {SERIES:?} is offered here");
    remove_others(&folder, &releases)
}

/// What a newer package has replaced is not tested any more.
fn remove_others(folder: &Path, releases: &[String]) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !releases.iter().any(|release| entry.file_name() == release.as_str()) {
            fs::remove_dir_all(entry.path()).with_context(|| format!("removing {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// The kernel's own package: `linux-image-6.1.0-56-cloud-amd64`.
fn newest_of(series: &str) -> Result<Option<String>> {
    if !packages::knows(series)? {
        return Ok(None);
    }
    let output = Command::new("apt-cache")
        .args(["show", "--no-all-versions", series])
        .output()
        .context("running apt-cache")?;
    let shown = String::from_utf8(output.stdout)?;
    let package = depends_on(&shown).with_context(|| format!("{series} depends on no kernel:\n{shown}"))?;
    Ok(Some(package.to_owned()))
}

/// The first of `Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)`.
fn depends_on(shown: &str) -> Option<&str> {
    let line = shown.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    line.split([' ', ','])
        .next()
        .filter(|name| name.starts_with("linux-image-"))
}

/// Its release.
fn ensure_kernel(folder: &Path, package: &str) -> Result<String> {
    let release = package.trim_start_matches("linux-image-").to_owned();
    let there = folder.join(&release);
    if there.join("vmlinuz").is_file() {
        return Ok(release);
    }
    say(&format!(
        "    downloading {package}: boots virtual machines in the tests of the level `vm`; it is not installed"
    ));
    // Whole or not at all: what is made here is renamed at the end.
    let unfinished = folder.join(format!("{release}.unfinished"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    let files = unfinished.join("package");
    fs::create_dir_all(&files).with_context(|| format!("creating {}", files.display()))?;
    let mut download = Command::new("apt-get");
    download.args(["download", package]).current_dir(&unfinished);
    run_quiet(
        "apt-get-download",
        &format!("apt-get download {package}"),
        &mut download,
    )?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("-x").arg(archive_in(&unfinished)?).arg(&files);
    run_quiet("dpkg-deb", &format!("unpacking {package}"), &mut unpack)?;

    let made = unfinished.join("made");
    fs::create_dir_all(made.join("modules"))?;
    fs::copy(
        files.join("boot").join(format!("vmlinuz-{release}")),
        made.join("vmlinuz"),
    )
    .with_context(|| format!("{package} has no kernel"))?;
    take_modules(&files.join("lib/modules").join(&release), &made.join("modules"))?;
    fs::rename(&made, &there).with_context(|| format!("renaming to {}", there.display()))?;
    fs::remove_dir_all(&unfinished).with_context(|| format!("removing {}", unfinished.display()))?;
    Ok(release)
}

fn archive_in(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get downloaded nothing to {}", folder.display())
}

/// Copies the modules that are not part of the kernel itself, numbered.
fn take_modules(tree: &Path, to: &Path) -> Result<()> {
    let built_in = fs::read_to_string(tree.join("modules.builtin"))
        .with_context(|| format!("{} has no list of what is built in", tree.display()))?;
    for (nth, name) in MODULES.into_iter().enumerate() {
        let file = format!("{name}.ko");
        let target = to.join(format!("{nth:02}-{file}"));
        match find(tree, &file)? {
            Some(packed) if packed.extension().is_some_and(|extension| extension == "xz") => {
                let output = Command::new("xz")
                    .arg("-dc")
                    .arg(&packed)
                    .output()
                    .context("running xz")?;
                ensure!(output.status.success(), "xz -dc {}", packed.display());
                fs::write(&target, output.stdout)?;
            }
            Some(plain) => drop(fs::copy(plain, &target)?),
            None => ensure!(
                built_in.lines().any(|line| line.ends_with(&format!("/{file}"))),
                "the kernel in {} has no {name}",
                tree.display()
            ),
        }
    }
    Ok(())
}

/// `FILE` or `FILE.xz` anywhere below a folder.
fn find(folder: &Path, file: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(found) = find(&path, file)? {
                return Ok(Some(found));
            }
        } else if path
            .file_name()
            .is_some_and(|name| name == file || name == format!("{file}.xz").as_str())
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::depends_on;

    #[test]
    fn kernel_of_a_series_is_what_its_package_depends_on() {
        let shown = "Package: linux-image-cloud-amd64\nDepends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n";
        assert_eq!(depends_on(shown), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(depends_on("Package: a\nDepends: libc6, zlib1g\n"), None);
        assert_eq!(depends_on("Package: a\n"), None);
    }
}
