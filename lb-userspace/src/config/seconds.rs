//! A span of time as people write it: `30s`, `5m`, `1h`.

use std::{fmt, str::FromStr};

/// Whole seconds; as text in the largest unit that gives a whole number, so
/// that `60m` and `1h` are one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seconds(pub u32);

const UNITS: [(char, u32); 3] = [('h', 3600), ('m', 60), ('s', 1)];

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, of)| self.0 != 0 && self.0.is_multiple_of(*of));
        let (unit, of) = whole.unwrap_or(&('s', 1));
        write!(f, "{}{unit}", self.0 / of)
    }
}

/// The text is no whole number with a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time like 30s, 5m or 1h")]
pub struct NotSeconds(pub String);

impl FromStr for Seconds {
    type Err = NotSeconds;

    /// More than fits is the longest there is, which every limit is below.
    fn from_str(text: &str) -> Result<Self, NotSeconds> {
        let of_unit = UNITS
            .iter()
            .find_map(|(unit, of)| Some((text.strip_suffix(*unit)?, of)));
        let (digits, of) = of_unit.ok_or_else(|| NotSeconds(text.to_owned()))?;
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        if digits.is_empty() || leading_zero || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(NotSeconds(text.to_owned()));
        }
        let number: u32 = digits.parse().unwrap_or(u32::MAX);
        Ok(Self(number.saturating_mul(*of)))
    }
}
