//! `cargo xtask dist`: what is installed on hosts, as a tarball and as a Debian
//! package, both made from one tree. Pages, completions, schema and the sample
//! configuration are what the built command line itself prints.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    build,
    progress::{run_quiet, say, shown},
    workspace::{self, find_command},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Package the development build: quick to make, slow to run.
    #[arg(long)]
    dev: bool,
    /// Revision of the package, after the version: what Debian orders by.
    #[arg(long, value_name = "N", default_value_t = 1)]
    revision: u32,
    /// Where the packages go [default: target/dist, of development builds target/dist/dev].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What was made.
#[derive(Debug)]
pub struct Packages {
    pub tarball: PathBuf,
    /// None: there is no dpkg-deb on this machine.
    pub deb: Option<PathBuf>,
}

/// A file of the repository and where it is installed, below the root.
const ASSETS: [(&str, &str); 10] = [
    (
        "lb-userspace/packaging/systemd/holdfastd.service",
        "usr/lib/systemd/system",
    ),
    (
        "lb-userspace/packaging/systemd/holdfast-agent@.service",
        "usr/lib/systemd/system",
    ),
    (
        "lb-userspace/packaging/systemd/run-bpf-holdfast.mount",
        "usr/lib/systemd/system",
    ),
    ("lb-userspace/packaging/sysusers.d/holdfast.conf", "usr/lib/sysusers.d"),
    ("README.md", "usr/share/doc/holdfast"),
    ("ARCHITECTURE.md", "usr/share/doc/holdfast"),
    ("BENCHMARKS.md", "usr/share/doc/holdfast"),
    ("CHANGELOG.md", "usr/share/doc/holdfast"),
    ("LICENSE-MIT", "usr/share/doc/holdfast"),
    ("LICENSE-APACHE", "usr/share/doc/holdfast"),
];

/// What `holdfast` prints, and where it is installed.
const PRINTED: [(&[&str], &str); 6] = [
    (
        &["completions", "bash"],
        "usr/share/bash-completion/completions/holdfast",
    ),
    (&["completions", "zsh"], "usr/share/zsh/vendor-completions/_holdfast"),
    (
        &["completions", "fish"],
        "usr/share/fish/vendor_completions.d/holdfast.fish",
    ),
    (&["config", "schema"], "usr/share/holdfast/config.schema.json"),
    (&["export", "openapi"], "usr/share/holdfast/openapi.json"),
    (&["config", "init"], "usr/share/doc/holdfast/examples/config.yaml"),
];

pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.dev {
        build::everything()?;
    } else {
        build::release()?;
    }
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => folder(arguments.dev)?,
    };
    let packages = make(arguments.dev, arguments.revision, &out)?;
    println!("{}", packages.tarball.display());
    if let Some(deb) = &packages.deb {
        println!("{}", deb.display());
    } else {
        say("no dpkg-deb on this machine: only the tarball was made");
    }
    Ok(())
}

/// The packages that tests install: two revisions of the development build.
pub fn for_tests() -> Result<()> {
    let out = folder(true)?;
    (1..=2).try_for_each(|revision| make(true, revision, &out).map(drop))
}

fn folder(dev: bool) -> Result<PathBuf> {
    let folder = workspace::root()?.join("target/dist");
    Ok(if dev { folder.join("dev") } else { folder })
}

/// Makes both packages of binaries that are built.
pub fn make(dev: bool, revision: u32, out: &Path) -> Result<Packages> {
    let binary = if dev {
        workspace::binary
    } else {
        workspace::release_binary
    };
    let (command, daemon) = (binary("holdfast")?, binary("holdfastd")?);
    let version = format!("{}-{revision}", version(&daemon)?);
    let name = format!("holdfast_{version}_{}", architecture()?);
    let tree = out.join(&name);
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    }
    stage(&tree, &command, &daemon)?;
    let tarball = tar(out, &name)?;
    let deb = match find_command("dpkg-deb") {
        Some(_) => Some(deb(out, &name, &tree, &version)?),
        None => None,
    };
    fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    Ok(Packages { tarball, deb })
}

/// Everything that is installed, below `tree` as below `/`.
fn stage(tree: &Path, command: &Path, daemon: &Path) -> Result<()> {
    let root = workspace::root()?;
    install(daemon, &tree.join("usr/sbin/holdfastd"), 0o755)?;
    install(command, &tree.join("usr/bin/holdfast"), 0o755)?;
    for binary in ["usr/sbin/holdfastd", "usr/bin/holdfast"] {
        run_quiet(
            "strip",
            &format!("removing debug information from {binary}"),
            Command::new("strip").arg("--strip-debug").arg(tree.join(binary)),
        )?;
    }
    for (source, folder) in ASSETS {
        let source = root.join(source);
        let file = source.file_name().context("an asset is a file")?;
        install(&source, &tree.join(folder).join(file), 0o644)?;
    }
    for entry in fs::read_dir(root.join("docs")).context("reading docs")? {
        let page = entry?.path();
        let file = page.file_name().context("a page is a file")?;
        install(&page, &tree.join("usr/share/doc/holdfast/docs").join(file), 0o644)?;
    }
    for (words, place) in PRINTED {
        let printed = printed(command, words)?;
        write(&tree.join(place), &printed, 0o644)?;
    }
    pages(tree, command)
}

