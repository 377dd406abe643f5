//! The results, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    Effort,
    goals::Goal,
    machine::Machine,
    memory::Memory,
    packets::PacketCase,
    programs::ProgramFacts,
    publishing::{PublishCase, STEPS},
    rate::RateCase,
    tables::TableCase,
};

/// Everything that was measured; a part that was not asked for is empty.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    pub machine: Machine,
    pub effort: Effort,
    pub packets: Vec<PacketCase>,
    pub programs: Vec<ProgramFacts>,
    pub rates: Vec<RateCase>,
    pub memory: Option<Memory>,
    pub tables: Vec<TableCase>,
    pub publishing: Vec<PublishCase>,
}

/// A table: a title, what its columns are, and its rows.
pub struct Sheet {
    pub title: &'static str,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Results {
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("results are plain data")
    }

    /// Goals that there are, and of them those that were met.
    pub fn goals(&self) -> (usize, usize) {
        let packets = self.packets.iter().filter_map(|case| case.goal);
        let programs = self
            .programs
            .iter()
            .flat_map(|one| [one.verified_goal, one.translated_goal]);
        let memory = self.memory.iter().map(|memory| memory.goal);
        let tables = self.tables.iter().filter_map(|case| case.goal);
        let goals: Vec<Goal> = packets.chain(programs.flatten()).chain(memory).chain(tables).collect();
        (goals.len(), goals.iter().filter(|goal| goal.met).count())
    }

    /// All tables that hold anything.
    pub fn sheets(&self) -> Vec<Sheet> {
        let mut sheets = vec![self.packet_sheet(), self.rival_sheet(), self.program_sheet()];
        sheets.extend([
            self.rate_sheet(),
            self.memory_sheet(),
            self.table_sheet(),
            self.publish_sheet(),
        ]);
        sheets.retain(|sheet| !sheet.rows.is_empty());
        sheets
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for sheet in self.sheets() {
            let widths: Vec<usize> = (0..sheet.columns.len())
                .map(|at| {
                    let rows = sheet.rows.iter().chain([&sheet.columns]);
                    rows.map(|row| row[at].chars().count()).max().unwrap_or_default()
                })
                .collect();
            let line = |row: &[String]| {
                let cells = row
                    .iter()
                    .zip(&widths)
                    .enumerate()
                    .map(|(at, (cell, &width))| match at {
                        0 => format!("{cell:<width$}"),
                        _ => format!("{cell:>width$}"),
                    });
                cells.collect::<Vec<_>>().join("  ")
            };
            let rows: Vec<String> = sheet.rows.iter().map(|row| line(row)).collect();
            writeln!(text, "{}\n  {}", sheet.title, line(&sheet.columns)).expect("a String takes it");
            writeln!(text, "  {}\n", rows.join("\n  ")).expect("a String takes it");
        }
        let (goals, met) = self.goals();
        writeln!(text, "{met} of {goals} goals met").expect("a String takes it");
        text
    }

    fn packet_sheet(&self) -> Sheet {
        let rows = self.packets.iter().map(|case| {
            vec![
                case.name.to_owned(),
                case.verdict.to_owned(),
                ns(case.ns.least),
                ns(case.ns.median),
                format!("{} {}", case.floor, ns(case.floor_ns.median)),
                format!("{:+.1}", case.ns.least - case.floor_ns.least),
                format!("{:+.1}", case.over_floor.median),
                format!("{:+.1} … {:+.1}", case.over_floor.lower, case.over_floor.upper),
                goal(case.goal, |at_most| format!("≤ {at_most:+.0}")),
            ]
        });
        Sheet {
            title: "Packets: ns each; what is over the floor was taken in the same round",
            columns: columns(
                "scenario|verdict|least|median|floor, median|least over least|over floor, median|middle half|goal",
            ),
            rows: rows.collect(),
        }
    }

    fn rival_sheet(&self) -> Sheet {
        let rows = self.packets.iter().flat_map(|case| {
            case.rivals.iter().map(|rival| {
                vec![
                    format!("{}: {}", case.name, rival.name),
                    rival.action.to_owned(),
                    ns(rival.ns.least),
                    ns(rival.ns.median),
                    format!("{:+.1}", rival.over_floor.median),
                    format!("{:+.1}", rival.over_ours.median),
                ]
            })
        });
        Sheet {
            title: "Other programs on the same frames, in the same rounds",
            columns: columns("scenario and program|last action|least|median|over floor|over ours"),
            rows: rows.collect(),
        }
    }

    fn program_sheet(&self) -> Sheet {
        let rows = self.programs.iter().map(|program| {
            vec![
                program.name.clone(),
                program.verified.to_string(),
                goal(program.verified_goal, |at_most| format!("≤ {at_most:.0}")),
                program.translated.to_string(),
                goal(program.translated_goal, |at_most| format!("≤ {at_most:.0}")),
                program.machine_bytes.to_string(),
            ]
        });
        Sheet {
            title: "Programs: instructions verified and translated, bytes of machine code",
            columns: columns("program|verified|goal|translated|goal|bytes"),
            rows: rows.collect(),
        }
    }

    fn rate_sheet(&self) -> Sheet {
        let rows = self.rates.iter().map(|case| {
            let rate = case.frames_per_second;
            let million = |rate: f64| format!("{:.2} M", rate / 1e6);
            vec![
                case.name.to_owned(),
                million(rate.median),
                format!("{} … {}", million(rate.lower), million(rate.upper)),
                format!("{:.1} %", case.carried * 100.0),
            ]
        });
        Sheet {
            title: "Live frames over veth, on one processor with their generator and sink: frames a second",
            columns: columns("path|median|middle half|carried"),
            rows: rows.collect(),
        }
    }

    fn memory_sheet(&self) -> Sheet {
        let Some(memory) = &self.memory else {
            return Sheet {
                title: "",
                columns: Vec::new(),
                rows: Vec::new(),
            };
        };
        let parts = memory.parts.iter().map(|part| {
            vec![
                part.name.clone(),
                part.maps.to_string(),
                mebibytes(part.bytes),
                String::new(),
            ]
        });
        let maps: usize = memory.parts.iter().map(|part| part.maps).sum();
        let goal = goal(Some(memory.goal), |at_most| {
            format!("≤ {:.0} MiB", at_most / f64::from(1 << 20))
        });
        let sum = vec!["all".to_owned(), maps.to_string(), mebibytes(memory.bytes), goal];
        Sheet {
            title: "Kernel memory of a small configuration",
            columns: columns("maps|number|MiB|goal"),
            rows: parts.chain([sum]).collect(),
        }
    }

    fn table_sheet(&self) -> Sheet {
        let rows = self.tables.iter().map(|case| {
            vec![
                format!("{}, {} backends: {}", case.kind, case.backends, case.change.name()),
                milliseconds(case.ms.least),
                milliseconds(case.ms.median),
                case.moved.to_string(),
                case.multiple
                    .map_or_else(String::new, |multiple| format!("{multiple:.2} ×")),
                goal(case.goal, |at_most| format!("≤ {at_most:.0} ×")),
            ]
        });
        Sheet {
            title: "Lookup tables: ms, slots moved of 65,536, multiples of the unavoidable",
            columns: columns("table|least|median|moved|multiple|goal"),
            rows: rows.collect(),
        }
    }

    fn publish_sheet(&self) -> Sheet {
        let rows = self.publishing.iter().map(|case| {
            let name = format!(
                "{}, {} backends, {} VIPs: {}",
                case.size,
                case.backends,
                case.vips,
                case.what.name()
            );
            let mut row = vec![name, case.chunks_written.to_string()];
            row.extend(case.steps.iter().map(|step| milliseconds(step.ms.median)));
            row.push(milliseconds(case.total.median));
            row
        });
        let mut columns = columns("change|chunks");
        columns.extend(STEPS.map(str::to_owned));
        columns.push("sum".to_owned());
        Sheet {
            title: "Publishing, step by step: ms, medians",
            columns,
            rows: rows.collect(),
        }
    }
}

fn columns(names: &str) -> Vec<String> {
    names.split('|').map(str::to_owned).collect()
}

fn goal(goal: Option<Goal>, limit: impl FnOnce(f64) -> String) -> String {
    let Some(goal) = goal else {
        return String::new();
    };
    let word = if goal.met { "met" } else { "not met" };
    format!("{}: {word}", limit(goal.at_most))
}

fn ns(ns: f64) -> String {
    format!("{ns:.1}")
}

fn milliseconds(ms: f64) -> String {
    format!("{ms:.3}")
}

#[expect(clippy::cast_precision_loss, reason = "some MiB")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / f64::from(1 << 20))
}
