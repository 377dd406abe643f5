//! Builds the BPF objects, then everything of user space that embeds them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    progress::{run_shown, say},
    setup::{self, Tools},
    toolchain::{self, TARGET},
    workspace,
};

/// Programs of lb-ebpf: the balancer, the agent on a backend, the guard, the traffic
/// generator and sink of the test rig, and the benchmark's wrapper and floors.
const OBJECTS: [&str; 5] = ["balancer", "agent", "guard", "rig", "bench"];

/// Builds of the balancer for tests of upgrades, by their feature: each is
/// `balancer-FEATURE.o`.
const VARIANTS: [&str; 3] = ["later", "refused", "relaid"];

/// Flags for rustc beside the linker's path.
const RUSTC_FLAGS: [&str; 2] = [
    // Without BTF the loader refuses the object: "no BTF parsed for object".
    "-Clink-arg=--btf",
    // Headers lie at odd offsets in a frame, and the kernel of every machine
    // we serve loads them whole. Given to the linker, which generates the
    // code; rustc would only warn that the feature is unstable.
    "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
];

/// What of the release profile the programs need otherwise: full debug
/// information, which BTF is made from, and no unwinding.
const PROFILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "false"),
];

/// The BPF objects and the whole workspace, with its set-up.
pub fn everything() -> Result<()> {
    everything_with(false)
}

/// The same; with `trace` the programs log every packet.
pub fn everything_with(trace: bool) -> Result<()> {
    let tools = setup::ensure()?;
    objects(&tools, trace)?;
    // xtask itself is left out: it runs, and it is built with fewer features
    // so that it is there within seconds.
    relaid()?;
    let mut command = workspace::cargo()?;
    command.args(["build", "--workspace", "--exclude", "xtask"]);
    run_shown("building the daemon, the command line and the test rig", &mut command)
}

/// `target/debug/holdfastd-relaid`: the daemon with maps of another layout, for tests
/// of upgrades. Before the usual one, which takes its place under the usual name; of
/// the whole workspace, so that dependencies have the same features and are built
/// once.
fn relaid() -> Result<()> {
    let mut command = workspace::cargo()?;
    command.args(["build", "--workspace", "--exclude", "xtask"]);
    command.args(["--features", "lb-userspace/relaid", "--bin", "holdfastd"]);
    // A few tests run it, and nobody times it: half the time to build.
    command.args(["--config", "profile.dev.package.lb-userspace.opt-level=0"]);
    run_shown("building the daemon with another layout, for tests", &mut command)?;
    let debug = workspace::root()?.join("target/debug");
    let (built, kept) = (debug.join("holdfastd"), debug.join("holdfastd-relaid"));
    // Not over it: it may run, and cargo's own file must not be a link to it.
    let draft = debug.join("holdfastd-relaid.new");
    fs::copy(&built, &draft).with_context(|| format!("copying {}", built.display()))?;
    fs::rename(&draft, &kept).with_context(|| format!("making {}", kept.display()))
}

/// The BPF objects, then the benchmark as it is meant to run: what it measures
/// of user space needs full optimisation.
pub fn bench() -> Result<()> {
    objects(&setup::ensure()?, false)?;
    let mut command = workspace::cargo()?;
    command.args([
        "build",
        "--release",
        "--package",
        "holdfast-tests",
        "--bin",
        "holdfast-bench",
    ]);
    run_shown("building the benchmark (a few minutes the first time)", &mut command)
}

/// The BPF objects, then the daemon and the command line as they are installed.
pub fn release() -> Result<()> {
    objects(&setup::ensure()?, false)?;
    let mut command = workspace::cargo()?;
    command.args(["build", "--release", "--package", "lb-userspace", "--bins"]);
    run_shown(
        "building what is installed (a few minutes the first time)",
        &mut command,
    )
}

/// `target/bpf/{balancer,agent,rig,bench}.o`.
fn objects(tools: &Tools, trace: bool) -> Result<()> {
    for feature in VARIANTS {
        compile(tools, &["balancer"], &[feature])?;
        install(&built("balancer")?, &object(&format!("balancer-{feature}"))?)?;
    }
    let features: &[&str] = if trace { &["trace"] } else { &[] };
    compile(tools, &OBJECTS, features)?;
    for name in OBJECTS {
        install(&built(name)?, &object(name)?)?;
    }
    Ok(())
}

/// Where cargo puts a program.
fn built(name: &str) -> Result<PathBuf> {
    let directory = workspace::root()?.join("target/bpf-build");
    Ok(directory.join(TARGET).join("release").join(name))
}

fn compile(tools: &Tools, programs: &[&str], features: &[&str]) -> Result<()> {
    let mut flags = vec![format!("-Clinker={}", tools.linker.display())];
    flags.extend(RUSTC_FLAGS.map(String::from));

    let mut command = toolchain::cargo_build(&tools.compiler)?;
    command
        .args(["--package", "lb-ebpf", "--release", "--target-dir"])
        .arg(workspace::root()?.join("target/bpf-build"));
    for program in programs {
        command.args(["--bin", program]);
    }
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    // The unit separator keeps a path with spaces in one piece.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).envs(PROFILE);
    let which = features
        .first()
        .map_or_else(String::new, |feature| format!(", {feature}"));
    let title = format!("building the BPF programs ({}{which})", tools.compiler.route.describe());
    run_shown(&title, &mut command)
}

/// Where lb-userspace's and the tests' build scripts look for an object.
fn object(name: &str) -> Result<PathBuf> {
    Ok(workspace::root()?.join("target/bpf").join(format!("{name}.o")))
}

/// Copies an object if it changed: an equal one keeps its time stamp, so that
/// cargo does not compile again what embeds it.
fn install(source: &Path, destination: &Path) -> Result<()> {
    let fresh = fs::read(source).with_context(|| format!("reading {}", source.display()))?;
    let size = fresh.len().div_ceil(1024);
    if fs::read(destination).is_ok_and(|present| present == fresh) {
        say(&format!("    {} is up to date ({size} KiB)", destination.display()));
        return Ok(());
    }
    if let Some(folder) = destination.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    fs::write(destination, fresh).with_context(|| format!("writing {}", destination.display()))?;
    say(&format!("    {} written ({size} KiB)", destination.display()));
    Ok(())
}
