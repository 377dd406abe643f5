//! Backends whose packets would come back: the address of a VIP, or one that
//! encapsulated packets come from.

use std::{collections::HashMap, net::Ipv4Addr};

use ipnet::Ipv4Net;

use super::Judge;
use crate::config::{place::Place, problem::Problem};

pub fn check(
    judge: &mut Judge,
    backends: &[(Ipv4Addr, Place)],
    vips: &HashMap<Ipv4Addr, Place>,
    source: Option<&(Ipv4Net, Place)>,
) {
    for &(address, place) in backends {
        if let Some(&vip) = vips.get(&address) {
            let problem = Problem::BackendIsVip {
                address,
                vip_line: vip.line,
            };
            judge.collide(problem, place, vip);
        }
        if let Some((prefix, prefix_place)) = source
            && prefix.contains(&address)
        {
            let problem = Problem::BackendIsSource {
                address,
                prefix: prefix.to_string(),
                prefix_line: prefix_place.line,
            };
            judge.collide(problem, place, *prefix_place);
        }
    }
}
