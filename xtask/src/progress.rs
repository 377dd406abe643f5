//! Shows that something is happening: a spinner with the elapsed time and the
//! last line of output on a terminal, plain lines elsewhere.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, IsTerminal, Write},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Steps of the spinner, of equal width.
const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(120);
/// Off a terminal: how often a long step says that it is still running.
const STILL_RUNNING_AFTER: Duration = Duration::from_secs(20);
/// Columns of output shown beside the spinner.
const TAIL_COLUMNS: usize = 60;
/// Lines of a failed step's output that are printed.
const TAIL_LINES: usize = 40;

/// One line for people, on standard error.
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// A command as one would type it, without its folder and variables.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    [program]
        .into_iter()
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Seconds, to a tenth.
pub fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}

/// Runs a command whose own output is worth watching, such as cargo's.
pub fn run_shown(title: &str, command: &mut Command) -> Result<()> {
    say(&format!("==> {title}"));
    let started = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("starting {}", shown(command)))?;
    if !status.success() {
        bail!("{title}: {status} after {}", seconds(started.elapsed()));
    }
    say(&format!("    done in {}", seconds(started.elapsed())));
    Ok(())
}

/// Runs a command whose output nobody wants unless it fails. It is kept under
/// `target/xtask/NAME.log`.
pub fn run_quiet(name: &str, title: &str, command: &mut Command) -> Result<()> {
    let folder = workspace::root()?.join("target/xtask");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let log = folder.join(format!("{name}.log"));
    let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("sharing the log")?)
        .stderr(output);
    say(&format!("==> {title}"));
    let started = Instant::now();
    let status = wait(command, &log, started)?;
    if !status.success() {
        say(&tail(&log, TAIL_LINES));
        bail!("{title}: {status} (all of it: {})", log.display());
    }
    say(&format!("    done in {}", seconds(started.elapsed())));
    Ok(())
}

fn wait(command: &mut Command, log: &Path, started: Instant) -> Result<ExitStatus> {
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {}", shown(command)))?;
    let terminal = io::stderr().is_terminal();
    let mut next_word = STILL_RUNNING_AFTER;
    for frame in FRAMES.iter().cycle() {
        if let Some(status) = child.try_wait().context("waiting")? {
            if terminal {
                eprint!("\r\x1b[K");
            }
            return Ok(status);
        }
        let elapsed = started.elapsed();
        if terminal {
            let line: String = tail(log, 1).chars().take(TAIL_COLUMNS).collect();
            eprint!("\r\x1b[K  {frame} {:>4} s  {line}", elapsed.as_secs());
            io::stderr().flush().context("writing to the terminal")?;
        } else if elapsed >= next_word {
            say(&format!("    still running after {} s", elapsed.as_secs()));
            next_word += STILL_RUNNING_AFTER;
        }
        thread::sleep(TICK);
    }
    unreachable!("the spinner has no last frame")
}

/// The last lines of a log that hold anything.
fn tail(log: &Path, lines: usize) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let kept: Vec<&str> = text
        .split(['\n', '\r'])
        .filter(|line| !line.trim().is_empty())
        .collect();
    kept[kept.len().saturating_sub(lines)..].join("\n")
}
