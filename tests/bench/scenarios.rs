//! What programs are measured on. A new scenario is one entry of [`ALL`].

use std::ops::RangeInclusive;

use holdfast::config::{Backend, BackendState};
use lb_common::{
    abi::table::SLOTS,
    verdict::{AgentVerdict, Verdict},
};

use crate::{
    frames::{Flows, Kind, Outer, To, Transport},
    site::{Arm, Carried, Shape},
    wrapper::Floor,
};

/// A configuration that is published for scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SiteKind {
    /// One pool of 100 backends, one VIP address.
    Small,
    /// The same with backends behind a second interface.
    TwoArm,
    /// 64 pools of 16 backends, a VIP for each.
    ManyPools,
    /// 16,000 VIPs of 64 pools of 16 backends.
    ManyVips,
    /// The small one with other encapsulations.
    IpipV6,
    GueV4,
    GueV6,
    L2,
    /// The small one after one of its backends was drained: 1 % of slots are
    /// dirty.
    DirtyFew,
    /// One pool whose backends were all drained for others: all slots are dirty.
    DirtyAll,
}

impl SiteKind {
    pub const ALL: [Self; 10] = [
        Self::Small,
        Self::TwoArm,
        Self::ManyPools,
        Self::ManyVips,
        Self::IpipV6,
        Self::GueV4,
        Self::GueV6,
        Self::L2,
        Self::DirtyFew,
        Self::DirtyAll,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::TwoArm => "two-arm",
            Self::ManyPools => "many-pools",
            Self::ManyVips => "many-vips",
            Self::IpipV6 => "ipip-v6",
            Self::GueV4 => "gue-v4",
            Self::GueV6 => "gue-v6",
            Self::L2 => "l2",
            Self::DirtyFew => "dirty-few",
            Self::DirtyAll => "dirty-all",
        }
    }

    pub const fn shape(self) -> Shape {
        let (pools, backends_in_pool, vips) = match self {
            Self::Small | Self::TwoArm | Self::IpipV6 | Self::GueV4 | Self::GueV6 | Self::L2 | Self::DirtyFew => {
                (1, 100, 1)
            }
            Self::DirtyAll => (1, 20, 1),
            Self::ManyPools => (64, 16, 64),
            Self::ManyVips => (64, 16, 16_000),
        };
        let carried = match self {
            Self::Small | Self::TwoArm | Self::ManyPools | Self::ManyVips | Self::DirtyFew | Self::DirtyAll => {
                Carried::IpipV4
            }
            Self::IpipV6 => Carried::IpipV6,
            Self::GueV4 => Carried::GueV4,
            Self::GueV6 => Carried::GueV6,
            Self::L2 => Carried::L2,
        };
        Shape {
            pools,
            backends_in_pool,
            vips,
            carried,
        }
    }

    /// What a program that carries packets like this cannot do without.
    const fn floor(self) -> Floor {
        match self.shape().carried {
            Carried::IpipV4 => Floor::EncapV4,
            Carried::IpipV6 => Floor::EncapV6,
            Carried::GueV4 => Floor::EncapGueV4,
            Carried::GueV6 => Floor::EncapGueV6,
            Carried::L2 => Floor::MacSwap,
        }
    }

    /// Changes that are published one after the other before anything is
    /// measured.
    pub const fn changes(self) -> &'static [fn(&mut [Backend])] {
        match self {
            Self::Small
            | Self::TwoArm
            | Self::ManyPools
            | Self::ManyVips
            | Self::IpipV6
            | Self::GueV4
            | Self::GueV6
            | Self::L2 => &[],
            Self::DirtyFew => &[|backends| backends[0].state = BackendState::Drain],
            Self::DirtyAll => &[
                |backends| {
                    let half = backends.len() / 2;
                    backends[half..]
                        .iter_mut()
                        .for_each(|one| one.state = BackendState::Maint);
                },
                |backends| {
                    let (leaving, coming) = backends.split_at_mut(backends.len() / 2);
                    set(leaving, BackendState::Drain);
                    set(coming, BackendState::Ready);
                },
            ],
        }
    }

    /// Slots of the first pool that are dirty then.
    pub const fn dirty_slots(self) -> RangeInclusive<usize> {
        match self {
            Self::DirtyFew => SLOTS / 100..=SLOTS / 100 + 1,
            Self::DirtyAll => SLOTS..=SLOTS,
            Self::Small
            | Self::TwoArm
            | Self::ManyPools
            | Self::ManyVips
            | Self::IpipV6
            | Self::GueV4
            | Self::GueV6
            | Self::L2 => 0..=0,
        }
    }

    pub fn arms(self) -> Vec<Arm> {
        let arms: &[u8] = if self == Self::TwoArm { &[0, 1] } else { &[0] };
        arms.iter().copied().map(Arm::imagined).collect()
    }
}

