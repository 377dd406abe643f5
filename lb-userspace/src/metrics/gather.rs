//! A [`Sample`], taken under the writer's lock. Handles, and what the kernel
//! counted: nothing here grows with what is written out, but for the counters.

use std::{collections::BTreeMap, fs, sync::atomic::Ordering};

use lb_common::abi::{
    chunk::CHUNK_SLOTS,
    counters::{COUNTERS, FIRST_FREE},
    path_mtu::PATH_MTU_ENTRIES,
};

use super::{Checks, Filled, Process, Sample, Served, Watched};
use crate::{
    api::model::{Failure, GuardStatus},
    clock::{Moment, Now},
    health::watch::Watch,
    kernel::received,
    neighbours::Resolution,
    revision::BackendId,
    serving::Serving,
};

impl Serving {
    /// What a scrape shows. Whether the file is in sync is as it was judged
    /// last: `Serving::judge_file` may take seconds.
    ///
    /// # Errors
    /// When the kernel's maps cannot be read.
    pub fn sample(&self, resolution: &Resolution, now: Now) -> Result<Sample, Failure> {
        let kernel = self.publisher.kernel();
        let served = self.served.as_ref();
        let in_use = served.map_or(0, |served| served.state.counters().count());
        let end = served.and_then(|served| served.state.counters().max());
        let end = FIRST_FREE.max(end.map_or(0, |highest| u32::from(highest) + 1));
        let interfaces = served.map_or_else(Vec::new, |served| self.interfaces(served, resolution));
        let mut received = received::by_interface();
        received.retain(|name, _| {
            let mut attached = interfaces.iter().filter(|interface| interface.prog_id != 0);
            attached.any(|interface| interface.name == *name)
        });
        Ok(Sample {
            program: kernel.program_id()?,
            counters: kernel.counters(end)?,
            interfaces,
            received,
            unresolved: resolution.problems.keys().cloned().collect(),
            maps: self.maps(in_use)?,
            in_sync: self.known_out_of_sync().is_none(),
            mode: self.mode_now().0,
            glass: self.footing().glass_is_broken(now),
            whole: self.damage()?.is_none(),
            journal: self.store.is_some() && !self.signing.is_behind(),
            run: run_statistics_on().then(|| kernel.run()).transpose()?,
            tally: self.tally.clone(),
            confirm_deadline: self
                .trial_status(now)
                .map(|trial| trial.until.as_duration().as_secs_f64()),
            program_current: self.program_problem.is_none(),
            served: served.map(|served| Served {
                generation: served.generation,
                revision: served.revision,
                state: served.state.clone(),
            }),
            process: Process::look(),
            watched: Watched::default(),
            checks: Checks::default(),
            guard: GuardStatus::default(),
        })
    }

    fn maps(&self, counters: usize) -> Result<BTreeMap<&'static str, Filled>, Failure> {
        let kernel = self.publisher.kernel();
        let slots = CHUNK_SLOTS as usize - 1;
        let flows = kernel.flows().entries();
        let noted = flows.iter().filter(|entry| entry.load(Ordering::Relaxed) != 0);
        let filled = |entries: usize, capacity: usize| Filled {
            entries: entries as u64,
            capacity: capacity as u64,
        };
        let first = FIRST_FREE as usize;
        Ok(BTreeMap::from([
            ("CHUNKS", filled(slots - self.publisher.free_slots(), slots)),
            ("COUNTERS", filled(first + counters, COUNTERS as usize)),
            ("FLOWS", filled(noted.count(), flows.len())),
            ("PATH_MTU", filled(kernel.path_mtus()?.len(), PATH_MTU_ENTRIES as usize)),
        ]))
    }
}

impl Sample {
    /// Adds what is known of health.
    pub fn watch(&mut self, watch: &Watch, now: Moment) {
        let Some(served) = &self.served else {
            return;
        };
        for pool in &served.state.config().pools {
            let reasons = watch.reasons(&pool.name);
            if !reasons.is_empty() {
                self.watched.reasons.insert(pool.name.clone(), reasons);
            }
            for backend in &pool.backends {
                let Some(report) = watch.backend(&pool.name, &backend.name, now) else {
                    continue;
                };
                let id = BackendId {
                    pool: pool.name.clone(),
                    backend: backend.name.clone(),
                };
                if report.held {
                    self.watched.held.insert(id.clone());
                }
                self.watched.checks.extend(report.took.map(|took| (id, took)));
            }
        }
    }
}

/// They cost about 75 ns a packet, so that nobody leaves them on.
fn run_statistics_on() -> bool {
    fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|text| text.trim() == "1")
}
