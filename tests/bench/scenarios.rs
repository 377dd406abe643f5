//! What programs are measured on. A new scenario is one entry of [`ALL`].

use lb_common::verdict::{AgentVerdict, Verdict};

use crate::{
    frames::{Flows, Kind},
    site::{Arm, Size},
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
}

impl SiteKind {
    pub const ALL: [Self; 4] = [Self::Small, Self::TwoArm, Self::ManyPools, Self::ManyVips];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::TwoArm => "two-arm",
            Self::ManyPools => "many-pools",
            Self::ManyVips => "many-vips",
        }
    }

    pub const fn size(self) -> Size {
        let (pools, backends_in_pool, vips) = match self {
            Self::Small | Self::TwoArm => (1, 100, 1),
            Self::ManyPools => (64, 16, 64),
            Self::ManyVips => (64, 16, 16_000),
        };
        Size {
            pools,
            backends_in_pool,
            vips,
        }
    }

    pub fn arms(self) -> Vec<Arm> {
        let arms: &[u8] = match self {
            Self::Small | Self::ManyPools | Self::ManyVips => &[0],
            Self::TwoArm => &[0, 1],
        };
        arms.iter().copied().map(Arm::imagined).collect()
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

pub const ALL: [Scenario; 16] = [
    tx("v4-tcp-1-flow", Kind::TcpV4, Flows::One),
    tx("v4-tcp-10k-flows", Kind::TcpV4, TEN_K),
    tx("v4-tcp-100k-flows", Kind::TcpV4, HUNDRED_K),
    tx("v4-tcp-1m-flows", Kind::TcpV4, MILLION),
    tx("v4-udp-1-flow", Kind::UdpV4, Flows::One),
    tx("v4-udp-10k-flows", Kind::UdpV4, TEN_K),
    tx("v4-udp-100k-flows", Kind::UdpV4, HUNDRED_K),
    tx("v4-udp-1m-flows", Kind::UdpV4, MILLION),
    tx("v4-syn-all-new", Kind::SynV4, Flows::New),
    tx("v4-tcp-64-pools-1m-flows", Kind::TcpV4, MILLION).at(SiteKind::ManyPools, 64),
    tx("v4-tcp-16000-vips-1m-flows", Kind::TcpV4, MILLION).at(SiteKind::ManyVips, 16_000),
    tx("v4-tcp-redirect-1-flow", Kind::TcpV4, Flows::One)
        .at(SiteKind::TwoArm, 1)
        .becoming(Expected::Balancer(Verdict::ForwardRedirect)),
    tx("v4-tcp-redirect-1m-flows", Kind::TcpV4, MILLION)
        .at(SiteKind::TwoArm, 1)
        .becoming(Expected::Balancer(Verdict::ForwardRedirect)),
    tx("v4-not-a-vip", Kind::ForeignV4, MILLION)
        .becoming(Expected::Balancer(Verdict::PassNotVip))
        .above(Floor::Nop),
    tx("v4-not-a-vip-of-16000", Kind::ForeignV4, MILLION)
        .at(SiteKind::ManyVips, 1)
        .becoming(Expected::Balancer(Verdict::PassNotVip))
        .above(Floor::Nop),
    tx("agent-v4-in-v4", Kind::IpipV4, Flows::One)
        .becoming(Expected::Agent(AgentVerdict::AcceptDecapsulated))
        .above(Floor::Decap),
];

/// Encapsulated and sent back, at the small site.
const fn tx(name: &'static str, kind: Kind, flows: Flows) -> Scenario {
    Scenario {
        name,
        site: SiteKind::Small,
        kind,
        flows,
        destinations: 1,
        expected: Expected::Balancer(Verdict::ForwardTx),
        floor: Floor::EncapV4,
    }
}

impl Scenario {
    const fn at(mut self, site: SiteKind, destinations: u32) -> Self {
        self.site = site;
        self.destinations = destinations;
        self
    }

    const fn becoming(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    const fn above(mut self, floor: Floor) -> Self {
        self.floor = floor;
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
            let vips = scenario.site.size().vips;
            assert!(scenario.destinations as usize <= vips, "{}", scenario.name);
        }
    }

    #[test]
    fn every_site_is_a_configuration_the_daemon_takes() {
        for site in super::SiteKind::ALL {
            let text = site::yaml(site.size(), &site.arms());
            let content = site::content(&text).expect("it is valid");
            assert_eq!(content.config.vips.len(), site.size().vips + 1, "{}", site.name());
            site::hops(&content.config, &site.arms()).expect("every backend is behind an arm");
        }
    }

    #[test]
    fn agents_are_measured_on_what_they_take_off() {
        let agents = ALL.iter().filter(|one| matches!(one.expected, Expected::Agent(_)));
        assert!(agents.clone().count() > 0);
        assert!(agents.clone().all(|one| one.floor == super::Floor::Decap));
    }
}