fn set(backends: &mut [Backend], state: BackendState) {
    for backend in backends {
        backend.state = state;
    }
}

/// What must become of every packet, and so which program is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Balancer(Verdict),
    Agent(AgentVerdict),
}

#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Family, protocol or purpose, and flows; also the key of its goal.
    pub name: &'static str,
    pub site: SiteKind,
    pub kind: Kind,
    pub flows: Flows,
    /// VIP addresses that packets are for, at random.
    pub destinations: u32,
    pub expected: Expected,
    /// What its cost is counted from.
    pub floor: Floor,
}

const TEN_K: Flows = Flows::Random(10_000);
const HUNDRED_K: Flows = Flows::Random(100_000);
const MILLION: Flows = Flows::Random(1 << 20);

const TCP_V4: Kind = Kind::V4(Transport::Tcp, To::Vip);
const UDP_V4: Kind = Kind::V4(Transport::Udp, To::Vip);
const SYN_V4: Kind = Kind::V4(Transport::Syn, To::Vip);
const TCP_V6: Kind = Kind::V6(Transport::Tcp, To::Vip);
const UDP_V6: Kind = Kind::V6(Transport::Udp, To::Vip);
const SYN_V6: Kind = Kind::V6(Transport::Syn, To::Vip);

pub const ALL: [Scenario; 48] = [
    tx("v4-tcp-1-flow", TCP_V4, Flows::One),
    tx("v4-tcp-10k-flows", TCP_V4, TEN_K),
    tx("v4-tcp-100k-flows", TCP_V4, HUNDRED_K),
    tx("v4-tcp-1m-flows", TCP_V4, MILLION),
    tx("v4-udp-1-flow", UDP_V4, Flows::One),
    tx("v4-udp-10k-flows", UDP_V4, TEN_K),
    tx("v4-udp-100k-flows", UDP_V4, HUNDRED_K),
    tx("v4-udp-1m-flows", UDP_V4, MILLION),
    tx("v4-syn-all-new", SYN_V4, Flows::New),
    tx("v6-tcp-1-flow", TCP_V6, Flows::One).at(SiteKind::IpipV6),
    tx("v6-tcp-10k-flows", TCP_V6, TEN_K).at(SiteKind::IpipV6),
    tx("v6-tcp-100k-flows", TCP_V6, HUNDRED_K).at(SiteKind::IpipV6),
    tx("v6-tcp-1m-flows", TCP_V6, MILLION).at(SiteKind::IpipV6),
    tx("v6-udp-1-flow", UDP_V6, Flows::One).at(SiteKind::IpipV6),
    tx("v6-udp-1m-flows", UDP_V6, MILLION).at(SiteKind::IpipV6),
    tx("v6-syn-all-new", SYN_V6, Flows::New).at(SiteKind::IpipV6),
    tx("v4-in-v6-1-flow", TCP_V4, Flows::One).at(SiteKind::IpipV6),
    tx("v4-in-v6-1m-flows", TCP_V4, MILLION).at(SiteKind::IpipV6),
    tx("v6-in-v4-1-flow", TCP_V6, Flows::One),
    tx("v6-in-v4-1m-flows", TCP_V6, MILLION),
    tx("gue-v4-in-v4-1-flow", TCP_V4, Flows::One).at(SiteKind::GueV4),
    tx("gue-v4-in-v4-1m-flows", TCP_V4, MILLION).at(SiteKind::GueV4),
    tx("gue-v6-in-v4-1-flow", TCP_V6, Flows::One).at(SiteKind::GueV4),
    tx("gue-v6-in-v4-1m-flows", TCP_V6, MILLION).at(SiteKind::GueV4),
    tx("gue-v4-in-v6-1-flow", TCP_V4, Flows::One).at(SiteKind::GueV6),
    tx("gue-v4-in-v6-1m-flows", TCP_V4, MILLION).at(SiteKind::GueV6),
    tx("gue-v6-in-v6-1-flow", TCP_V6, Flows::One).at(SiteKind::GueV6),
    tx("gue-v6-in-v6-1m-flows", TCP_V6, MILLION).at(SiteKind::GueV6),
    tx("l2-v4-1-flow", TCP_V4, Flows::One).at(SiteKind::L2),
    tx("l2-v4-1m-flows", TCP_V4, MILLION).at(SiteKind::L2),
    tx("l2-v6-1m-flows", TCP_V6, MILLION).at(SiteKind::L2),
    tx("v4-64-pools-1m-flows", TCP_V4, MILLION)
        .at(SiteKind::ManyPools)
        .to_vips(64),
    tx("v4-16000-vips-1m-flows", TCP_V4, MILLION)
        .at(SiteKind::ManyVips)
        .to_vips(16_000),
    tx("v4-redirect-1-flow", TCP_V4, Flows::One)
        .at(SiteKind::TwoArm)
        .becoming(Expected::Balancer(Verdict::ForwardRedirect)),
    tx("v4-redirect-1m-flows", TCP_V4, MILLION)
        .at(SiteKind::TwoArm)
        .becoming(Expected::Balancer(Verdict::ForwardRedirect)),
    tx("v4-by-source-1m-flows", Kind::V4(Transport::Tcp, To::BySource), MILLION),
    tx("v4-siphash-1m-flows", Kind::V4(Transport::Tcp, To::BySipHash), MILLION),
    tx("v4-dirty-1-percent-1m-flows", TCP_V4, MILLION).at(SiteKind::DirtyFew),
    tx("v4-dirty-all-10k-flows", TCP_V4, TEN_K).at(SiteKind::DirtyAll),
    tx("v4-dirty-all-1m-flows", TCP_V4, MILLION).at(SiteKind::DirtyAll),
    tx("v4-dirty-all-syn-all-new", SYN_V4, Flows::New).at(SiteKind::DirtyAll),
    passed("v4-not-a-vip", Kind::V4(Transport::Tcp, To::Nobody)),
    passed("v6-not-a-vip", Kind::V6(Transport::Tcp, To::Nobody)),
    passed("v4-not-a-vip-of-16000", Kind::V4(Transport::Tcp, To::Nobody)).at(SiteKind::ManyVips),
    taken_off("agent-ipip-v4", Outer::V4, Floor::DecapV4),
    taken_off("agent-ipip-v6", Outer::V6, Floor::DecapV6),
    taken_off("agent-gue-v4", Outer::GueV4, Floor::DecapGueV4),
    taken_off("agent-gue-v6", Outer::GueV6, Floor::DecapGueV6),
];

