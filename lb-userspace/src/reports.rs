//! What is served, for people and programs: `status`, `why`, `bpf dump`,
//! `bpf verify`. Reads only.

mod file;
pub(crate) mod health;
pub mod lock;
mod objects;

use std::collections::BTreeMap;

use lb_common::abi::root::{KIND_CHAINS, KIND_MEMBERS, KIND_META, KIND_PAST, KIND_TABLE, KIND_VIPS};

use self::objects::{pools, vips};
pub(crate) use self::{file::FileJudged, objects::Counted};
use crate::{
    api::model::{
        BpfDump, BpfVerify, Check, ChunkSummary, Failure, GuardStatus, InterfaceState, InterfaceStatus, Pins, Status,
        Why, WhyQuery,
    },
    clock::Now,
    config::{Pool, Vip},
    digest::Digest,
    failure,
    kernel::{
        Kernel as _,
        aya::{KernelBalancer, MAPS},
    },
    layout,
    neighbours::Resolution,
    rehearsal::{self, Probe},
    revision::Revision,
    serving::{Served, Serving},
    table::Table,
};

impl Serving {
    /// # Errors
    /// When the kernel's counters cannot be read.
    pub fn status(&self, resolution: &Resolution, now: Now) -> Result<Status, Failure> {
        let out_of_sync = self.known_out_of_sync();
        let served = self.served.as_ref();
        let traffic = Counted::of(self.publisher.kernel(), served)?;
        let (mode, mode_reason) = self.mode_now();
        let paths = self.publisher.kernel().path_mtus()?.into_iter().collect();
        Ok(Status {
            environment: self.environment.clone(),
            generation: served.map_or(0, |served| served.generation),
            revision: served.map_or(0, |served| served.revision),
            digest: served.map_or(Digest::of(b""), |served| served.digest),
            in_sync: out_of_sync.is_none(),
            out_of_sync,
            damage: self.damage()?,
            mode,
            mode_reason,
            program_problem: self.program_problem.clone(),
            journal_problem: self.signing.said().map(str::to_owned),
            trial: self.trial_status(now),
            lock: self.lock_status(now),
            taken_back: self.taken_back.clone(),
            guard: GuardStatus::default(),
            interfaces: served.map_or_else(Vec::new, |served| self.interfaces(served, resolution)),
            verdicts: traffic.verdicts(),
            vips: served.map_or_else(Vec::new, |served| vips(served, &traffic, &self.activity)),
            pools: served.map_or_else(Vec::new, |served| {
                pools(served, resolution, &traffic, &self.activity, &paths)
            }),
            flow_events: traffic.flow_events(),
            pins: self.pins()?,
        })
    }

    pub(crate) fn damage(&self) -> Result<Option<String>, Failure> {
        let kernel = self.publisher.kernel();
        let emptied = if self.sentinel.is_slow() {
            Vec::new()
        } else {
            self.publisher.damage()?
        };
        if !emptied.is_empty() {
            let slots: Vec<String> = emptied.iter().map(ToString::to_string).collect();
            return Ok(Some(format!(
                "slots {} of CHUNKS were emptied or overwritten; they are published again within a second",
                slots.join(", ")
            )));
        }
        let missing = kernel.missing_pin();
        let missing = missing.map(|pin| format!("the pin {pin} is gone; it is pinned again within a second"));
        Ok(self.sentinel.failing().or(missing))
    }

    pub(crate) fn interfaces(&self, served: &Served, resolution: &Resolution) -> Vec<InterfaceStatus> {
        let interfaces = served.state.config().node.interfaces.iter();
        interfaces
            .map(|interface| {
                let problem = self.problems.get(&interface.name);
                let detached = served.state.state.content.overrides.detached.contains(&interface.name);
                let problem = problem.filter(|_| !detached);
                let state = match problem {
                    Some(problem) => problem.state,
                    None if detached => InterfaceState::Detached,
                    None => InterfaceState::Well,
                };
                let link = resolution.links.get(&interface.name);
                let ours = self.publisher.kernel().link(&interface.name).ok().flatten();
                // In another network namespace it has no number here.
                let ours = ours.filter(|_| link.is_some() || state != InterfaceState::NotAttached);
                // A renamed interface keeps its program.
                let ifindex = link.map_or_else(|| ours.map_or(0, |facts| facts.ifindex), |link| link.ifindex);
                let link = link.or_else(|| resolution.links.values().find(|link| link.ifindex == ifindex));
                let ours = ours.filter(|facts| facts.ifindex != 0 && facts.ifindex == ifindex);
                InterfaceStatus {
                    name: interface.name.clone(),
                    ifindex,
                    mode: ours.and_then(|_| link?.xdp),
                    prog_id: ours.map_or(0, |facts| facts.program_id),
                    state,
                    problem: match problem {
                        Some(problem) => Some(problem.message().to_owned()),
                        None => detached.then(|| "detached by an operator".to_owned()),
                    },
                }
            })
            .collect()
    }

