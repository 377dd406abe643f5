//! A change as the columns of a line.

mod rules;

use std::{
    collections::{BTreeSet, HashSet},
    fmt::{self, Write as _},
};

use self::rules::{access_lines, protection_lines, signers_lines};
use super::{Change, PoolEffect, percent};
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::{
    config::{
        Affinity, Backend, BackendState, Drain, Encap, HashKind, Health, Node, Pool, TableKind, Vip, VipState, XdpMode,
    },
    plan::BackendOverride,
};

pub struct Line {
    section: Section,
    pub sign: Sign,
    /// `pool web`.
    pub subject: String,
    pub what: String,
    /// What moves; once for each pool.
    pub effect: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    Added,
    Changed,
    Removed,
    /// Nothing of the object changes, but slots move.
    Moved,
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Added => "+",
            Self::Changed => "~",
            Self::Removed => "-",
            Self::Moved => "·",
        })
    }
}

/// In the order of people: node, then pool by pool with its backends, then VIPs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Node,
    Pools,
    Vips,
}

/// A line for each change, and each pool's effect with the first line about it.
pub fn lines(changes: &[Change], effects: &[PoolEffect]) -> Vec<Line> {
    let mut lines: Vec<Line> = changes.iter().flat_map(|change| lines_of(changes, change)).collect();
    let moving = effects.iter().filter(|effect| effect.slots_moved > 0);
    let moving: Vec<_> = moving.map(|effect| (format!("pool {}", effect.pool), effect)).collect();
    let told: HashSet<String> = lines.iter().map(|line| line.subject.clone()).collect();
    let untold = moving.iter().filter(|(subject, _)| !told.contains(subject));
    lines.extend(untold.map(|(subject, _)| line(Section::Pools, Sign::Moved, subject.clone(), String::new())));
    lines.sort_by(|a, b| (a.section, &a.subject).cmp(&(b.section, &b.subject)));
    for (subject, effect) in moving {
        let first = lines.partition_point(|line| (line.section, &line.subject) < (Section::Pools, &subject));
        let (moved, unavoidable) = (percent(effect.slots_moved), percent(effect.slots_unavoidable));
        lines[first].effect = format!("moves {moved} of slots (unavoidable {unavoidable})");
    }
    lines
}

const fn line(section: Section, sign: Sign, subject: String, what: String) -> Line {
    Line {
        section,
        sign,
        subject,
        what,
        effect: String::new(),
    }
}

fn node_line(sign: Sign, what: String) -> Line {
    line(Section::Node, sign, "node".to_owned(), what)
}

fn pool_line(sign: Sign, pool: &str, what: String) -> Line {
    line(Section::Pools, sign, format!("pool {pool}"), what)
}

fn vip_line(sign: Sign, vip: &Vip, what: String) -> Line {
    line(Section::Vips, sign, format!("vip {}", vip.name), what)
}

fn lines_of(changes: &[Change], change: &Change) -> Vec<Line> {
    match change {
        Change::AddVip { vip } => vec![vip_line(Sign::Added, vip, serves(vip))],
        Change::RemoveVip { vip } => vec![vip_line(Sign::Removed, vip, serves(vip))],
        Change::ChangeVip { from, to } => vec![vip_line(Sign::Changed, to, vip_fields(from, to))],
        Change::AddPool { pool } => whole_pool(Sign::Added, pool),
        Change::RemovePool { pool } => whole_pool(Sign::Removed, pool),
        Change::ChangePool { from, to } => {
            vec![pool_line(Sign::Changed, &to.name, pool_fields(from, to))]
        }
        Change::AddBackend { pool, backend } => vec![pool_line(Sign::Added, pool, described(backend))],
        Change::RemoveBackend { pool, backend } => {
            vec![pool_line(
                Sign::Removed,
                pool,
                format!("{} removed", described(backend)),
            )]
        }
        Change::ChangeBackend { pool, from, to } => vec![pool_line(Sign::Changed, pool, backend_fields(from, to))],
        Change::ChangeNode { from, to } => node_lines(from, to),
        Change::ChangeAccess { from, to } => access_lines(from.as_ref(), to.as_ref()),
        Change::ChangeProtection { from, to } => protection_lines(from, to),
        Change::ChangeSigners { from, to } => signers_lines(from, to),
        Change::Detach { interface } => vec![node_line(Sign::Removed, format!("{interface} detached"))],
        Change::Attach { interface } if goes(changes, interface) => Vec::new(),
        Change::Attach { interface } => vec![node_line(Sign::Added, format!("{interface} attached"))],
        Change::Override { pool, file, from, to } => {
            vec![pool_line(Sign::Changed, pool, override_fields(file, from, to))]
        }
        Change::OverrideVip { file, from, to } => {
            vec![vip_line(Sign::Changed, file, vip_override_fields(file, *from, *to))]
        }
    }
}

