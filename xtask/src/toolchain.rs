//! Which compiler builds the BPF programs. rustup ships no `core` for
//! `bpfel-unknown-none`, so there are two routes, in this order:
//!
//! 1. rustup's nightly with `rust-src`, which compiles `core` itself
//!    (`-Z build-std=core`);
//! 2. Debian's `rustc-web` with `libstd-rust-web-dev-bpf`, which has `core`
//!    prebuilt, next to rustup's stable compiler for everything else.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{linker, workspace};

/// The target of the BPF programs: little-endian, as every host we serve.
pub const TARGET: &str = "bpfel-unknown-none";
/// Where Debian's packages put their compiler.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A compiler that can build for [`TARGET`], and the major version of its LLVM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    pub route: Route,
    /// `bpf-linker` must be of the same major version to read its bitcode.
    pub llvm: u32,
}

/// Where the compiler came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// rustup's nightly and `rust-src`.
    Nightly,
    /// Debian's `rustc-web`.
    Debian,
}

impl Route {
    /// For the lines that say what is used.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Nightly => "rustup nightly, core from rust-src",
            Self::Debian => "Debian's rustc-web, core prebuilt",
        }
    }
}

/// The first route that is complete on this machine, and whose LLVM there is
/// a linker for.
pub fn find() -> Option<Compiler> {
    let fits = |compiler: &Compiler| linker::supports(compiler.llvm);
    nightly().filter(fits).or_else(|| debian().filter(fits))
}

fn nightly() -> Option<Compiler> {
    let sysroot = output(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]))?;
    let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs");
    if !core.is_file() {
        return None;
    }
    let version = output(Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]))?;
    Some(Compiler {
        route: Route::Nightly,
        llvm: llvm_major(&version)?,
    })
}

fn debian() -> Option<Compiler> {
    let sysroot = output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]))?;
    let target = PathBuf::from(sysroot.trim()).join("lib/rustlib").join(TARGET);
    if !target.is_dir() {
        return None;
    }
    let version = output(Command::new(DEBIAN_RUSTC).arg("-vV"))?;
    Some(Compiler {
        route: Route::Debian,
        llvm: llvm_major(&version)?,
    })
}

/// The major version in the line `LLVM version: 22.1.8` of `rustc -vV`.
fn llvm_major(version: &str) -> Option<u32> {
    let line = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.trim().parse().ok()
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// `cargo build` for [`TARGET`] by this compiler. Nothing of the surrounding
/// environment reaches it that is meant for the host's compiler.
pub fn cargo_build(compiler: &Compiler) -> anyhow::Result<Command> {
    let mut command = match compiler.route {
        Route::Nightly => {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly", "cargo", "build", "-Z", "build-std=core"]);
            command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
            command
        }
        Route::Debian => {
            let mut command = workspace::cargo()?;
            // aya-ebpf asks for `asm_experimental_arch`, which the stable
            // compiler knows but only admits to under this variable.
            command
                .arg("build")
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
            command
        }
    };
    command.current_dir(workspace::root()?).args(["--target", TARGET]);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PROFILE_") || text.starts_with("CARGO_TARGET_") {
            command.env_remove(&name);
        }
    }
    // Empty, not removed: an empty wrapper also overrides one from a
    // configuration file, and a cache would not know Debian's compiler.
    command.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
    command.env_remove("RUSTFLAGS").env_remove("CARGO_BUILD_RUSTFLAGS");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::llvm_major;

    #[test]
    fn llvm_major_is_read_from_the_verbose_version() {
        let version = "rustc 1.96.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_major(version), Some(22));
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }
}
