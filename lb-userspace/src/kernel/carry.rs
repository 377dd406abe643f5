//! What maps of one layout take over from those of another.
//!
//! Entries of maps with the same name and the same sizes of key and value mean the
//! same in every version (`lb_common::abi`), so that versions which do not know
//! each other can do this in both directions.

use std::{
    collections::BTreeMap,
    os::fd::AsFd as _,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use lb_common::abi::{
    flows::{FLOWS_PER_LINE, FlowEntry, line_among},
    table::SLOTS,
};

use super::{
    KernelError,
    counts::{self, CARRIED},
    pins::{map_path, open_pin},
    sys::{self, FlowCells, MapShape},
    upgrade::Object,
};

/// What becomes of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carry {
    /// It is made anew: its content has another form, or is of no use.
    Anew,
    /// Both use the very map; where it has another shape, nobody takes over.
    Same,
    /// Both use the very map; where it has another shape it is made anew, and what
    /// was in it is learned again.
    SameOrAnew,
    /// Both use the very map; where there are more or fewer, totals go to CARRIED.
    Totals,
    /// Both use the very map; where it has more or fewer lines, entries are copied.
    Flows,
}

const CARRIES: [(&str, Carry); 9] = [
    ("CHUNKS", Carry::Anew),
    ("ACTIVE", Carry::Anew),
    ("PROGRAMS", Carry::Anew),
    // With another key every flow would move.
    ("HASH_KEY", Carry::Same),
    ("NODE", Carry::Same),
    ("ANSWERS", Carry::SameOrAnew),
    ("PATH_MTU", Carry::SameOrAnew),
    ("COUNTERS", Carry::Totals),
    ("FLOWS", Carry::Flows),
];

/// The agent's: a layout of its own, which stays as it is.
const AGENT: [&str; 2] = ["PEERS", "AGENT_COUNTERS"];

