//! Which drops a change can cause. Only those speak against it: a trial must not
//! end because somebody sends rubbish to a VIP.
//!
//! Most verdicts are about the packet alone: whoever can reach a VIP can make them
//! rise as he likes, and no change can. The others are about what is published,
//! and count if this change can have made them so: a VIP that had nobody before
//! and has nobody now says nothing about it. `docs/operating.md` has the list.

use std::collections::BTreeSet;

use lb_common::verdict::Verdict;

use crate::{
    config::{Config, Encap},
    revision::Revision,
};

#[cfg(test)]
mod tests;

/// What a change must do so that a verdict counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// None can: it is not a drop, or it is the packet's own fault.
    None,
    /// What is published cannot be read or followed: always ours.
    Any,
    /// A VIP that had somebody has nobody.
    NobodyLeft,
    /// A member has no next hop, and it is new or had one.
    NoWay,
    /// Packets of a VIP go by another encapsulation, outer family or interface,
    /// or come in by another interface: there may be less room in them.
    OtherWay,
    /// Other sources are taken for our own.
    OtherSource,
}

/// The drops that count in a trial of `next` after `before`.
#[must_use]
pub fn countable(before: &Revision, next: &Revision) -> Vec<Verdict> {
    let made = made(before, next);
    let verdicts = Verdict::ALL.iter().copied();
    verdicts.filter(|verdict| made.contains(&cause(*verdict))).collect()
}

const fn cause(verdict: Verdict) -> Cause {
    match verdict {
        Verdict::DropUnreadable | Verdict::DropEncap => Cause::Any,
        Verdict::DropNoBackend => Cause::NobodyLeft,
        Verdict::DropNoNextHop => Cause::NoWay,
        Verdict::DropTooBig | Verdict::DropNoHeadroom => Cause::OtherWay,
        Verdict::DropLoop => Cause::OtherSource,
        Verdict::ForwardTx
        | Verdict::ForwardRedirect
        | Verdict::PassNotVip
        | Verdict::PassNotIp
        | Verdict::PassNoGeneration
        | Verdict::PassUnreadable
        | Verdict::PassOuterError
        | Verdict::PassNoOddPath
        | Verdict::AnswerEcho
        | Verdict::AnswerTooBig
        | Verdict::DropRunt
        | Verdict::DropShortL3
        | Verdict::DropBadVersion
        | Verdict::DropHeaderLength
        | Verdict::DropTotalLength
        | Verdict::DropTtl
        | Verdict::DropMartian
        | Verdict::DropLand
        | Verdict::DropL2Multicast
        | Verdict::DropFragment
        | Verdict::DropOptions
        | Verdict::DropVlan
        | Verdict::DropIcmp
        | Verdict::DropShortL4
        | Verdict::DropTcpOffset
        | Verdict::DropUdpLength
        | Verdict::DropExtension
        | Verdict::DropIcmpQuote
        // It was asked for.
        | Verdict::DropMaint => Cause::None,
    }
}

/// What a change did.
fn made(before: &Revision, next: &Revision) -> Vec<Cause> {
    let (was, is) = (before.config(), next.config());
    // Most VIPs share pools.
    let mut pools: BTreeSet<(&str, &str)> = BTreeSet::new();
    for vip in &is.vips {
        if let Ok(at) = was.vips.binary_search_by(|other| other.name.cmp(&vip.name)) {
            pools.insert((&was.vips[at].pool, &vip.pool));
        }
    }
    let unresolved: BTreeSet<_> = before.unresolved().collect();
    let nobody_left = pools
        .iter()
        .any(|(was, is)| has_somebody(before, was) && !has_somebody(next, is));
    let no_way = next.unresolved().any(|id| !unresolved.contains(&id));
    let other_way = new_interface(was, is) || pools.iter().any(|(was, is)| other_way((before, was), (next, is)));
    let made = [
        (Cause::Any, true),
        (Cause::NobodyLeft, nobody_left),
        (Cause::NoWay, no_way),
        (Cause::OtherWay, other_way),
        (Cause::OtherSource, was.node.encap_source != is.node.encap_source),
    ];
    made.into_iter()
        .filter(|(_, made)| *made)
        .map(|(cause, _)| cause)
        .collect()
}

fn has_somebody(revision: &Revision, pool: &str) -> bool {
    let owners = revision.pool(pool).map(|(_, tables)| tables.current.counts());
    owners.is_some_and(|owners| owners.keys().any(|owner| *owner != 0))
}

fn new_interface(was: &Config, is: &Config) -> bool {
    let known = |name: &str| was.node.interfaces.iter().any(|interface| interface.name == name);
    is.node.interfaces.iter().any(|interface| !known(&interface.name))
}

/// There is a way to a member that there was not.
fn other_way((before, was): (&Revision, &str), (next, is): (&Revision, &str)) -> bool {
    let known = ways(before, was);
    ways(next, is).iter().any(|way| !known.contains(way))
}

/// Encapsulation, outer family, interface.
type Way<'r> = (&'static str, bool, Option<&'r str>);

fn ways<'r>(revision: &'r Revision, pool: &str) -> BTreeSet<Way<'r>> {
    let (Some(pool), Some((state, _))) = (revision.config().pool(pool), revision.pool(pool)) else {
        return BTreeSet::new();
    };
    let backends = pool.backends.iter();
    let ways = backends.filter_map(|backend| {
        let hop = state.members.get(&backend.name)?.hop.as_ref();
        let interface = hop.map(|hop| hop.interface.as_str());
        Some((encap_name(pool.encap), backend.address.is_ipv6(), interface))
    });
    ways.collect()
}

const fn encap_name(encap: Encap) -> &'static str {
    match encap {
        Encap::Ipip => "ipip",
        Encap::Gue => "gue",
        Encap::L2 => "l2",
    }
}
