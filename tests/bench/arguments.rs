//! The command line of `holdfast-bench`, which is that of `cargo xtask bench`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::{Effort, packets::Rival};

/// Measures what packets, changes and memory cost, beside the goals.
#[derive(Clone, Debug, Parser)]
#[command(name = "holdfast-bench", version)]
pub struct Arguments {
    /// How the results are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// More rounds, for figures to be kept.
    #[arg(long, conflicts_with = "quick")]
    pub long: bool,
    /// Few and short rounds, to see that it works.
    #[arg(long)]
    pub quick: bool,
    /// Only scenarios and parts (packets, programs, rates, memory, tables,
    /// publishing) whose name contains this.
    #[arg(long, value_name = "PATTERN")]
    pub only: Option<String>,
    /// Put another pinned XDP program through the same wrapper, on the same
    /// frames, in the same rounds. Can be repeated.
    #[arg(long, value_name = "NAME=PINNED_PROG", value_parser = rival)]
    pub compare: Vec<Rival>,
    /// Write BENCHMARKS.md as well.
    #[arg(long, conflicts_with_all = ["only", "quick", "compare"])]
    pub write: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

impl Arguments {
    pub const fn effort(&self) -> Effort {
        let (rounds, packets) = match (self.quick, self.long) {
            (true, _) => (15, 50_000),
            (_, true) => (101, 400_000),
            (false, false) => (41, 200_000),
        };
        Effort { rounds, packets }
    }

    /// Whether a part, or a scenario of the part `packets`, is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|pattern| name.contains(pattern.as_str()))
    }
}

fn rival(text: &str) -> Result<Rival, String> {
    match text.split_once('=') {
        Some((name, pin)) if !name.is_empty() && !pin.is_empty() => Ok(Rival {
            name: name.to_owned(),
            pin: PathBuf::from(pin),
        }),
        Some(_) | None => Err("a name and the pin of a program, as in katran=/sys/fs/bpf/katran".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Arguments;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["holdfast-bench"], words].concat())
    }

    #[test]
    fn compare_takes_a_name_and_a_pin_and_can_be_repeated() {
        let arguments = parse(&["--compare", "a=/x/y", "--compare", "b=/z=1"]).expect("two rivals");
        let rivals: Vec<_> = arguments
            .compare
            .iter()
            .map(|rival| (rival.name.as_str(), rival.pin.to_str()))
            .collect();
        assert_eq!(rivals, [("a", Some("/x/y")), ("b", Some("/z=1"))]);
        for wrong in ["a", "=x", "a="] {
            assert!(parse(&["--compare", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_whole() {
        assert!(parse(&["--write"]).is_ok());
        for part in [["--only", "v4"].as_slice(), &["--quick"], &["--compare", "a=/x"]] {
            assert!(parse(&[&["--write"], part].concat()).is_err(), "{part:?}");
        }
    }

    #[test]
    fn rounds_suffice_for_a_median_in_every_mode() {
        for words in [[].as_slice(), &["--quick"], &["--long"]] {
            assert!(parse(words).expect("valid").effort().rounds >= 15, "{words:?}");
        }
    }

    #[test]
    fn only_narrows_by_a_part_of_the_name() {
        let arguments = parse(&["--only", "udp"]).expect("valid");
        assert!(arguments.wants("v4-udp-1-flow") && !arguments.wants("v4-tcp-1-flow"));
        assert!(parse(&[]).expect("valid").wants("tables"));
    }
}
