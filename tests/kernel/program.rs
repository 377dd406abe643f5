//! The translated program, as bpftool shows it.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use aya::programs::ProgramInfo;
use support::sites;

use crate::{balancer::Balancer, rows::runnable};

/// What a program is made of. None of it depends on the machine's mood: more
/// costs every packet, or some, and is to be a decision.
struct Golden {
    name: &'static str,
    /// Instructions after the kernel's translation.
    translated: u64,
    /// Instructions the verifier walked.
    verified: u32,
    /// References to maps: what the kernel inlines (lookups in arrays) is no
    /// call.
    maps: usize,
    /// Calls of helpers, by place.
    calls: &'static [(&'static str, usize)],
}

const GOLDEN: [Golden; 4] = [
    Golden {
        name: "balancer",
        translated: 1_230,
        verified: 9_500,
        maps: 13,
        calls: &[
            ("bpf_tail_call", 2),
            ("bpf_xdp_adjust_head", 1),
            ("bpf_xdp_redirect", 1),
        ],
    },
    Golden {
        name: "plain",
        translated: 3_300,
        verified: 230_000,
        maps: 15,
        calls: &[
            ("bpf_csum_diff", 3),
            ("bpf_ktime_get_coarse_ns", 2),
            ("bpf_xdp_adjust_head", 3),
            ("bpf_xdp_adjust_tail", 2),
            ("bpf_xdp_get_buff_len", 4),
            ("bpf_xdp_redirect", 1),
        ],
    },
    Golden {
        name: "odd",
        translated: 6_600,
        verified: 75_000,
        maps: 45,
        calls: &[
            // Of the map PATH_MTU; the subprogram is `memset`.
            ("__htab_map_lookup_elem", 2),
            ("htab_lru_map_update_elem", 1),
            ("pc", 2),
            ("bpf_ktime_get_coarse_ns", 4),
            ("bpf_tail_call", 1),
            ("bpf_xdp_adjust_head", 2),
            ("bpf_xdp_get_buff_len", 2),
            ("bpf_xdp_redirect", 1),
        ],
    },
    Golden {
        name: "agent",
        translated: 800,
        verified: 105_000,
        maps: 2,
        calls: &[("bpf_xdp_adjust_head", 2), ("bpf_xdp_get_buff_len", 2)],
    },
];

#[test]
fn no_program_is_larger_or_calls_more_than_it_did() -> Result<()> {
    let balancer = Balancer::start(sites::one_arm())?;
    GOLDEN.iter().try_for_each(|golden| {
        let pin = balancer.pins().join("prog").join(golden.name);
        golden.check(&pin).with_context(|| golden.name)
    })
}

impl Golden {
    fn check(&self, pin: &Path) -> Result<()> {
        let facts = ProgramInfo::from_pin(pin)?;
        let translated = u64::from(facts.size_translated().context("no size")?) / 8;
        let verified = facts.verified_instruction_count().context("no count")?;
        let output = bpftool(&["prog", "dump", "xlated", "pinned"], &[pin])?;
        let listing = String::from_utf8(output.stdout)?;
        let maps = listing.matches("map[id:").count();
        println!(
            "{}: {translated} translated, {verified} verified, {maps} maps",
            self.name
        );
        ensure!(!listing.is_empty(), "an empty listing");
        at_most("translated instructions", translated, self.translated)?;
        at_most("verified instructions", u64::from(verified), u64::from(self.verified))?;
        at_most("references to maps", maps as u64, self.maps as u64)?;
        let mut calls = BTreeMap::<&str, usize>::new();
        for call in listing.lines().filter_map(|line| Some(line.split_once(" call ")?.1)) {
            // A call between BPF functions reads `call pc+1234`, and costs 9 ns.
            let name = call.split(['#', '+', '-']).next().unwrap_or(call);
            *calls.entry(name).or_default() += 1;
        }
        let allowed: BTreeMap<&str, usize> = self.calls.iter().copied().collect();
        for (name, count) in calls {
            let limit = allowed.get(name).copied().unwrap_or_default();
            at_most(&format!("calls of {name}"), count as u64, limit as u64)?;
        }
        Ok(())
    }
}

fn at_most(what: &str, measured: u64, limit: u64) -> Result<()> {
    ensure!(measured <= limit, "{measured} {what}; {limit} are allowed");
    Ok(())
}

#[test]
fn bpftool_prog_run_gives_the_same_bytes() -> Result<()> {
    let balancer = Balancer::start(sites::two_arm())?;
    let program = balancer.balancer()?;
    let [input, output] = ["in", "out"].map(|name| balancer.scratch().path(name));
    let pinned = balancer.pins().join("prog/balancer");
    // A process for each: every seventh row will do.
    for row in runnable().iter().step_by(7) {
        let fate = balancer.inside(|| program.fate(&row.frame, balancer.site.interfaces[0].ifindex))?;
        fs::write(&input, &row.frame)?;
        bpftool(
            &["prog", "run", "pinned"],
            &[&pinned, "data_in".as_ref(), &input, "data_out".as_ref(), &output],
        )
        .with_context(|| row.claim.clone())?;
        assert_eq!(fs::read(&output)?, fate.bytes, "{}", row.claim);
    }
    Ok(())
}

/// Runs bpftool, which has to be there: no claim of this file is skipped.
fn bpftool(words: &[&str], paths: &[&Path]) -> Result<Output> {
    let mut command = Command::new("bpftool");
    command.args(words).args(paths);
    let output = command.output().context("running bpftool (Debian package bpftool)")?;
    ensure!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}