/// Manual pages, by section: those of the command are in 1, the daemon's in 8.
fn pages(tree: &Path, command: &Path) -> Result<()> {
    let all = tree.join("pages");
    printed(command, &["man", "--out", &all.to_string_lossy()])?;
    for entry in fs::read_dir(&all).context("reading the manual pages")? {
        let page = entry?.path();
        let section = page.extension().context("a page has a section")?.to_owned();
        let file = page.file_name().context("a page is a file")?;
        let folder = tree
            .join("usr/share/man")
            .join(format!("man{}", section.to_string_lossy()));
        install(&page, &folder.join(file), 0o644)?;
    }
    fs::remove_dir_all(&all).context("removing the pages' folder")
}

/// The same bytes for the same tree: sorted, of nobody, without a time.
fn tar(out: &Path, name: &str) -> Result<PathBuf> {
    let tarball = out.join(format!("{name}.tar.gz"));
    let mut command = Command::new("tar");
    command
        .args([
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mtime=@0",
            "-czf",
        ])
        .arg(&tarball)
        .arg("-C")
        .arg(out)
        .arg(name);
    run_quiet("tar", &format!("writing {}", tarball.display()), &mut command)?;
    Ok(tarball)
}

fn deb(out: &Path, name: &str, tree: &Path, version: &str) -> Result<PathBuf> {
    let control = tree.join("DEBIAN");
    let scripts = workspace::root()?.join("lb-userspace/packaging/debian");
    for script in ["postinst", "prerm", "postrm"] {
        install(&scripts.join(script), &control.join(script), 0o755)?;
    }
    let text = format!(
        "Package: holdfast\n\
         Version: {version}\n\
         Architecture: {}\n\
         Maintainer: Holdfast <holdfast@localhost>\n\
         Section: net\n\
         Priority: optional\n\
         Depends: {}, systemd (>= 247)\n\
         Recommends: bpftool, iproute2\n\
         Description: layer-4 load balancer that cannot be wiped by accident\n \
         An XDP program hashes flows to backends in the fast path of the network card; a\n \
         daemon validates every change and swaps the program's maps atomically.\n",
        architecture()?,
        libraries(tree)?,
    );
    write(&control.join("control"), text.as_bytes(), 0o644)?;
    let package = out.join(format!("{name}.deb"));
    let mut command = Command::new("dpkg-deb");
    command
        .args(["--root-owner-group", "-Zgzip", "--build"])
        .arg(tree)
        .arg(&package);
    run_quiet("dpkg-deb", &format!("writing {}", package.display()), &mut command)?;
    Ok(package)
}

/// The libraries the binaries were linked with; of libc the newest symbol they
/// use says which one is needed.
fn libraries(tree: &Path) -> Result<String> {
    let mut newest = (2, 0);
    for binary in ["usr/sbin/holdfastd", "usr/bin/holdfast"] {
        let mut command = Command::new("objdump");
        command.arg("-T").arg(tree.join(binary));
        let symbols = output(&mut command)?;
        newest = glibc(&String::from_utf8_lossy(&symbols)).fold(newest, Ord::max);
    }
    ensure!(newest > (2, 0), "the binaries name no version of libc");
    Ok(format!("libc6 (>= {}.{}), libgcc-s1", newest.0, newest.1))
}

/// The versions in `GLIBC_2.34` and the like.
fn glibc(symbols: &str) -> impl Iterator<Item = (u32, u32)> + '_ {
    symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let mut parts = rest[..end].split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    })
}

/// `holdfastd 0.1.0` → `0.1.0`.
fn version(daemon: &Path) -> Result<String> {
    let said = printed(daemon, &["--version"])?;
    let said = String::from_utf8(said).context("a version is text")?;
    let version = said.split_whitespace().nth(1).context("holdfastd says no version")?;
    Ok(version.to_owned())
}

/// As Debian calls it.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("no packages are made for {other}"),
    }
}

fn printed(program: &Path, words: &[&str]) -> Result<Vec<u8>> {
    output(Command::new(program).args(words))
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {}", shown(command)))?;
    ensure!(output.status.success(), "{}: {}", shown(command), output.status);
    Ok(output.stdout)
}

fn install(source: &Path, place: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(source).with_context(|| format!("reading {}", source.display()))?;
    write(place, &bytes, mode)
}

fn write(place: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    fs::write(place, bytes)
        .and_then(|()| fs::set_permissions(place, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("writing {}", place.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ASSETS, glibc};

    #[test]
    fn every_asset_is_in_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (source, _) in ASSETS {
            assert!(root.join(source).is_file(), "{source}");
        }
    }

    #[test]
    fn newest_symbol_names_the_libc() {
        let symbols = "0 DF *UND* 0 (GLIBC_2.2.5) free\n0 DF *UND* 0 (GLIBC_2.34) dlsym\n0 (GLIBC_2.9) pipe2\n";
        assert_eq!(glibc(symbols).max(), Some((2, 34)));
        assert_eq!(glibc("GLIBC_PRIVATE").next(), None);
    }
}
