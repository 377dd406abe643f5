//! Which hop follows from what a look saw.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Instant,
};

use super::{
    Link, Problem, Seen, Targets, Way, by_index,
    netlink::{Neighbour, Neighbours},
    ways::Ways,
};
use crate::{
    config::{Encap, MacAddr, NextHop},
    plan::samples,
    revision::{BackendId, Hop},
};

const LB0: u32 = 7;
const ETH9: u32 = 9;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

fn link(ifindex: u32) -> Link {
    Link {
        ifindex,
        mac: mac(ifindex as u8),
        mtu: 1500,
        xdp: None,
        xdp_program: None,
        bare: true,
        up: true,
    }
}

fn be1() -> BackendId {
    BackendId {
        pool: "web".to_owned(),
        backend: "be1".to_owned(),
    }
}

type Doubtful = BTreeSet<(u32, IpAddr)>;

/// A pool of one backend at `address`, and the kernel's answer about it.
struct Look {
    targets: Targets,
    ways: Ways,
    neighbours: Neighbours,
    paths: BTreeMap<IpAddr, u16>,
}

impl Look {
    fn new(address: &str, encap: Encap, answer: Result<Way, Problem>) -> Self {
        let mut content = samples::content();
        let mut backend = samples::backend("be1", 11, 100);
        backend.address = ip(address);
        let mut pool = samples::pool("web", vec![backend]);
        pool.encap = encap;
        content.config.pools = vec![pool];
        let mut ways = Ways::new();
        ways.learn(ip(address), answer, Instant::now());
        Self {
            targets: Targets::of(&content.config),
            ways,
            neighbours: Neighbours::new(),
            paths: BTreeMap::new(),
        }
    }

    fn with_neighbour(mut self, ifindex: u32, address: &str, mac: Option<MacAddr>, fresh: bool) -> Self {
        self.neighbours.insert((ifindex, ip(address)), Neighbour { mac, fresh });
        self
    }

    /// MAC address and interface of the hop, and who is asked for.
    fn hop(&self) -> (Result<(MacAddr, u32), Problem>, Doubtful) {
        let (hop, doubtful) = self.whole_hop();
        (hop.map(|hop| (hop.mac, hop.ifindex)), doubtful)
    }

    fn whole_hop(&self) -> (Result<Hop, Problem>, Doubtful) {
        let links = BTreeMap::from([("lb0".to_owned(), link(LB0)), ("eth9".to_owned(), link(ETH9))]);
        let seen = Seen {
            by_index: by_index(&links),
            links: &links,
            neighbours: &self.neighbours,
            ways: &self.ways,
            paths: &self.paths,
            targets: &self.targets,
        };
        let (mut hops, mut problems, doubtful) = seen.hops();
        let hop = hops.remove(&be1());
        (hop.ok_or_else(|| problems.remove(&be1()).unwrap()), doubtful)
    }
}

fn unresolved(address: &str) -> Problem {
    Problem::Unresolved { address: ip(address) }
}

const fn way(ifindex: u32, gateway: Option<IpAddr>) -> Way {
    Way { ifindex, gateway }
}

#[test]
fn backend_of_either_family_on_link_is_its_own_next_hop() {
    for address in ["10.0.1.11", "2001:db8::11"] {
        let look = Look::new(address, Encap::Ipip, Ok(way(LB0, None))).with_neighbour(LB0, address, Some(mac(1)), true);
        assert_eq!(look.hop(), (Ok((mac(1), LB0)), BTreeSet::new()));
    }
}

#[test]
fn gateway_is_the_next_hop_also_one_of_the_other_family() {
    let gateway = "fe80::1";
    let look = Look::new("10.0.1.11", Encap::Gue, Ok(way(LB0, Some(ip(gateway)))))
        .with_neighbour(ETH9, gateway, Some(mac(9)), true)
        .with_neighbour(LB0, gateway, Some(mac(1)), false);
    assert_eq!(look.hop(), (Ok((mac(1), LB0)), [(LB0, ip(gateway))].into()));
}

#[test]
fn neighbour_that_is_not_known_is_asked_for() {
    let look = Look::new("2001:db8::11", Encap::Ipip, Ok(way(LB0, None)));
    let (hop, doubtful) = look.hop();
    assert_eq!(hop, Err(unresolved("2001:db8::11")));
    assert_eq!(doubtful, [(LB0, ip("2001:db8::11"))].into());
    let message = unresolved("2001:db8::11").to_string();
    assert_eq!(message, "2001:db8::11 does not answer neighbour discovery yet");
    assert_eq!(unresolved("10.0.1.11").to_string(), "10.0.1.11 does not answer ARP yet");
}

#[test]
fn pool_without_encapsulation_takes_no_gateway() {
    let through = |encap| {
        Look::new("10.0.1.11", encap, Ok(way(LB0, Some(ip("10.0.0.1")))))
            .hop()
            .0
    };
    assert_eq!(through(Encap::L2), Err(Problem::NotOnLink(ip("10.0.0.1"))));
    assert_eq!(through(Encap::Ipip), Err(unresolved("10.0.0.1")));
}

#[test]
fn route_through_an_interface_that_is_not_ours_gives_no_hop() {
    let look =
        Look::new("10.0.1.11", Encap::Ipip, Ok(way(ETH9, None))).with_neighbour(ETH9, "10.0.1.11", Some(mac(1)), true);
    let (hop, doubtful) = look.hop();
    assert_eq!(hop, Err(Problem::ForeignInterface("eth9".to_owned())));
    assert_eq!(doubtful, BTreeSet::new());
    assert_eq!(
        Look::new("10.0.1.11", Encap::Ipip, Err(Problem::Local)).hop().0,
        Err(Problem::Local)
    );
}

#[test]
fn next_hop_that_is_given_is_taken_without_asking() {
    let mut look = Look::new("10.0.1.11", Encap::L2, Err(Problem::NoRoute));
    look.targets.backends[0].given = Some(NextHop {
        mac: mac(5),
        interface: "eth9".to_owned(),
    });
    assert_eq!(look.hop(), (Ok((mac(5), ETH9)), BTreeSet::new()));
    look.targets.backends[0].given = Some(NextHop {
        mac: mac(5),
        interface: "lb4".to_owned(),
    });
    assert_eq!(look.hop().0, Err(Problem::NoInterface("lb4".to_owned())));
}

#[test]
fn learned_path_mtu_lowers_that_of_the_link_and_never_raises_it() {
    let mtu = |encap, learned| {
        let mut look =
            Look::new("10.0.1.11", encap, Ok(way(LB0, None))).with_neighbour(LB0, "10.0.1.11", Some(mac(1)), true);
        look.paths = [(ip("10.0.1.11"), learned)].into();
        look.whole_hop().0.unwrap().mtu
    };
    assert_eq!(mtu(Encap::Ipip, 1400), 1400);
    assert_eq!(mtu(Encap::Ipip, 9000), 1500);
    assert_eq!(mtu(Encap::L2, 1400), 1500, "no outer header was ever sent to it");
}
