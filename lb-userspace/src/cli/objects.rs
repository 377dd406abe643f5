//! `holdfast vip|pool|backend list|show`: parts of the status, as documents of
//! their own.

use serde::Serialize;

use super::{
    args::{BackendObjects, BackendPath, Objects},
    error::{Error, Exit},
    status,
    terminal::{Look, Terminal},
    text::{NONE, count, fields, numbers, table, words},
};
use crate::api::{
    client::Client,
    model::{BackendStatus, Document, Kind, LiveStatus, PathStatus, PoolStatus, Status, VipStatus},
};

#[derive(Serialize)]
struct VipList {
    vips: Vec<VipStatus>,
}

impl Kind for VipList {
    const KIND: &'static str = "VipList";
}

impl Kind for VipStatus {
    const KIND: &'static str = "Vip";
}

#[derive(Serialize)]
struct PoolList {
    pools: Vec<PoolStatus>,
}

impl Kind for PoolList {
    const KIND: &'static str = "PoolList";
}

impl Kind for PoolStatus {
    const KIND: &'static str = "Pool";
}

#[derive(Serialize)]
struct BackendList {
    backends: Vec<PoolBackend>,
}

impl Kind for BackendList {
    const KIND: &'static str = "BackendList";
}

/// A backend and the pool that it is in.
#[derive(Serialize)]
struct PoolBackend {
    pool: String,
    #[serde(flatten)]
    backend: BackendStatus,
}

impl Kind for PoolBackend {
    const KIND: &'static str = "Backend";
}

pub(super) async fn vip_list(client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let status = ask(client, terminal).await?;
    let list = VipList {
        vips: status.vips.clone(),
    };
    terminal.answer(&Document::new(list), |_, look| status::vips(&status, look))?;
    Ok(Exit::Done)
}

pub(super) async fn vip(name: &str, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let status = ask(client, terminal).await?;
    let found = status.vips.iter().find(|vip| vip.name == name);
    let names = status.vips.iter().map(|vip| vip.name.clone());
    let vip = found.ok_or_else(|| no_such("vip", name, names))?;
    terminal.answer(&Document::new(vip.clone()), |vip, _| vip_text(vip))?;
    Ok(Exit::Done)
}

