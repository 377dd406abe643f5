//! What a document shows of an output, and what a command printed.

use anyhow::{Result, bail, ensure};

/// Every line that is shown was printed, in this order; others may be between.
/// Spaces may differ, and words that begin with a digit; `…` at the end of a
/// line stands for the rest of it.
///
/// # Errors
/// Names the first line that was not printed.
pub fn ensure_shown(shown: &str, printed: &str) -> Result<()> {
    let wanted: Vec<&str> = shown.lines().filter(|line| !line.trim().is_empty()).collect();
    ensure!(!wanted.is_empty(), "nothing is shown");
    let mut lines = printed.lines();
    for line in wanted {
        if line.trim() != "…" && !lines.any(|of| is_like(line, of)) {
            bail!("not printed: {line}\n{printed}");
        }
    }
    Ok(())
}

fn is_like(shown: &str, printed: &str) -> bool {
    let mut printed = printed.split_whitespace();
    for word in shown.split_whitespace() {
        if word == "…" {
            return true;
        }
        match printed.next() {
            Some(of) if of == word || (is_number(of) && is_number(word)) => {}
            Some(_) | None => return false,
        }
    }
    printed.next().is_none()
}

fn is_number(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
}
