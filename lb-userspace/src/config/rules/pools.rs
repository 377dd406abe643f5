//! Rules about pools and their backends.

use std::net::IpAddr;

use super::{
    Judge, Seen,
    health::{self, Users},
    sorted,
};
use crate::config::{
    Backend, BackendState, Drain, Encap, NextHop, Percent, Pool,
    file::{FileBackend, FileDrain, FileNextHop, FileNode, FilePool, FileVip},
    limits::{
        DEFAULT_WEIGHT, MAX_BACKENDS, MAX_BACKENDS_IN_POOL, MAX_DRAIN_DEADLINE, MAX_DRAIN_IDLE, MAX_POOLS, MAX_WEIGHT,
        MIN_DRAIN,
    },
    place::Place,
    problem::Problem,
};

/// The pools, and what other rules need of them.
pub struct JudgedPools {
    pub pools: Vec<Pool>,
    /// Of every backend.
    pub addresses: Vec<(IpAddr, Place)>,
}

pub fn pools(judge: &mut Judge, files: &[FilePool], vips: &[FileVip], node: &FileNode) -> JudgedPools {
    judge.at_most("pools", MAX_POOLS, files, |pool| &pool.name);
    let all: Vec<&FileBackend> = files.iter().flat_map(|pool| &pool.backends).collect();
    judge.at_most("backends in all pools", MAX_BACKENDS, &all, |backend| &backend.name);
    let mut seen = Seen::new();
    let mut addresses = Vec::new();
    let mut pools = Vec::new();
    let users = Users::of(vips, files);
    for file in files {
        judge.unique_name(&mut seen, "pool", &file.name);
        let health = health::of_pool(judge, file, &users);
        let pool = pool(judge, file, node, &mut addresses);
        pools.extend(pool.zip(health).map(|(pool, health)| health::into_pool(pool, health)));
    }
    health::fallbacks(judge, files);
    JudgedPools { pools, addresses }
}

fn pool(judge: &mut Judge, file: &FilePool, node: &FileNode, addresses: &mut Vec<(IpAddr, Place)>) -> Option<Pool> {
    let name = judge.name(&file.name);
    let encap = judge.word_or_default("encap", file.encap.as_ref());
    let table = judge.word_or_default("table", file.table.as_ref());
    let drain = match &file.drain {
        Some(file) => drain(judge, file),
        None => Some(Drain::default()),
    };
    judge.at_most("backends in a pool", MAX_BACKENDS_IN_POOL, &file.backends, |backend| {
        &backend.name
    });
    let mut names = Seen::new();
    let mut first_addresses = Seen::new();
    let mut backends = Vec::new();
    let others = addresses.len();
    for backend_file in &file.backends {
        judge.unique_name(&mut names, "backend", &backend_file.name);
        let judged = backend(judge, backend_file, node);
        if let Some(address) = judged.address {
            addresses.push((address, Place::of(&backend_file.address)));
            unique_address(judge, &mut first_addresses, file, backend_file, address);
        }
        backends.extend(judged.backend);
    }
    if backends.len() == file.backends.len() {
        takes_flows(judge, file, &backends);
    }
    if let Some(encap) = encap {
        has_source(judge, file, encap, node, &addresses[others..]);
    }
    Some(Pool {
        name: name?,
        encap: encap?,
        table: table?,
        drain: drain?,
        health: None,
        panic_threshold: Percent::ZERO,
        fallback_pool: None,
        backends: sorted(backends, |backend| &backend.name),
    })
}

fn drain(judge: &mut Judge, file: &FileDrain) -> Option<Drain> {
    let default = Drain::default();
    let idle = match &file.idle {
        Some(text) => judge.time("drain.idle", text, MIN_DRAIN, MAX_DRAIN_IDLE),
        None => Some(default.idle),
    };
    let deadline = match &file.deadline {
        Some(text) => judge.time("drain.deadline", text, MIN_DRAIN, MAX_DRAIN_DEADLINE),
        None => Some(default.deadline),
    };
    let (idle, deadline) = (idle?, deadline?);
    // Defaults are in order, so one of them was written.
    if let Some(written) = file.idle.as_ref().or(file.deadline.as_ref())
        && idle > deadline
    {
        judge.refuse(Problem::DrainOrder { idle, deadline }, Place::of(written));
        return None;
    }
    Some(Drain { idle, deadline })
}

