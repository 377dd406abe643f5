//! `FileConfig` to `Config`: every rule, every error at once.
//!
//! A value that breaks a rule is reported and left out; the judging goes on
//! with the rest, and rules between objects use names as they are written, so
//! that one slip does not cause a second report somewhere else. Every function
//! here that returns `None` has reported why.

mod access;
mod addresses;
mod health;
mod loops;
mod node;
mod pools;
mod protection;
mod removed;
mod values;
mod vips;

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

use serde_saphyr::Spanned;

use super::{
    API_VERSION, Config, Parsed,
    errors::{ConfigError, Found},
    file::FileConfig,
    place::Place,
    problem::Problem,
};

/// The configuration that `file` means, or all that is wrong with it.
pub(super) fn judge(file: &FileConfig, text: &str) -> Result<Parsed, Found> {
    let mut judge = Judge {
        text,
        errors: Found::default(),
    };
    if file.api_version.value != API_VERSION {
        // Of another format the rest cannot be judged.
        judge.refuse(
            Problem::ApiVersion(file.api_version.value.clone()),
            Place::of(&file.api_version),
        );
        return Err(judge.errors);
    }
    let environment = judge.environment(&file.environment);
    let node = node::node(&mut judge, &file.node);
    let pools = pools::pools(&mut judge, &file.pools, &file.vips, &file.node);
    let vips = vips::vips(&mut judge, &file.vips, &file.pools);
    loops::check(&mut judge, &pools.addresses, &vips.addresses, &node.sources);
    let removed = removed::removed(&mut judge, file);
    let access = access::access(&mut judge, file.access.as_ref());
    let protection = protection::protection(&mut judge, file.protection.as_ref());
    match (environment, node.node) {
        (Some(environment), Some(node)) if judge.errors.is_empty() => Ok(Parsed {
            config: Config {
                environment,
                node,
                pools: sorted(pools.pools, |pool| &pool.name),
                vips: sorted(vips.vips, |vip| &vip.name),
                access,
                protection,
            },
            removed,
        }),
        _ => Err(judge.errors),
    }
}

/// Collects what is wrong.
struct Judge<'a> {
    text: &'a str,
    errors: Found,
}

impl Judge<'_> {
    fn refuse(&mut self, problem: Problem, place: Place) {
        self.errors.push(ConfigError::at(problem, place));
    }

    /// Two things that cannot both be there; `place` is the later one.
    fn collide(&mut self, problem: Problem, place: Place, other: Place) {
        self.errors.push(ConfigError::between(problem, place, other));
    }

    /// Reports the first object that is too many; `name` gives its name.
    fn at_most<T>(&mut self, what: &'static str, limit: usize, objects: &[T], name: impl Fn(&T) -> &Spanned<String>) {
        if let Some(excess) = objects.get(limit) {
            let count = objects.len();
            self.refuse(Problem::TooMany { what, count, limit }, Place::of(name(excess)));
        }
    }

    /// Reports a second object of one name.
    fn unique_name<'n>(&mut self, seen: &mut Seen<&'n str>, what: &'static str, name: &'n Spanned<String>) {
        let place = Place::of(name);
        if let Some(first) = seen.earlier(&name.value, place) {
            let problem = Problem::DuplicateName {
                what,
                name: name.value.clone(),
                first_line: first.line,
            };
            self.collide(problem, place, first);
        }
    }
}

/// Where each key was first.
struct Seen<K>(HashMap<K, Place>);

impl<K: Eq + Hash> Seen<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    /// The place of an earlier `key`; otherwise this one is remembered.
    fn earlier(&mut self, key: K, place: Place) -> Option<Place> {
        match self.0.entry(key) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(vacant) => {
                vacant.insert(place);
                None
            }
        }
    }
}

/// Canonical order: two files that mean the same give the same digest.
fn sorted<T>(mut objects: Vec<T>, name: impl Fn(&T) -> &String) -> Vec<T> {
    objects.sort_by(|a, b| name(a).cmp(name(b)));
    objects
}
