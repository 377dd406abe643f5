//! Rules about one value.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use ipnet::Ipv4Net;
use serde_saphyr::Spanned;

use super::Judge;
use crate::config::{
    MacAddr,
    file::{Number, Text, Word},
    limits::{MAX_INTERFACE_BYTES, MAX_NAME_BYTES, MIN_PREFIX},
    place::Place,
    problem::Problem,
};

impl Judge<'_> {
    pub fn environment(&mut self, text: &Text) -> Option<String> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        self.label("name for an environment", text, inner)
    }

    /// Name of a pool, backend or VIP.
    pub fn name(&mut self, text: &Text) -> Option<String> {
        self.label("name for an object", text, is_name_character)
    }

    fn label(&mut self, what: &'static str, text: &Text, inner: impl Fn(char) -> bool) -> Option<String> {
        let written = text.value.clone();
        let problem = if !is_label(&written, inner) {
            Problem::NameInvalid { what, written }
        } else if written.len() > MAX_NAME_BYTES {
            let bytes = written.len();
            Problem::NameTooLong { what, bytes }
        } else {
            return Some(written);
        };
        self.refuse(problem, Place::of(text));
        None
    }

    pub fn number(&mut self, key: &'static str, written: &Spanned<Number>, min: u32, max: u32) -> Option<u32> {
        let place = Place::of(written);
        let number = match written.value {
            Number::Whole(number) => number,
            Number::Other => {
                let written = place.slice(self.text).to_owned();
                self.refuse(Problem::NotANumber { key, written }, place);
                return None;
            }
        };
        let within = u32::try_from(number).ok().filter(|number| (min..=max).contains(number));
        if within.is_none() {
            self.refuse(Problem::NumberOutOfRange { key, number, min, max }, place);
        }
        within
    }

    pub fn word<T: Copy>(&mut self, key: &'static str, word: &Spanned<Word<T>>) -> Option<T> {
        match &word.value {
            Word::Known(value) => Some(*value),
            Word::Unknown { written, words } => {
                let written = written.clone();
                self.refuse(Problem::UnknownWord { key, written, words }, Place::of(word));
                None
            }
        }
    }

    /// A word that may be absent.
    pub fn word_or_default<T: Copy + Default>(
        &mut self,
        key: &'static str,
        word: Option<&Spanned<Word<T>>>,
    ) -> Option<T> {
        word.map_or(Some(T::default()), |word| self.word(key, word))
    }

    /// An IPv4 address that one host can have.
    pub fn address(&mut self, text: &Text) -> Option<Ipv4Addr> {
        let written = &text.value;
        let problem = match written.parse() {
            Ok(address) => match not_unicast(address) {
                None => return Some(address),
                Some(kind) => Problem::AddressNotUnicast { address, kind },
            },
            Err(_) if written.parse::<Ipv6Addr>().is_ok() => Problem::AddressIsIpv6(written.clone()),
            Err(_) => Problem::AddressInvalid(written.clone()),
        };
        self.refuse(problem, Place::of(text));
        None
    }

    /// A prefix that packets may come from.
    pub fn prefix(&mut self, text: &Text) -> Option<Ipv4Net> {
        let problem = match text.value.parse::<Ipv4Net>() {
            Ok(prefix) => match prefix_problem(prefix) {
                None => return Some(prefix),
                Some(problem) => problem,
            },
            Err(_) => Problem::PrefixInvalid(text.value.clone()),
        };
        self.refuse(problem, Place::of(text));
        None
    }

    /// An Ethernet address of one host.
    pub fn mac(&mut self, text: &Text) -> Option<MacAddr> {
        let problem = match text.value.parse::<MacAddr>() {
            Ok(mac) => match mac_kind(mac) {
                None => return Some(mac),
                Some(kind) => Problem::MacNotUnicast {
                    mac: mac.to_string(),
                    kind,
                },
            },
            Err(_) => Problem::MacInvalid(text.value.clone()),
        };
        self.refuse(problem, Place::of(text));
        None
    }

    /// An absolute path of a file.
    pub fn path(&mut self, text: &Text) -> Option<PathBuf> {
        let path = Path::new(&text.value);
        if path.is_absolute() && path.file_name().is_some() {
            return Some(path.to_owned());
        }
        self.refuse(Problem::PathInvalid(text.value.clone()), Place::of(text));
        None
    }

    /// What `dev_valid_name()` of the kernel takes, less control characters.
    pub fn interface_name(&mut self, text: &Text) -> Option<String> {
        let name = &text.value;
        let valid = (1..=MAX_INTERFACE_BYTES).contains(&name.len())
            && name != "."
            && name != ".."
            && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
        if valid {
            return Some(name.clone());
        }
        self.refuse(Problem::InterfaceInvalid(name.clone()), Place::of(text));
        None
    }
}

/// Well-formed as the name of a pool, backend or VIP.
pub fn is_name(text: &str) -> bool {
    is_label(text, is_name_character) && text.len() <= MAX_NAME_BYTES
}

const fn is_name_character(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_')
}

fn is_label(text: &str, inner: impl Fn(char) -> bool) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) && text.chars().all(inner)
}

/// What an address is, if it is not that of one host (RFC 6890 §2.2.2).
const fn not_unicast(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("in 0.0.0.0/8 (this network)"),
        [127, ..] => Some("loopback"),
        [224..=239, ..] => Some("multicast"),
        [255, 255, 255, 255] => Some("broadcast"),
        [240..=255, ..] => Some("in 240.0.0.0/4 (reserved)"),
        _ => None,
    }
}

fn prefix_problem(prefix: Ipv4Net) -> Option<Problem> {
    if prefix.prefix_len() < MIN_PREFIX {
        return Some(Problem::PrefixTooShort(prefix.prefix_len()));
    }
    if prefix.trunc() != prefix {
        return Some(Problem::PrefixHasHostBits {
            prefix: prefix.to_string(),
            network: prefix.trunc().to_string(),
        });
    }
    // No prefix of /8 or longer is partly unicast.
    not_unicast(prefix.addr()).map(|kind| Problem::PrefixNotUnicast {
        prefix: prefix.to_string(),
        kind,
    })
}

const fn mac_kind(mac: MacAddr) -> Option<&'static str> {
    match mac.0 {
        [0, 0, 0, 0, 0, 0] => Some("zero"),
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => Some("broadcast"),
        // The lowest bit of the first byte (IEEE 802-2014 §8.2.2).
        [first, ..] if first & 1 == 1 => Some("multicast"),
        _ => None,
    }
}
