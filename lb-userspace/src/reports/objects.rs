//! VIPs, pools and backends as `status` shows them: what is served, what was
//! counted, what the kernel knows of the ways.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use lb_common::{
    abi::{
        counters::{Counter, FIRST_EVENT, FIRST_FREE},
        member::MemberIndex,
        path_mtu::PathMtu,
    },
    verdict::{FlowEvent, Verdict},
};

use crate::{
    activity::Activity,
    api::model::{
        BackendStatus, Failure, GuestStatus, HealthState, HealthStatus, LeavingStatus, LiveStatus, OverrideStatus,
        PathStatus, PoolStatus, Traffic, VipStatus,
    },
    config::{Backend, BackendState, Encap, ObjectName, Pool},
    health::sm::Condition,
    kernel::aya::KernelBalancer,
    neighbours::Resolution,
    plan::vip_of,
    revision::{BackendId, MemberHealth, MemberState},
    serving::Served,
    table::dirty::Dirty,
};

/// The counters of what is served, read at once.
pub struct Counted(Vec<Counter>);

impl Counted {
    pub fn of(kernel: &KernelBalancer, served: Option<&Served>) -> Result<Self, Failure> {
        let highest = served.and_then(|served| served.state.counters().max()).unwrap_or(0);
        let end = FIRST_FREE.max(u32::from(highest) + 1);
        Ok(Self(kernel.counters(end)?))
    }

    /// By index.
    pub fn counters(&self) -> &[Counter] {
        &self.0
    }

    /// Packets that the program got, on all interfaces.
    pub fn received(&self) -> u64 {
        let verdicts = Verdict::ALL.iter();
        // Somebody may have written garbage there.
        verdicts.fold(0, |sum, verdict| {
            sum.saturating_add(self.traffic(*verdict as u16).packets)
        })
    }

    fn traffic(&self, counter: u16) -> Traffic {
        let Counter { packets, bytes } = self.0[usize::from(counter)];
        Traffic { packets, bytes }
    }

    /// What happened in dirty slots, by name.
    pub fn flow_events(&self) -> BTreeMap<String, u64> {
        let events = FlowEvent::ALL.iter();
        events
            .map(|event| {
                let index = FIRST_EVENT as u16 + *event as u16;
                (event.name().to_owned(), self.traffic(index).packets)
            })
            .collect()
    }

    pub fn verdicts(&self) -> BTreeMap<String, Traffic> {
        let verdicts = Verdict::ALL.iter();
        verdicts
            .map(|verdict| (verdict.name().to_owned(), self.traffic(*verdict as u16)))
            .collect()
    }
}

pub fn vips(served: &Served, counted: &Counted, activity: &Activity) -> Vec<VipStatus> {
    let vips = served.state.config().vips.iter();
    let content = &served.state.state.content;
    vips.map(|vip| {
        let object = ObjectName::Vip(vip.name.clone());
        let file = vip_of(&content.config, &object).ok();
        let file = file.filter(|_| content.overrides.vips.contains_key(&object));
        let counter = served.state.state.vip_counters.get(&vip.name).copied().unwrap_or(0);
        VipStatus {
            name: vip.name.clone(),
            address: vip.address,
            port: vip.port,
            protocol: vip.protocol,
            pool: vip.pool.clone(),
            state: vip.state,
            file_state: file.map(|file| file.state),
            traffic: counted.traffic(counter),
            live: live(activity, counter),
        }
    })
    .collect()
}

fn live(activity: &Activity, counter: u16) -> LiveStatus {
    let live = activity.counter(counter);
    LiveStatus {
        pps: live.pps_now,
        quiet_seconds: live.quiet_for.map(|quiet| quiet.as_secs()),
    }
}

/// What ICMP errors said of the ways to backends, by address.
pub type Paths = BTreeMap<IpAddr, PathMtu>;

