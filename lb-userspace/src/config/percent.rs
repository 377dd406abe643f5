//! A share as people write it: `25%`.

use std::{fmt, str::FromStr};

/// 0..=100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    pub const ZERO: Self = Self(0);

    /// `None`: above 100.
    #[must_use]
    pub const fn new(percent: u32) -> Option<Self> {
        if percent > 100 { None } else { Some(Self(percent as u8)) }
    }

    /// 0..=100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// `part` of `whole` is at least this share.
    #[must_use]
    pub const fn reached_by(self, part: u64, whole: u64) -> bool {
        part * 100 >= whole * self.0 as u64
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// The text is no whole number of 0 to 100 and a percent sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share of 0% to 100%")]
pub struct NotAPercent(pub String);

impl FromStr for Percent {
    type Err = NotAPercent;

    fn from_str(text: &str) -> Result<Self, NotAPercent> {
        let not = || NotAPercent(text.to_owned());
        let digits = text.strip_suffix('%').ok_or_else(not)?;
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        if leading_zero || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(not());
        }
        digits.parse().ok().and_then(Self::new).ok_or_else(not)
    }
}
