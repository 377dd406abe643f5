//! Ethernet addresses.

use std::fmt;

/// An Ethernet address; `02:00:00:00:00:11` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|byte| write!(f, ":{byte:02x}"))
    }
}

/// The text is not six hexadecimal bytes with colons.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address like 02:00:00:00:00:11")]
pub struct NotAMacAddr(pub String);

impl std::str::FromStr for MacAddr {
    type Err = NotAMacAddr;

    fn from_str(text: &str) -> Result<Self, NotAMacAddr> {
        let not = || NotAMacAddr(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(not)?;
            // `from_str_radix` takes a sign, too.
            if !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(not());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| not())?;
        }
        if parts.next().is_some() {
            Err(not())
        } else {
            Ok(Self(bytes))
        }
    }
}
