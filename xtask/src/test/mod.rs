//! `cargo xtask test`: the levels in order, from what needs nothing to what
//! needs root, and one line of totals at the end.
//!
//! All levels select the whole workspace and narrow it by target: another
//! selection of packages would unify features differently, and cargo would
//! compile the dependencies once more for it.

mod report;

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

pub use report::Totals;

use crate::{
    build, dist, kernels,
    progress::{say, seconds, shown},
    prometheus, workspace,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Run the randomised and the load tests for longer (HOLDFAST_LONG=1).
    #[arg(long)]
    long: bool,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// Tests of one level of privilege.
struct Level {
    name: &'static str,
    what: &'static str,
    needs_root: bool,
    /// What `cargo test` is asked for: one call for each entry.
    calls: &'static [&'static [&'static str]],
    /// Arguments of the test programs.
    programs: &'static [&'static str],
    /// What must be made before.
    prepare: Option<fn() -> Result<()>>,
}

const LEVELS: [Level; 7] = [
    Level {
        name: "unit",
        what: "rules, tables and properties of the libraries",
        needs_root: false,
        calls: &[
            &[
                "--workspace",
                "--exclude",
                "xtask",
                "--exclude",
                "lb-ebpf",
                "--lib",
                // Others have no tests, and `--bins` would build each of them once more.
                "--bin",
                "holdfast-bench",
            ],
            &["--workspace", "--exclude", "xtask", "--exclude", "lb-ebpf", "--doc"],
        ],
        programs: &[],
        prepare: None,
    },
    Level {
        name: "xtask",
        what: "the rules of tidy, and the entry of CI",
        needs_root: false,
        calls: &[&["--package", "xtask"]],
        programs: &[],
        prepare: None,
    },
    Level {
        name: "rows",
        what: "packet rows and mutations, native against the oracle",
        needs_root: false,
        calls: &[&["--workspace", "--exclude", "xtask", "--test", "rows"]],
        programs: &[],
        prepare: None,
    },
    Level {
        name: "kernel",
        what: "the same rows and mutations in the kernel; maps and publishing",
        needs_root: true,
        calls: &[&["--workspace", "--exclude", "xtask", "--test", "kernel"]],
        programs: &[],
        prepare: None,
    },
    Level {
        name: "netns",
        what: "real connections through network namespaces, daemon and command line",
        needs_root: true,
        calls: &[&["--workspace", "--exclude", "xtask", "--test", "netns"]],
        // Rigs that are measured run alone all the same (`support::turn`); meanwhile some of the
        // others wait for their turn, and two that have none go on.
        programs: &["--test-threads=3"],
        prepare: Some(prometheus::ensure),
    },
    Level {
        name: "packages",
        what: "the Debian package under systemd, in a guest on this kernel",
        needs_root: true,
        calls: &[&["--workspace", "--exclude", "xtask", "--test", "packages"]],
        programs: &["--test-threads=1"],
        prepare: Some(dist::for_tests),
    },
    Level {
        name: "vm",
        what: "virtual machines with other kernels, whose power is cut",
        needs_root: true,
        calls: &[&["--workspace", "--exclude", "xtask", "--test", "vm"]],
        // Two machines at a time: what runs in one does not measure the other.
        programs: &["--test-threads=2"],
        prepare: Some(kernels::for_tests),
    },
];

/// Builds, runs every level, and ends with the line of totals.
pub fn run(arguments: &Arguments) -> ExitCode {
    // CI systems set this; there, a level that did not run proves nothing.
    let strict = env::var_os("CI").is_some();
    let mut totals = Totals::default();
    let outcome =
        build::everything().and_then(|()| levels(&mut totals, arguments.long, arguments.filter.as_deref(), strict));
    conclude(&mut totals, &outcome)
}

/// Every level without a filter, as CI wants it: nothing may be skipped.
pub fn all_required(totals: &mut Totals) -> Result<()> {
    levels(totals, false, None, true)?;
    totals.verdict()
}

/// Prints the totals alone on the last line, so that whoever reads only that
/// knows the outcome. What kept tests from running counts as a failure.
fn conclude(totals: &mut Totals, outcome: &Result<()>) -> ExitCode {
    if let Err(error) = outcome {
        say(&format!("xtask: {error:#}"));
        totals.failed += 1;
    }
    let verdict = totals.verdict();
    if totals.ran() == 0 {
        say("xtask: no test ran, which is a failure");
    }
    println!("{totals}");
    if verdict.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn levels(sum: &mut Totals, long: bool, filter: Option<&str>, strict: bool) -> Result<()> {
    for level in &LEVELS {
        say(&format!("==> {}: {}", level.name, level.what));
        let started = Instant::now();
        let totals = if level.needs_root && !workspace::is_root() {
            skip(level, filter, strict)?
        } else {
            if let Some(prepare) = level.prepare {
                prepare()?;
            }
            call(level, long, filter)?
        };
        report(level, &totals, started.elapsed());
        *sum += totals;
    }
    Ok(())
}

fn report(level: &Level, totals: &Totals, elapsed: Duration) {
    println!("level {}: {totals} in {}", level.name, seconds(elapsed));
}

fn call(level: &Level, long: bool, filter: Option<&str>) -> Result<Totals> {
    let mut totals = Totals::default();
    for targets in level.calls {
        let mut command = workspace::cargo()?;
        // Every failure of a level is worth knowing, not only the first.
        command.args(["test", "--no-fail-fast"]).args(*targets).arg("--");
        command.args(level.programs).args(filter);
        if long {
            command.env("HOLDFAST_LONG", "1");
        }
        totals += stream(&mut command)?;
    }
    // A filter may well leave a level nothing to do.
    if totals.ran() == 0 && filter.is_none() {
        println!("level {}: holds no test, which is a failure", level.name);
        totals.failed += 1;
    }
    Ok(totals)
}

/// Passes the output on while it adds up what the test programs report.
fn stream(command: &mut Command) -> Result<Totals> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", shown(command)))?;
    let Some(output) = child.stdout.take() else {
        bail!("no pipe to {}", shown(command));
    };
    let mut totals = Totals::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("reading what the tests print")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(result) = report::parse(&line) {
            totals += result;
        }
    }
    let status = child.wait().context("waiting for the tests")?;
    // A test program that does not compile, or is killed, reports nothing.
    if !status.success() && totals.failed == 0 {
        println!("{}: {status}", shown(command));
        totals.failed += 1;
    }
    Ok(totals)
}

/// Counts the tests that cannot run, so that nobody takes silence for success.
fn skip(level: &Level, filter: Option<&str>, strict: bool) -> Result<Totals> {
    let mut totals = Totals::default();
    for targets in level.calls {
        let mut command = workspace::cargo()?;
        command.arg("test").args(*targets).arg("--").args(filter).arg("--list");
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("starting {}", shown(&command)))?;
        let listed = String::from_utf8_lossy(&output.stdout);
        totals.skipped += listed.lines().filter(|line| line.ends_with(": test")).count();
        if !output.status.success() {
            totals.failed += 1;
        }
    }
    println!("level {}: skipped: needs root", level.name);
    if strict {
        println!("level {}: must not be skipped here, so it failed", level.name);
        totals.failed += 1;
    }
    Ok(totals)
}
