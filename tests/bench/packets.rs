//! Cost of a packet: every program through the same wrapper, floors and
//! programs by turns in every round, and counters that must agree.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use aya::programs::ProgramFd;
use lb_common::{abi::bench::Setting, verdict::AgentVerdict};
use serde::Serialize;

use crate::{
    Effort, frames,
    goals::{self, Goal},
    progress::Progress,
    scenarios::{Expected, Scenario, SiteKind},
    site::Site,
    statistics::Summary,
    wrapper::{Floor, Wrapper, action_name, pinned},
};

/// Packets that are looked at before anything is timed.
const TRIED: u32 = 1000;

/// Another program to put through the wrapper.
#[derive(Clone, Debug)]
pub struct Rival {
    pub name: String,
    pub pin: PathBuf,
}

/// One scenario's figures, all in ns for a packet.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PacketCase {
    pub name: &'static str,
    pub verdict: &'static str,
    /// Packets that were measured, each of them counted under that verdict.
    pub packets: u64,
    pub nop: Summary,
    pub floor: &'static str,
    pub floor_ns: Summary,
    pub ns: Summary,
    /// Program less floor, within each round.
    pub over_floor: Summary,
    /// By the kernel's own clock.
    pub kernel_ns: Summary,
    pub goal: Option<Goal>,
    pub rivals: Vec<RivalCase>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RivalCase {
    pub name: String,
    /// Of the last packet.
    pub action: &'static str,
    pub ns: Summary,
    /// Less the floor of the scenario, within each round.
    pub over_floor: Summary,
    /// Less our program, within each round.
    pub over_ours: Summary,
}

/// Measures the scenarios, with the sites they need below `directory`.
pub fn measure(
    directory: &Path,
    scenarios: &[Scenario],
    rivals: &[Rival],
    effort: Effort,
    progress: &Progress,
) -> Result<Vec<PacketCase>> {
    let sites = sites(directory, scenarios, progress)?;
    let mut bench = Bench {
        wrapper: Wrapper::load()?,
        sites,
    };
    let mut cases: Vec<Case> = scenarios
        .iter()
        .map(|scenario| bench.prepare(scenario, rivals))
        .collect::<Result<_>>()?;
    progress.begin("packets", effort.rounds * cases.len());
    for round in 0..effort.rounds {
        for case in &mut cases {
            progress.step(&format!(
                "round {} of {}: {}",
                round + 1,
                effort.rounds,
                case.scenario.name
            ));
            bench.round(case, effort.packets)?;
        }
    }
    progress.end();
    for (kind, site) in &bench.sites {
        site.conserves()
            .with_context(|| format!("counters of {}", kind.name()))?;
    }
    cases.into_iter().map(Case::summed_up).collect()
}

fn sites(directory: &Path, scenarios: &[Scenario], progress: &Progress) -> Result<BTreeMap<SiteKind, Site>> {
    let mut sites = BTreeMap::new();
    let wanted = SiteKind::ALL
        .iter()
        .filter(|kind| scenarios.iter().any(|one| one.site == **kind));
    for kind in wanted {
        progress.say(&format!("publishing the configuration {}", kind.name()));
        let site = site(&directory.join(kind.name()), *kind);
        sites.insert(*kind, site.with_context(|| format!("publishing {}", kind.name()))?);
    }
    Ok(sites)
}

fn site(directory: &Path, kind: SiteKind) -> Result<Site> {
    let mut site = Site::serving(directory, kind.arms(), kind.shape())?;
    for change in kind.changes() {
        site.change(|config| change(&mut config.pools[0].backends))?;
    }
    let dirty = site.dirty_slots();
    ensure!(
        kind.dirty_slots().contains(&dirty),
        "{dirty} slots are dirty, and {:?} should be",
        kind.dirty_slots()
    );
    Ok(site)
}

struct Bench {
    wrapper: Wrapper,
    sites: BTreeMap<SiteKind, Site>,
}

/// A scenario under way; one figure for each round in every series.
struct Case {
    scenario: Scenario,
    frame: Vec<u8>,
    setting: Setting,
    program: ProgramFd,
    floor: ProgramFd,
    nop: ProgramFd,
    rivals: Vec<(String, ProgramFd, u32, Vec<f64>)>,
    packets: u64,
    nops: Vec<f64>,
    floors: Vec<f64>,
    programs: Vec<f64>,
    kernel: Vec<f64>,
}

