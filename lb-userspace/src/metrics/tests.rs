use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{Checks, Filled, Process, Sample, Served, Tally, Watched};
use crate::{
    api::model::{GuardState, GuardStatus, InterfaceState, InterfaceStatus, Mode},
    config::XdpMode,
    part::Part,
    plan::{
        Content,
        samples::{content, hops, largest},
    },
    revision::{BackendId, Revision},
};

const DOCUMENT: &str = include_str!("../../../docs/metrics.md");

fn sample_of(content: Content) -> Sample {
    let hops = hops(&content);
    let checked = hops.keys().next().expect("a backend").clone();
    let unresolved = hops.keys().next().cloned().into_iter().collect();
    let state = Revision::next(None, &Part::new(content), &hops, 0).expect("it fits");
    let highest = state.counters().max().expect("it serves something");
    let mut tally = Tally::default();
    tally.refuse(&["HF2000".to_owned(), "HF2000".to_owned(), "HF2002".to_owned()]);
    tally.switch(std::time::Duration::from_millis(30));
    Sample {
        program: 7,
        counters: (0..=u64::from(highest))
            .map(|index| lb_common::abi::counters::Counter {
                packets: index,
                bytes: index * 100,
            })
            .collect(),
        interfaces: vec![InterfaceStatus {
            name: "we\"ird\\".to_owned(),
            ifindex: 3,
            mode: Some(XdpMode::Native),
            prog_id: 7,
            state: InterfaceState::Well,
            problem: None,
        }],
        received: BTreeMap::from([(
            "we\"ird\\".to_owned(),
            lb_common::abi::counters::Counter { packets: 8, bytes: 480 },
        )]),
        unresolved,
        maps: BTreeMap::from([(
            "CHUNKS",
            Filled {
                entries: 9,
                capacity: 16_383,
            },
        )]),
        in_sync: true,
        mode: Mode::Normal,
        glass: false,
        whole: true,
        journal: true,
        run: Some((std::time::Duration::from_millis(1500), 20)),
        tally,
        confirm_deadline: Some(1_795_427_057.5),
        program_current: true,
        served: Some(Served {
            generation: 41,
            revision: 43,
            state,
        }),
        process: Process::look(),
        watched: Watched {
            checks: std::iter::once((checked, std::time::Duration::from_millis(2))).collect(),
            ..Watched::default()
        },
        checks: Checks { ended: 9, late: 1 },
        guard: GuardStatus {
            state: GuardState::On,
            reason: None,
            refused: BTreeMap::from([("unlink".to_owned(), 3)]),
        },
    }
}

/// A sample with all there is, for tests of the API.
pub fn sample() -> Sample {
    sample_of(content())
}

fn text() -> String {
    let mut text = String::new();
    sample().write(&mut text).expect("a String takes all");
    text
}

/// Families of a scrape: name, type, names of labels.
fn families(text: &str) -> BTreeSet<(String, String, BTreeSet<String>)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| {
            let (name, kind) = line.split_once(' ').expect("a name and a type");
            let samples = text.lines().filter(|line| {
                let sample = line.split(['{', ' ']).next().unwrap_or("");
                let rest = sample.strip_prefix(name);
                rest.is_some_and(|rest| ["", "_total", "_info", "_bucket", "_sum", "_count"].contains(&rest))
            });
            let labels = samples
                .filter_map(|line| Some(line.split_once('{')?.1.rsplit_once('}')?.0.to_owned()))
                .flat_map(|labels| {
                    let names = labels.split("\",");
                    names
                        .filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()))
                        .collect::<Vec<_>>()
                });
            (name.to_owned(), kind.to_owned(), labels.collect())
        })
        .collect()
}

#[test]
fn document_lists_every_metric_with_its_type_and_labels_and_no_other() {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    let documented: BTreeSet<_> = rows
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let labels = cells[3]
                .split(',')
                .map(|label| label.trim().trim_matches('`').to_owned());
            let name = cells[1].trim_matches('`');
            // A counter is known by the name of its samples.
            let name = if cells[2] == "counter" {
                name.strip_suffix("_total").expect("counters end in _total")
            } else {
                name
            };
            let name = name
                .strip_suffix("_info")
                .filter(|_| cells[2] == "info")
                .unwrap_or(name);
            let labels = labels.filter(|label| !label.is_empty()).collect();
            (name.to_owned(), cells[2].to_owned(), labels)
        })
        .collect();
    assert_eq!(documented, families(&text()));
}

#[test]
fn counters_are_those_of_their_index() {
    let text = text();
    let sample = sample();
    let served = sample.served.as_ref().expect("it serves");
    let (vip, index) = served.state.state.vip_counters.iter().next().expect("a VIP");
    assert!(
        text.contains(&format!("holdfast_vip_packets_total{{vip=\"{vip}\"}} {index}\n")),
        "{text}"
    );
    let member = &served.state.state.pools["web"].members["be1"];
    let line = format!(
        "holdfast_backend_bytes_total{{pool=\"web\",backend=\"be1\"}} {}\n",
        u64::from(member.counter) * 100
    );
    assert!(text.contains(&line), "{text}");
    assert!(
        text.contains("holdfast_xdp_packets_total{verdict=\"ForwardRedirect\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("holdfast_xdp_run_seconds_total 1.5\n"), "{text}");
    assert!(
        text.contains("holdfast_guard_refusals_total{code=\"HF2000\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("holdfast_config_switch_duration_seconds_bucket{le=\"0.05\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("holdfast_config_switch_duration_seconds_bucket{le=\"0.025\"} 0\n"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn label_values_are_escaped() {
    assert!(
        text().contains(r#"holdfast_xdp_attached{interface="we\"ird\\",mode="native"} 1"#),
        "{}",
        text()
    );
}

#[test]
fn next_hop_that_is_not_known_now_is_not_resolved() {
    let sample = sample();
    let BackendId { pool, backend } = sample.unresolved.iter().next().expect("one of them").clone();
    let line = format!("holdfast_neighbor_resolved{{pool=\"{pool}\",backend=\"{backend}\"}} 0\n");
    assert!(text().contains(&line), "{}", text());
}

/// Takes pieces and keeps none, as the socket does.
struct Counting {
    bytes: usize,
    longest: usize,
}

impl fmt::Write for Counting {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes += text.len();
        self.longest = self.longest.max(text.len());
        Ok(())
    }
}

#[test]
fn largest_configuration_is_written_piece_by_piece() {
    let sample = sample_of(largest());
    let started = std::time::Instant::now();
    let mut counting = Counting { bytes: 0, longest: 0 };
    sample.write(&mut counting).expect("it takes all");
    println!("{} bytes in {:?}", counting.bytes, started.elapsed());
    assert!(
        counting.bytes > 5_000_000,
        "{} bytes: is all of it there?",
        counting.bytes
    );
    assert!(counting.longest < 1_000, "a piece of {} bytes", counting.longest);
}
