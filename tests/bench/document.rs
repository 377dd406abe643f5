//! BENCHMARKS.md.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use crate::report::{Results, Sheet};

/// At the root of the checkout.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../BENCHMARKS.md")
}

const HOW_TO_READ: &str = "\
## How to read it

A test run of the kernel (`BPF_PROG_TEST_RUN`) uses one buffer again and again: after
the first round the frame is already encapsulated, and a naive figure is of another
path. So every program is tail-called by a wrapper that makes the frame anew each time
round: what the program added or took off is undone, all headers are written, source
address and port (and the VIP, where there are many) come from a generator. Floors go
through the same wrapper: `nop` returns at once, `mac_swap` swaps the MAC addresses,
`encap_floor` also makes room and writes an outer IPv4 header with its checksum,
`decap_floor` takes one off. What a program costs is its time less the floor's, taken
in the same round.

Times are the measuring thread's, on one processor; floors and programs take turns in
every round. The machine may change its clock, or share its cores, in blocks longer than
a measurement: compare within a round (\"over floor\"), and look at the least beside the
median. Before a figure is believed the counters are asked: a run in which not every
packet was counted under the expected verdict, or in which VIPs and members do not add
up to what was forwarded, is an error and no figure.

A goal that is not met is said to be not met. Goals are in `tests/bench/goals.rs`.

## What is not measured

No NIC and no driver: frames are in the cache when the program starts, and nothing waits
for a device. veth has costs of its own, which the floor on the same path shows. One
processor only: nothing here says how it scales. The IPv4 header checksum of varied frames
is not right, which no program of ours looks at. The wrapper has just written what the
program reads, so loads that span two of its stores wait for them: some 3 ns that a frame
from a NIC would not cost, counted against the program.

";

pub fn document(results: &Results) -> String {
    let machine = &results.machine;
    let (goals, met) = results.goals();
    let mut text = String::from("# Benchmarks\n\n");
    let mut line = |words: &str| writeln!(text, "{words}").expect("a String takes all that is written");
    line("Made by `cargo xtask bench --write`; do not edit. Figures are of one run on this machine,");
    line("and comparable with each other only.\n");
    line("| | |\n|---|---|");
    let where_it_runs = if machine.virtualized {
        "virtual machine"
    } else {
        "bare machine"
    };
    for (name, value) in [
        (
            "processor",
            format!("{}, {} of them, {where_it_runs}", machine.processor, machine.processors),
        ),
        ("kernel", machine.kernel.clone()),
        ("indirect branches", machine.spectre_v2.clone()),
        ("clock", machine.frequency.clone()),
        ("load when it began", machine.load.clone()),
        (
            "packets",
            format!(
                "{} rounds of {} for each program",
                results.effort.rounds, results.effort.packets
            ),
        ),
        ("goals", format!("{met} of {goals} met")),
    ] {
        line(&format!("| {name} | {value} |"));
    }
    line("");
    for sheet in results.sheets() {
        line(&markdown(&sheet));
    }
    line(HOW_TO_READ.trim_end());
    text
}

fn markdown(sheet: &Sheet) -> String {
    let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![format!("## {}\n", sheet.title), row(&sheet.columns)];
    let rules = sheet.columns.iter().enumerate();
    lines.push(row(&rules
        .map(|(at, _)| if at == 0 { "---" } else { "---:" }.to_owned())
        .collect::<Vec<_>>()));
    lines.extend(sheet.rows.iter().map(|cells| row(cells)));
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::markdown;
    use crate::report::Sheet;

    #[test]
    fn sheet_becomes_a_table_with_numbers_to_the_right() {
        let sheet = Sheet {
            title: "Things",
            columns: vec!["name".to_owned(), "ns".to_owned()],
            rows: vec![vec!["one".to_owned(), "1.0".to_owned()]],
        };
        let expected = "## Things\n\n| name | ns |\n| --- | ---: |\n| one | 1.0 |\n";
        assert_eq!(markdown(&sheet), expected);
    }
}
