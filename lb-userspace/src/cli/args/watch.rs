//! Arguments of the commands that watch, or look around.

use std::{path::PathBuf, time::Duration};

use clap::Args;

#[derive(Clone, Copy, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast top
  holdfast top -n 5 --interval 2s          five tables of text
  holdfast top -o json | jq .forwardedPps  one object a line, until the pipe breaks")]
pub struct Top {
    /// How many times, then end; without a terminal: until the pipe breaks
    #[arg(short = 'n', long, value_name = "TIMES")]
    pub times: Option<u64>,
    /// How often the daemon is asked
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
}

/// From 100 ms to an hour.
fn interval(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|error| format!("{error}: write 1s or 500ms"))?;
    let duration = Duration::try_from(span).map_err(|_| "it is negative".to_owned())?;
    if (Duration::from_millis(100)..=Duration::from_hours(1)).contains(&duration) {
        Ok(duration)
    } else {
        Err("from 100ms to 1h".to_owned())
    }
}

#[derive(Clone, Debug, Args)]
#[command(before_help = "\
Examples:
  holdfast doctor                          of what is served, or of this host alone
  holdfast doctor --config config.yaml     before the first start
  holdfast doctor -o json | jq '.findings[] | select(.level != \"ok\")'")]
pub struct Doctor {
    /// Judge for this configuration, and not for what is served
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the daemon's state
    #[arg(long, value_name = "DIR", default_value = "/var/lib/holdfast")]
    pub state_dir: PathBuf,
    /// Directory of the daemon's pins; it says itself, if it answers
    #[arg(long, value_name = "DIR")]
    pub pin_dir: Option<PathBuf>,
}
