//! A plan as text for people: what changes, what it moves, what is found.
//!
//! Pure. Colour is asked for, never guessed; text from a plan cannot steer the
//! terminal, because a plan file may come from anybody.

mod line;

use std::fmt::Write as _;

use lb_common::abi::table::SLOTS;

use self::line::{Line, lines};
use super::{Change, Finding, Overrides, Plan, PoolEffect, Severity};

/// The whole plan, newline at its end.
#[must_use]
pub fn plan_text(plan: &Plan, color: bool) -> String {
    let base = match plan.base.generation {
        0 => "Nothing served yet".to_owned(),
        generation => format!("Generation {generation} (running)"),
    };
    let head = Style(color).bold(&format!("{base} → candidate {}", plan.target.digest().short()));
    let mut text = format!("{head}      environment {}\n", plain(&plan.environment));
    text.push_str(&changes_text(&plan.changes, &plan.effects, color));
    text.push_str(&blast_text(plan, color));
    text.push_str(&findings_text(&plan.findings, color));
    text.push_str(&lock_text(plan, color));
    text
}

/// What it breaks and takes away; nothing, if it does neither.
fn blast_text(plan: &Plan, color: bool) -> String {
    let blast = &plan.blast;
    if blast.is_harmless() {
        return String::new();
    }
    let broken = blast.broken_per_mille();
    let mut parts = vec![format!(
        "{}.{} % of packets ({} of {} a second)",
        broken / 10,
        broken % 10,
        blast.broken,
        blast.packets
    )];
    parts.push(format!("{} of {} VIPs", blast.vips_broken.len(), blast.vips));
    parts.push(format!("{} of {} backends", blast.taken_out.len(), blast.backends));
    let left = blast
        .capacity_left
        .iter()
        .map(|(pool, left)| format!("{left} of pool {pool} left"));
    parts.extend(left.take(LEFT_TOLD));
    let head = Style(color).bold("BLAST RADIUS");
    format!("{head} {}\n", plain(&parts.join(", ")))
}

/// Whose word it takes, and that it is on trial.
fn lock_text(plan: &Plan, color: bool) -> String {
    let style = Style(color);
    let mut text = String::new();
    if plan.is_refused() || plan.is_empty() {
        return text;
    }
    if plan.needs > 0 {
        let locked = format!(
            "LOCKED: {} by others until {}: holdfast approve {}",
            counted(plan.needs, "approval"),
            plan.expires,
            plan.digest()
        );
        writeln!(text, "{}", style.red(&locked)).expect("a String takes all text");
    }
    if let Some(trial) = plan.trial {
        let tried = format!("ON TRIAL: taken back unless somebody confirms it within {trial}");
        writeln!(text, "{}", style.yellow(&tried)).expect("a String takes all text");
    }
    text
}

/// Pools whose capacity is told one by one.
const LEFT_TOLD: usize = 4;

fn counted(number: u32, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// The differences between two contents that `from` and `to` name.
#[must_use]
pub fn diff_text(from: &str, to: &str, changes: &[Change], effects: &[PoolEffect], color: bool) -> String {
    let head = Style(color).bold(&format!("{} → {}", plain(from), plain(to)));
    format!("{head}\n{}", changes_text(changes, effects, color))
}

/// A line for each change; `  no change` if there is none.
#[must_use]
pub fn changes_text(changes: &[Change], effects: &[PoolEffect], color: bool) -> String {
    let style = Style(color);
    let lines = lines(changes, effects);
    if lines.is_empty() {
        return "  no change\n".to_owned();
    }
    let width = |column: fn(&Line) -> &str, limit: usize| {
        let widths = lines.iter().map(|line| column(line).chars().count());
        widths.filter(|width| *width <= limit).max().unwrap_or(0)
    };
    // One long line does not push the columns of all others to the right.
    let (subjects, whats) = (width(|line| &line.subject, 24), width(|line| &line.what, 56));
    let mut text = String::new();
    for line in &lines {
        let (subject, what) = (plain(&line.subject), plain(&line.what));
        let row = format!("{subject:subjects$}  {what:whats$}  {}", line.effect);
        let row = format!("{} {}", line.sign, row.trim_end());
        writeln!(text, "  {}", style.sign(line.sign, &row)).expect("a String takes all text");
    }
    text
}

/// A line for each backend of which something was set by command.
#[must_use]
pub fn overrides_text(overrides: &Overrides, color: bool) -> String {
    let backends = overrides.backends.iter().map(|(object, of)| format!("{object} {of}"));
    let vips = overrides.vips.iter().map(|(object, state)| format!("{object} {state}"));
    let lines = backends.chain(vips).map(|set| {
        let line = plain(&format!("  set by command: {set}"));
        format!("{}\n", Style(color).dim(&line))
    });
    lines.collect()
}

/// A line for each finding, and one for what to do about it.
#[must_use]
pub fn findings_text(findings: &[Finding], color: bool) -> String {
    let style = Style(color);
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.severity {
            Severity::Refuse => style.red("✗"),
            Severity::Lock => style.red("▲"),
            Severity::Warn => style.yellow("!"),
            Severity::Note => style.dim("·"),
        };
        let (code, message) = (plain(&finding.code), plain(&finding.message));
        let measured = match (&finding.value, &finding.limit) {
            (Some(value), Some(limit)) => format!(" ({} against {})", plain(value), plain(limit)),
            (Some(_) | None, _) => String::new(),
        };
        writeln!(text, " {mark} {code} {message}{measured}").expect("a String takes all text");
        if let Some(fix) = &finding.fix {
            writeln!(text, "   {}", style.dim(&format!("fix: {}", plain(fix)))).expect("a String takes all text");
        }
    }
    text
}

/// Slots as a share of a table, to a tenth of a percent; never `0 %` for some
/// nor `100 %` for not quite all.
#[must_use]
pub fn percent(slots: u32) -> String {
    let (slots, all) = (u64::from(slots), SLOTS as u64);
    let tenths = (slots * 1000 + all / 2) / all;
    let tenths = if slots < all { tenths.min(999) } else { tenths };
    match (slots, tenths) {
        (1.., 0) => "under 0.1 %".to_owned(),
        (_, tenths) if tenths % 10 == 0 => format!("{} %", tenths / 10),
        (_, tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// The text without characters that a terminal would obey.
fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(visible).collect()
}

/// Colours, or none (ECMA-48 SGR).
#[derive(Clone, Copy)]
struct Style(bool);

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn sign(self, sign: line::Sign, text: &str) -> String {
        match sign {
            line::Sign::Added => self.green(text),
            line::Sign::Changed => self.yellow(text),
            line::Sign::Removed => self.red(text),
            line::Sign::Moved => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
