//! Whether enough people approved.

use super::{Signature, name};

/// Who wants the change: never among its approvers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The login name, if the kernel could tell one. It is taken for that of
    /// any principal `NAME` or `NAME@HOST`.
    pub name: Option<String>,
    /// The author's own signature of the plan, if there is one: its key and
    /// its principals are the author's too.
    pub signature: Option<Signature>,
}

/// Too few people approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Short {
    /// Nobody can be told from an unknown author: any approval may be theirs.
    #[error("nobody can tell who wants this, so nobody can approve it; {needed} approvals are needed")]
    UnknownAuthor {
        /// Approvals.
        needed: u8,
    },
    #[error("{} of {needed} approvals{}{}", people.len(), said(": by", people), said(". The author's own do not count:", own))]
    TooFew {
        /// Approvals.
        needed: u8,
        /// By whom there are some: one name for each person, sorted.
        people: Vec<String>,
        /// Names by which the author approved: they do not count. Sorted.
        own: Vec<String>,
    },
}

impl Short {
    /// The code, as in `docs/refusals.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownAuthor { .. } => "HF2116",
            Self::TooFew { .. } => "HF2117",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::UnknownAuthor { .. } => "log in under your own name, or sign the plan as its author",
            Self::TooFew { .. } => "let others read the plan and approve it",
        }
    }
}

fn said(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("{what} {}", names.join(", "))
    }
}

/// Who approved, one name for each person, sorted: `needed` people at least,
/// none of them the author. Where none is needed it is never an error.
///
/// `approvals` are of one plan and verified with one set of signers. Two that
/// share a key or a name are one person's.
pub fn count(author: &Author, approvals: &[Signature], needed: u8) -> Result<Vec<String>, Short> {
    let names = author.names();
    if needed > 0 && names.is_empty() {
        return Err(Short::UnknownAuthor { needed });
    }
    let mut people = Vec::new();
    let mut own = Vec::new();
    for person in persons(approvals) {
        let Some(shown) = person.iter().flat_map(|approval| &approval.principals).min() else {
            continue;
        };
        if person.iter().any(|approval| author.is_of(approval, &names)) {
            own.push(shown.clone());
        } else {
            people.push(shown.clone());
        }
    }
    people.sort_unstable();
    own.sort_unstable();
    if people.len() >= usize::from(needed) {
        Ok(people)
    } else {
        Err(Short::TooFew { needed, people, own })
    }
}

impl Author {
    /// Every name that is known to be the author's.
    fn names(&self) -> Vec<&str> {
        let login = self.name.as_deref().filter(|name| !name.is_empty());
        let signed = self.signature.iter().flat_map(|signature| &signature.principals);
        login.into_iter().chain(signed.map(String::as_str)).collect()
    }

    fn is_of(&self, approval: &Signature, names: &[&str]) -> bool {
        let has_key = self
            .signature
            .as_ref()
            .is_some_and(|own| own.fingerprint == approval.fingerprint);
        let has_name = |principal: &String| names.iter().any(|name| name::may_be_one(name, principal));
        has_key || approval.principals.iter().any(has_name)
    }
}

/// Puts together what is one person's, however it is linked.
fn persons(approvals: &[Signature]) -> Vec<Vec<&Signature>> {
    let mut persons: Vec<Vec<&Signature>> = Vec::new();
    for approval in approvals {
        let (same, mut others): (Vec<_>, Vec<_>) = persons
            .into_iter()
            .partition(|person| person.iter().any(|other| is_one_person(approval, other)));
        let mut person: Vec<&Signature> = same.into_iter().flatten().collect();
        person.push(approval);
        others.push(person);
        persons = others;
    }
    persons
}

fn is_one_person(one: &Signature, other: &Signature) -> bool {
    let share_name = || {
        let mut names = one.principals.iter();
        names.any(|left| other.principals.iter().any(|right| name::may_be_one(left, right)))
    };
    one.fingerprint == other.fingerprint || share_name()
}
