//! `holdfast-bench`: what a packet costs, what a change costs, and what the
//! whole takes of the kernel's memory; each figure beside its goal.
//!
//! Figures of packets are differences to a floor that went through the same
//! wrapper in the same round; see [`packets`].

mod arguments;
mod document;
mod frames;
mod goals;
mod machine;
mod memory;
mod packets;
mod programs;
mod progress;
mod publishing;
mod rate;
mod report;
mod scenarios;
mod site;
mod statistics;
mod tables;
mod wrapper;

use std::{fs, process::ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use support::run::{RunId, Scratch};

use crate::{
    arguments::{Arguments, Output},
    machine::Machine,
    progress::Progress,
    report::Results,
    scenarios::{Scenario, SiteKind},
    site::Site,
};

/// How long is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effort {
    pub rounds: usize,
    /// Of each program in a round.
    pub packets: u32,
}

/// Rounds of live frames, which take half a second each.
const LIVE_ROUNDS: usize = 7;

/// Wrong usage (sysexits.h), as `holdfast` has it; clap's own would be 2.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where there is nobody to read it, the exit code says it too.
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let results = measure(arguments)?;
    match arguments.output {
        Output::Table => print!("{}", results.text()),
        Output::Json => println!("{}", results.json()),
    }
    if arguments.write {
        let path = document::path();
        fs::write(&path, document::document(&results)).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("{} written", path.display());
    }
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<Results> {
    let progress = Progress::new();
    let machine = Machine::here(pin_to_one_processor()?);
    let scratch = Scratch::new(&RunId::new()).context("BPF programs need root")?;
    let pins = scratch.bpf();
    let effort = arguments.effort();
    let chosen: Vec<Scenario> = scenarios::ALL
        .into_iter()
        .filter(|scenario| arguments.wants("packets") || arguments.wants(scenario.name))
        .collect();
    // Memory first: it counts every map of this process.
    let memory = part(arguments, "memory", || memory::measure(&pins, &progress))?;
    let programs = part(arguments, "programs", || {
        let shape = SiteKind::Small.shape();
        Site::serving(&pins.join("programs"), SiteKind::Small.arms(), shape)?;
        let mut programs = programs::of_site(&pins.join("programs"))?;
        for rival in &arguments.compare {
            programs.push(programs::of_pin(&rival.name, &rival.pin)?);
        }
        Ok(programs)
    })?;
    let packets = if chosen.is_empty() {
        Vec::new()
    } else {
        packets::measure(&pins, &chosen, &arguments.compare, effort, &progress)?
    };
    let rates = part(arguments, "rates", || rate::measure(&pins, LIVE_ROUNDS, &progress))?;
    let tables = part(arguments, "tables", || tables::measure(&progress))?;
    let publishing = part(arguments, "publishing", || publishing::measure(&pins, &progress))?;
    let results = Results {
        machine,
        effort,
        packets,
        programs: programs.unwrap_or_default(),
        rates: rates.unwrap_or_default(),
        memory,
        tables: tables.unwrap_or_default(),
        publishing: publishing.unwrap_or_default(),
    };
    ensure!(!results.sheets().is_empty(), "no scenario and no part has such a name");
    Ok(results)
}

fn part<T>(arguments: &Arguments, name: &str, measure: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    let measured = arguments.wants(name).then(measure).transpose();
    measured.with_context(|| format!("measuring {name}"))
}

/// The last of the processors we may use: the first one takes most interrupts.
fn pin_to_one_processor() -> Result<usize> {
    let allowed = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|&processor| allowed.is_set(processor));
    let last = last.context("no processor is allowed")?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one)?;
    Ok(last)
}
