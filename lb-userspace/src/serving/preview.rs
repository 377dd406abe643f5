//! What a plan would do to packets. What is served stays as it is: the candidate
//! stands in slots of its own for as long as packets are run, and nothing leads
//! there.

use std::time::{Duration, Instant};

use lb_common::abi::sample::{SAMPLE_IN_RING, SAMPLES_RING, Sampling};

use super::{Serving, apply::emptied};
use crate::{
    api::model::Failure,
    clock::Now,
    kernel::{Kernel as _, KernelError, sampler::Sampled},
    layout::{Layout, RootFacts},
    neighbours::Resolution,
    part::Part,
    plan::Plan,
    preview::{self, Preview, Side, Sides},
    revision::Revision,
};

/// Samples that are aimed at: the ring holds more, because packets do not come
/// as evenly as they did.
const AIM: u64 = (SAMPLES_RING / SAMPLE_IN_RING / 2) as u64;

impl Serving {
    /// # Errors
    /// When a preview of this plan would be refused whatever packets do.
    pub fn check_preview(&self, plan: &Plan, now: Now) -> Result<(), Failure> {
        self.check_writable()?;
        self.footing().check_bound(plan, now)
    }

    /// Runs packets through what is served and through what `plan` would serve.
    ///
    /// # Errors
    /// When the plan is not for what is served now, or the kernel refuses. What
    /// is served is as it was.
    pub fn preview(
        &mut self,
        plan: &Plan,
        sampled: Option<(&[Sampled], Duration)>,
        resolution: &Resolution,
        now: Now,
    ) -> Result<Preview, Failure> {
        let began = Instant::now();
        self.check_preview(plan, now)?;
        let footing = self.footing();
        let measured = footing.measure(&plan.target, &plan.changes, now);
        let emptied = measured.map(|measured| emptied(&measured.blast)).unwrap_or_default();
        let served = self.served.as_ref();
        let previous = served.map(|served| &served.state);
        let content = Part::new(plan.target.clone());
        let next = Revision::next(previous, &content, &resolution.hops, now.coarse)?;
        let layout = Layout::of(&next, served.and_then(|served| served.layout.as_ref()))?;
        let facts = RootFacts {
            generation: served.map_or(0, |served| served.generation) + 1,
            revision: served.map_or(0, |served| served.revision) + 1,
            digest: content.digest(),
            state: next.state.digest(),
        };
        let compared = self.publisher.try_out(&layout, &facts, |kernel, active| {
            let sides = Sides {
                served: previous.map(|revision| Side {
                    active: kernel.active(),
                    revision,
                }),
                candidate: Side {
                    active,
                    revision: &next,
                },
                key: &kernel.hash_key()?,
                emptied: &emptied,
            };
            preview::compare(&kernel.runs()?, sides, sampled)
        })?;
        Ok(Preview {
            plan: plan.digest(),
            generation: served.map_or(0, |served| served.generation),
            revision: served.map_or(0, |served| served.revision),
            took_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
            ..compared?
        })
    }

    /// Packets a second that VIPs got lately, all together.
    #[must_use]
    pub fn pps(&self) -> u64 {
        let Some(served) = &self.served else { return 0 };
        let lives = self.activity.of(&served.state.state);
        let vips = served.state.config().vips.iter();
        vips.map(|vip| lives.vip(&vip.name).pps_now).sum()
    }

    /// Begins to copy headers of packets, until the clock says what `until_ns`
    /// does once the program is on all interfaces: loading it takes a while.
    ///
    /// # Errors
    /// When the kernel refuses. Nothing is copied then.
    pub fn begin_sample(&mut self, until_ns: impl FnOnce() -> u64, within: Duration) -> Result<(), KernelError> {
        let expected = self.pps().saturating_mul(within.as_millis() as u64) / 1000;
        let one_in = u32::try_from(expected.div_ceil(AIM)).unwrap_or(u32::MAX).max(1);
        self.publisher.kernel_mut().sample(|| Sampling {
            until_ns: until_ns(),
            one_in,
            reserved: 0,
        })
    }

    /// Ends that.
    ///
    /// # Errors
    /// When the kernel refuses; the links are looked after.
    pub fn end_sample(&mut self) -> Result<Vec<Sampled>, KernelError> {
        self.publisher.kernel_mut().sampled()
    }
}