/// Sent back out of the interface it came by, at the small site.
const fn tx(name: &'static str, kind: Kind, flows: Flows) -> Scenario {
    Scenario {
        name,
        site: SiteKind::Small,
        kind,
        flows,
        destinations: 1,
        expected: Expected::Balancer(Verdict::ForwardTx),
        floor: SiteKind::Small.floor(),
    }
}

const fn passed(name: &'static str, kind: Kind) -> Scenario {
    Scenario {
        expected: Expected::Balancer(Verdict::PassNotVip),
        floor: Floor::Nop,
        ..tx(name, kind, MILLION)
    }
}

const fn taken_off(name: &'static str, outer: Outer, floor: Floor) -> Scenario {
    Scenario {
        expected: Expected::Agent(AgentVerdict::AcceptDecapsulated),
        floor,
        ..tx(name, Kind::Encapsulated(outer), Flows::One)
    }
}

impl Scenario {
    /// Elsewhere. What is not encapsulated keeps its floor.
    const fn at(mut self, site: SiteKind) -> Self {
        self.site = site;
        if !matches!(self.floor, Floor::Nop) {
            self.floor = site.floor();
        }
        self
    }

    const fn to_vips(mut self, destinations: u32) -> Self {
        self.destinations = destinations;
        self
    }

    const fn becoming(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ALL, Expected};
    use crate::site;

    #[test]
    fn scenarios_have_names_of_their_own_and_vips_to_go_to() {
        let names: BTreeSet<_> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        for scenario in ALL {
            let vips = scenario.site.shape().vips;
            assert!(scenario.destinations as usize <= vips, "{}", scenario.name);
        }
    }

    #[test]
    fn every_site_is_a_configuration_the_daemon_takes() {
        for site in super::SiteKind::ALL {
            let text = site::yaml(site.shape(), &site.arms());
            let content = site::content(&text).expect("it is valid");
            assert_eq!(
                content.config.vips.len(),
                site.shape().vips + site::MORE_VIPS,
                "{}",
                site.name()
            );
            site::hops(&content.config, &site.arms()).expect("every backend is behind an arm");
        }
    }

    #[test]
    fn agents_are_measured_on_what_they_take_off() {
        let agents = ALL.iter().filter(|one| matches!(one.expected, Expected::Agent(_)));
        assert!(agents.clone().count() > 0);
        assert!(agents.clone().all(|one| one.floor.name().starts_with("decap_floor")));
    }
}
