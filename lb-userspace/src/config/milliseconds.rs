//! A short span of time as people write it: `500ms`, `2s`, `1m`.

use std::{fmt, str::FromStr, time::Duration};

/// Whole milliseconds; as text in the largest unit that gives a whole number,
/// so that `2000ms` and `2s` are one thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Milliseconds(pub u32);

const UNITS: [(&str, u32); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Milliseconds {
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }
}

/// `0s` is nothing.
impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, of)| self.0 != 0 && self.0.is_multiple_of(*of));
        let (unit, of) = whole.unwrap_or(&("s", 1));
        write!(f, "{}{unit}", self.0 / of)
    }
}

/// The text is no whole number with a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time like 500ms, 2s or 1m")]
pub struct NotMilliseconds(pub String);

impl FromStr for Milliseconds {
    type Err = NotMilliseconds;

    /// More than fits is the longest there is, which every limit is below.
    fn from_str(text: &str) -> Result<Self, NotMilliseconds> {
        let not = || NotMilliseconds(text.to_owned());
        let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
        let (_, of) = UNITS
            .iter()
            .find(|(unit, _)| *unit == &text[digits.len()..])
            .ok_or_else(not)?;
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        if digits.is_empty() || leading_zero || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(not());
        }
        let number: u32 = digits.parse().unwrap_or(u32::MAX);
        Ok(Self(number.saturating_mul(*of)))
    }
}
