//! Rules about one value.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde_saphyr::Spanned;

use super::{
    Judge,
    addresses::{Prefix, not_unicast},
};
use crate::config::{
    MacAddr, Milliseconds, Percent, Seconds,
    file::{Number, Text, Word},
    limits::{MAX_INTERFACE_BYTES, MAX_NAME_BYTES},
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

    /// A time of `min` to `max`.
    pub fn time(&mut self, key: &'static str, text: &Text, min: Seconds, max: Seconds) -> Option<Seconds> {
        let written = text.value.clone();
        let problem = match written.parse() {
            Ok(time) if (min..=max).contains(&time) => return Some(time),
            Ok(_) => Problem::TimeOutOfRange { key, written, min, max },
            Err(_) => Problem::TimeInvalid(written),
        };
        self.refuse(problem, Place::of(text));
        None
    }

    /// A short time that may be absent.
    pub fn span(
        &mut self,
        key: &'static str,
        text: Option<&Text>,
        min: Milliseconds,
        max: Milliseconds,
        default: Milliseconds,
    ) -> Option<Milliseconds> {
        let Some(text) = text else {
            return Some(default);
        };
        let written = text.value.clone();
        let problem = match written.parse() {
            Ok(span) if (min..=max).contains(&span) => return Some(span),
            Ok(_) => Problem::SpanOutOfRange { key, written, min, max },
            Err(_) => Problem::TimeInvalid(written),
        };
        self.refuse(problem, Place::of(text));
        None
    }

    /// A share; none is 0%.
    pub fn percent_or_zero(&mut self, text: Option<&Text>) -> Option<Percent> {
        let Some(text) = text else {
            return Some(Percent::ZERO);
        };
        let percent = text.value.parse().ok();
        if percent.is_none() {
            self.refuse(Problem::PercentInvalid(text.value.clone()), Place::of(text));
        }
        percent
    }

    /// An address that one host can have. Two spellings of one are one.
    pub fn address(&mut self, text: &Text) -> Option<IpAddr> {
        let written = &text.value;
        let problem = match written.parse() {
            Ok(address) => match not_unicast(address) {
                None => return Some(address),
                Some(kind) => Problem::AddressNotUnicast { address, kind },
            },
            Err(_) => Problem::AddressInvalid(written.clone()),
        };
        self.refuse(problem, Place::of(text));
        None
    }

    /// A prefix of one family that packets may come from.
    pub fn prefix<P: Prefix>(&mut self, text: &Text) -> Option<P> {
        let problem = match P::judged(&text.value) {
            Ok(prefix) => return Some(prefix),
            Err(problem) => problem,
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

const fn mac_kind(mac: MacAddr) -> Option<&'static str> {
    match mac.0 {
        [0, 0, 0, 0, 0, 0] => Some("zero"),
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => Some("broadcast"),
        // The lowest bit of the first byte (IEEE 802-2014 §8.2.2).
        [first, ..] if first & 1 == 1 => Some("multicast"),
        _ => None,
    }
}
