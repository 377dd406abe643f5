//! Packets made for every VIP, of some flows each, through both sides.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use super::{Contradiction, Ends, FLOWS, FLOWS_OF_A_VIP, Instance, NewDrop, Side, Sides};
use crate::{
    config::{Encap, Protocol, Vip},
    kernel::KernelError,
    rehearsal::{self, Destination, Probe},
    revision::Revision,
};

/// What was found.
#[derive(Debug, Default)]
pub struct Made {
    pub vips: u32,
    pub flows: u32,
    pub other_backend: u32,
    pub starts: BTreeSet<String>,
    pub silent: BTreeSet<String>,
    pub ends: BTreeMap<String, Ends>,
    pub new_drops: BTreeMap<String, NewDrop>,
    pub contradictions: Vec<Contradiction>,
}

/// What packets of a VIP are told by.
pub type Endpoint = (IpAddr, u16, Protocol);

pub const fn endpoint(vip: &Vip) -> Endpoint {
    (vip.address, vip.port, vip.protocol)
}

/// VIPs by what their packets are told by.
pub fn by_endpoint(revision: &Revision) -> HashMap<Endpoint, &Vip> {
    revision.config().vips.iter().map(|vip| (endpoint(vip), vip)).collect()
}

pub fn compare(instance: &dyn Instance, sides: Sides<'_>) -> Result<Made, KernelError> {
    let after = by_endpoint(sides.candidate.revision);
    let before = sides
        .served
        .map(|served| by_endpoint(served.revision))
        .unwrap_or_default();
    let fresh: Vec<&Vip> = {
        let vips = sides.candidate.revision.config().vips.iter();
        vips.filter(|vip| !before.contains_key(&endpoint(vip))).collect()
    };
    let served = sides.served.map_or(&[][..], |served| &served.revision.config().vips);
    let vips = served.len() + fresh.len();
    let each = (FLOWS / vips.max(1)).clamp(1, FLOWS_OF_A_VIP);
    let mut made = Made {
        vips: vips as u32,
        ..Made::default()
    };
    // What earlier previews noted is no flow of anybody's.
    instance.know_flows()?;
    for vip in served {
        let next = after.get(&endpoint(vip)).copied();
        one(
            instance,
            sides,
            Known {
                before: Some(vip),
                next,
            },
            each,
            &mut made,
        )?;
    }
    for vip in fresh {
        let next = Some(vip);
        one(instance, sides, Known { before: None, next }, each, &mut made)?;
    }
    // What forwards with one flow starts.
    let Made { starts, silent, .. } = &mut made;
    silent.retain(|vip| !starts.contains(vip));
    Ok(made)
}

/// A VIP as each side has it; one of them does.
#[derive(Clone, Copy)]
struct Known<'v> {
    before: Option<&'v Vip>,
    next: Option<&'v Vip>,
}

fn one(
    instance: &dyn Instance,
    sides: Sides<'_>,
    known: Known<'_>,
    flows: usize,
    made: &mut Made,
) -> Result<(), KernelError> {
    let Some(vip) = known.before.or(known.next) else {
        return Ok(());
    };
    for number in 0..flows {
        let probe = probe(sides.candidate.revision, vip, number);
        let packet = probe.packet();
        made.flows += 1;
        let before = match (sides.served, known.before) {
            (Some(served), Some(vip)) => sent(instance, served, vip, &packet)?,
            _ => None,
        };
        let met = meet(instance, sides, known.next.unwrap_or(vip), &probe, &packet)?;
        let told = Told {
            standing: Standing::of(known.next),
            before,
            met,
        };
        match weigh(&told) {
            Judged::Same => {}
            Judged::Starts => drop(made.starts.insert(vip.name.clone())),
            Judged::Silent => drop(made.silent.insert(vip.name.clone())),
            Judged::OtherBackend => made.other_backend += 1,
            Judged::Ends(ends) => drop(made.ends.insert(vip.name.clone(), ends)),
            Judged::NewDrop => {
                let verdict = match made.new_drops.get(&vip.name) {
                    Some(known) => known.verdict.clone(),
                    None => instance.verdict(sides.candidate.active, &packet)?.name().to_owned(),
                };
                let pool = known.next.map_or("", |next| &next.pool);
                let drops = made.new_drops.entry(vip.name.clone()).or_insert_with(|| NewDrop {
                    vip: vip.name.clone(),
                    packets: 0,
                    verdict,
                    measured: sides.emptied.contains(pool),
                });
                drops.packets += 1;
            }
            Judged::Contradicts => made.contradictions.push(Contradiction {
                vip: vip.name.clone(),
                what: contradiction(&told),
            }),
        }
    }
    Ok(())
}

