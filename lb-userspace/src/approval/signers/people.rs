//! That no person is there as two.

use std::collections::HashMap;

use super::{LineError, LineProblem, Signer};
use crate::approval::{key::Key, name};

/// Lines of a key that is on an earlier line with something else said of it,
/// and lines of a person that is on an earlier line with other names.
pub fn conflicts(signers: &[(u32, Signer)]) -> Vec<LineProblem> {
    let mut keys: HashMap<Vec<u8>, (u32, &Signer)> = HashMap::new();
    let mut people = People::default();
    let mut problems = Vec::new();
    for (line, signer) in signers {
        let what = if let Some((first_line, first)) = keys.get(&point(signer)) {
            // Equal but for the comment is no harm.
            (!is_repeated(first, signer)).then_some(LineError::SameKey {
                first_line: *first_line,
            })
        } else {
            keys.insert(point(signer), (*line, signer));
            people.conflict(signer)
        };
        people.add(*line, signer);
        problems.extend(what.map(|what| LineProblem { line: *line, what }));
    }
    problems
}

fn is_repeated(first: &Signer, signer: &Signer) -> bool {
    let comment = first.comment.clone();
    *first
        == Signer {
            comment,
            ..signer.clone()
        }
}

fn point(signer: &Signer) -> Vec<u8> {
    Key::from_text(signer.algorithm.as_str(), &signer.key)
        .map_or_else(|_| signer.key.clone().into_bytes(), |key| key.point)
}

/// Who was there, by each name, in lower case.
#[derive(Default)]
struct People<'a> {
    full: HashMap<String, (u32, &'a Signer)>,
    /// Names without `@`.
    bare: HashMap<String, (u32, &'a Signer)>,
    /// What stands before the `@`: that of several people it may be.
    local: HashMap<String, Vec<(u32, &'a Signer)>>,
}

impl<'a> People<'a> {
    fn conflict(&self, signer: &Signer) -> Option<LineError> {
        signer.principals.iter().find_map(|name| {
            let (first_line, _) = self
                .others(name)
                .find(|(_, other)| other.principals != signer.principals)?;
            Some(LineError::SplitPerson {
                name: name.clone(),
                first_line,
            })
        })
    }

    /// Whose name this may be.
    fn others(&self, name: &str) -> impl Iterator<Item = (u32, &'a Signer)> {
        let full = name.to_ascii_lowercase();
        let local = name::local(&full);
        let (bare, many) = if name::is_bare(name) {
            (None, self.local.get(local))
        } else {
            (self.bare.get(local), None)
        };
        let some = [self.full.get(&full), bare].into_iter().flatten();
        some.chain(many.into_iter().flatten()).copied()
    }

    fn add(&mut self, line: u32, signer: &'a Signer) {
        for name in &signer.principals {
            let full = name.to_ascii_lowercase();
            if name::is_bare(name) {
                self.bare.entry(full.clone()).or_insert((line, signer));
            } else {
                let there = self.local.entry(name::local(&full).to_owned()).or_default();
                // Once for each person is enough.
                if there
                    .last()
                    .is_none_or(|(_, last)| last.principals != signer.principals)
                {
                    there.push((line, signer));
                }
            }
            self.full.entry(full).or_insert((line, signer));
        }
    }
}
