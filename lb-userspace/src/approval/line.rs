//! One line of a file of allowed signers: ssh-keygen(1), ALLOWED SIGNERS.
//!
//! Everything that OpenSSH takes and we do not is an error, never passed over.

use jiff::Timestamp;

use super::{
    NAMESPACE,
    key::{BadKey, Key},
    name,
    signers::Signer,
    times,
};

/// Why a line is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("there is a control character on it")]
    Control,
    #[error("it ends before the key")]
    NoKey,
    #[error("the options cannot be read: they are NAME=\"VALUE\", with commas between and no spaces")]
    Options,
    #[error("it has an option that is not known here")]
    UnknownOption,
    #[error("it has the same option twice")]
    RepeatedOption,
    #[error("{option} is no time such as 20270101Z or 202701311800Z (UTC; the Z is needed)")]
    Time { option: &'static str },
    #[error("valid-before is not later than valid-after")]
    NeverValid,
    #[error("`{}` cannot be the name of a person", name.escape_default())]
    Principal { name: String },
    #[error(transparent)]
    Key(#[from] BadKey),
    #[error("it does not say namespaces=\"{NAMESPACE}\": its key is for something else")]
    Namespace,
    #[error("its namespaces are patterns: name them")]
    NamespacePattern,
    /// Whoever has that key could make approvers.
    #[error("it is for certificates (cert-authority): name every approver's own key")]
    CertAuthority,
    #[error("`{}` is a pattern: name every approver", name.escape_default())]
    PrincipalPattern { name: String },
    /// One person would count twice.
    #[error("its key is that of line {first_line}, which says something else of it")]
    SameKey { first_line: u32 },
    /// So that a person is told by any of the names.
    #[error("`{name}` may be the person of line {first_line}: give both lines all names of that person")]
    SplitPerson { name: String, first_line: u32 },
}

impl LineError {
    /// The code, as in `docs/refusals.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Control
            | Self::NoKey
            | Self::Options
            | Self::UnknownOption
            | Self::RepeatedOption
            | Self::Time { .. }
            | Self::NeverValid
            | Self::Principal { .. } => "HF2100",
            Self::Namespace | Self::NamespacePattern => "HF2101",
            Self::CertAuthority | Self::PrincipalPattern { .. } => "HF2102",
            Self::Key(_) => "HF2103",
            Self::SameKey { .. } | Self::SplitPerson { .. } => "HF2104",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::Control | Self::NoKey | Self::Options | Self::UnknownOption | Self::Principal { .. } => {
                "write the line as: NAME@HOST namespaces=\"holdfast-plan-v1\" ssh-ed25519 AAAA…"
            }
            Self::RepeatedOption => "keep one of them",
            Self::Time { .. } => "write the time in UTC, with a Z at its end",
            Self::NeverValid => "correct the times, or remove the line",
            Self::Namespace | Self::NamespacePattern => "add namespaces=\"holdfast-plan-v1\" to the line",
            Self::CertAuthority | Self::PrincipalPattern { .. } => "write one line for each key of each approver",
            Self::Key(_) => "take the line of the approver's .pub file: ssh-keygen -t ed25519 makes one",
            Self::SameKey { .. } => "keep one of the lines",
            Self::SplitPerson { .. } => "write the same names, with commas between, on each line of that person",
        }
    }
}

/// A signer, or `None` if the line is empty or a comment.
pub fn parse(line: &str) -> Result<Option<Signer>, LineError> {
    if line.chars().any(|char| char.is_control() && char != '\t') {
        return Err(LineError::Control);
    }
    let line = line.trim_matches(BLANKS);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (names, rest) = word(line);
    let principals = principals(names)?;
    let (first, after) = word(rest);
    if first.is_empty() {
        return Err(LineError::NoKey);
    }
    if is_key_type(first) {
        return Err(LineError::Namespace);
    }
    let options = Options::parse(first)?;
    let (key_type, rest) = word(after);
    let (base64, comment) = word(rest);
    if base64.is_empty() {
        return Err(LineError::NoKey);
    }
    let key = Key::from_text(key_type, base64)?;
    Ok(Some(Signer {
        principals,
        algorithm: key.algorithm,
        fingerprint: key.fingerprint(),
        key: key.base64(),
        valid_after: options.valid_after,
        valid_before: options.valid_before,
        comment: comment.to_owned(),
    }))
}

const BLANKS: [char; 2] = [' ', '\t'];

/// Up to the first blank outside double quotes; and what follows the blanks.
fn word(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let end = text.find(|char| {
        quoted ^= char == '"';
        !quoted && BLANKS.contains(&char)
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    (word, rest.trim_start_matches(BLANKS))
}

/// No option is called like this: the options are missing.
fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start))
}

fn principals(list: &str) -> Result<Vec<String>, LineError> {
    let mut names = Vec::new();
    for name in list.split(',') {
        if name::is_pattern(name) {
            return Err(LineError::PrincipalPattern { name: name.to_owned() });
        }
        if !name::is_plain(name) {
            return Err(LineError::Principal { name: name.to_owned() });
        }
        names.push(name.to_owned());
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

#[derive(Default)]
struct Options {
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
}

impl Options {
    fn parse(text: &str) -> Result<Self, LineError> {
        let mut namespaces = None;
        let mut after = None;
        let mut before = None;
        let mut rest = text;
        loop {
            let (name, value, then) = option(rest)?;
            let slot = match name.to_ascii_lowercase().as_str() {
                "cert-authority" => return Err(LineError::CertAuthority),
                "namespaces" => &mut namespaces,
                "valid-after" => &mut after,
                "valid-before" => &mut before,
                _ => return Err(LineError::UnknownOption),
            };
            if slot.replace(value.ok_or(LineError::Options)?).is_some() {
                return Err(LineError::RepeatedOption);
            }
            match then.strip_prefix(',') {
                Some(more) => rest = more,
                None if then.is_empty() => break,
                None => return Err(LineError::Options),
            }
        }
        is_ours(namespaces.ok_or(LineError::Namespace)?)?;
        let options = Self {
            valid_after: time("valid-after", after)?,
            valid_before: time("valid-before", before)?,
        };
        if let (Some(after), Some(before)) = (options.valid_after, options.valid_before)
            && before <= after
        {
            return Err(LineError::NeverValid);
        }
        Ok(options)
    }
}

/// The first option's name and value, and what comes after it.
fn option(text: &str) -> Result<(&str, Option<&str>, &str), LineError> {
    let end = text.find(['=', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(value) = rest.strip_prefix('=') else {
        return Ok((name, None, rest));
    };
    // OpenSSH reads \" as a quote; in no value of ours is one.
    let value = value.strip_prefix('"').ok_or(LineError::Options)?;
    let (value, rest) = value.split_once('"').ok_or(LineError::Options)?;
    if value.contains('\\') {
        return Err(LineError::Options);
    }
    Ok((name, Some(value), rest))
}

fn is_ours(namespaces: &str) -> Result<(), LineError> {
    if name::is_pattern(namespaces) {
        Err(LineError::NamespacePattern)
    } else if namespaces.split(',').any(|namespace| namespace == NAMESPACE) {
        Ok(())
    } else {
        Err(LineError::Namespace)
    }
}

fn time(option: &'static str, text: Option<&str>) -> Result<Option<Timestamp>, LineError> {
    text.map(|text| times::parse(text).ok_or(LineError::Time { option }))
        .transpose()
}