/// A flow to a VIP; by their numbers they differ in source and port.
fn probe(revision: &Revision, vip: &Vip, number: usize) -> Probe {
    let base = rehearsal::stranger(revision, vip);
    let source = neighbour(base, number as u8);
    let is_known = source == vip.address || revision.config().node.encap_source.contains(source);
    Probe {
        source: if is_known { base } else { source },
        source_port: 49_152 + number as u16 * 257,
        destination: vip.address,
        destination_port: vip.port,
        protocol: vip.protocol,
    }
}

/// So many addresses further, in the same network of strangers.
fn neighbour(address: IpAddr, further: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [a, b, c, d.wrapping_add(further)].into()
        }
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[15] = octets[15].wrapping_add(further);
            octets.into()
        }
    }
}

/// Where one side sends a packet for a VIP of its own.
fn sent(instance: &dyn Instance, side: Side<'_>, vip: &Vip, packet: &[u8]) -> Result<Option<Destination>, KernelError> {
    let (action, output) = instance.run(side.active, packet)?;
    let pool = side.revision.config().pool(&vip.pool);
    Ok(pool.and_then(|pool| rehearsal::destination(pool.encap, action, &output)))
}

/// What the candidate did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met {
    pub sent: Option<Destination>,
    /// It may be sent to somebody, as the candidate says.
    pub wanted: bool,
    /// It was sent to one of those.
    pub as_wanted: bool,
}

fn meet(
    instance: &dyn Instance,
    sides: Sides<'_>,
    vip: &Vip,
    probe: &Probe,
    packet: &[u8],
) -> Result<Met, KernelError> {
    let Side { active, revision } = sides.candidate;
    let (action, output) = instance.run(active, packet)?;
    let Some(pool) = revision.config().pool(&vip.pool) else {
        // Of a VIP that goes, whose pool goes with it: whatever is sent is too much.
        return Ok(Met {
            sent: rehearsal::destination(Encap::L2, action, &output),
            wanted: false,
            as_wanted: false,
        });
    };
    let owners = rehearsal::candidates(revision, pool, probe.slot(vip, sides.key));
    let mut reachable = owners.iter().filter(|owner| owner.destination().is_some());
    let sent = rehearsal::destination(pool.encap, action, &output);
    // A new flow is its owner's, though an earlier one could still be reached.
    let nowhere = sent.is_none() && owners.first().is_some_and(|owner| owner.destination().is_none());
    Ok(Met {
        sent,
        wanted: reachable.clone().next().is_some(),
        as_wanted: nowhere || reachable.any(|owner| owner.got(action, &output)),
    })
}

/// What the candidate has of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Ready,
    Maint,
    Gone,
}

impl Standing {
    pub const fn of(vip: Option<&Vip>) -> Self {
        match vip {
            Some(vip) if vip.state.is_ready() => Self::Ready,
            Some(_) => Self::Maint,
            None => Self::Gone,
        }
    }
}

/// A packet, and what became of it on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub standing: Standing,
    /// Where it went before.
    pub before: Option<Destination>,
    pub met: Met,
}

/// What that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    Same,
    /// It was not forwarded, and is now.
    Starts,
    /// It was not forwarded, and is not.
    Silent,
    OtherBackend,
    /// The plan says that it ends.
    Ends(Ends),
    NewDrop,
    Contradicts,
}

/// The candidate's word comes first: what contradicts it is nothing else.
pub fn weigh(told: &Told) -> Judged {
    let Told { standing, before, met } = *told;
    let as_said = match standing {
        Standing::Ready if met.wanted => met.as_wanted,
        Standing::Ready | Standing::Maint | Standing::Gone => met.sent.is_none(),
    };
    if !as_said {
        return Judged::Contradicts;
    }
    match (before, met.sent, standing) {
        (Some(before), Some(after), _) if before == after => Judged::Same,
        (Some(_), Some(_), _) => Judged::OtherBackend,
        (Some(_), None, Standing::Ready) => Judged::NewDrop,
        (Some(_), None, Standing::Maint) => Judged::Ends(Ends::Maint),
        (Some(_), None, Standing::Gone) => Judged::Ends(Ends::Removed),
        (None, Some(_), _) => Judged::Starts,
        (None, None, Standing::Ready) => Judged::Silent,
        (None, None, Standing::Maint | Standing::Gone) => Judged::Same,
    }
}

fn contradiction(told: &Told) -> String {
    let went = told
        .met
        .sent
        .map_or_else(|| "nowhere".to_owned(), |sent| format!("to {sent}"));
    let said = match told.standing {
        Standing::Ready if told.met.wanted => "to a backend of its slot",
        Standing::Ready | Standing::Maint | Standing::Gone => "nowhere",
    };
    format!("a packet went {went} instead of {said}")
}
