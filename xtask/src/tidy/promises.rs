//! Every promise of RELIABILITY.md names a test that is there.

use std::collections::BTreeSet;

use super::{File, Violation};

const PAGE: &str = "RELIABILITY.md";

/// Judges the whole repository: tests are everywhere.
pub fn check(files: &[File]) -> Vec<Violation> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else {
        return vec![at(1, "is missing, and with it every promise")];
    };
    let tests: BTreeSet<&str> = files
        .iter()
        .filter(|file| file.is("rs"))
        .flat_map(|file| tests(&file.text))
        .collect();
    let mut found = Vec::new();
    let mut promises = 0;
    for (line, number) in page.text.lines().zip(1..) {
        let Some(named) = named(line) else { continue };
        promises += 1;
        if named.is_empty() {
            found.push(at(number, "a promise without a test"));
        }
        for name in named {
            if !tests.contains(name) {
                found.push(at(number, &format!("there is no test {name}")));
            }
        }
    }
    if promises == 0 {
        found.push(at(1, "no promises found; has the table changed?"));
    }
    found
}

/// The tests in the last column of a row of promises, by the last part of their
/// paths; `None`: it is no such row.
fn named(line: &str) -> Option<Vec<&str>> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let last = row.rsplit('|').next()?.trim();
    if last.is_empty() || last.chars().all(|c| "-: ".contains(c)) || last == "enforced by" {
        return None;
    }
    let spans = last.split('`').skip(1).step_by(2);
    Some(spans.map(|span| span.rsplit("::").next().unwrap_or(span)).collect())
}

/// The names of functions that are tests.
fn tests(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test && let Some((_, after)) = line.split_once("fn ") {
            names.extend(after.split(['(', '<']).next());
            is_test = false;
        }
    }
    names
}

fn at(line: usize, message: &str) -> Violation {
    Violation {
        path: PAGE.to_owned(),
        line,
        message: message.to_owned(),
    }
}
