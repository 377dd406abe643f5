//! `cargo xtask ci`: what a merge needs, the same on a laptop and on a server.
//! Every step runs whatever became of those before it, because one run should
//! tell everything that is wrong.

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    build, demo,
    progress::{run_shown, say},
    test::{self, Totals},
    tidy, workspace,
};

/// What became of a step, for the table.
struct Row {
    name: &'static str,
    outcome: Result<()>,
    elapsed: Duration,
}

type Step = (&'static str, fn() -> Result<()>);

/// The steps before the tests; cheap ones first.
const STEPS: [Step; 6] = [
    ("format", format),
    ("tidy", tidy::run),
    ("build", build::everything),
    ("clippy", clippy),
    ("documents", documents),
    ("demo", demo::headless),
];

pub fn run() -> ExitCode {
    let mut rows: Vec<Row> = STEPS.iter().map(|&(name, step)| timed(name, step)).collect();
    let mut totals = Totals::default();
    rows.push(timed("test", || test::all_required(&mut totals)));
    table(&rows);
    // The last line, as `cargo xtask test` ends.
    println!("{totals}");
    if rows.iter().all(|row| row.outcome.is_ok()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn timed(name: &'static str, step: impl FnOnce() -> Result<()>) -> Row {
    let started = Instant::now();
    let outcome = step();
    if let Err(error) = &outcome {
        say(&format!("{name}: {error:#}"));
    }
    Row {
        name,
        outcome,
        elapsed: started.elapsed(),
    }
}

fn table(rows: &[Row]) {
    println!("\nstep        seconds  outcome");
    for row in rows {
        let outcome = if row.outcome.is_ok() { "passed" } else { "FAILED" };
        println!("{:<10} {:>8.1}  {outcome}", row.name, row.elapsed.as_secs_f64());
    }
    println!();
    // Again, because the step may have ended half an hour of output ago.
    for row in rows {
        if let Err(error) = &row.outcome {
            println!("{}: {error:#}\n", row.name);
        }
    }
}

fn format() -> Result<()> {
    cargo("checking the format", &["fmt", "--all", "--check"], |_| ())
}

fn clippy() -> Result<()> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--keep-going",
        "--",
        "-D",
        "warnings",
    ];
    cargo("linting", &arguments, |_| ())
}

fn documents() -> Result<()> {
    let arguments = ["doc", "--no-deps", "--workspace"];
    cargo("building the documentation", &arguments, |command| {
        command.env("RUSTDOCFLAGS", "-D warnings");
    })
}

fn cargo(title: &str, arguments: &[&str], adjust: impl FnOnce(&mut Command)) -> Result<()> {
    let mut command = workspace::cargo()?;
    command.args(arguments);
    adjust(&mut command);
    run_shown(title, &mut command)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    #[test]
    fn entry_of_ci_is_executable_and_runs_this_command() {
        let entry = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/run");
        let mode = fs::metadata(&entry).expect(".ci/run is there").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "everybody may execute it");
        let text = fs::read_to_string(&entry).expect(".ci/run is text");
        assert!(text.starts_with("#!/usr/bin/env bash\n"));
        assert!(text.lines().any(|line| line.ends_with("cargo xtask ci")));
    }
}
