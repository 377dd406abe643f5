//! Published content: nobody can alter it, and losing a piece of it changes no
//! packet.

use std::{collections::BTreeSet, os::fd::AsFd as _, path::Path};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, ArrayOfMaps, Map, MapData, MapError};
use holdfast::kernel::sys;
use lb_common::{
    abi::{
        chunk::RawLine,
        root::{KIND_MEMBERS, KIND_TABLE, KIND_VIPS},
    },
    verdict::Verdict,
};
use support::{
    oracle::Fate,
    rows::{Expected, Row},
    sites,
    snapshot::Snapshot,
};

use crate::{
    balancer::{Balancer, LOOPBACK, Program},
    rows::runnable,
};

/// EPERM of errno(3).
const NOT_PERMITTED: i32 = 1;

#[test]
fn a_chunk_cannot_be_written_by_root() -> Result<()> {
    let balancer = Balancer::start(sites::one_arm())?;
    let snapshot = Snapshot::read(balancer.pins())?;
    let chunks = MapData::from_pin(balancer.pins().join("maps/CHUNKS"))?;
    let chunks: ArrayOfMaps<_, Array<MapData, RawLine>> = ArrayOfMaps::try_from(Map::ArrayOfMaps(chunks))?;
    for slot in snapshot.chunks.keys() {
        let mut chunk = chunks.get(&u32::from(*slot), 0)?;
        ensure!(refused(&chunk.set(0, [0; 8], 0)), "slot {slot} was written");
    }
    let key = MapData::from_pin(balancer.pins().join("maps/HASH_KEY"))?;
    let mut key: Array<_, [u8; 32]> = Array::try_from(Map::Array(key))?;
    ensure!(refused(&key.set(0, [0; 32], 0)), "the hash key was written");
    let again = Snapshot::read(balancer.pins())?;
    ensure!(
        (&again.chunks, again.key) == (&snapshot.chunks, snapshot.key),
        "content changed"
    );
    Ok(())
}

fn refused(outcome: &Result<(), MapError>) -> bool {
    matches!(outcome, Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(NOT_PERMITTED))
}

#[test]
fn an_emptied_slot_falls_back_to_the_same_revision() -> Result<()> {
    let balancer = Balancer::start(sites::two_arm())?;
    ensure!(verify(&balancer)?, "damaged before anything was done");
    // A daemon would mend it before the program has met it.
    let balancer = balancer.alone()?;
    let program = balancer.balancer()?;
    let snapshot = Snapshot::read(balancer.pins())?;
    let before = balancer.inside(|| fates(&program))?;
    // One after the other, until the active revision has nothing left.
    for kind in [KIND_MEMBERS, KIND_TABLE, KIND_VIPS] {
        for slot in slots(&snapshot, 0, kind)? {
            delete(balancer.pins(), slot)?;
            let after = balancer.inside(|| fates(&program))?;
            same(&before, &after).with_context(|| format!("slot {slot} of kind {kind} is empty"))?;
        }
    }
    Ok(())
}

#[test]
fn a_daemon_that_finds_a_damaged_revision_publishes_it_anew() -> Result<()> {
    let mut balancer = Balancer::start(sites::two_arm())?;
    let before = fates_of(&balancer)?;
    let revision = balancer.installation.status()?.revision;
    // Both sides in turn: the active root's chunks, then the fallback's.
    for (nth, root) in [0, 32].into_iter().enumerate() {
        balancer.restart_after(|balancer| {
            let snapshot = Snapshot::read(balancer.pins())?;
            for slot in slots(&snapshot, root, KIND_TABLE)? {
                delete(balancer.pins(), slot)?;
            }
            let damaged = fates_of(balancer)?;
            same(&before, &damaged).context("damaged")?;
            Ok(())
        })?;
        let after = fates_of(&balancer)?;
        same(&before, &after).context("repaired")?;
        ensure!(verify(&balancer)?, "not repaired");
        let status = balancer.installation.status()?;
        assert_eq!(status.mode, "normal");
        assert_eq!(status.revision, revision + 1 + nth as u64, "the repair is a revision");
    }
    Ok(())
}

/// Fails with the first row whose fate is another now.
fn same(before: &[Fate], after: &[Fate]) -> Result<()> {
    let fates = before.iter().zip(after).zip(teaching_nothing());
    for ((before, after), row) in fates {
        ensure!(before == after, "{}: {before:?}, then {after:?}", row.claim);
    }
    Ok(())
}

/// What `holdfast bpf verify` says.
fn verify(balancer: &Balancer) -> Result<bool> {
    let outcome = balancer.installation.run(&["bpf", "verify", "-o", "json"])?;
    let said: serde_json::Value = outcome.json().with_context(|| outcome.said())?;
    let ok = said["ok"].as_bool().context("no ok")?;
    assert_eq!(
        ok,
        outcome.code == Some(0),
        "the exit code says it too: {}",
        outcome.said()
    );
    Ok(ok)
}

/// Rows from which the daemon learns nothing: after an error about our own
/// outer packets it publishes a lower MTU, and with that whatever is missing.
fn teaching_nothing() -> impl Iterator<Item = Row> {
    let rows = runnable().into_iter();
    rows.filter(|row| row.expected != Expected::Unchanged(Verdict::PassOuterError))
}

fn fates(program: &Program) -> Result<Vec<Fate>> {
    teaching_nothing()
        .map(|row| program.fate(&row.frame, LOOPBACK))
        .collect()
}

/// The same with the program that is pinned now.
fn fates_of(balancer: &Balancer) -> Result<Vec<Fate>> {
    let program = balancer.balancer()?;
    balancer.inside(|| fates(&program))
}

/// Slots of one kind, of the root at these bits of ACTIVE.
/// Small pools share a chunk, which is then named more than once.
pub fn slots(snapshot: &Snapshot, root: u32, kind: u16) -> Result<BTreeSet<u16>> {
    let root = (snapshot.active >> root) as u16;
    let image = snapshot.chunks.get(&root).context("a root")?;
    let (_, entries) = holdfast::layout::read_root(image)?;
    let of_kind = entries.iter().filter(|entry| entry.kind == kind);
    Ok(of_kind.map(|entry| entry.chunk).collect())
}

/// Empties a slot of CHUNKS, as somebody with root and bpftool could.
pub fn delete(pins: &Path, slot: u16) -> Result<()> {
    let chunks = sys::open_pin(&pins.join("maps/CHUNKS"))?;
    sys::delete_slot(chunks.as_fd(), slot).with_context(|| format!("emptying slot {slot}"))
}
