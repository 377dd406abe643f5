//! What requests ask for: plans, and the application of one.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Daemon, follow::resolve_within, lock};
use crate::{
    api::{
        auth::Peer,
        model::{
            Applied, ApplyRequest, BackendRequest, Failure, GenerationSummary, InterfacesRequest, PlanRequest,
            RollbackRequest, Status, VipRequest,
        },
    },
    approvers::signers_of,
    clock::{Moment, Now},
    config::{self, Config},
    failure,
    neighbours::{Resolution, Targets},
    plan::{Content, Overrides, Plan},
    reports,
    serving::Wish,
};

/// How long a plan waits for the next hops of backends that are new in it.
const RESOLVE_FOR_PLAN: Duration = Duration::from_millis(1500);

impl Daemon {
    /// Next hops for a content that may have new backends.
    pub(super) async fn resolve_for(&self, config: &Config) -> Result<Resolution, Failure> {
        Ok(resolve_within(&self.resolver, &Targets::of(config), RESOLVE_FOR_PLAN).await?)
    }

    /// A plan that needs approvals is kept, so that it can get them; and one by
    /// which everything goes, so that no file can be one. What refuses it now a
    /// broken glass may let through.
    pub(super) async fn plan_for(&self, wish: Wish, peer: &Peer) -> Result<Plan, Failure> {
        let resolution = self.resolve_for(&wish.target.config).await?;
        let mut serving = self.serving.lock().await;
        serving.see(Instant::now())?;
        let now = Now::read();
        let plan = serving.plan(wish, &resolution, peer.author(), now);
        let waits = plan.needs > 0 && !plan.is_refused();
        if (waits || plan.wipe) && !plan.is_empty() {
            serving.keep(&plan, now)?;
        }
        Ok(plan)
    }

    async fn overrides(&self) -> Overrides {
        let serving = self.serving.lock().await;
        serving
            .served
            .as_ref()
            .map(|served| served.state.state.content.overrides.clone())
            .unwrap_or_default()
    }

    pub(super) async fn running(&self) -> Result<Content, Failure> {
        let serving = self.serving.lock().await;
        let served = serving.served.as_ref();
        served
            .map(|served| Content::clone(&served.state.state.content))
            .ok_or_else(|| failure::absent("running generation"))
    }

    pub async fn plan_file(&self, request: PlanRequest, peer: Peer) -> Result<Plan, Failure> {
        let parsed = match config::parse(&request.file, &request.text) {
            Ok(parsed) => parsed,
            Err(errors) if errors.is_empty_document() => return Err(self.empty_file(&request.file).await),
            Err(errors) => return Err(failure::bad_configuration(errors.to_string())),
        };
        // Overrides survive; those of objects that are gone go with them.
        let overrides = self.overrides().await.within(&parsed.config);
        let mut removed = parsed.removed;
        removed.extend(request.remove);
        let signers = signers_of(&parsed.config)?;
        let target = Content::new(parsed.config, overrides).with_signers(signers);
        self.plan_for(Wish::of(target, removed), &peer).await
    }

    /// Nothing at all in the file: the most common way to wipe a balancer.
    async fn empty_file(&self, file: &str) -> Failure {
        let serving = self.serving.lock().await;
        let vips = serving
            .served
            .as_ref()
            .map_or(0, |served| served.state.config().vips.len());
        failure::empty(file, vips)
    }