/// Encapsulated packets need somewhere to come from, in the backend's family.
/// Told once for each family.
fn has_source(judge: &mut Judge, file: &FilePool, encap: Encap, node: &FileNode, addresses: &[(IpAddr, Place)]) {
    match encap {
        Encap::Ipip | Encap::Gue => {}
        Encap::L2 => return,
    }
    let written = node.encap_source.as_ref();
    let mut needs = |key: &'static str, written: bool, of_family: fn(&IpAddr) -> bool| {
        let backend = addresses.iter().find(|(address, _)| of_family(address));
        if let Some(&(address, place)) = backend.filter(|_| !written) {
            let pool = file.name.value.clone();
            let problem = Problem::NoSource {
                pool,
                address,
                encap,
                key,
            };
            judge.refuse(problem, place);
        }
    };
    needs("v4", written.is_some_and(|source| source.v4.is_some()), IpAddr::is_ipv4);
    needs("v6", written.is_some_and(|source| source.v6.is_some()), IpAddr::is_ipv6);
}

/// A table needs an owner for its slots.
fn takes_flows(judge: &mut Judge, file: &FilePool, backends: &[Backend]) {
    let pool = file.name.value.clone();
    let can_take = |backend: &Backend| match backend.state {
        BackendState::Ready => backend.weight > 0,
        BackendState::Drain | BackendState::Maint => false,
    };
    if backends.is_empty() {
        judge.refuse(
            Problem::NoneGiven(format!("pool `{pool}`"), "backend"),
            Place::of(&file.name),
        );
    } else if !backends.iter().any(can_take) {
        judge.refuse(Problem::NoWeight(pool), Place::of(&file.name));
    }
}

fn unique_address(judge: &mut Judge, seen: &mut Seen<IpAddr>, pool: &FilePool, backend: &FileBackend, address: IpAddr) {
    let place = Place::of(&backend.address);
    if let Some(first) = seen.earlier(address, place) {
        let problem = Problem::DuplicateBackend {
            pool: pool.name.value.clone(),
            address,
            first_line: first.line,
        };
        judge.collide(problem, place, first);
    }
}

struct JudgedBackend {
    backend: Option<Backend>,
    address: Option<IpAddr>,
}

fn backend(judge: &mut Judge, file: &FileBackend, node: &FileNode) -> JudgedBackend {
    let name = judge.name(&file.name);
    let address = judge.address(&file.address);
    let weight = match &file.weight {
        Some(weight) => judge.number("weight", weight, 0, MAX_WEIGHT),
        None => Some(DEFAULT_WEIGHT),
    };
    let state = judge.word_or_default("state", file.state.as_ref());
    // Outer: judged without an error; inner: there is one.
    let next_hop = match &file.next_hop {
        Some(file) => next_hop(judge, file, node).map(Some),
        None => Some(None),
    };
    let backend = || {
        Some(Backend {
            name: name?,
            address: address?,
            weight: weight?,
            state: state?,
            next_hop: next_hop?,
        })
    };
    JudgedBackend {
        backend: backend(),
        address,
    }
}

fn next_hop(judge: &mut Judge, file: &FileNextHop, node: &FileNode) -> Option<NextHop> {
    let mac = judge.mac(&file.mac);
    let interfaces = &node.interfaces.value;
    let interface = &file.interface.value;
    if !interfaces.iter().any(|ours| ours.name.value == *interface) {
        let problem = Problem::UnknownInterface {
            interface: interface.clone(),
            known: interfaces.iter().map(|ours| ours.name.value.clone()).collect(),
        };
        judge.refuse(problem, Place::of(&file.interface));
        return None;
    }
    Some(NextHop {
        mac: mac?,
        interface: interface.clone(),
    })
}
