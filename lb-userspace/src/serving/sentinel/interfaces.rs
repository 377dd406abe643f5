//! What becomes of interfaces, as the journal has it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Drift, Sentinel};
use crate::events::Event;

/// Of the interfaces that should have the program, by name.
#[derive(Default)]
pub struct Interfaces {
    /// What the journal says is wrong with them.
    ailing: BTreeMap<String, String>,
    /// The number of the interface that had the program last.
    carried: BTreeMap<String, u32>,
}

impl Sentinel {
    /// What is wrong with an interface, if something is. It is journaled where the journal says
    /// something else; what comes and goes waits for its turn, and is journaled as it is then.
    pub fn interface_is(&mut self, name: &str, problem: Option<&str>) {
        let ailing = &mut self.interfaces.ailing;
        if ailing.get(name).map(String::as_str) == problem {
            return;
        }
        let (what, found) = match problem {
            Some(problem) => (Event::NotAttached, problem.to_owned()),
            None => (Event::InterfaceWell, format!("{name} is well again")),
        };
        let healed = problem.is_none();
        let drift = Drift { what, found, healed };
        if self.is_said(&drift) || self.found.iter().any(|waiting| waiting.found == drift.found) {
            return;
        }
        self.found.push(drift);
        let ailing = &mut self.interfaces.ailing;
        match problem {
            Some(problem) => ailing.insert(name.to_owned(), problem.to_owned()),
            None => ailing.remove(name),
        };
    }

    /// Only these are to have the program.
    pub fn keep_interfaces(&mut self, names: &BTreeSet<String>) {
        let Interfaces { ailing, carried } = &mut self.interfaces;
        ailing.retain(|name, _| names.contains(name));
        carried.retain(|name, _| names.contains(name));
    }

    /// The interface of this name and number has the program.
    pub fn carries(&mut self, name: &str, ifindex: u32) {
        self.interfaces.carried.insert(name.to_owned(), ifindex);
    }

    /// The number of the interface that had the program last; `None`: this daemon saw none.
    pub fn carried(&self, name: &str) -> Option<u32> {
        self.interfaces.carried.get(name).copied()
    }
}

#[cfg(test)]
mod tests;
