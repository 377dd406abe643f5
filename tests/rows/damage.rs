//! Fates that no packet has by itself: nothing published, content that cannot
//! be read, no room in front of the frame.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use lb_common::{
    abi::{
        member::Member,
        root::{KIND_MEMBERS, KIND_TABLE, KIND_VIPS},
    },
    verdict::Verdict,
};
use support::{
    native::Native,
    oracle::{Fate, Site},
    packet::{CLIENT, Packet},
    sites::{self, HOST, WEB},
    snapshot::Snapshot,
};

#[test]
fn packets_pass_while_nothing_is_published() -> Result<()> {
    let (_, mut snapshot) = published()?;
    snapshot.active = 0;
    assert_eq!(to_web(&snapshot).verdict, Verdict::PassNoGeneration.name());
    Ok(())
}

#[test]
fn an_emptied_slot_falls_back_to_the_same_revision() -> Result<()> {
    let (_, snapshot) = published()?;
    let whole = to_web(&snapshot);
    for kind in [KIND_VIPS, KIND_TABLE, KIND_MEMBERS] {
        let mut damaged = snapshot.clone();
        empty(&mut damaged, &[kind], &[0])?;
        assert_eq!(to_web(&damaged), whole, "kind {kind}");
    }
    Ok(())
}

#[test]
fn without_both_vip_tables_packets_pass() -> Result<()> {
    let (_, mut snapshot) = published()?;
    empty(&mut snapshot, &[KIND_VIPS], &[0, 32])?;
    for fate in [to_web(&snapshot), run(&snapshot, &Packet::syn(CLIENT, HOST))] {
        assert_eq!(fate.verdict, Verdict::PassUnreadable.name());
    }
    Ok(())
}

#[test]
fn without_both_copies_of_a_table_or_of_members_a_vip_drops() -> Result<()> {
    for kind in [KIND_TABLE, KIND_MEMBERS] {
        let (_, mut snapshot) = published()?;
        empty(&mut snapshot, &[kind], &[0, 32])?;
        assert_eq!(to_web(&snapshot).verdict, Verdict::DropUnreadable.name(), "kind {kind}");
        let host = run(&snapshot, &Packet::syn(CLIENT, HOST));
        assert_eq!(host.verdict, Verdict::PassNotVip.name(), "kind {kind}");
    }
    Ok(())
}

#[test]
fn a_slot_of_nobody_drops() -> Result<()> {
    let (_, mut snapshot) = published()?;
    for slot in slots(&snapshot, 0, KIND_TABLE)? {
        snapshot.chunks.get_mut(&slot).context("a table")?.bytes_mut().fill(0);
    }
    assert_eq!(to_web(&snapshot).verdict, Verdict::DropNoBackend.name());
    Ok(())
}

#[test]
fn an_encapsulation_the_program_does_not_know_drops() -> Result<()> {
    let (_, mut snapshot) = published()?;
    for slot in slots(&snapshot, 0, KIND_MEMBERS)? {
        let members = snapshot.chunks.get_mut(&slot).context("members")?;
        for line in 0..16 {
            members.line_mut::<Member>(line).encap = 9;
        }
    }
    assert_eq!(to_web(&snapshot).verdict, Verdict::DropEncap.name());
    Ok(())
}

#[test]
fn a_frame_without_room_in_front_is_dropped_untouched() -> Result<()> {
    let (site, snapshot) = published()?;
    let frame = Packet::syn(CLIENT, WEB).bytes();
    let ingress = site.interfaces[0].ifindex;
    let native = Native::new(&snapshot);
    let fate = native.run_with_headroom(&frame, ingress, 19);
    assert_eq!(
        (fate.verdict.as_str(), &fate.bytes),
        (Verdict::DropNoHeadroom.name(), &frame)
    );
    let counted: BTreeMap<u32, u64> = native
        .counters()
        .iter()
        .map(|(at, counter)| (*at, counter.packets))
        .collect();
    assert_eq!(counted, BTreeMap::from([(Verdict::DropNoHeadroom as u32, 1)]));
    assert_eq!(
        native.run_with_headroom(&frame, ingress, 20).verdict,
        Verdict::ForwardTx.name()
    );
    Ok(())
}

fn published() -> Result<(Site, Snapshot)> {
    let site = sites::one_arm();
    let snapshot = Snapshot::published(&site, [7; 32])?;
    Ok((site, snapshot))
}

fn to_web(snapshot: &Snapshot) -> Fate {
    run(snapshot, &Packet::syn(CLIENT, WEB))
}

fn run(snapshot: &Snapshot, packet: &Packet) -> Fate {
    Native::new(snapshot).run(&packet.bytes(), snapshot.node.ifindex[0])
}

/// Empties the slots of these kinds that the roots at these bits of ACTIVE name.
fn empty(snapshot: &mut Snapshot, kinds: &[u16], roots: &[u32]) -> Result<()> {
    for root in roots {
        for kind in kinds {
            for slot in slots(snapshot, *root, *kind)? {
                snapshot.chunks.remove(&slot).context("an entry of a root")?;
            }
        }
    }
    Ok(())
}

fn slots(snapshot: &Snapshot, root: u32, kind: u16) -> Result<Vec<u16>> {
    let root = (snapshot.active >> root) as u16;
    let image = snapshot.chunks.get(&root).context("a root")?;
    let (_, entries) = holdfast::layout::read_root(image)?;
    let of_kind = entries.iter().filter(|entry| entry.kind == kind);
    Ok(of_kind.map(|entry| entry.chunk).collect())
}
