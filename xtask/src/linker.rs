//! bpf-linker: turns rustc's bitcode into a BPF object. It must be linked
//! against the same major version of LLVM as the compiler, so it is built
//! here (crates.io has the source only), once, into a cache outside
//! `target/` that survives `cargo clean` and is shared by all checkouts.
//!
//! Version 0.13.0 knows the LLVM of both routes as a feature (`llvm-21`,
//! `llvm-22`, `llvm-23`; see `cargo info bpf-linker@0.13.0`). rustup does not
//! ship LLVM's development files, so the nightly route needs them from the
//! system as well, in the version that `rustc +nightly -vV` states.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    packages::{self, Package},
    progress::{run_quiet, say},
    workspace,
};

const VERSION: &str = "0.13.0";
/// Names a bpf-linker to use as it is, for machines where none can be built
/// (its releases are also published as binaries). Its LLVM must be as new as
/// the compiler's.
const OVERRIDE: &str = "BPF_LINKER";

/// Whether bpf-linker 0.13.0 has a feature for this major version of LLVM.
pub const fn supports(llvm: u32) -> bool {
    matches!(llvm, 21..=23)
}

/// The linker for compilers of this LLVM version, built if it is not there.
/// The second value says whether anything had to be installed.
pub fn ensure(llvm: u32) -> Result<(PathBuf, bool)> {
    if let Some(given) = env::var_os(OVERRIDE).map(PathBuf::from) {
        if !works(&given) {
            bail!("{OVERRIDE} names {}, which does not start", given.display());
        }
        return Ok((given, false));
    }
    let cache = cache(llvm)?;
    let path = cache.join("bin/bpf-linker");
    if works(&path) {
        return Ok((path, false));
    }
    let prefix = llvm_prefix(llvm)?;
    say(&format!(
        "    installing bpf-linker {VERSION} for LLVM {llvm} into {}: it links the BPF programs (a few minutes, once)",
        cache.display()
    ));
    fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
    build(llvm, &prefix, &cache)?;
    if !works(&path) {
        bail!("{} was built but does not start", path.display());
    }
    Ok((path, true))
}

/// A linker whose libLLVM was removed is as good as none, so it is started.
fn works(linker: &Path) -> bool {
    let started = Command::new(linker)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    started.is_ok_and(|status| status.success())
}

/// `bpf-linker-VERSION-llvm-N` in the cache.
fn cache(llvm: u32) -> Result<PathBuf> {
    Ok(workspace::cache()?.join(format!("bpf-linker-{VERSION}-llvm-{llvm}")))
}

/// Where LLVM's `llvm-config` and libraries are, installed if they are not.
fn llvm_prefix(llvm: u32) -> Result<PathBuf> {
    if let Some(prefix) = env::var_os("LLVM_PREFIX").map(PathBuf::from)
        && is_llvm(&prefix, llvm)
    {
        return Ok(prefix);
    }
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
    if !is_llvm(&prefix, llvm) {
        if !packages::available() {
            bail!(
                "bpf-linker needs the development files of LLVM {llvm}: install them and set LLVM_PREFIX to \
                 their folder, or set {OVERRIDE} to a released bpf-linker"
            );
        }
        let why = "bpf-linker is linked against the LLVM of the compiler for BPF";
        packages::install(&[Package::new(format!("llvm-{llvm}-dev"), why)])?;
    }
    if !is_llvm(&prefix, llvm) {
        bail!("{} holds no LLVM {llvm}", prefix.display());
    }
    Ok(prefix)
}

fn is_llvm(prefix: &Path, llvm: u32) -> bool {
    let version = Command::new(prefix.join("bin/llvm-config")).arg("--version").output();
    version.is_ok_and(|output| output.stdout.starts_with(format!("{llvm}.").as_bytes()))
}

fn build(llvm: u32, prefix: &Path, cache: &Path) -> Result<()> {
    let search = env::var_os("PATH").unwrap_or_default();
    let search = [prefix.join("bin")].into_iter().chain(env::split_paths(&search));
    let mut command = workspace::cargo()?;
    command
        .args(["install", "bpf-linker", "--locked", "--version", VERSION])
        .args(["--no-default-features", "--features", &format!("llvm-{llvm}"), "--root"])
        .arg(cache)
        .env("LLVM_PREFIX", prefix)
        .env("PATH", env::join_paths(search).context("extending PATH")?)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run_quiet("bpf-linker", "building bpf-linker", &mut command)
}