    pub async fn plan_rollback(&self, request: RollbackRequest, peer: Peer) -> Result<Plan, Failure> {
        let (number, target, running) = {
            let serving = self.serving.lock().await;
            let store = serving
                .store
                .as_ref()
                .ok_or_else(|| failure::absent("store to roll back from"))?;
            let running = serving.served.as_ref();
            // Nobody means what was taken back, or what runs already.
            let is_meant = |earlier: &&GenerationSummary| {
                let before = running.is_some_and(|running| earlier.generation < running.generation);
                let other = running.is_some_and(|running| earlier.digest != running.digest);
                before && other && earlier.confirmed != Some(false)
            };
            let number = match request.generation {
                Some(number) => Some(number),
                None => store.history()?.iter().find(is_meant).map(|earlier| earlier.generation),
            };
            let number =
                number.ok_or_else(|| failure::absent("earlier generation with another content that was kept"))?;
            let found = store.generation(number)?;
            let (_, content) = found.ok_or_else(|| failure::absent(&format!("generation {number}")))?;
            (
                number,
                Content::clone(&content),
                serving.served.as_ref().map(|served| served.state.state.content.clone()),
            )
        };
        // Going back to a content names what it lacks: that is the request.
        let present: BTreeSet<_> = target.config.objects().collect();
        let removed = running.iter().flat_map(|running| running.config.objects());
        let removed = removed.filter(|object| !present.contains(object)).collect();
        let wish = Wish {
            rollback_to: Some(number),
            ..Wish::of(target, removed)
        };
        self.plan_for(wish, &peer).await
    }

    pub async fn plan_interfaces(&self, request: InterfacesRequest, attach: bool, peer: Peer) -> Result<Plan, Failure> {
        let mut content = self.running().await?;
        for name in request.interfaces {
            if !content
                .config
                .node
                .interfaces
                .iter()
                .any(|interface| interface.name == name)
            {
                return Err(failure::bad_request(format!("{name} is not one of node.interfaces")));
            }
            if attach {
                content.overrides.detached.remove(&name);
            } else {
                content.overrides.detached.insert(name);
            }
        }
        self.plan_for(Wish::of(content, BTreeSet::new()), &peer).await
    }

    pub async fn plan_backend(&self, request: BackendRequest, peer: Peer) -> Result<Plan, Failure> {
        let mut content = self.running().await?;
        content.overrides = Overrides::wished(&content, &request.backend, request.wish, Now::read().time)?;
        self.plan_for(Wish::of(content, BTreeSet::new()), &peer).await
    }

    pub async fn plan_vip(&self, request: VipRequest, peer: Peer) -> Result<Plan, Failure> {
        let mut content = self.running().await?;
        content.overrides = Overrides::wished_of_vip(&content, &request.vip, request.wish)?;
        self.plan_for(Wish::of(content, BTreeSet::new()), &peer).await
    }

    pub async fn apply_plan(&self, request: ApplyRequest, peer: Peer) -> Result<Applied, Failure> {
        let resolution = self.resolve_for(&request.plan.target.config).await?;
        let mut serving = self.serving.lock().await;
        let cause = match serving.served.as_ref() {
            Some(_) if request.plan.rollback_to.is_some() => "rollback",
            Some(_) if request.plan.wipe => "wipe",
            Some(served) if request.plan.target.config == served.state.state.content.config => {
                let detached = &served.state.state.content.overrides.detached;
                if request.plan.target.overrides.detached == *detached {
                    "override"
                } else {
                    "attach or detach"
                }
            }
            Some(_) | None => "apply",
        };
        serving.see(Instant::now())?;
        let now = Now::read();
        let asked = lock::asked(&serving, &peer, cause);
        let applied = tokio::task::block_in_place(|| serving.apply(request, &asked, &resolution, now))?;
        drop(serving);
        self.health.look();
        let mut fresh = resolution;
        if let Ok(links) = self.resolver.lock().await.links().await {
            fresh.links = links;
        }
        *self.resolution.write().await = fresh;
        Ok(applied)
    }

    pub async fn status_now(&self) -> Result<Status, Failure> {
        self.judge_file().await;
        let resolution = self.resolution.read().await;
        let mut status = self.serving.lock().await.status(&resolution, Now::read())?;
        status.guard = self.guard.status();
        let (now, time) = (Moment::read(), Now::read().time);
        self.health
            .read(|watch| reports::health::add(&mut status, watch, now, time));
        Ok(status)
    }
}
