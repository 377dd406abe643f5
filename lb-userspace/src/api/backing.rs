//! What stands behind the API: the daemon, or a fake one in tests.

use std::pin::Pin;

use super::{
    auth::Peer,
    model::{
        Applied, ApplyRequest, Approvals, ApproveRequest, BackendRequest, BpfDump, BpfVerify, BreakGlassRequest,
        ExportQuery, Failure, GenerationDetail, History, HoldRequest, InterfacesRequest, Journal, JournalVerify,
        PlanRequest, PreviewRequest, RecoverRequest, Recovery, RejectRequest, RollbackRequest, Status, UndeleteRequest,
        VerifyQuery, VipRequest, Why, WhyQuery, WhyRefused, WhyRefusedRequest, WipeRequest,
    },
};
use crate::{config::Access, digest::Digest, metrics::Sample, plan::Plan, preview::Preview, store::Page};

/// An answer on its way (what futures crates call a `BoxFuture`).
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Answers requests. Who may write is decided before it is asked; a [`Peer`] is
/// handed on to be named as a plan's author.
///
/// A future may be dropped when its client goes away, except that of
/// [`Backing::apply`] and [`Backing::preview`], which are always run to their end.
pub trait Backing: Send + Sync + 'static {
    /// Of the running generation; `None`: it has none, or none runs.
    fn access(&self) -> Answer<'_, Option<Access>>;
    fn status(&self) -> Answer<'_, Status>;
    /// What Prometheus scrapes.
    fn metrics(&self) -> Answer<'_, Sample>;
    /// As the kernel decides, not as user space would.
    fn why(&self, query: WhyQuery) -> Answer<'_, Why>;
    /// A plan with findings that refuse it is an answer, not a failure.
    fn plan(&self, request: PlanRequest, peer: Peer) -> Answer<'_, Plan>;
    /// `may_sample`: they may have live packets sampled.
    fn preview(&self, request: PreviewRequest, peer: Peer, may_sample: bool) -> Answer<'_, Preview>;
    /// With `confirm` and `abort` the only write.
    fn apply(&self, request: ApplyRequest, peer: Peer) -> Answer<'_, Applied>;
    /// Ends the trial of the running generation: it stays.
    fn confirm(&self, peer: Peer) -> Answer<'_, Applied>;
    /// Ends the trial of the running generation: the one before is served again.
    fn abort(&self, peer: Peer) -> Answer<'_, Applied>;
    fn rollback(&self, request: RollbackRequest, peer: Peer) -> Answer<'_, Plan>;
    fn attach(&self, request: InterfacesRequest, peer: Peer) -> Answer<'_, Plan>;
    fn detach(&self, request: InterfacesRequest, peer: Peer) -> Answer<'_, Plan>;
    /// What somebody wishes of a backend, as a plan.
    fn backend(&self, request: BackendRequest, peer: Peer) -> Answer<'_, Plan>;

    /// What somebody wishes of a VIP, as a plan.
    fn vip(&self, request: VipRequest, peer: Peer) -> Answer<'_, Plan>;
    /// Plans that wait for approvals.
    fn approvals(&self, peer: Peer) -> Answer<'_, Approvals>;
    /// One of them, as it was made.
    fn waiting_plan(&self, digest: Digest) -> Answer<'_, Plan>;
    /// Hands a signature in. Who does is not asked: the signature says whose it is.
    fn approve(&self, request: ApproveRequest, peer: Peer) -> Answer<'_, Approvals>;
    fn reject(&self, request: RejectRequest, peer: Peer) -> Answer<'_, Approvals>;
    /// Of whoever planned it, whatever their role.
    fn withdraw(&self, request: RejectRequest, peer: Peer) -> Answer<'_, Approvals>;
    /// Until `resume` no generation is made.
    fn hold(&self, request: HoldRequest, peer: Peer) -> Answer<'_, Status>;
    fn resume(&self, peer: Peer) -> Answer<'_, Status>;
    /// Opens the lock for a while.
    fn break_glass(&self, request: BreakGlassRequest, peer: Peer) -> Answer<'_, Status>;
    fn mend_glass(&self, peer: Peer) -> Answer<'_, Status>;
    /// Ends read-only. What is served stays.
    fn recover(&self, request: RecoverRequest, peer: Peer) -> Answer<'_, Recovery>;
    fn undelete(&self, request: UndeleteRequest, peer: Peer) -> Answer<'_, Plan>;
    fn wipe(&self, request: WipeRequest, peer: Peer) -> Answer<'_, Plan>;
    /// What stands against a plan now.
    fn why_refused(&self, request: WhyRefusedRequest, peer: Peer) -> Answer<'_, WhyRefused>;
    fn history(&self) -> Answer<'_, History>;
    fn generation(&self, number: u64) -> Answer<'_, GenerationDetail>;
    fn bpf_dump(&self) -> Answer<'_, BpfDump>;
    fn bpf_verify(&self) -> Answer<'_, BpfVerify>;
    fn journal(&self) -> Answer<'_, Journal>;
    /// A journal that is not sound is an answer, not a failure.
    fn journal_verify(&self, query: VerifyQuery) -> Answer<'_, JournalVerify>;
    fn journal_export(&self, query: ExportQuery) -> Answer<'_, Page>;
}