/// The interface goes from the configuration: that its override goes as well
/// does not mean that it is attached.
fn goes(changes: &[Change], interface: &str) -> bool {
    changes.iter().any(|change| match change {
        Change::ChangeNode { to, .. } => to.interfaces.iter().all(|other| other.name != interface),
        Change::AddVip { .. }
        | Change::ChangeVip { .. }
        | Change::RemoveVip { .. }
        | Change::AddPool { .. }
        | Change::ChangePool { .. }
        | Change::RemovePool { .. }
        | Change::AddBackend { .. }
        | Change::ChangeBackend { .. }
        | Change::RemoveBackend { .. }
        | Change::Detach { .. }
        | Change::Attach { .. }
        | Change::ChangeAccess { .. }
        | Change::ChangeProtection { .. }
        | Change::ChangeSigners { .. }
        | Change::Override { .. }
        | Change::OverrideVip { .. } => false,
    })
}

/// `be2 weight 100 → 50 (file: 100)`; without the bracket it is as the file
/// says.
fn override_fields(file: &Backend, from: &BackendOverride, to: &BackendOverride) -> String {
    let mut fields = Vec::new();
    let state = |of: &BackendOverride| {
        let state = of.state.unwrap_or(file.state);
        of.until
            .map_or_else(|| state.to_string(), |until| format!("{state} until {until}"))
    };
    change(&mut fields, "", &state(from), &state(to));
    if let (Some(_), Some(last)) = (to.state, fields.last_mut()) {
        write!(last, " (file: {})", file.state).expect("a String takes all text");
    }
    let states = fields.len();
    let weight = |of: &BackendOverride| of.weight.unwrap_or(file.weight);
    change(&mut fields, "weight ", &weight(from), &weight(to));
    if let (Some(_), Some(last)) = (to.weight, fields.get_mut(states)) {
        write!(last, " (file: {})", file.weight).expect("a String takes all text");
    }
    if fields.is_empty() {
        // The file says the same now.
        fields.push("as the file says".to_owned());
    }
    format!("{} {}, by command", file.name, fields.join(", "))
}

/// `ready → maint (file: ready), by command`.
fn vip_override_fields(file: &Vip, from: Option<VipState>, to: Option<VipState>) -> String {
    let mut fields = Vec::new();
    let state = |of: Option<VipState>| of.unwrap_or(file.state);
    change(&mut fields, "", &state(from), &state(to));
    let file = match to {
        Some(_) => format!(" (file: {})", file.state),
        None => String::new(),
    };
    // The file says the same now.
    let change = fields.pop().unwrap_or_else(|| "as the file says".to_owned());
    format!("{change}{file}, by command")
}

fn serves(vip: &Vip) -> String {
    let mut text = format!("{} → pool {}", vip.endpoint(), vip.pool);
    match vip.affinity {
        Affinity::Tuple => {}
        Affinity::Source => text.push_str(" affinity source"),
    }
    match vip.hash {
        HashKind::Fast => {}
        HashKind::Siphash => text.push_str(" hash siphash"),
    }
    match vip.state {
        VipState::Ready => {}
        VipState::Maint => text.push_str(" maint"),
    }
    text
}

fn vip_fields(from: &Vip, to: &Vip) -> String {
    let mut fields = Vec::new();
    change(&mut fields, "", &from.endpoint(), &to.endpoint());
    change(&mut fields, "pool ", &from.pool, &to.pool);
    change(&mut fields, "affinity ", &from.affinity, &to.affinity);
    change(&mut fields, "hash ", &from.hash, &to.hash);
    change(&mut fields, "protected ", &from.protected, &to.protected);
    change(&mut fields, "", &from.state, &to.state);
    fields.join(", ")
}

fn whole_pool(sign: Sign, pool: &Pool) -> Vec<Line> {
    let encap = match pool.encap {
        Encap::Ipip => String::new(),
        Encap::Gue | Encap::L2 => format!("encap {} ", pool.encap),
    };
    let drain = if pool.drain == Drain::default() {
        String::new()
    } else {
        format!(" drain idle {} deadline {}", pool.drain.idle, pool.drain.deadline)
    };
    let health = pool
        .health
        .as_ref()
        .map_or_else(String::new, |health| format!(" health {}", health.check));
    let what = format!("{encap}table {}{drain}{health}", table(pool.table));
    let head = pool_line(sign, &pool.name, what);
    let backends = pool
        .backends
        .iter()
        .map(|backend| pool_line(sign, &pool.name, described(backend)));
    std::iter::once(head).chain(backends).collect()
}

