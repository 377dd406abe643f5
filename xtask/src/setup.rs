//! `cargo xtask setup`: makes sure that everything the other commands need is
//! there, and is quick and silent about what is.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};

use crate::{
    linker,
    packages::{self, Package},
    progress::{run_quiet, say},
    toolchain::{self, Compiler},
    workspace::find_command,
};

/// What building the BPF programs takes.
#[derive(Debug)]
pub struct Tools {
    pub compiler: Compiler,
    pub linker: PathBuf,
}

/// Installs what is missing. When nothing is, one line says so.
pub fn ensure() -> Result<Tools> {
    let missing = packages::missing_commands();
    if !missing.is_empty() {
        say("setup: commands are missing");
        packages::install(&missing)?;
    }
    let found = toolchain::find();
    let had_compiler = found.is_some();
    let compiler = match found {
        Some(compiler) => compiler,
        None => install_compiler()?,
    };
    let (linker, built_linker) = linker::ensure(compiler.llvm)?;
    if missing.is_empty() && had_compiler && !built_linker {
        say("setup: everything is there");
    } else {
        say("setup: complete");
    }
    Ok(Tools { compiler, linker })
}

/// Debian's packages first, because they bring a released compiler with the
/// LLVM that belongs to it; rustup's nightly where there are none.
fn install_compiler() -> Result<Compiler> {
    say("setup: no compiler on this machine has `core` for BPF");
    if packages::knows("libstd-rust-web-dev-bpf")? {
        packages::install(&[
            Package::new("rustc-web", "compiles the BPF programs, beside rustup's compiler"),
            Package::new(
                "libstd-rust-web-dev-bpf",
                "is `core` for BPF, which rustup does not ship",
            ),
        ])?;
    } else if find_command("rustup").is_some() {
        install_nightly()?;
    } else {
        bail!("neither Debian's package rustc-web nor rustup is here; one of them must compile the BPF programs");
    }
    match toolchain::find() {
        Some(compiler) => Ok(compiler),
        None => bail!("the installed compiler still cannot build for {}", toolchain::TARGET),
    }
}

fn install_nightly() -> Result<()> {
    say("    installing rustup's nightly with rust-src: compiles the BPF programs and `core` for them");
    let mut command = Command::new("rustup");
    command.args([
        "toolchain",
        "install",
        "nightly",
        "--profile",
        "minimal",
        "--component",
        "rust-src",
    ]);
    run_quiet(
        "rustup-nightly",
        "rustup toolchain install nightly --component rust-src",
        &mut command,
    )
}
