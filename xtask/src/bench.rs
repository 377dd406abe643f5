//! `cargo xtask bench`: what packets, changes and memory cost, beside the
//! goals. The options are those of `holdfast-bench`, which judges them.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{
    build,
    progress::{say, shown},
    workspace,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How the results are printed: table or json.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<String>,
    /// More rounds, for figures to be kept.
    #[arg(long)]
    long: bool,
    /// Few and short rounds, to see that it works.
    #[arg(long)]
    quick: bool,
    /// Only scenarios and parts (packets, programs, rates, memory, tables,
    /// publishing) whose name contains this.
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Put another pinned XDP program through the same wrapper, on the same
    /// frames, in the same rounds. Can be repeated.
    #[arg(long, value_name = "NAME=PINNED_PROG")]
    compare: Vec<String>,
    /// Write BENCHMARKS.md as well.
    #[arg(long)]
    write: bool,
}

impl Arguments {
    /// As `holdfast-bench` takes them.
    fn words(&self) -> Vec<&str> {
        let flags = [(self.long, "--long"), (self.quick, "--quick"), (self.write, "--write")];
        let mut words: Vec<&str> = flags
            .into_iter()
            .filter_map(|(set, flag)| set.then_some(flag))
            .collect();
        let values = [("--output", &self.output), ("--only", &self.only)];
        for (name, value) in values {
            words.extend(value.iter().flat_map(|value| [name, value.as_str()]));
        }
        words.extend(self.compare.iter().flat_map(|rival| ["--compare", rival.as_str()]));
        words
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    build::bench()?;
    let bench = workspace::release_binary("holdfast-bench")?;
    let mut command = Command::new(&bench);
    command.args(arguments.words());
    say(&format!("==> {}", shown(&command)));
    let status = command
        .status()
        .with_context(|| format!("starting {}", bench.display()))?;
    if !status.success() {
        bail!("the benchmark failed: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::Arguments;

    #[test]
    fn every_option_is_handed_on() {
        let line = [
            "bench",
            "--long",
            "--write",
            "-o",
            "json",
            "--only",
            "v4",
            "--compare",
            "a=/x",
            "--compare",
            "b=/y",
        ];
        let matches = Arguments::augment_args(Command::new("bench")).get_matches_from(line);
        let arguments = Arguments::from_arg_matches(&matches).expect("the options are known");
        let expected = [
            "--long",
            "--write",
            "--output",
            "json",
            "--only",
            "v4",
            "--compare",
            "a=/x",
            "--compare",
            "b=/y",
        ];
        assert_eq!(arguments.words(), expected);
    }
}
