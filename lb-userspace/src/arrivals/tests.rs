use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lb_common::abi::counters::Counter;

use super::Arrivals;
use crate::activity::Live;

const SECOND: Duration = Duration::from_secs(1);

const BOTH: [&str; 2] = ["lb0", "lb1"];

/// Packets a second that the program gets, and that the kernel counts.
struct Traffic {
    received: u64,
    lb0: u64,
    lb1: u64,
}

/// A host at work.
struct Host {
    arrivals: Arrivals,
    now: Instant,
    received: u64,
    counted: [u64; 2],
}

impl Host {
    fn new() -> Self {
        Self {
            arrivals: Arrivals::default(),
            now: Instant::now(),
            received: 1_000_000,
            counted: [500_000, 70],
        }
    }

    fn run(&mut self, seconds: u32, traffic: &Traffic) {
        for _ in 0..seconds {
            self.received += traffic.received;
            self.counted[0] += traffic.lb0;
            self.counted[1] += traffic.lb1;
            self.now += SECOND;
            self.look(&BOTH);
        }
    }

    fn look(&mut self, there: &[&str]) {
        let counters = BOTH.iter().zip(self.counted).filter(|(name, _)| there.contains(name));
        let counters = counters.map(|(name, packets)| ((*name).to_owned(), Counter { packets, bytes: 0 }));
        self.arrivals
            .look(self.received, counters.collect::<BTreeMap<_, _>>(), self.now);
    }

    fn at_most(&self, interface: &str) -> Option<Live> {
        self.arrivals.at_most(interface, BOTH.into_iter())
    }

    fn pps(&self, interface: &str) -> Option<u64> {
        self.at_most(interface).map(|live| live.pps_now)
    }
}

#[test]
fn interface_brings_what_it_received_at_most_once_it_was_watched_for_a_minute() {
    let mut host = Host::new();
    let traffic = Traffic {
        received: 1000,
        lb0: 990,
        lb1: 10,
    };
    host.run(60, &traffic);
    assert_eq!(host.pps("lb1"), None);
    host.run(1, &traffic);
    assert_eq!((host.pps("lb0"), host.pps("lb1")), (Some(990), Some(10)));
    assert_eq!(host.pps("lb2"), None);
}

#[test]
fn other_traffic_of_another_interface_makes_nobody_look_idle() {
    let mut host = Host::new();
    // Of the million no packet is for a VIP.
    let traffic = Traffic {
        received: 1_001_000,
        lb0: 1000,
        lb1: 1_000_000,
    };
    host.run(90, &traffic);
    assert_eq!((host.pps("lb0"), host.pps("lb1")), (Some(1000), Some(1_000_000)));
}

#[test]
fn what_came_within_a_minute_counts_and_what_came_before_is_quiet_for_so_long() {
    let mut host = Host::new();
    let traffic = |lb1| Traffic {
        received: 500 + lb1,
        lb0: 500,
        lb1,
    };
    host.run(90, &traffic(600));
    host.run(30, &traffic(0));
    assert!(
        host.pps("lb1").is_some_and(|pps| pps >= 250),
        "{:?}",
        host.at_most("lb1")
    );
    host.run(40, &traffic(0));
    let idle = host.at_most("lb1").expect("it is known");
    assert_eq!((idle.pps_now, idle.quiet_for), (0, Some(SECOND * 70)));
}

#[test]
fn driver_that_does_not_count_what_xdp_takes_makes_nobody_look_idle() {
    let mut host = Host::new();
    let traffic = Traffic {
        received: 1000,
        lb0: 3,
        lb1: 0,
    };
    host.run(90, &traffic);
    assert_eq!((host.pps("lb0"), host.pps("lb1")), (Some(1000), Some(997)));
}

#[test]
fn counts_that_are_read_one_after_the_other_are_the_same() {
    let mut host = Host::new();
    let traffic = Traffic {
        received: 1000,
        lb0: 1000,
        lb1: 0,
    };
    host.run(90, &traffic);
    // Packets that the one count has, and the other not yet.
    host.received += 150;
    host.run(1, &traffic);
    assert_eq!(host.pps("lb1"), Some(0));
    // Of few packets one is a large part.
    let mut host = Host::new();
    let few = Traffic {
        received: 2,
        lb0: 2,
        lb1: 0,
    };
    host.run(90, &few);
    host.received += 9;
    host.run(1, &few);
    assert_eq!(host.pps("lb1"), Some(0));
}

#[test]
fn interface_that_was_gone_or_is_another_is_known_anew() {
    let traffic = Traffic {
        received: 100,
        lb0: 50,
        lb1: 50,
    };
    let mut host = Host::new();
    host.run(90, &traffic);
    host.look(&["lb0"]);
    host.run(30, &traffic);
    assert_eq!(host.pps("lb1"), None);
    // What it counts is nobody's then.
    assert_eq!(host.pps("lb0"), Some(100));
    host.run(40, &traffic);
    assert_eq!(host.pps("lb1"), Some(50));
    // Made anew, under its name.
    host.counted[1] = 0;
    host.run(10, &traffic);
    assert_eq!(host.pps("lb1"), None);
}
