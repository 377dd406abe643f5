//! What requests do to the approval lock.

use std::{collections::BTreeSet, time::Instant};

use super::Daemon;
use crate::{
    api::{
        auth::Peer,
        model::{
            Approvals, ApproveRequest, BreakGlassRequest, Failure, HoldRequest, RecoverRequest, Recovery,
            RejectRequest, Status, UndeleteRequest, WhyRefused, WhyRefusedRequest, WipeRequest,
        },
    },
    approval::Signers,
    approvers::signers_of,
    clock::Now,
    config::ObjectName,
    digest::Digest,
    failure,
    plan::{Content, Plan},
    serving::{Asked, Serving, Wish},
    store::By,
};

/// Who asks, under what is served now.
pub(super) fn asked<'a>(serving: &Serving, peer: &'a Peer, cause: &'a str) -> Asked<'a> {
    let served = serving.served.as_ref();
    Asked {
        author: peer.author(),
        by: Some(By {
            uid: peer.uid,
            pid: peer.pid,
        }),
        cause,
        on_disk: served.map_or_else(|| Ok(Signers::default()), |served| signers_of(served.state.config())),
    }
}

impl Daemon {
    pub async fn approve_plan(&self, request: ApproveRequest, peer: Peer) -> Result<Approvals, Failure> {
        let ApproveRequest {
            plan,
            signature,
            author,
        } = request;
        let mut serving = self.serving.lock().await;
        let asked = asked(&serving, &peer, "approve");
        serving.approve(plan, signature, author, &asked, Now::read())
    }

    pub async fn reject_plan(&self, request: RejectRequest, peer: Peer) -> Result<Approvals, Failure> {
        let mut serving = self.serving.lock().await;
        let asked = asked(&serving, &peer, "reject");
        serving.reject(request.plan, request.message, &asked, Now::read())
    }

    pub async fn withdraw_plan(&self, request: RejectRequest, peer: Peer) -> Result<Approvals, Failure> {
        let mut serving = self.serving.lock().await;
        let asked = asked(&serving, &peer, "withdraw");
        let author = serving.kept_plan(request.plan)?.author;
        if author != asked.author {
            return Err(failure::not_its_author(&author));
        }
        serving.reject(request.plan, request.message, &asked, Now::read())
    }

    pub async fn waiting_plans(&self, peer: Peer) -> Result<Approvals, Failure> {
        let serving = self.serving.lock().await;
        let asked = asked(&serving, &peer, "approvals");
        serving.approvals(&asked, Now::read())
    }

    pub async fn kept_plan(&self, digest: Digest) -> Result<Plan, Failure> {
        // Nothing is refused by it: it is not there.
        let kept = self.serving.lock().await.kept_plan(digest);
        kept.map_err(|_| failure::absent("plan of this digest that waits"))
    }

    pub async fn hold_changes(&self, request: HoldRequest, peer: Peer) -> Result<Status, Failure> {
        {
            let mut serving = self.serving.lock().await;
            let asked = asked(&serving, &peer, "hold");
            serving.hold(request.message, &asked, Now::read())?;
        }
        self.status_now().await
    }

    pub async fn resume_changes(&self, peer: Peer) -> Result<Status, Failure> {
        {
            let mut serving = self.serving.lock().await;
            let asked = asked(&serving, &peer, "resume");
            serving.resume(&asked, Now::read())?;
        }
        self.status_now().await
    }

    pub async fn open_lock(&self, request: BreakGlassRequest, peer: Peer) -> Result<Status, Failure> {
        {
            let mut serving = self.serving.lock().await;
            let asked = asked(&serving, &peer, "break-glass");
            serving.break_glass(&request.reason, request.within, &asked, Now::read())?;
        }
        self.status_now().await
    }

    pub async fn shut_lock(&self, peer: Peer) -> Result<Status, Failure> {
        {
            let mut serving = self.serving.lock().await;
            let asked = asked(&serving, &peer, "mend-glass");
            serving.mend_glass(&asked, Now::read())?;
        }
        self.status_now().await
    }

    pub async fn recover_store(&self, request: RecoverRequest, peer: Peer) -> Result<Recovery, Failure> {
        let mut serving = self.serving.lock().await;
        let asked = asked(&serving, &peer, "recover");
        tokio::task::block_in_place(|| serving.recover(&request, &asked, Now::read()))
    }

    pub async fn why_plan_refused(&self, request: WhyRefusedRequest, peer: Peer) -> Result<WhyRefused, Failure> {
        let resolution = self.resolve_for(&request.plan.target.config).await?;
        let mut serving = self.serving.lock().await;
        serving.see(Instant::now())?;
        let asked = asked(&serving, &peer, "why-refused");
        Ok(serving.why_refused(&request.plan, &asked, &resolution, Now::read()))
    }

    /// Plans what runs with objects of earlier generations in it again.
    pub async fn plan_undelete(&self, request: UndeleteRequest, peer: Peer) -> Result<Plan, Failure> {
        let target = {
            let serving = self.serving.lock().await;
            let running = serving
                .served
                .as_ref()
                .ok_or_else(|| failure::absent("running generation"))?;
            let store = serving.store.as_ref().ok_or_else(|| failure::absent("store"))?;
            let mut target = Content::clone(&running.state.state.content);
            for object in &request.objects {
                let mut found = false;
                for summary in store.history()? {
                    let Some((_, earlier)) = store.generation(summary.generation)? else {
                        continue;
                    };
                    if target.take_back(object, &earlier) {
                        found = true;
                        break;
                    }
                }
                if !found {
                    return Err(failure::absent(&format!("earlier generation that has {object}")));
                }
            }
            target
        };
        self.plan_for(Wish::of(target, BTreeSet::new()), &peer).await
    }

    /// Plans to serve nothing.
    pub async fn plan_wipe(&self, request: WipeRequest, peer: Peer) -> Result<Plan, Failure> {
        let running = self.running().await?;
        if running.config.environment != request.environment {
            return Err(failure::other_environment(
                &request.environment,
                &running.config.environment,
            ));
        }
        let removed: BTreeSet<ObjectName> = running.config.objects().collect();
        let wish = Wish {
            target: running.emptied(),
            removed,
            rollback_to: None,
            wipe: true,
        };
        self.plan_for(wish, &peer).await
    }
}
