//! Packets that would come back: to backends that have the address of a VIP,
//! or to addresses that encapsulated packets come from.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use super::Judge;
use crate::config::{place::Place, problem::Problem};

pub fn check(
    judge: &mut Judge,
    backends: &[(IpAddr, Place)],
    vips: &HashMap<IpAddr, Place>,
    sources: &[(IpNet, Place)],
) {
    for &(address, place) in backends {
        if let Some(&vip) = vips.get(&address) {
            let problem = Problem::BackendIsVip {
                address,
                vip_line: vip.line,
            };
            judge.collide(problem, place, vip);
        }
        if let Some((prefix, source)) = within(sources, address) {
            let problem = Problem::BackendIsSource {
                address,
                prefix,
                prefix_line: source.line,
            };
            judge.collide(problem, place, source);
        }
    }
    for (&address, &place) in vips {
        if let Some((prefix, source)) = within(sources, address) {
            let problem = Problem::VipIsSource {
                address,
                prefix,
                prefix_line: source.line,
            };
            judge.collide(problem, place, source);
        }
    }
}

/// The source that an address is in, and where it stands.
fn within(sources: &[(IpNet, Place)], address: IpAddr) -> Option<(String, Place)> {
    let source = sources.iter().find(|(prefix, _)| prefix.contains(&address));
    source.map(|(prefix, place)| (prefix.to_string(), *place))
}
