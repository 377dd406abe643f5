//! Who may do what: the `access:` of a configuration.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who has which role; lists are sorted. Root has every role, named or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub viewer: Vec<Subject>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operator: Vec<Subject>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approver: Vec<Subject>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub admin: Vec<Subject>,
}

/// A user or a group of the host. Names need not exist there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    Root,
    User(String),
    Group(String),
    Uid(u32),
    Gid(u32),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Gid(gid) => write!(f, "gid:{gid}"),
        }
    }
}

/// The text names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names nobody: write root, user:NAME, group:NAME, uid:N or gid:N")]
pub struct NotASubject(pub String);

impl FromStr for Subject {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, NotASubject> {
        let not = || NotASubject(text.to_owned());
        if text == "root" {
            return Ok(Self::Root);
        }
        match text.split_once(':').ok_or_else(not)? {
            ("user", name) if is_account(name) => Ok(Self::User(name.to_owned())),
            ("group", name) if is_account(name) => Ok(Self::Group(name.to_owned())),
            ("uid", number) => id(number).map(Self::Uid).ok_or_else(not),
            ("gid", number) => id(number).map(Self::Gid).ok_or_else(not),
            _ => Err(not()),
        }
    }
}

/// As useradd(8) takes names, and those of directories: `EXAMPLE\ann`,
/// `ann@example.net`.
fn is_account(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '\\' | '$');
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.len() <= 256 && name.starts_with(first) && name.chars().all(inner)
}

/// One way to write each number.
fn id(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    // -1 means "no id" to the kernel.
    (number != u32::MAX && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::Subject;

    #[test]
    fn subjects_are_written_as_they_are_read_and_nothing_else_is_one() {
        for text in [
            "root",
            "user:ann",
            "group:net-ops",
            "uid:0",
            "gid:1000",
            "user:ann@example.net",
        ] {
            let subject: Subject = text.parse().expect("a subject");
            assert_eq!(subject.to_string(), text);
        }
        for text in [
            "",
            "ann",
            "user:",
            "user:-x",
            "uid:01",
            "uid:4294967295",
            "gid:x",
            "group:a b",
            "root:0",
            "uid:+1",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
