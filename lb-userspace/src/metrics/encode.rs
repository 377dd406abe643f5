//! A [`Sample`] as families of metrics.

use std::fmt;

use lb_common::{
    abi::{
        counters::{Counter, FIRST_EVENT},
        guard::Deed,
    },
    verdict::{FlowEvent, Verdict},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{
    Sample, Served,
    label::{self, counter, counters, gauge, gauges, label},
    tally::BUCKETS,
};
use crate::{
    api::model::{GuardState, Mode},
    config::{BackendState, XdpMode},
    events,
    health::{sm::Condition, standing::Reason},
    revision::{BackendId, MemberState},
};

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        self.build(to)?;
        self.packets(to)?;
        self.received(to)?;
        self.maps(to)?;
        self.configuration(to)?;
        self.trial(to)?;
        self.guard(to)?;
        self.checks(to)?;
        if let Some(served) = &self.served {
            self.vips(served, to)?;
            self.backends(served, to)?;
        }
        Ok(())
    }
}

impl Sample {
    fn build(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let program = self.program.to_string();
        let labels = [label("version", env!("CARGO_PKG_VERSION")), label("program", &program)];
        let mut family = to.encode_descriptor(
            "build",
            "Version of the daemon, and the kernel's id of the program that serves",
            None,
            MetricType::Info,
        )?;
        family.encode_info(&labels)
    }

    fn counted(&self, index: u16) -> Counter {
        self.counters.get(usize::from(index)).copied().unwrap_or_default()
    }

    fn packets(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let verdicts = || {
            Verdict::ALL
                .iter()
                .map(|verdict| (verdict, self.counted(*verdict as u16)))
        };
        let of = |verdict: &Verdict| [label("verdict", verdict.name())];
        counters(
            to,
            "xdp_packets",
            "Packets that came in, by what became of them",
            verdicts().map(|(verdict, counted)| (of(verdict), counted.packets)),
        )?;
        counters(
            to,
            "xdp_bytes",
            "Bytes of the frames that came in, by what became of them",
            verdicts().map(|(verdict, counted)| (of(verdict), counted.bytes)),
        )?;
        counters(
            to,
            "flow_events",
            "Packets of flows that were noted in dirty slots, or found no room",
            FlowEvent::ALL.iter().map(|event| {
                let counted = self.counted(FIRST_EVENT as u16 + *event as u16);
                ([label("event", event.name())], counted.packets)
            }),
        )?;
        let run = self.run.map(|(time, _)| time.as_secs_f64());
        counter(
            to,
            "xdp_run_seconds",
            "Time the program ran; only while BPF statistics are on",
            run.as_ref(),
        )?;
        let runs = self.run.map(|(_, runs)| runs);
        counter(to, "xdp_runs", "Packets that time was measured for", runs.as_ref())?;
        gauges(
            to,
            "xdp_attached",
            "1: the program is on the interface, in this mode",
            self.interfaces.iter().map(|interface| {
                let mode = interface.mode.map_or("none", XdpMode::name);
                let attached = interface.mode.is_some() && interface.prog_id != 0;
                (
                    [label("interface", &interface.name), label("mode", mode)],
                    u64::from(attached),
                )
            }),
        )
    }

    fn received(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let received = || {
            let counters = self.received.iter();
            counters.map(|(name, counter)| ([label("interface", name)], counter))
        };
        counters(
            to,
            "interface_rx_packets",
            "Packets that the kernel received on an interface the program is on, whatever for",
            received().map(|(labels, counted)| (labels, counted.packets)),
        )?;
        counters(
            to,
            "interface_rx_bytes",
            "Bytes that the kernel received on an interface the program is on, whatever for",
            received().map(|(labels, counted)| (labels, counted.bytes)),
        )
    }

    fn maps(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let maps = || self.maps.iter().map(|(name, filled)| ([label("map", name)], *filled));
        gauges(
            to,
            "map_entries",
            "Entries in use of a map in the kernel",
            maps().map(|(labels, filled)| (labels, filled.entries)),
        )?;
        gauges(
            to,
            "map_capacity_entries",
            "Entries a map in the kernel has room for",
            maps().map(|(labels, filled)| (labels, filled.capacity)),
        )
    }

