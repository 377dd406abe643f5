//! Every way to a backend carries both families: large payloads, full packets,
//! and the answers that tell clients what fits.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context, Result, ensure};
use support::{
    addresses::Family,
    capture::{Capture, Wrapped},
    config::{DATAGRAMS, Encap, HTTP, RAW},
    datagrams::{DatagramReport, DatagramShape, Datagrams},
    exchange::{self, Wire},
    rig::{Layout, Rig},
    topology::{Shape, TIGHT, Topology},
};

/// Payload bytes of a large exchange, each way.
const LARGE: usize = 1 << 20;
/// Client addresses that are used.
const SOURCES: usize = 6;
/// MTU of the client's own link.
const LINK_MTU: u16 = 1500;

#[test]
fn ipip_over_ipv4_carries_both_families_and_says_what_fits() -> Result<()> {
    carries_full_packets(&tight(Shape::OneArm, Encap::Ipip, Family::V4))
}

#[test]
fn ipip_over_ipv6_carries_both_families_and_says_what_fits() -> Result<()> {
    carries_full_packets(&tight(Shape::TwoArm, Encap::Ipip, Family::V6))
}

#[test]
fn gue_over_ipv4_carries_both_families_and_says_what_fits() -> Result<()> {
    carries_full_packets(&tight(Shape::TwoArm, Encap::Gue, Family::V4))
}

#[test]
fn gue_over_ipv6_carries_both_families_and_says_what_fits() -> Result<()> {
    carries_full_packets(&tight(Shape::OneArm, Encap::Gue, Family::V6))
}

#[test]
fn l2_carries_both_families_in_full_packets_without_room_for_more() -> Result<()> {
    carries_full_packets(&tight(Shape::TwoArm, Encap::L2, Family::V4))
}

#[test]
fn l2_to_backends_known_by_their_ipv6_addresses_carries_both_families() -> Result<()> {
    carries_full_packets(&tight(Shape::ThreeArm, Encap::L2, Family::V6))
}

#[test]
fn ipip_where_there_is_room_never_says_too_big_behind_two_interfaces() -> Result<()> {
    carries_full_packets(&roomy(Encap::Ipip, Family::V4))
}

#[test]
fn gue_over_ipv6_where_there_is_room_never_says_too_big_behind_two_interfaces() -> Result<()> {
    carries_full_packets(&roomy(Encap::Gue, Family::V6))
}

#[test]
fn pool_with_backends_of_both_families_serves_both_families() -> Result<()> {
    let layout = Layout {
        underlay_mtu: TIGHT,
        ..Layout::of(Shape::ThreeArm, 4).beside()
    };
    let mut rig = Rig::build(&layout)?;
    let mut fleet = rig.fleet.clone();
    for pool in ["web", "dns"] {
        for (host, name) in rig.network.backends[2..].iter().zip(["be3", "be4"]) {
            fleet = fleet.without(pool, name).with_address(pool, host, Family::V6);
        }
    }
    fleet.removed.clear();
    rig.installation.apply(&fleet)?;
    rig.fleet = fleet;
    rig.wait_resolved()?;
    for family in Family::BOTH {
        let capture = Capture::start(&rig.network.router)?;
        let mut backends = BTreeSet::new();
        for source in Topology::client_addresses(family) {
            backends.insert(exchanged(&rig, Wire::Raw, source, 100)?.backend);
        }
        // All four, but for one run in a thousand.
        ensure!(backends.len() > 2, "{family:?}: only {backends:?} answered");
        let seen = capture.wrapped(family)?;
        let wrapped = Family::BOTH.map(|outer| Wrapped {
            inner: family,
            outer,
            gue: false,
        });
        ensure!(seen.keys().copied().eq(wrapped), "{family:?}: {seen:?}");
        for source in Topology::client_addresses(family).into_iter().take(SOURCES) {
            exchanged(&rig, Wire::Raw, source, LARGE)?;
        }
    }
    Ok(())
}

const fn tight(shape: Shape, encap: Encap, outer: Family) -> Layout {
    Layout {
        underlay_mtu: TIGHT,
        encap,
        outer,
        ..Layout::of(shape, 2).beside()
    }
}

const fn roomy(encap: Encap, outer: Family) -> Layout {
    Layout {
        encap,
        outer,
        ..Layout::of(Shape::ThreeArm, 2).beside()
    }
}