/// The first map of those below `directory` that maps of `object` cannot take over
/// from; `None`: there is none. `dirty`: there are flows that FLOWS is needed for.
///
/// # Errors
/// When a map cannot be asked.
pub fn obstacle(object: &Object, directory: &Path, dirty: bool) -> Result<Option<&'static str>, KernelError> {
    let wanted = object.shapes()?;
    for (name, carry) in CARRIES {
        let found = pinned_shape(directory, name)?;
        let can = match (found, wanted.get(name)) {
            (Some(found), Some(wanted)) => found == *wanted || can_differ(carry, found, *wanted, dirty),
            // Somebody removed the pin, or a version has no such map.
            (_, None) | (None, _) => carry != Carry::Same,
        };
        if !can {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn can_differ(carry: Carry, found: MapShape, wanted: MapShape, dirty: bool) -> bool {
    let same_entries = MapShape { entries: 0, ..found } == MapShape { entries: 0, ..wanted };
    match carry {
        Carry::Anew | Carry::SameOrAnew => true,
        Carry::Same => false,
        Carry::Totals => same_entries,
        // An entry's slot follows from its line, if there are as many lines as slots.
        Carry::Flows => !dirty || same_entries && found.entries as usize >= SLOTS && found.entries.is_power_of_two(),
    }
}

/// Pins what both use in `beside`, before the rest is made there.
///
/// # Errors
/// When the kernel refuses.
pub fn share(object: &Object, directory: &Path, beside: &Path) -> Result<(), KernelError> {
    let wanted = object.shapes()?;
    let mut shared = AGENT.to_vec();
    for (name, carry) in CARRIES {
        let found = pinned_shape(directory, name)?;
        if carry == Carry::Anew || found.is_none() || found != wanted.get(name).copied() {
            continue;
        }
        shared.push(name);
        if carry == Carry::Totals {
            shared.push(CARRIED);
        }
    }
    let maps = shared.iter().map(|name| format!("maps/{name}"));
    for pin in maps.chain(["prog/agent".to_owned()]) {
        let from = directory.join(&pin);
        if from.exists() {
            let object = open_pin(&from)?;
            sys::pin(object.as_fd(), &beside.join(&pin)).map_err(KernelError::call("BPF_OBJ_PIN"))?;
        }
    }
    Ok(())
}

fn pinned_shape(directory: &Path, name: &str) -> Result<Option<MapShape>, KernelError> {
    let pin = map_path(directory, name);
    if !pin.exists() {
        return Ok(None);
    }
    let shape = sys::map_shape(open_pin(&pin)?.as_fd());
    shape.map(Some).map_err(KernelError::call("BPF_OBJ_GET_INFO_BY_FD"))
}

/// Makes the totals of `from` those of `to`, too. Once nothing counts in `from` any
/// more, none is lost; it may be done again.
///
/// # Errors
/// When the kernel refuses.
pub fn totals(from: &Path, to: &Path) -> Result<(), KernelError> {
    if map_path(from, "COUNTERS").exists() {
        counts::carry(from, to)?;
    }
    Ok(())
}

/// FLOWS of both sets, if they are two.
pub struct FlowsCarried {
    from: FlowCells,
    to: FlowCells,
    lines: u32,
}

impl FlowsCarried {
    /// `None`: there is nothing to carry, or nothing that can be.
    ///
    /// # Errors
    /// When a map cannot be opened.
    pub fn open(from: &Path, to: &Path) -> Result<Option<Self>, KernelError> {
        let (Some(before), Some(after)) = (pinned_shape(from, "FLOWS")?, pinned_shape(to, "FLOWS")?) else {
            return Ok(None);
        };
        if before == after || !can_differ(Carry::Flows, before, after, true) {
            return Ok(None);
        }
        let cells = |directory: &Path, shape: MapShape| {
            FlowCells::of(open_pin(&map_path(directory, "FLOWS"))?, shape.entries).map_err(KernelError::call("mmap"))
        };
        Ok(Some(Self {
            from: cells(from, before)?,
            to: cells(to, after)?,
            lines: after.entries,
        }))
    }

    /// Takes over every entry that is not there, or is later than what is there.
    /// Programs may write both meanwhile.
    pub fn pass(&self) {
        take_over(self.from.entries(), self.to.entries(), self.lines);
    }

    /// Passes again and again, until it is told that it is over.
    pub fn follow(&self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            self.pass();
        }
    }
}

fn take_over(from: &[AtomicU64], to: &[AtomicU64], lines: u32) {
    for (at, cell) in from.iter().enumerate() {
        let entry = FlowEntry(cell.load(Ordering::Relaxed));
        if entry.is_empty() {
            continue;
        }
        let slot = entry.slot((at / FLOWS_PER_LINE) as u32);
        let line = line_among(lines, slot, entry.tag()) as usize;
        put(&to[line * FLOWS_PER_LINE..][..FLOWS_PER_LINE], entry);
    }
}

/// Puts an entry into its line. Where there is no room its flow goes to the oldest
/// owner, as the program has it.
fn put(line: &[AtomicU64], entry: FlowEntry) {
    let held = |cell: &AtomicU64| FlowEntry(cell.load(Ordering::Relaxed));
    if let Some(cell) = line
        .iter()
        .find(|cell| !held(cell).is_empty() && held(cell).tag() == entry.tag())
    {
        let known = held(cell);
        if let Some(merged) = merged(known, entry) {
            // If it fails, the program has later news.
            let taken = cell.compare_exchange(known.0, merged.0, Ordering::Relaxed, Ordering::Relaxed);
            tracing::trace!(?taken, "a flow's later news");
        }
        return;
    }
    for cell in line.iter().filter(|cell| held(cell).is_empty()) {
        if cell
            .compare_exchange(0, entry.0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
        {
            return;
        }
    }
}

/// What is known of a flow from both; `None`: no more than `known` says.
fn merged(known: FlowEntry, entry: FlowEntry) -> Option<FlowEntry> {
    let news = entry.is_later_than(known);
    if known.member() != entry.member() {
        return news.then_some(entry);
    }
    let seen = if news { entry } else { known };
    let confirmed = known.confirmed() || entry.confirmed();
    let merged = FlowEntry::new(known.tag(), known.member(), confirmed, seen.0 as u32);
    (merged != known).then_some(merged)
}

/// By name, what maps are.
pub type Shapes = BTreeMap<&'static str, MapShape>;

#[cfg(test)]
mod tests;
