//! What test programs report, added up.

use std::{
    fmt::{self, Display, Formatter},
    ops::AddAssign,
};

use anyhow::{Result, bail};

/// Tests by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub passed: usize,
    pub failed: usize,
    /// Ignored by the test program, or a level that needs root.
    pub skipped: usize,
}

impl Totals {
    /// Tests that ran.
    pub const fn ran(&self) -> usize {
        self.passed + self.failed
    }

    /// Success only if something ran and nothing failed.
    pub fn verdict(&self) -> Result<()> {
        if self.failed > 0 {
            bail!("{} failed", self.failed);
        }
        if self.ran() == 0 {
            bail!("no test ran");
        }
        Ok(())
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Display for Totals {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// The numbers in `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
pub fn parse(line: &str) -> Option<Totals> {
    let (_, numbers) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    let mut totals = Totals::default();
    for part in numbers.split("; ") {
        let Some((number, what)) = part.split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse() else {
            continue;
        };
        match what {
            "passed" => totals.passed = number,
            "failed" => totals.failed = number,
            "ignored" => totals.skipped = number,
            _ => {}
        }
    }
    Some(totals)
}

#[cfg(test)]
mod tests {
    use super::{Totals, parse};

    #[test]
    fn result_line_is_read_whole() {
        let line = "test result: FAILED. 12 passed; 3 failed; 4 ignored; 5 measured; 6 filtered out; finished in 0.07s";
        let totals = Totals {
            passed: 12,
            failed: 3,
            skipped: 4,
        };
        assert_eq!(parse(line), Some(totals));
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(parse("test rows::ipv4_options ... ok"), None);
        assert_eq!(parse("running 3 tests"), None);
    }

    #[test]
    fn run_without_tests_is_a_failure() {
        assert!(Totals::default().verdict().is_err());
        let skipped = Totals {
            skipped: 7,
            ..Totals::default()
        };
        assert!(skipped.verdict().is_err());
    }

    #[test]
    fn skipped_tests_are_named_in_the_last_line_only_if_there_are_any() {
        let mut totals = Totals {
            passed: 2,
            ..Totals::default()
        };
        assert_eq!(totals.to_string(), "2 passed, 0 failed");
        totals.skipped = 1;
        assert_eq!(totals.to_string(), "2 passed, 0 failed, 1 skipped");
    }
}