fn carries_full_packets(layout: &Layout) -> Result<()> {
    let rig = Rig::build(layout)?;
    // What a client may send in the end.
    let fits = LINK_MTU.min(layout.underlay_mtu - layout.overhead());
    for family in Family::BOTH {
        small_exchanges_are_wrapped_as_configured(&rig, layout, family)?;
        let before = rig.installation.status()?;
        large_exchanges_are_intact(&rig, family, fits)?;
        let after = rig.installation.status()?;
        let told = after.packets("AnswerTooBig") - before.packets("AnswerTooBig");
        assert_eq!(
            told > 0,
            fits < LINK_MTU,
            "{family:?}: {told} answers, {fits} bytes fit"
        );
        full_datagrams_are_answered(&rig, family, fits)?;
    }
    let status = rig.installation.status()?;
    // Where answers are limited, some of what is too big is dropped only.
    assert_eq!(
        status.dropped().packets,
        status.packets("DropTooBig"),
        "{:?}",
        status.verdicts
    );
    if fits == LINK_MTU {
        assert_eq!(status.packets("AnswerTooBig") + status.packets("DropTooBig"), 0);
    }
    let (forwards, other) = match layout.shape {
        Shape::OneArm => ("ForwardTx", "ForwardRedirect"),
        Shape::TwoArm | Shape::ThreeArm => ("ForwardRedirect", "ForwardTx"),
    };
    assert_eq!(status.packets(other), 0, "{:?}", status.verdicts);
    assert_eq!(status.forwarded().packets, status.packets(forwards));
    assert_eq!(status.of_backends(), status.forwarded());
    assert_eq!(status.of_vips(), status.forwarded());
    Ok(())
}

fn small_exchanges_are_wrapped_as_configured(rig: &Rig, layout: &Layout, family: Family) -> Result<()> {
    let capture = Capture::start(&rig.network.router)?;
    let mut backends = BTreeSet::new();
    for source in Topology::client_addresses(family) {
        backends.insert(exchanged(rig, Wire::Raw, source, 100)?.backend);
    }
    ensure!(
        backends.len() == usize::from(layout.backends),
        "{family:?}: only {backends:?} answered"
    );
    let seen = capture.wrapped(family)?;
    let expected = match layout.encap {
        Encap::L2 => None,
        Encap::Ipip | Encap::Gue => Some(Wrapped {
            inner: family,
            outer: layout.outer,
            gue: layout.encap == Encap::Gue,
        }),
    };
    ensure!(
        seen.keys().copied().eq(expected),
        "on the wire: {seen:?}, expected {expected:?}"
    );
    Ok(())
}

fn large_exchanges_are_intact(rig: &Rig, family: Family, fits: u16) -> Result<()> {
    for source in Topology::client_addresses(family).into_iter().take(SOURCES) {
        for wire in [Wire::Http, Wire::Raw] {
            let exchanged = exchanged(rig, wire, source, LARGE)?;
            assert_eq!(exchanged.path_mtu, u32::from(fits), "{wire:?} from {source}");
        }
    }
    Ok(())
}

fn exchanged(rig: &Rig, wire: Wire, source: IpAddr, length: usize) -> Result<exchange::Exchange> {
    let target = match wire {
        Wire::Http => HTTP,
        Wire::Raw => RAW,
    };
    let target = target.of(Family::of(source));
    let exchanged = rig
        .network
        .client
        .run(|| exchange::exchange(wire, source, target, length))?
        .with_context(|| format!("{wire:?} from {source}, {length} bytes"))?;
    ensure!(exchanged.is_intact(), "{wire:?} from {source}: {exchanged:?}");
    Ok(exchanged)
}

/// Datagrams as long as the client's link takes, then as long as the way does.
fn full_datagrams_are_answered(rig: &Rig, family: Family, fits: u16) -> Result<()> {
    let sources = Topology::client_addresses(family);
    if fits < LINK_MTU {
        let report = datagrams(rig, &sources, family, LINK_MTU, 20)?;
        assert_eq!(
            (report.answered, report.wrong),
            (0, 0),
            "{family:?}, too long: {report:?}"
        );
        ensure!(report.refused > 0, "{family:?}: the client was not told: {report:?}");
    }
    let report = datagrams(rig, &sources, family, fits, 400)?;
    assert_eq!((report.sent, report.answered), (400, 400), "{family:?}: {report:?}");
    ensure!(report.by_backend.len() == 2, "{family:?}: {report:?}");
    Ok(())
}

/// Datagrams whose IP packets have so many bytes.
fn datagrams(rig: &Rig, sources: &[IpAddr], family: Family, packet: u16, count: u64) -> Result<DatagramReport> {
    let shape = DatagramShape {
        target: DATAGRAMS.of(family),
        sources: sources.to_vec(),
        length: usize::from(packet - family.header_len() - 8),
        per_second: 2000,
        at_most: count,
    };
    Datagrams::start(&rig.network.client, shape)?.complete()
}
