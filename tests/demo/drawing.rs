//! The picture, as text with ANSI sequences: pure.

use std::{collections::VecDeque, fmt::Write as _};

use crate::dashboard::Script;

/// Another screen, no cursor; and back (ECMA-48, xterm's private modes).
pub const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
pub const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

const HOME: &str = "\x1b[H";
/// Ends every line: what an earlier picture had there goes.
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_BELOW: &str = "\x1b[J";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

const ACTS: usize = 6;
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is measured, as of now.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Long-lived streams that are open.
    pub open: usize,
    pub connections: usize,
    pub broken: usize,
    pub wrong: usize,
    /// Generation and revision; absent: no daemon answers.
    pub daemon: Option<(u64, u64)>,
    /// As of when a daemon last answered.
    pub backends: Vec<BackendLine>,
    /// Checked bytes a second, oldest first.
    pub throughput: VecDeque<f64>,
}

#[derive(Clone, Debug)]
pub struct BackendLine {
    pub name: String,
    pub weight: u32,
    /// A second.
    pub packets: f64,
    /// New ones, a second.
    pub connections: f64,
}

/// Draws over the picture before it.
pub fn picture(script: &Script, numbers: &Numbers, width: usize) -> String {
    let width = width.clamp(60, 110);
    let mut lines = vec![
        format!(" {BOLD}HOLDFAST{PLAIN}   {DIM}{}{PLAIN}", progress(script.act)),
        format!(" {DIM}{}{PLAIN}", "─".repeat(width - 2)),
        format!(" {CYAN}{BOLD}{}{PLAIN}", script.title),
        String::new(),
    ];
    lines.extend(totals(numbers, script.explained));
    lines.push(String::new());
    lines.extend(backends(&numbers.backends, width));
    lines.push(String::new());
    lines.push(throughput(&numbers.throughput, width));
    lines.push(format!(" {DIM}{}{PLAIN}", "─".repeat(width - 2)));
    lines.extend(
        script
            .events
            .iter()
            .map(|event| format!(" {}", shortened(event, width - 2))),
    );
    lines.push(String::new());
    lines.push(format!(" {DIM}Ctrl-C ends it and cleans up{PLAIN}"));
    let mut text = HOME.to_owned();
    for line in lines {
        text.push_str(&line);
        text.push_str(CLEAR_LINE);
    }
    text.push_str(CLEAR_BELOW);
    text
}

/// `● ● ◉ ○ ○ ○`: played, playing, to come.
fn progress(act: usize) -> String {
    let marks: Vec<&str> = (1..=ACTS)
        .map(|nth| match nth.cmp(&act) {
            std::cmp::Ordering::Less => "●",
            std::cmp::Ordering::Equal => "◉",
            std::cmp::Ordering::Greater => "○",
        })
        .collect();
    marks.join(" ")
}

fn totals(numbers: &Numbers, explained: usize) -> [String; 2] {
    let zero_is_good = |count: usize| if count == 0 { GREEN } else { RED };
    let daemon = numbers.daemon.map_or_else(
        || format!("{RED}no daemon: the kernel goes on by itself{PLAIN}"),
        |(generation, revision)| format!("{GREEN}generation {generation}{PLAIN}, revision {revision}"),
    );
    [
        format!(
            " {BOLD}{}{PLAIN} streams open   {BOLD}{}{PLAIN} connections   {} broken, {} of them with their slot   {}{} wrong bytes{PLAIN}",
            numbers.open,
            numbers.connections,
            numbers.broken,
            explained,
            zero_is_good(numbers.wrong),
            numbers.wrong,
        ),
        format!(" {daemon}"),
    ]
}

fn backends(lines: &[BackendLine], width: usize) -> Vec<String> {
    const WORDS: usize = 52;
    let most = lines.iter().map(|line| line.packets).fold(1.0, f64::max);
    let room = width - WORDS;
    let line = |line: &BackendLine| {
        let bar = bar(line.packets / most, room);
        format!(
            " {BOLD}{:<5}{PLAIN} weight {:>3}  {GREEN}{bar:<room$}{PLAIN} {:>6.0} packets/s {:>4.0} new/s",
            line.name, line.weight, line.packets, line.connections
        )
    };
    lines.iter().map(line).collect()
}

/// A bar of at most `room` columns, to an eighth of one.
#[expect(
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a few columns"
)]
fn bar(share: f64, room: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (room * 8) as f64).round() as usize;
    let mut text = EIGHTHS[7].to_string().repeat(eighths / 8);
    if let Some(part) = (eighths % 8).checked_sub(1) {
        text.push(EIGHTHS[part]);
    }
    text
}

fn throughput(history: &VecDeque<f64>, width: usize) -> String {
    const WORDS: usize = 28;
    let shown = history.len().min(width - WORDS);
    let recent = || history.iter().skip(history.len() - shown);
    let most = recent().copied().fold(1.0, f64::max);
    let mut line = format!(" checked {CYAN}");
    for value in recent() {
        #[expect(clippy::cast_sign_loss, reason = "throughput is not negative")]
        let level = (value / most * 7.0).round() as usize;
        line.push(LEVELS[level.min(7)]);
    }
    let now = history.back().copied().unwrap_or_default() / 1024.0;
    write!(line, "{PLAIN} {now:.0} KiB/s").expect("a String takes all that is written");
    line
}

fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns - 1).collect();
    format!("{kept}…")
}
