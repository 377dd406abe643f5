//! Rules about VIPs.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use super::{Judge, Seen};
use crate::config::{
    Vip,
    file::{FilePool, FileVip},
    limits::{MAX_PORT, MAX_VIPS, MIN_PORT},
    place::Place,
    problem::Problem,
};

/// Candidates for "did you mean" that are kept with an error.
const MAX_SUGGESTED_FROM: usize = 64;

/// The VIPs, and what other rules need of them.
pub struct JudgedVips {
    pub vips: Vec<Vip>,
    /// Where each address is first.
    pub addresses: HashMap<IpAddr, Place>,
}

pub fn vips(judge: &mut Judge, files: &[FileVip], pools: &[FilePool]) -> JudgedVips {
    judge.at_most("VIPs", MAX_VIPS, files, |vip| &vip.name);
    let pool_names: HashSet<&str> = pools.iter().map(|pool| pool.name.value.as_str()).collect();
    let mut names = Seen::new();
    let mut addresses = Seen::new();
    let mut tuples = Seen::new();
    let mut vips = Vec::new();
    for file in files {
        judge.unique_name(&mut names, "VIP", &file.name);
        let name = judge.name(&file.name);
        let address = judge.address(&file.address);
        let port = judge.number("port", &file.port, MIN_PORT.into(), MAX_PORT.into());
        let protocol = judge.word("protocol", &file.protocol);
        let affinity = judge.word_or_default("affinity", file.affinity.as_ref());
        let hash = judge.word_or_default("hash", file.hash.as_ref());
        let state = judge.word_or_default("state", file.state.as_ref());
        let place = Place::of(&file.address);
        if let Some(address) = address {
            addresses.earlier(address, place);
        }
        if !pool_names.contains(file.pool.value.as_str()) {
            unknown_pool(judge, file, pools);
        }
        let (Some(address), Some(port), Some(protocol)) = (address, port, protocol) else {
            continue;
        };
        let port = port as u16;
        if let Some(first) = tuples.earlier((address, port, protocol), place) {
            let problem = Problem::DuplicateVip {
                socket: SocketAddr::new(address, port),
                protocol,
                first_line: first.line,
            };
            judge.collide(problem, place, first);
        }
        if let (Some(name), Some(affinity), Some(hash), Some(state)) = (name, affinity, hash, state) {
            vips.push(Vip {
                name,
                address,
                port,
                protocol,
                pool: file.pool.value.clone(),
                affinity,
                hash,
                protected: file.protected.unwrap_or(false),
                state,
            });
        }
    }
    JudgedVips {
        vips,
        addresses: addresses.0,
    }
}

fn unknown_pool(judge: &mut Judge, file: &FileVip, pools: &[FilePool]) {
    let problem = Problem::UnknownPool {
        pool: file.pool.value.clone(),
        known: pools
            .iter()
            .take(MAX_SUGGESTED_FROM)
            .map(|pool| pool.name.value.clone())
            .collect(),
    };
    judge.refuse(problem, Place::of(&file.pool));
}
