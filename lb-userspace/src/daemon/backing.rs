//! The daemon behind the API.

use super::Daemon;
use crate::{
    api::{
        auth::Peer,
        backing::{Answer, Backing},
        model::{
            Applied, ApplyRequest, Approvals, ApproveRequest, BackendRequest, BpfDump, BpfVerify, BreakGlassRequest,
            ExportQuery, GenerationDetail, History, HoldRequest, InterfacesRequest, Journal, JournalVerify,
            PlanRequest, PreviewRequest, RecoverRequest, Recovery, RejectRequest, RollbackRequest, Status,
            UndeleteRequest, VerifyQuery, VipRequest, Why, WhyQuery, WhyRefused, WhyRefusedRequest, WipeRequest,
        },
    },
    config::Access,
    digest::Digest,
    failure,
    metrics::Sample,
    plan::Plan,
    preview::Preview,
    store::Page,
};

impl Backing for Daemon {
    fn access(&self) -> Answer<'_, Option<Access>> {
        Box::pin(async {
            let serving = self.serving.lock().await;
            let served = serving.served.as_ref();
            Ok(served.and_then(|served| served.state.config().access.clone()))
        })
    }

    fn status(&self) -> Answer<'_, Status> {
        Box::pin(self.status_now())
    }

    fn metrics(&self) -> Answer<'_, Sample> {
        Box::pin(self.sample_now())
    }

    fn why(&self, query: WhyQuery) -> Answer<'_, Why> {
        Box::pin(async move { self.serving.lock().await.why(&query) })
    }

    fn plan(&self, request: PlanRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_file(request, peer))
    }

    fn preview(&self, request: PreviewRequest, _: Peer, may_sample: bool) -> Answer<'_, Preview> {
        Box::pin(self.preview_plan(request, may_sample))
    }

    fn apply(&self, request: ApplyRequest, peer: Peer) -> Answer<'_, Applied> {
        Box::pin(self.apply_plan(request, peer))
    }

    fn confirm(&self, peer: Peer) -> Answer<'_, Applied> {
        Box::pin(self.confirm_trial(peer))
    }

    fn abort(&self, peer: Peer) -> Answer<'_, Applied> {
        Box::pin(self.abort_trial(peer))
    }

    fn rollback(&self, request: RollbackRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_rollback(request, peer))
    }

    fn attach(&self, request: InterfacesRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_interfaces(request, true, peer))
    }

    fn detach(&self, request: InterfacesRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_interfaces(request, false, peer))
    }

    fn backend(&self, request: BackendRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_backend(request, peer))
    }

    fn vip(&self, request: VipRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_vip(request, peer))
    }

    fn approvals(&self, peer: Peer) -> Answer<'_, Approvals> {
        Box::pin(self.waiting_plans(peer))
    }

    fn waiting_plan(&self, digest: Digest) -> Answer<'_, Plan> {
        Box::pin(self.kept_plan(digest))
    }

    fn approve(&self, request: ApproveRequest, peer: Peer) -> Answer<'_, Approvals> {
        Box::pin(self.approve_plan(request, peer))
    }

    fn reject(&self, request: RejectRequest, peer: Peer) -> Answer<'_, Approvals> {
        Box::pin(self.reject_plan(request, peer))
    }

    fn withdraw(&self, request: RejectRequest, peer: Peer) -> Answer<'_, Approvals> {
        Box::pin(self.withdraw_plan(request, peer))
    }

    fn hold(&self, request: HoldRequest, peer: Peer) -> Answer<'_, Status> {
        Box::pin(self.hold_changes(request, peer))
    }

    fn resume(&self, peer: Peer) -> Answer<'_, Status> {
        Box::pin(self.resume_changes(peer))
    }

    fn break_glass(&self, request: BreakGlassRequest, peer: Peer) -> Answer<'_, Status> {
        Box::pin(self.open_lock(request, peer))
    }

    fn mend_glass(&self, peer: Peer) -> Answer<'_, Status> {
        Box::pin(self.shut_lock(peer))
    }

    fn recover(&self, request: RecoverRequest, peer: Peer) -> Answer<'_, Recovery> {
        Box::pin(self.recover_store(request, peer))
    }

    fn undelete(&self, request: UndeleteRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_undelete(request, peer))
    }

    fn wipe(&self, request: WipeRequest, peer: Peer) -> Answer<'_, Plan> {
        Box::pin(self.plan_wipe(request, peer))
    }

    fn why_refused(&self, request: WhyRefusedRequest, peer: Peer) -> Answer<'_, WhyRefused> {
        Box::pin(self.why_plan_refused(request, peer))
    }

    fn history(&self) -> Answer<'_, History> {
        Box::pin(async move {
            let serving = self.serving.lock().await;
            let store = serving.store.as_ref().ok_or_else(|| failure::absent("store"))?;
            Ok(History {
                generations: store.history()?,
            })
        })
    }

    fn generation(&self, number: u64) -> Answer<'_, GenerationDetail> {
        Box::pin(async move {
            let serving = self.serving.lock().await;
            let store = serving.store.as_ref().ok_or_else(|| failure::absent("store"))?;
            store
                .generation_detail(number)?
                .ok_or_else(|| failure::absent(&format!("generation {number}")))
        })
    }

    fn bpf_dump(&self) -> Answer<'_, BpfDump> {
        Box::pin(async move { self.serving.lock().await.bpf_dump() })
    }

    fn bpf_verify(&self) -> Answer<'_, BpfVerify> {
        Box::pin(async move { self.serving.lock().await.bpf_verify() })
    }

    fn journal(&self) -> Answer<'_, Journal> {
        Box::pin(async move {
            let serving = self.serving.lock().await;
            let store = serving.store.as_ref().ok_or_else(|| failure::absent("store"))?;
            let records = store.journal_tail(JOURNAL_SHOWN)?;
            let entries = records
                .iter()
                .map(|record| serde_json::to_value(record).expect("records are plain JSON"));
            Ok(Journal {
                entries: entries.collect(),
            })
        })
    }

    fn journal_verify(&self, query: VerifyQuery) -> Answer<'_, JournalVerify> {
        Box::pin(self.verify_journal(query))
    }

    fn journal_export(&self, query: ExportQuery) -> Answer<'_, Page> {
        Box::pin(self.journal_page(query))
    }
}

/// Entries that `journal list` shows, the newest ones.
const JOURNAL_SHOWN: u32 = 1000;
