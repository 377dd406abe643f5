//! Times of a file of allowed signers.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`, in UTC. OpenSSH takes
/// them without the `Z` too, as of the zone of whoever reads: then a key
/// would end at another time on each host.
pub fn parse(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Absent parts are zero.
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Some(0_i8), |part| part.parse().ok());
    let year = digits[..4].parse().ok()?;
    let time = DateTime::new(
        year,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?,
        0,
    )
    .ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}