    fn configuration(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let served = self.served.as_ref();
        let generation = served.map_or(0, |served| served.generation);
        gauge(
            to,
            "config_generation",
            "Generation that is served; 0: none",
            &generation,
        )?;
        let revision = served.map_or(0, |served| served.revision);
        gauge(to, "config_revision", "Revision that is published for it", &revision)?;
        gauge(
            to,
            "config_in_sync",
            "1: the configuration file means what is served",
            &u64::from(self.in_sync),
        )?;
        let tally = &self.tally;
        let results = [
            ("ok", tally.applied),
            ("failed", tally.failed),
            ("refused", tally.refused),
        ];
        counters(
            to,
            "config_applies",
            "Plans that were applied, failed or were refused, since the daemon was started",
            results.map(|(result, count)| ([label("result", result)], count)),
        )?;
        let mut family = to.encode_descriptor(
            "config_switch_duration_seconds",
            "From the first chunk to the switch, of generations and revisions",
            None,
            MetricType::Histogram,
        )?;
        let buckets: Vec<_> = BUCKETS.into_iter().zip(tally.switches).collect();
        let count = tally.switches.iter().sum();
        family.encode_histogram::<NoLabelSet>(tally.switching.as_secs_f64(), count, &buckets, None)
    }

    fn trial(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = to.encode_descriptor(
            "config_confirm_deadline_timestamp_seconds",
            "When the generation on trial is taken back, since the epoch; absent: none is",
            None,
            MetricType::Gauge,
        )?;
        if let Some(deadline) = self.confirm_deadline {
            family.encode_gauge(&deadline)?;
        }
        gauge(
            to,
            "program_current",
            "1: the program that serves is this daemon's own",
            &u64::from(self.program_current),
        )
    }

    fn guard(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        counters(
            to,
            "guard_refusals",
            "Plans refused when they were to be applied, by code, since the daemon was started",
            self.tally
                .refusals
                .iter()
                .map(|(code, count)| ([label("code", code)], *count)),
        )?;
        gauge(
            to,
            "guard_hold",
            "1: an operator froze changes",
            &u64::from(self.mode == Mode::Hold),
        )?;
        gauge(
            to,
            "guard_glass",
            "1: the glass is broken: the lock is open",
            &u64::from(self.glass),
        )?;
        counter(
            to,
            "guard_break_glass",
            "How often somebody broke the glass, since the daemon was started",
            Some(&self.tally.glass_broken),
        )?;
        gauge(
            to,
            "guard_read_only",
            "1: the daemon takes no changes, by itself",
            &u64::from(self.mode == Mode::ReadOnly),
        )?;
        gauge(
            to,
            "kernel_whole",
            "1: all that was published is in the kernel, and every pin is there",
            &u64::from(self.whole),
        )?;
        counters(
            to,
            "drift",
            "Changes in the kernel that somebody else made, since the daemon was started",
            events::drift().map(|(kind, count)| ([label("kind", kind)], count)),
        )?;
        gauge(
            to,
            "kernel_guard_on",
            "1: the kernel keeps others from changing what is the daemon's there",
            &u64::from(self.guard.state == GuardState::On),
        )?;
        counters(
            to,
            "kernel_guard_refused",
            "Changes in the kernel that were refused to somebody else, since the daemon was started",
            Deed::ALL.into_iter().map(|deed| {
                let count = self.guard.refused.get(deed.name()).copied().unwrap_or(0);
                ([label("deed", deed.name())], count)
            }),
        )?;
        counters(
            to,
            "events",
            "Events of docs/events.md, since the daemon was started",
            events::counts().map(|(event, count)| ([label("event", event.name())], count)),
        )?;
        gauge(
            to,
            "journal_ok",
            "1: the store can be read and written",
            &u64::from(self.journal),
        )
    }

    fn checks(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        counter(
            to,
            "checks",
            "Checks of backends that ended, since the daemon was started",
            Some(&self.checks.ended),
        )?;
        counter(
            to,
            "checks_late",
            "Checks that began more than 250 ms later than planned, since the daemon was started",
            Some(&self.checks.late),
        )
    }

