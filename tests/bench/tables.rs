//! Lookup tables: how long one takes to build or to change, and how many slots
//! a change moves, as a multiple of what no table could avoid.

use std::{hint::black_box, time::Instant};

use anyhow::{Context, Result};
use holdfast::table::{Share, Table, maglev, minmove};
use serde::Serialize;

use crate::{
    goals::{self, Goal},
    progress::Progress,
    statistics::Summary,
};

const BACKENDS: [usize; 3] = [10, 100, 1000];
/// Times each is built.
const TIMES: usize = 25;

/// One kind of table, one number of backends, one step.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableCase {
    pub kind: &'static str,
    pub backends: usize,
    pub change: Change,
    pub ms: Summary,
    /// Slots that changed owner, of 65,536, and the fewest that could.
    pub moved: u32,
    pub unavoidable: u32,
    /// `moved` ÷ `unavoidable`; nothing for a first table.
    pub multiple: Option<f64>,
    pub goal: Option<Goal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    Build,
    RemoveOne,
    AddOne,
    HalveAWeight,
}

impl Change {
    const ALL: [Self; 4] = [Self::Build, Self::RemoveOne, Self::AddOne, Self::HalveAWeight];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::RemoveOne => "remove one",
            Self::AddOne => "add one",
            Self::HalveAWeight => "halve a weight",
        }
    }

    /// The shares after the change.
    fn of(self, backends: usize) -> Vec<Share> {
        let mut shares = shares(backends);
        match self {
            Self::Build => {}
            Self::RemoveOne => drop(shares.remove(backends / 2)),
            Self::AddOne => shares.push(share(backends)),
            Self::HalveAWeight => shares[backends / 2].weight /= 2,
        }
        shares
    }
}

/// How a table is made.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// From the one before, which is also its home.
    next: fn(&Table, &[Share]) -> Table,
    moves_least: bool,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "minmove",
        next: |before, shares| {
            // As a revision does it: the home table first.
            let home = minmove::home(before, shares);
            minmove::next(before, &home, shares)
        },
        moves_least: true,
    },
    Kind {
        name: "maglev",
        next: |_, shares| maglev::build(shares),
        moves_least: false,
    },
];

pub fn measure(progress: &Progress) -> Result<Vec<TableCase>> {
    progress.begin("tables", KINDS.len() * BACKENDS.len() * Change::ALL.len());
    let mut cases = Vec::new();
    for kind in KINDS {
        for backends in BACKENDS {
            for change in Change::ALL {
                progress.step(&format!("{}, {backends} backends: {}", kind.name, change.name()));
                cases.push(case(kind, backends, change)?);
            }
        }
    }
    progress.end();
    Ok(cases)
}

fn case(kind: Kind, backends: usize, change: Change) -> Result<TableCase> {
    let before = match change {
        Change::Build => Table::nobody(),
        Change::RemoveOne | Change::AddOne | Change::HalveAWeight => (kind.next)(&Table::nobody(), &shares(backends)),
    };
    let shares = change.of(backends);
    let times = (0..TIMES).map(|_| {
        let began = Instant::now();
        black_box((kind.next)(black_box(&before), &shares));
        began.elapsed().as_secs_f64() * 1e3
    });
    let ms = Summary::of(times).context("nothing was built")?;
    let moved = before.moved(&(kind.next)(&before, &shares));
    let unavoidable = minmove::unavoidable(&before, &shares);
    let multiple = (change != Change::Build).then(|| f64::from(moved) / f64::from(unavoidable));
    Ok(TableCase {
        kind: kind.name,
        backends,
        change,
        ms,
        moved,
        unavoidable,
        multiple,
        goal: multiple.filter(|_| kind.moves_least).map(goals::of_moved),
    })
}

fn shares(backends: usize) -> Vec<Share> {
    (0..backends).map(share).collect()
}

fn share(number: usize) -> Share {
    Share {
        member: number as u16 + 1,
        name: format!("be{number}"),
        weight: 100,
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, KINDS, case};

    #[test]
    fn changes_change_what_they_say() {
        let weights = |change: Change| change.of(4).iter().map(|share| share.weight).collect::<Vec<_>>();
        assert_eq!(weights(Change::Build), [100; 4]);
        assert_eq!(weights(Change::RemoveOne), [100; 3]);
        assert_eq!(weights(Change::AddOne), [100; 5]);
        assert_eq!(weights(Change::HalveAWeight), [100, 100, 50, 100]);
    }

    #[test]
    fn minmove_is_held_to_the_minimum_and_a_first_table_to_nothing() {
        let [minmove, maglev] = KINDS;
        let goal = |kind, change| case(kind, 10, change).expect("it is built").goal;
        assert_eq!(goal(minmove, Change::Build), None);
        assert_eq!(goal(maglev, Change::AddOne), None);
        assert!(goal(minmove, Change::AddOne).is_some_and(|goal| goal.met));
    }
}
