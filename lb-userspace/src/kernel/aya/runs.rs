//! Packets through the private instance.

use lb_common::{abi::active::Active, verdict::Verdict};

use super::{
    super::{KernelError, private::PrivateInstance},
    KernelBalancer,
};

/// The private instance, for many packets: they seem to come by the first of our
/// interfaces.
pub struct Runs<'k> {
    kernel: &'k KernelBalancer,
    private: &'k PrivateInstance,
    ingress: u32,
}

impl KernelBalancer {
    /// For many packets.
    ///
    /// # Errors
    /// When the kernel does not load this build's program.
    pub fn runs(&self) -> Result<Runs<'_>, KernelError> {
        Ok(Runs {
            kernel: self,
            private: self.private()?,
            ingress: self.node()?.ifindex[0],
        })
    }

    /// Runs a packet through the private instance as if `active` were
    /// published: the action (`XDP_TX`, … as the kernel numbers them) and the
    /// packet after it. Counters that anybody sees are not touched.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn test_run(&self, active: Active, packet: &[u8]) -> Result<(u32, Vec<u8>), KernelError> {
        self.runs()?.run(active, packet)
    }

    /// The same, with the verdict that was counted. The private instance knows
    /// the flows of dirty slots as they are now; what it notes itself is
    /// forgotten with the next question.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn explain(&self, active: Active, packet: &[u8]) -> Result<(Verdict, u32, Vec<u8>), KernelError> {
        let runs = self.runs()?;
        runs.know_flows()?;
        runs.explain(active, packet)
    }
}

impl Runs<'_> {
    /// The private instance knows the flows of dirty slots as they are now; what
    /// it notes itself is forgotten with the next of these.
    ///
    /// # Errors
    /// When the kernel does not let it.
    pub fn know_flows(&self) -> Result<(), KernelError> {
        self.private.know(&self.kernel.flows)
    }

    /// As [`KernelBalancer::test_run`].
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn run(&self, active: Active, packet: &[u8]) -> Result<(u32, Vec<u8>), KernelError> {
        self.private.run(active, self.ingress, packet)
    }

    /// The same, with the verdict that was counted.
    ///
    /// # Errors
    /// When the kernel does not run it.
    pub fn explain(&self, active: Active, packet: &[u8]) -> Result<(Verdict, u32, Vec<u8>), KernelError> {
        let before = self.private.verdicts()?;
        let (action, output) = self.run(active, packet)?;
        let after = self.private.verdicts()?;
        let counted = before.iter().zip(&after).position(|(before, after)| before != after);
        let verdict = counted.and_then(|number| Verdict::ALL.get(number).copied());
        Ok((verdict.ok_or(KernelError::Missing("counted verdict"))?, action, output))
    }
}