pub fn pools(
    served: &Served,
    resolution: &Resolution,
    counted: &Counted,
    activity: &Activity,
    paths: &Paths,
) -> Vec<PoolStatus> {
    let pools = served.state.config().pools.iter();
    let pools = pools.filter_map(|pool| {
        let (state, tables) = served.state.pool(&pool.name)?;
        Some((pool, state, tables))
    });
    pools
        .map(|(pool, state, tables)| {
            let counts = tables.current.counts();
            let draining = draining(&tables.dirty);
            let dirty_slots = |member: &MemberState| draining.get(&member.index).copied().unwrap_or(0);
            let leaving = state.members.iter().filter_map(|(name, member)| {
                Some(LeavingStatus {
                    name: name.clone(),
                    address: member.leaving.as_ref()?.address,
                    dirty_slots: dirty_slots(member),
                    traffic: counted.traffic(member.counter),
                })
            });
            let guests = state.members.iter().filter_map(|(name, member)| {
                let guest = member.guest.as_ref().filter(|_| member.leaving.is_none())?;
                Some(GuestStatus {
                    name: name.clone(),
                    address: guest.backend.address,
                    slots: counts.get(&member.index).copied().unwrap_or(0),
                    dirty_slots: dirty_slots(member),
                    traffic: counted.traffic(member.counter),
                })
            });
            let backends = pool.backends.iter();
            let backends = backends.filter_map(|backend| Some((backend, state.members.get(&backend.name)?)));
            let backends = backends.map(|(backend, member)| BackendStatus {
                name: backend.name.clone(),
                address: backend.address,
                weight: backend.weight,
                state: backend.state,
                up: member.hop.is_some() && member.health.condition != Condition::Down,
                health: health(pool, backend, member),
                overridden: overridden(served, &pool.name, &backend.name),
                slots: counts.get(&member.index).copied().unwrap_or(0),
                dirty_slots: dirty_slots(member),
                next_hop: next_hop(&pool.name, &backend.name, member, resolution),
                path: path_status(pool.encap, backend, member, paths.get(&backend.address), resolution),
                traffic: counted.traffic(member.counter),
                live: live(activity, member.counter),
            });
            PoolStatus {
                name: pool.name.clone(),
                table_digest: tables.current.digest(),
                dirty_slots: tables.dirty.len() as u32,
                backends: backends.collect(),
                leaving: leaving.collect(),
                reasons: BTreeSet::new(),
                fallback: guests.collect(),
            }
        })
        .collect()
}

/// As it is published; the daemon knows more.
fn health(pool: &Pool, backend: &Backend, member: &MemberState) -> HealthStatus {
    if pool.health.is_none() || backend.state == BackendState::Maint {
        return HealthStatus::default();
    }
    HealthStatus {
        state: match member.health.condition {
            Condition::Unknown => HealthState::Unknown,
            Condition::Up => HealthState::Up,
            Condition::Down => HealthState::Down,
        },
        share: Some(member.health.share).filter(|_| member.health.share != MemberHealth::default().share),
        ..HealthStatus::default()
    }
}

/// What was set by command for a backend.
fn overridden(served: &Served, pool: &str, backend: &str) -> Option<OverrideStatus> {
    let content = &served.state.state.content;
    let set = *content.overrides.backend(pool, backend)?;
    let file = content.config.pool(pool)?.backend(backend)?;
    Some(OverrideStatus {
        set,
        file_weight: file.weight,
        file_state: file.state,
    })
}

/// In how many dirty slots each member is an earlier owner.
fn draining(dirty: &Dirty) -> BTreeMap<MemberIndex, u32> {
    let mut slots = BTreeMap::new();
    for chain in dirty.chains().values() {
        let earlier: BTreeSet<MemberIndex> = chain.earlier.into_iter().collect();
        for member in earlier.into_iter().filter(|member| *member != chain.owner) {
            *slots.entry(member).or_default() += 1;
        }
    }
    slots
}

/// For people: the next hop, or why there is none.
fn next_hop(pool: &str, backend: &str, member: &MemberState, resolution: &Resolution) -> String {
    let id = BackendId {
        pool: pool.to_owned(),
        backend: backend.to_owned(),
    };
    match (&member.hop, resolution.problems.get(&id)) {
        (Some(hop), None) => format!("{} via {}", hop.mac, hop.interface),
        (Some(hop), Some(problem)) => format!("{} via {} (last known: {problem})", hop.mac, hop.interface),
        (None, Some(problem)) => problem.to_string(),
        (None, None) => "not resolved yet".to_owned(),
    }
}

fn path_status(
    encap: Encap,
    backend: &Backend,
    member: &MemberState,
    heard: Option<&PathMtu>,
    resolution: &Resolution,
) -> PathStatus {
    PathStatus {
        mtu: member.hop.as_ref().map(|hop| hop.mtu),
        learned_mtu: match encap {
            Encap::Ipip | Encap::Gue => resolution.path_mtus.get(&backend.address).copied(),
            // Nothing is put in front: clients are told by the routers.
            Encap::L2 => None,
        },
        too_big: heard.map_or(0, |heard| heard.too_big),
        errors: heard.map_or(0, |heard| heard.errors),
    }
}