    fn pins(&self) -> Result<Pins, Failure> {
        let kernel = self.publisher.kernel();
        let programs = [
            ("prog/balancer", kernel.program_id()?),
            ("prog/agent", kernel.agent_id()?),
        ];
        let maps = MAPS
            .iter()
            .map(|name| (format!("maps/{name}"), kernel.map_id(name).unwrap_or(0)));
        Ok(Pins {
            directory: self.pin_dir.display().to_string(),
            programs: programs.map(|(name, id)| (name.to_owned(), id)).into(),
            maps: maps.collect(),
        })
    }

    /// What becomes of a packet: the kernel's own program decides, on a private
    /// instance, and what it sent is read from the bytes that came out.
    ///
    /// # Errors
    /// When the kernel does not run it, or the addresses are of two families.
    pub fn why(&self, query: &WhyQuery) -> Result<Why, Failure> {
        if query.src.is_ipv4() != query.dst.is_ipv4() {
            return Err(failure::bad_request(
                "no packet has one IPv4 and one IPv6 address: ask about two of a family".to_owned(),
            ));
        }
        let probe = Probe {
            source: query.src,
            source_port: query.sport,
            destination: query.dst,
            destination_port: query.dport,
            protocol: query.proto,
        };
        let kernel = self.publisher.kernel();
        let (verdict, action, packet) = kernel.explain(kernel.active(), &probe.packet())?;
        let served = self.served.as_ref();
        let asked = served.and_then(|served| asked(&served.state, query));
        let slot = asked
            .map(|(vip, _)| kernel.hash_key().map(|key| probe.slot(vip, &key)))
            .transpose()?;
        let backend = served
            .zip(asked)
            .zip(slot)
            .and_then(|((served, (_, pool)), slot)| rehearsal::reached(&served.state, pool, slot, (action, &packet)));
        let chain = served
            .zip(asked)
            .zip(slot)
            .map(|((served, (_, pool)), slot)| rehearsal::candidates(&served.state, pool, slot))
            .unwrap_or_default();
        let chain = chain.get(1..).unwrap_or_default();
        Ok(Why {
            vip: asked.map(|(vip, _)| vip.name.clone()),
            pool: asked.map(|(_, pool)| pool.name.clone()),
            slot,
            backend: backend.map(|backend| backend.name.clone()),
            chain: chain.iter().map(|owner| owner.backend.name.clone()).collect(),
            verdict: verdict.name().to_owned(),
            meaning: verdict.describe().trim().to_owned(),
            generation: served.map_or(0, |served| served.generation),
            revision: served.map_or(0, |served| served.revision),
        })
    }

    /// # Errors
    /// When the kernel's maps cannot be read.
    pub fn bpf_dump(&self) -> Result<BpfDump, Failure> {
        let kernel = self.publisher.kernel();
        let active = kernel.active();
        let mut named: BTreeMap<u16, (String, String, Vec<&str>)> = BTreeMap::new();
        for (root, by) in [(active.root(), "active"), (active.fallback_root(), "fallback")] {
            let Some((_, image)) = kernel.read_chunk(root)? else {
                continue;
            };
            named
                .entry(root)
                .or_insert_with(|| ("root".to_owned(), String::new(), Vec::new()))
                .2
                .push(by);
            let Ok((_, entries)) = layout::read_root(&image) else {
                continue;
            };
            for entry in entries {
                let of = self.owner_of(entry.kind, entry.ordinal);
                let kind = kind_name(entry.kind).to_owned();
                named
                    .entry(entry.chunk)
                    .or_insert_with(|| (kind, of, Vec::new()))
                    .2
                    .push(by);
            }
        }
        let chunks = named.into_iter().map(|(slot, (kind, of, by))| {
            let (map_id, frozen) = kernel.chunk_facts(slot)?.unwrap_or((0, false));
            let digest = kernel
                .read_chunk(slot)?
                .map_or(Digest::of(b""), |(_, image)| image.digest());
            Ok(ChunkSummary {
                slot,
                map_id,
                kind,
                of,
                frozen,
                named_by: by.join(" and "),
                digest,
            })
        });
        Ok(BpfDump {
            pins: self.pins()?,
            active: format!("{:016x}", active.0),
            chunks: chunks.collect::<Result<_, Failure>>()?,
            chunk_slots: lb_common::abi::chunk::CHUNK_SLOTS,
        })
    }

    fn owner_of(&self, kind: u16, ordinal: u32) -> String {
        let pools = self.served.as_ref().map(|served| &served.state.config().pools);
        let pool = pools
            .and_then(|pools| pools.get(ordinal as usize))
            .filter(|_| kind == KIND_TABLE);
        pool.map_or_else(|| format!("#{ordinal}"), |pool| pool.name.clone())
    }

