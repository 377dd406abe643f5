//! Headers of packets that really came, through both sides.
//!
//! Of a sample nothing but headers is kept: what follows them is zeroed before
//! anything else is done with it, and all of it is gone with the answer. Nothing
//! is written or logged of it.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Instance, NewDrop, OTHER_PACKETS, Side, Sides,
    synthetic::{Endpoint, Standing, by_endpoint},
    text,
};
use crate::{
    config::{Protocol, Vip},
    kernel::{KernelError, sampler::Sampled},
    rehearsal::{self, Destination, Objection},
};

/// The longest frame that is run; what is longer is left out.
const LONGEST: u32 = 3500;

/// The shortest that the kernel runs.
const SHORTEST: u32 = 14;

/// What becomes of packets that really came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LivePreview {
    /// How long was sampled, milliseconds.
    pub within_ms: u32,
    /// Packets that were sampled and run through both sides.
    pub packets: u32,
    /// Of them, those of flows to a VIP that is served.
    pub of_vips: u32,
    /// Of those, the ones that go to another backend.
    pub other_backend: u32,
    /// And of them, those that open no flow: they belong to one that is there.
    pub of_established_flows: u32,
    /// Packets that end because the plan says so.
    pub ends: u32,
    /// Packets that were forwarded, are not any more, and not because the plan
    /// says so: by VIP, or by what was left of it where it is no flow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_drops: Vec<NewDrop>,
}

impl LivePreview {
    pub fn objection(&self) -> Option<Objection> {
        let surprises: Vec<&NewDrop> = self.new_drops.iter().filter(|drop| !drop.measured).collect();
        (!surprises.is_empty()).then(|| Objection::Drops(text::sampled_dropped(&surprises)))
    }
}

pub fn compare(
    instance: &dyn Instance,
    sides: Sides<'_>,
    sampled: &[Sampled],
    within: Duration,
) -> Result<LivePreview, KernelError> {
    let mut live = LivePreview {
        within_ms: u32::try_from(within.as_millis()).unwrap_or(u32::MAX),
        ..LivePreview::default()
    };
    let Some(served) = sides.served else {
        return Ok(live);
    };
    let packets: Vec<Packet> = sampled.iter().filter_map(Packet::of).collect();
    live.packets = packets.len() as u32;
    let known = by_endpoint(served.revision);
    let next = by_endpoint(sides.candidate.revision);
    // Each side begins with the flows as they are.
    instance.know_flows()?;
    let before = run(instance, served, &known, &packets)?;
    instance.know_flows()?;
    let after = run(instance, sides.candidate, &next, &packets)?;
    let mut drops: BTreeMap<String, NewDrop> = BTreeMap::new();
    for (packet, (before, after)) in packets.iter().zip(before.into_iter().zip(after)) {
        let vip = packet.flow.and_then(|flow| known.get(&flow.endpoint).copied());
        live.of_vips += u32::from(vip.is_some());
        match (before, after) {
            (Some(was), Some(is)) if vip.is_some() && was != is => {
                live.other_backend += 1;
                live.of_established_flows += u32::from(packet.flow.is_some_and(|flow| !flow.opens));
            }
            (Some(_), None) => {
                let next = packet.flow.and_then(|flow| next.get(&flow.endpoint).copied());
                if vip.is_some() && Standing::of(next) != Standing::Ready {
                    live.ends += 1;
                    continue;
                }
                let name = vip.map_or_else(|| OTHER_PACKETS.to_owned(), |vip| vip.name.clone());
                let verdict = match drops.get(&name) {
                    Some(known) => known.verdict.clone(),
                    None => instance
                        .verdict(sides.candidate.active, &packet.frame)?
                        .name()
                        .to_owned(),
                };
                let measured = vip.is_none() || next.is_some_and(|next| sides.emptied.contains(&next.pool));
                let drop = drops.entry(name.clone()).or_insert_with(|| NewDrop {
                    vip: name,
                    packets: 0,
                    verdict,
                    measured,
                });
                drop.packets += 1;
            }
            _ => {}
        }
    }
    live.new_drops = drops.into_values().collect();
    Ok(live)
}