    /// Whether a reason holds, by pool.
    fn pools<'a>(&'a self, served: &'a Served, reason: Reason) -> impl Iterator<Item = ([label::Label<'a>; 1], u64)> {
        served.state.config().pools.iter().map(move |pool| {
            let reasons = self.watched.reasons.get(&pool.name);
            let holds = reasons.is_some_and(|reasons| reasons.contains(&reason));
            ([label("pool", &pool.name)], u64::from(holds))
        })
    }

    /// As `status` says it.
    fn is_up(&self, member: &Member<'_>) -> bool {
        let state = member.state;
        state.hop.is_some() && state.health.condition != Condition::Down && !self.watched.held.contains(&member.id())
    }

    fn vips(&self, served: &Served, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let vips = || {
            let counters = served.state.state.vip_counters.iter();
            counters.map(|(vip, index)| ([label("vip", vip)], self.counted(*index)))
        };
        counters(
            to,
            "vip_packets",
            "Packets for a VIP that were forwarded",
            vips().map(|(labels, counted)| (labels, counted.packets)),
        )?;
        counters(
            to,
            "vip_bytes",
            "Bytes of the frames for a VIP that were forwarded, as they came in",
            vips().map(|(labels, counted)| (labels, counted.bytes)),
        )
    }

    fn backends(&self, served: &Served, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let members = || members(served);
        counters(
            to,
            "backend_packets",
            "Packets that were forwarded to a backend",
            members().map(|member| (member.labels(), self.counted(member.state.counter).packets)),
        )?;
        counters(
            to,
            "backend_bytes",
            "Bytes of the frames that were forwarded to a backend, as they came in",
            members().map(|member| (member.labels(), self.counted(member.state.counter).bytes)),
        )?;
        let configured = || members().filter_map(|member| Some((member.labels(), member.configured?, member)));
        gauges(
            to,
            "backend_weight",
            "Weight of a backend",
            configured().map(|(labels, backend, _)| (labels, u64::from(backend.weight))),
        )?;
        gauges(
            to,
            "backend_up",
            "1: its checks pass, and its next hop is known",
            configured().map(|(labels, _, member)| (labels, u64::from(self.is_up(&member)))),
        )?;
        gauges(
            to,
            "backend_state",
            "1: the backend is in this state",
            configured().flat_map(|([pool, name], backend, _)| {
                STATES.map(move |(state, text)| ([pool, name, label("state", text)], u64::from(backend.state == state)))
            }),
        )?;
        gauges(
            to,
            "backend_check_duration_seconds",
            "How long the last check of a backend took",
            self.watched.checks.iter().map(|(id, took)| {
                (
                    [label("pool", &id.pool), label("backend", &id.backend)],
                    took.as_secs_f64(),
                )
            }),
        )?;
        gauges(
            to,
            "pool_panic",
            "1: too few backends are healthy, so that all ready ones serve",
            self.pools(served, Reason::Panic),
        )?;
        gauges(
            to,
            "pool_suspicion",
            "1: nothing is heard from any backend, so that nothing changes",
            self.pools(served, Reason::Suspicion),
        )?;
        gauges(
            to,
            "pool_fallback",
            "1: too few backends are healthy, so that the fallback pool serves",
            self.pools(served, Reason::Fallback),
        )?;
        gauges(
            to,
            "neighbor_resolved",
            "1: the kernel knows the backend's next hop now",
            configured().map(|(labels, _, member)| (labels, u64::from(!self.unresolved.contains(&member.id())))),
        )?;
        gauges(
            to,
            "slots_dirty",
            "Slots of a pool that may still have flows of earlier owners",
            served
                .state
                .tables
                .iter()
                .map(|(pool, tables)| ([label("pool", pool)], tables.dirty.len() as u64)),
        )
    }
}

const STATES: [(BackendState, &str); 3] = [
    (BackendState::Ready, "ready"),
    (BackendState::Drain, "drain"),
    (BackendState::Maint, "maint"),
];

/// A backend that has a counter: configured, or leaving.
struct Member<'a> {
    pool: &'a str,
    name: &'a str,
    state: &'a MemberState,
    configured: Option<&'a crate::config::Backend>,
}

impl<'a> Member<'a> {
    fn id(&self) -> BackendId {
        BackendId {
            pool: self.pool.to_owned(),
            backend: self.name.to_owned(),
        }
    }

    const fn labels(&self) -> [label::Label<'a>; 2] {
        [label("pool", self.pool), label("backend", self.name)]
    }
}

fn members(served: &Served) -> impl Iterator<Item = Member<'_>> {
    let pools = served.state.config().pools.iter();
    pools.flat_map(|pool| {
        let state = served.state.state.pools.get(&pool.name);
        let members = state.into_iter().flat_map(|state| &state.members);
        // Both by name would be quadratic in a pool of thousands.
        let configured: std::collections::HashMap<&str, &crate::config::Backend> = pool
            .backends
            .iter()
            .map(|backend| (backend.name.as_str(), backend))
            .collect();
        members
            .map(move |(name, state)| Member {
                pool: &pool.name,
                name,
                state,
                configured: configured.get(name.as_str()).copied(),
            })
            .collect::<Vec<_>>()
    })
}