fn pool_fields(from: &Pool, to: &Pool) -> String {
    let mut fields = Vec::new();
    change(&mut fields, "encap ", &from.encap, &to.encap);
    change(&mut fields, "table ", &table(from.table), &table(to.table));
    change(&mut fields, "drain idle ", &from.drain.idle, &to.drain.idle);
    change(&mut fields, "drain deadline ", &from.drain.deadline, &to.drain.deadline);
    health_fields(&mut fields, from.health.as_ref(), to.health.as_ref());
    change(
        &mut fields,
        "panicThreshold ",
        &from.panic_threshold,
        &to.panic_threshold,
    );
    let fallback = |pool: &Pool| pool.fallback_pool.clone().unwrap_or_else(|| "none".to_owned());
    change(&mut fields, "fallbackPool ", &fallback(from), &fallback(to));
    fields.join(", ")
}

/// Each key of health that changes, as it is written in the file.
fn health_fields(fields: &mut Vec<String>, from: Option<&Health>, to: Option<&Health>) {
    let (Some(from), Some(to)) = (from, to) else {
        let check =
            |health: Option<&Health>| health.map_or_else(|| "none".to_owned(), |health| health.check.to_string());
        change(fields, "health ", &check(from), &check(to));
        return;
    };
    let (from, to) = (written(from), written(to));
    let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    for key in keys {
        let value = |of: &Map<String, Value>| of.get(key).map_or_else(|| "none".to_owned(), ToString::to_string);
        change(fields, &format!("health {key} "), &value(&from), &value(&to));
    }
}

fn written(health: &Health) -> Map<String, Value> {
    match serde_json::to_value(health) {
        Ok(Value::Object(keys)) => keys,
        Ok(_) | Err(_) => Map::new(),
    }
}

fn described(backend: &Backend) -> String {
    let mut text = format!("{} {} weight {}", backend.name, backend.address, backend.weight);
    match backend.state {
        BackendState::Ready => {}
        BackendState::Drain => text.push_str(" drain"),
        BackendState::Maint => text.push_str(" maint"),
    }
    if backend.next_hop.is_some() {
        text.push_str(" via ");
        text.push_str(&next_hop(backend));
    }
    text
}

fn backend_fields(from: &Backend, to: &Backend) -> String {
    let mut fields = Vec::new();
    change(&mut fields, "address ", &from.address, &to.address);
    change(&mut fields, "weight ", &from.weight, &to.weight);
    change(&mut fields, "", &from.state, &to.state);
    change(&mut fields, "next hop ", &next_hop(from), &next_hop(to));
    format!("{} {}", to.name, fields.join(", "))
}

fn next_hop(backend: &Backend) -> String {
    backend.next_hop.as_ref().map_or_else(
        || "resolved".to_owned(),
        |hop| format!("{} on {}", hop.mac, hop.interface),
    )
}

fn node_lines(from: &Node, to: &Node) -> Vec<Line> {
    let mut lines = Vec::new();
    for interface in &from.interfaces {
        if to.interfaces.iter().all(|other| other.name != interface.name) {
            let what = format!("interface {} {}", interface.name, mode(interface.mode));
            lines.push(node_line(Sign::Removed, what));
        }
    }
    for interface in &to.interfaces {
        let before = from.interfaces.iter().find(|other| other.name == interface.name);
        match before {
            None => {
                let what = format!("interface {} {}", interface.name, mode(interface.mode));
                lines.push(node_line(Sign::Added, what));
            }
            Some(before) if before.mode != interface.mode => {
                let (old, new) = (mode(before.mode), mode(interface.mode));
                let what = format!("interface {} {old} → {new}", interface.name);
                lines.push(node_line(Sign::Changed, what));
            }
            Some(_) => {}
        }
    }
    let mut fields = Vec::new();
    let (before, after) = (&from.encap_source, &to.encap_source);
    let (v4, v6) = (|net| prefix(net, IpNet::V4), |net| prefix(net, IpNet::V6));
    change(&mut fields, "encapSource.v4 ", &v4(before.v4), &v4(after.v4));
    change(&mut fields, "encapSource.v6 ", &v6(before.v6), &v6(after.v6));
    let (old, new) = (
        from.hash_key_file.display().to_string(),
        to.hash_key_file.display().to_string(),
    );
    change(&mut fields, "hashKeyFile ", &old, &new);
    change(&mut fields, "guard ", &from.guard, &to.guard);
    lines.extend(fields.into_iter().map(|what| node_line(Sign::Changed, what)));
    if lines.is_empty() {
        lines.push(node_line(Sign::Changed, "order of interfaces".to_owned()));
    }
    lines
}

/// `weight 100 → 50`, if it changes.
fn change<T: fmt::Display + PartialEq>(fields: &mut Vec<String>, name: &str, from: &T, to: &T) {
    if from != to {
        fields.push(format!("{name}{from} → {to}"));
    }
}

fn prefix<P>(prefix: Option<P>, net: fn(P) -> IpNet) -> String {
    prefix.map_or_else(|| "none".to_owned(), |prefix| net(prefix).to_string())
}

const fn table(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Minmove => "minmove",
        TableKind::Maglev => "maglev",
    }
}

const fn mode(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "native",
        XdpMode::Generic => "generic",
    }
}
