//! The translated program, as bpftool shows it.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use support::sites;

use crate::{balancer::Balancer, rows::runnable};

/// Helpers called in the balancer, by place: what the kernel inlines (map
/// lookups) is none. More calls than these cost every packet, or some.
const BALANCER_CALLS: [(&str, usize); 3] = [
    ("bpf_xdp_adjust_head", 1),
    ("bpf_xdp_get_buff_len", 4),
    ("bpf_xdp_redirect", 1),
];

const AGENT_CALLS: [(&str, usize); 2] = [("bpf_xdp_adjust_head", 1), ("bpf_xdp_get_buff_len", 1)];

#[test]
fn no_program_calls_another_function_or_more_helpers_than_it_did() -> Result<()> {
    let balancer = Balancer::start(sites::one_arm())?;
    check(&balancer.pins().join("prog/balancer"), &BALANCER_CALLS)?;
    check(&balancer.pins().join("prog/agent"), &AGENT_CALLS)
}

fn check(program: &Path, allowed: &[(&str, usize)]) -> Result<()> {
    let output = bpftool(&["prog", "dump", "xlated", "pinned"], &[program])?;
    let listing = String::from_utf8(output.stdout)?;
    // A call between BPF functions reads `call pc+1234`, and costs 9 ns.
    let calls: Vec<&str> = listing
        .lines()
        .filter_map(|line| Some(line.split_once(" call ")?.1))
        .collect();
    ensure!(!listing.is_empty(), "{}: an empty listing", program.display());
    ensure!(
        !calls.iter().any(|call| call.starts_with("pc")),
        "{}: {calls:?}",
        program.display()
    );
    let mut counted = BTreeMap::<&str, usize>::new();
    for call in calls {
        *counted.entry(call.split('#').next().unwrap_or(call)).or_default() += 1;
    }
    println!("{}: {counted:?}", program.display());
    let allowed: BTreeMap<&str, usize> = allowed.iter().copied().collect();
    for (helper, count) in counted {
        let limit = allowed.get(helper).copied().unwrap_or_default();
        ensure!(
            count <= limit,
            "{}: {helper} is called at {count} places, {limit} are allowed",
            program.display()
        );
    }
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