    /// Compares what the kernel serves with what this daemon published and the
    /// journal says.
    ///
    /// # Errors
    /// When the kernel cannot be asked at all.
    pub fn bpf_verify(&self) -> Result<BpfVerify, Failure> {
        let kernel = self.publisher.kernel();
        let active = kernel.active();
        let mut checks = Vec::new();
        for (name, root) in [
            ("active root", active.root()),
            ("fallback root", active.fallback_root()),
        ] {
            checks.push(self.check_root(kernel, name, root));
        }
        let dump = self.bpf_dump()?;
        let unfrozen: Vec<String> = dump
            .chunks
            .iter()
            .filter(|chunk| !chunk.frozen)
            .map(|c| c.slot.to_string())
            .collect();
        checks.push(check(
            "chunks frozen",
            unfrozen.is_empty(),
            if unfrozen.is_empty() {
                format!("all {}", dump.chunks.len())
            } else {
                format!("slots {} are not", unfrozen.join(", "))
            },
        ));
        checks.extend(self.check_tables(&dump));
        checks.extend(self.check_attached(kernel)?);
        checks.push(self.check_journal());
        Ok(BpfVerify {
            ok: checks.iter().all(|check| check.ok),
            generation: self.served.as_ref().map_or(0, |served| served.generation),
            revision: self.served.as_ref().map_or(0, |served| served.revision),
            checks,
        })
    }

    fn check_root(&self, kernel: &KernelBalancer, name: &str, root: u16) -> Check {
        let image = match kernel.read_chunk(root) {
            Ok(Some((_, image))) => image,
            Ok(None) => return check(name, false, format!("slot {root} is empty")),
            Err(error) => return check(name, false, error.to_string()),
        };
        match layout::read_root(&image) {
            Err(error) => check(name, false, error.to_string()),
            Ok((facts, _)) => {
                let ours = self.served.as_ref().is_some_and(|served| {
                    (facts.generation, facts.revision, facts.digest)
                        == (served.generation, served.revision, served.digest)
                });
                let what = format!(
                    "generation {} revision {} in slot {root}",
                    facts.generation, facts.revision
                );
                check(name, ours, what)
            }
        }
    }

    fn check_tables(&self, dump: &BpfDump) -> Vec<Check> {
        let Some(served) = &self.served else {
            return Vec::new();
        };
        let tables = dump.chunks.iter().filter(|chunk| chunk.kind == kind_name(KIND_TABLE));
        tables
            .map(|chunk| {
                let ours = served
                    .state
                    .pool(&chunk.of)
                    .map(|(_, tables)| &tables.dirty.written(&tables.current).table);
                let same = ours.map(chunk_digest) == Some(chunk.digest);
                check(
                    &format!("table {}", chunk.of),
                    same,
                    format!("slot {} ({})", chunk.slot, chunk.named_by),
                )
            })
            .collect()
    }

    /// Each interface carries the pinned program.
    fn check_attached(&self, kernel: &KernelBalancer) -> Result<Vec<Check>, Failure> {
        let pinned = kernel.program_id()?;
        let content = self.served.as_ref().map(|served| &served.state.state.content);
        let interfaces = content.map_or(&[][..], |content| &content.config.node.interfaces);
        let attached = interfaces
            .iter()
            .filter(|interface| content.is_some_and(|content| !content.overrides.detached.contains(&interface.name)));
        let checks = attached.map(|interface| {
            let name = format!("interface {}", interface.name);
            match kernel.link(&interface.name) {
                Ok(Some(facts)) if facts.ifindex != 0 => {
                    let detail = format!("program {}, pinned is {pinned}", facts.program_id);
                    check(&name, kernel.is_balancer(facts.program_id).unwrap_or(false), detail)
                }
                Ok(_) => check(&name, false, "not attached".to_owned()),
                Err(error) => check(&name, false, error.to_string()),
            }
        });
        Ok(checks.collect())
    }

    fn check_journal(&self) -> Check {
        let Some(store) = &self.store else {
            return check("journal", false, "the store cannot be used".to_owned());
        };
        match store.verify() {
            Ok(end) => check("journal", true, format!("{} entries, chain whole", end.seq)),
            Err(error) => check("journal", false, error.to_string()),
        }
    }
}

/// The VIP that a question is about, and its pool.
fn asked<'r>(revision: &'r Revision, query: &WhyQuery) -> Option<(&'r Vip, &'r Pool)> {
    let config = revision.config();
    let wanted = (query.dst, query.dport, query.proto);
    let vip = config
        .vips
        .iter()
        .find(|vip| (vip.address, vip.port, vip.protocol) == wanted)?;
    Some((vip, config.pool(&vip.pool)?))
}

fn chunk_digest(table: &Table) -> Digest {
    Digest::of(table.as_bytes())
}

fn check(name: &str, ok: bool, detail: String) -> Check {
    Check {
        name: name.to_owned(),
        ok,
        detail,
    }
}

const fn kind_name(kind: u16) -> &'static str {
    match kind {
        KIND_VIPS => "vips",
        KIND_TABLE => "table",
        KIND_MEMBERS => "members",
        KIND_META => "meta",
        KIND_CHAINS => "chains",
        KIND_PAST => "past",
        _ => "unknown",
    }
}