/// Where each packet is sent; of one that is no flow, only that it is.
fn run(
    instance: &dyn Instance,
    side: Side<'_>,
    vips: &HashMap<Endpoint, &Vip>,
    packets: &[Packet],
) -> Result<Vec<Option<Destination>>, KernelError> {
    let sent = packets.iter().map(|packet| {
        let (action, output) = instance.run(side.active, &packet.frame)?;
        let vip = packet.flow.and_then(|flow| vips.get(&flow.endpoint));
        let pool = vip.and_then(|vip| side.revision.config().pool(&vip.pool));
        Ok(match pool {
            Some(pool) => rehearsal::destination(pool.encap, action, &output)
                // An answer to the sender is on the way to nobody.
                .filter(|sent| packet.flow.is_none_or(|flow| *sent != Destination::Outer(flow.source))),
            None => rehearsal::is_sent(action).then_some(Destination::Outer(Ipv6Addr::UNSPECIFIED.into())),
        })
    });
    sent.collect()
}

/// A packet that was sampled, as far as it is headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// As long as it was, and zero after its headers.
    pub frame: Vec<u8>,
    pub flow: Option<Flow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub source: IpAddr,
    pub endpoint: Endpoint,
    /// It says that it is the first of its flow.
    pub opens: bool,
}

impl Packet {
    pub fn of(sampled: &Sampled) -> Option<Self> {
        if !(SHORTEST..=LONGEST).contains(&sampled.frame_len) {
            return None;
        }
        let (headers, flow) = look(&sampled.head);
        let mut frame = sampled.head[..headers.min(sampled.head.len())].to_vec();
        frame.resize(sampled.frame_len as usize, 0);
        Some(Self { frame, flow })
    }
}

const ETHERNET: usize = 14;

/// How many bytes are headers, and whose flow it is.
fn look(head: &[u8]) -> (usize, Option<Flow>) {
    let mut at = ETHERNET;
    let mut kind = two(head, 12);
    // Two tags, as the program knows them.
    for _ in 0..2 {
        if matches!(kind, Some(0x8100 | 0x88a8)) {
            kind = two(head, at + 2);
            at += 4;
        }
    }
    match kind {
        Some(0x0800) => look_v4(head, at),
        Some(0x86dd) => look_v6(head, at),
        _ => (at, None),
    }
}

fn look_v4(head: &[u8], at: usize) -> (usize, Option<Flow>) {
    let Some(first) = head.get(at) else {
        return (at, None);
    };
    let end = at + usize::from(first & 0xf) * 4;
    let addresses = (array::<4>(head, at + 12), array::<4>(head, at + 16));
    let (Some(source), Some(destination), Some(protocol)) = (addresses.0, addresses.1, head.get(at + 9)) else {
        return (end, None);
    };
    if two(head, at + 6).is_some_and(|fragment| fragment & 0x1fff != 0) {
        return (end, None);
    }
    above(head, end, *protocol, IpAddr::from(source), IpAddr::from(destination))
}

fn look_v6(head: &[u8], at: usize) -> (usize, Option<Flow>) {
    let end = at + 40;
    let addresses = (array::<16>(head, at + 8), array::<16>(head, at + 24));
    let (Some(source), Some(destination), Some(protocol)) = (addresses.0, addresses.1, head.get(at + 6)) else {
        return (end, None);
    };
    above(head, end, *protocol, IpAddr::from(source), IpAddr::from(destination))
}

fn above(head: &[u8], at: usize, protocol: u8, source: IpAddr, destination: IpAddr) -> (usize, Option<Flow>) {
    let port = two(head, at + 2).unwrap_or(0);
    match protocol {
        6 => {
            let words = head.get(at + 12).map_or(5, |offset| usize::from(offset >> 4));
            let opens = head.get(at + 13).is_some_and(|flags| flags & 0x12 == 0x02);
            let flow = Flow {
                source,
                endpoint: (destination, port, Protocol::Tcp),
                opens,
            };
            (at + words * 4, Some(flow))
        }
        17 => {
            let flow = Flow {
                source,
                endpoint: (destination, port, Protocol::Udp),
                opens: false,
            };
            (at + 8, Some(flow))
        }
        // An error quotes headers: of IPv4 8 bytes and 28, of IPv6 8 and 48.
        1 if head.get(at).is_some_and(|kind| matches!(kind, 3 | 4 | 5 | 11 | 12)) => (at + 36, None),
        58 if head.get(at).is_some_and(|kind| *kind < 128) => (at + 56, None),
        _ => (at + 8, None),
    }
}

fn two(head: &[u8], at: usize) -> Option<u16> {
    array::<2>(head, at).map(u16::from_be_bytes)
}

fn array<const LEN: usize>(head: &[u8], at: usize) -> Option<[u8; LEN]> {
    head.get(at..)?.first_chunk().copied()
}