pub(super) async fn pools(command: &Objects, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let status = ask(client, terminal).await?;
    match command {
        Objects::List => {
            let list = PoolList {
                pools: status.pools.clone(),
            };
            terminal.answer(&Document::new(list), |_, _| pool_table(&status))?;
        }
        Objects::Show { name } => {
            let found = status.pools.iter().find(|pool| pool.name == *name);
            let names = status.pools.iter().map(|pool| pool.name.clone());
            let pool = found.ok_or_else(|| no_such("pool", name, names))?;
            terminal.answer(&Document::new(pool.clone()), |pool, look| {
                pool_text(pool, &status, look)
            })?;
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn backends(
    command: &BackendObjects,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    let status = ask(client, terminal).await?;
    match command {
        BackendObjects::List => {
            let list = BackendList {
                backends: pool_backends(&status).collect(),
            };
            terminal.answer(&Document::new(list), |_, look| status::backends(&status, look))?;
        }
        BackendObjects::Show { path } => {
            let found = pool_backends(&status).find(|backend| path_of(backend) == *path);
            let names = pool_backends(&status).map(|backend| path_of(&backend).to_string());
            let backend = found.ok_or_else(|| no_such("backend", &path.to_string(), names))?;
            terminal.answer(&Document::new(backend), |backend, _| backend_text(backend))?;
        }
        // They change something: `backend.rs`.
        BackendObjects::Drain(_)
        | BackendObjects::Ready(_)
        | BackendObjects::Maint(_)
        | BackendObjects::Weight(_)
        | BackendObjects::Reset(_) => return Err(Error::NothingToApply),
    }
    Ok(Exit::Done)
}

async fn ask(client: &Client, terminal: &Terminal<'_>) -> Result<Status, Error> {
    Ok(terminal.patiently("asking the daemon", client.status()).await?.body)
}

fn no_such(kind: &'static str, name: &str, known: impl Iterator<Item = String>) -> Error {
    let known: Vec<_> = known.collect();
    Error::NoSuchObject {
        kind,
        name: name.to_owned(),
        known: if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        },
    }
}

fn pool_backends(status: &Status) -> impl Iterator<Item = PoolBackend> {
    status.pools.iter().flat_map(|pool| {
        pool.backends.iter().map(|backend| PoolBackend {
            pool: pool.name.clone(),
            backend: backend.clone(),
        })
    })
}

fn path_of(backend: &PoolBackend) -> BackendPath {
    BackendPath {
        pool: backend.pool.clone(),
        backend: backend.backend.name.clone(),
    }
}

fn pool_table(status: &Status) -> String {
    let columns = [
        words("POOL"),
        numbers("BACKENDS"),
        numbers("UP"),
        words("VIPS"),
        words("HEALTH"),
        words("TABLE DIGEST"),
        numbers("PACKETS"),
        numbers("BYTES"),
    ];
    let rows = status.pools.iter().map(|pool| {
        let sum = |of: fn(&BackendStatus) -> u64| count(pool.backends.iter().map(of).fold(0, u64::saturating_add));
        vec![
            pool.name.clone(),
            pool.backends.len().to_string(),
            pool.backends.iter().filter(|backend| backend.up).count().to_string(),
            vips_of(pool, status),
            reasons(pool),
            pool.table_digest.short(),
            sum(|backend| backend.traffic.packets),
            sum(|backend| backend.traffic.bytes),
        ]
    });
    table(&columns, rows)
}

/// Why who serves is not just who is healthy.
fn reasons(pool: &PoolStatus) -> String {
    let reasons: Vec<_> = pool.reasons.iter().map(ToString::to_string).collect();
    if reasons.is_empty() {
        NONE.to_owned()
    } else {
        reasons.join(",")
    }
}

/// Names of the VIPs that share the pool.
fn vips_of(pool: &PoolStatus, status: &Status) -> String {
    let sharing = status.vips.iter().filter(|vip| vip.pool == pool.name);
    let names: Vec<_> = sharing.map(|vip| vip.name.as_str()).collect();
    if names.is_empty() {
        NONE.to_owned()
    } else {
        names.join(",")
    }
}

fn vip_text(vip: &VipStatus) -> String {
    fields([
        ("VIP", vip.name.clone()),
        ("Address", vip.address.to_string()),
        ("Port", vip.port.to_string()),
        ("Protocol", vip.protocol.to_string()),
        ("Pool", vip.pool.clone()),
        ("State", status::vip_state(vip)),
        ("Packets", count(vip.traffic.packets)),
        ("Bytes", count(vip.traffic.bytes)),
        ("Packets a second", count(vip.live.pps)),
        ("Last packet", last_packet(&vip.live)),
    ])
}

fn pool_text(pool: &PoolStatus, status: &Status, look: Look) -> String {
    let head = fields([
        ("Pool", pool.name.clone()),
        ("VIPs", vips_of(pool, status)),
        ("Health", reasons(pool)),
        ("Fallback", fallback(pool)),
        ("Table digest", pool.table_digest.to_string()),
    ]);
    let of_pool = Status {
        pools: vec![pool.clone()],
        ..status.clone()
    };
    format!("{head}\n\n{}", status::backends(&of_pool, look))
}

/// `sorry/be1 (32,768 slots), sorry/be2 (waiting)`.
fn fallback(pool: &PoolStatus) -> String {
    let guests = pool.fallback.iter().map(|guest| match guest.slots {
        0 => format!("{} (waiting)", guest.name),
        slots => format!("{} ({} slots)", guest.name, count(u64::from(slots))),
    });
    let guests: Vec<_> = guests.collect();
    if guests.is_empty() {
        NONE.to_owned()
    } else {
        guests.join(", ")
    }
}

fn backend_text(PoolBackend { pool, backend }: &PoolBackend) -> String {
    fields([
        ("Backend", backend.name.clone()),
        ("Pool", pool.clone()),
        ("Address", backend.address.to_string()),
        ("Weight", status::weight(backend)),
        ("State", status::state(backend)),
        ("Up", yes_no(backend.up).to_owned()),
        ("Health", status::health(&backend.health)),
        (
            "Since",
            backend
                .health
                .since
                .map_or_else(|| NONE.to_owned(), |since| format!("{since:.0}")),
        ),
        ("Last check", last_check(backend)),
        ("Slots", format!("{} of 65,536", count(u64::from(backend.slots)))),
        ("Next hop", backend.next_hop.clone()),
        ("Path MTU", path_mtu(&backend.path)),
        ("ICMP errors", icmp_errors(&backend.path)),
        ("Packets", count(backend.traffic.packets)),
        ("Bytes", count(backend.traffic.bytes)),
        ("Packets a second", count(backend.live.pps)),
        ("Last packet", last_packet(&backend.live)),
    ])
}

/// `12 s ago`; `never`.
fn last_packet(live: &LiveStatus) -> String {
    let ago = if live.quiet_seconds.is_some() { " ago" } else { "" };
    format!("{}{ago}", status::quiet(live))
}

fn last_check(backend: &BackendStatus) -> String {
    let health = &backend.health;
    match (health.check_us, &health.error) {
        (None, _) => NONE.to_owned(),
        (Some(took), None) => format!("passed in {} ms", took.div_ceil(1000)),
        (Some(took), Some(error)) => format!("failed after {} ms: {error}", took.div_ceil(1000)),
    }
}

fn path_mtu(path: &PathStatus) -> String {
    match (path.mtu, path.learned_mtu) {
        (Some(mtu), Some(learned)) => format!("{mtu} bytes (a router said {learned})"),
        (Some(mtu), None) => format!("{mtu} bytes"),
        (None, _) => NONE.to_owned(),
    }
}

fn icmp_errors(path: &PathStatus) -> String {
    format!("{} too big, {} others", count(path.too_big), count(path.errors))
}

pub(super) const fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
