//! Another program in the balancer's place, for a while.

use lb_common::abi::sample::Sampling;

use super::{
    super::{
        KernelError,
        sampler::{Sampled, Sampler},
    },
    KernelBalancer,
};

impl KernelBalancer {
    /// The program of this id is the balancer's, or stands for it while traffic
    /// is sampled.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn is_balancer(&self, program: u32) -> Result<bool, KernelError> {
        let stands_for_it = self.sampler.as_ref().is_some_and(|sampler| sampler.id() == program);
        Ok(stands_for_it || program == self.program_id()?)
    }

    /// Begins to copy headers of live packets; whoever hangs, nothing is copied
    /// after the time that `sampling` says once all links have
    /// the program. A sample that is under way is ended first.
    ///
    /// # Errors
    /// When the kernel refuses. The balancer is on every link then.
    pub fn sample(&mut self, sampling: impl FnOnce() -> Sampling) -> Result<(), KernelError> {
        self.sampled()?;
        if !self.programs_are_ours()? {
            return Err(KernelError::NotOurs);
        }
        self.sampler = Some(Sampler::put_on(&self.object, &self.directory, sampling)?);
        Ok(())
    }

    /// Ends that, and hands out what was copied; nothing, if nothing was under
    /// way.
    ///
    /// # Errors
    /// When the kernel refuses; links with a program that is not the balancer's
    /// get it when they are looked after next.
    pub fn sampled(&mut self) -> Result<Vec<Sampled>, KernelError> {
        self.sampler.take().map_or_else(|| Ok(Vec::new()), Sampler::take_off)
    }
}