impl Bench {
    fn prepare(&mut self, scenario: &Scenario, rivals: &[Rival]) -> Result<Case> {
        let (frame, setting) = frames::made(scenario.kind, scenario.flows, scenario.destinations)?;
        let pins = self.site(scenario)?.kernel().directory().join("prog");
        let pin = pins.join(match scenario.expected {
            Expected::Balancer(_) => "balancer",
            Expected::Agent(_) => "agent",
        });
        let rivals = rivals.iter().map(|rival| {
            let program = pinned(&rival.pin).with_context(|| format!("--compare {}", rival.name))?;
            Ok((rival.name.clone(), program, 0, Vec::new()))
        });
        let mut case = Case {
            scenario: *scenario,
            frame,
            setting,
            program: pinned(&pin)?,
            floor: self.wrapper.floor(scenario.floor)?,
            nop: self.wrapper.floor(Floor::Nop)?,
            rivals: rivals.collect::<Result<_>>()?,
            packets: 0,
            nops: Vec::new(),
            floors: Vec::new(),
            programs: Vec::new(),
            kernel: Vec::new(),
        };
        self.program(&mut case, TRIED)?;
        Ok(case)
    }

    /// Everything once, one after the other.
    fn round(&mut self, case: &mut Case, packets: u32) -> Result<()> {
        for (program, series) in [(&case.nop, &mut case.nops), (&case.floor, &mut case.floors)] {
            self.wrapper.aim(program)?;
            series.push(self.wrapper.run(&case.frame, &case.setting, packets)?.ns);
        }
        let (ns, kernel_ns) = self.program(case, packets)?;
        case.programs.push(ns);
        case.kernel.push(kernel_ns);
        case.packets += u64::from(packets);
        for (name, program, action, series) in &mut case.rivals {
            self.wrapper.aim(program).with_context(|| format!("--compare {name}"))?;
            let run = self.wrapper.run(&case.frame, &case.setting, packets)?;
            *action = run.action;
            series.push(run.ns);
        }
        Ok(())
    }

    /// Runs the program under test; all packets must have been counted as
    /// expected, or the figure is of something else.
    fn program(&mut self, case: &mut Case, packets: u32) -> Result<(f64, f64)> {
        self.wrapper.aim(&case.program)?;
        let before = self.counted(&case.scenario)?;
        let run = self.wrapper.run(&case.frame, &case.setting, packets)?;
        let after = self.counted(&case.scenario)?;
        let moved = after
            .iter()
            .zip(&before)
            .filter(|((_, after), (_, before))| after != before);
        let moved: Vec<(&str, u64)> = moved
            .map(|((name, after), (_, before))| (*name, after - before))
            .collect();
        let expected = [(verdict(case.scenario.expected), u64::from(packets))];
        ensure!(
            moved == expected,
            "{}: {expected:?} were expected, and counted were {moved:?}",
            case.scenario.name
        );
        Ok((run.ns, run.kernel_ns))
    }

    fn counted(&self, scenario: &Scenario) -> Result<Vec<(&'static str, u64)>> {
        let site = self.site(scenario)?;
        match scenario.expected {
            Expected::Balancer(_) => site.verdicts(),
            Expected::Agent(_) => {
                let names = AgentVerdict::ALL.iter().map(|verdict| verdict.name());
                Ok(names.zip(site.agent_verdicts()?).collect())
            }
        }
    }

    fn site(&self, scenario: &Scenario) -> Result<&Site> {
        self.sites.get(&scenario.site).context("a site that was not published")
    }
}

impl Case {
    fn summed_up(self) -> Result<PacketCase> {
        let of = |series: &[f64]| Summary::of(series.iter().copied()).context("no round was run");
        let over = |series: &[f64], from: &[f64]| Summary::of_differences(series, from).context("no round was run");
        let rivals = self.rivals.iter().map(|(name, _, action, series)| {
            Ok(RivalCase {
                name: name.clone(),
                action: action_name(*action),
                ns: of(series)?,
                over_floor: over(series, &self.floors)?,
                over_ours: over(series, &self.programs)?,
            })
        });
        let over_floor = over(&self.programs, &self.floors)?;
        Ok(PacketCase {
            name: self.scenario.name,
            verdict: verdict(self.scenario.expected),
            packets: self.packets,
            nop: of(&self.nops)?,
            floor: self.scenario.floor.name(),
            floor_ns: of(&self.floors)?,
            ns: of(&self.programs)?,
            over_floor,
            kernel_ns: of(&self.kernel)?,
            goal: goals::of_packet(self.scenario.name, over_floor.median),
            rivals: rivals.collect::<Result<_>>()?,
        })
    }
}

const fn verdict(expected: Expected) -> &'static str {
    match expected {
        Expected::Balancer(verdict) => verdict.name(),
        Expected::Agent(verdict) => verdict.name(),
    }
}
