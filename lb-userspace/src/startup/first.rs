//! Nothing is known: the configuration file becomes generation 1.

use std::{collections::BTreeSet, sync::Arc};

use super::{AUTHOR, Found, StartError};
use crate::{
    api::model::ApplyRequest,
    approval::Signers,
    approvers::signers_of,
    clock::Now,
    event,
    neighbours::Resolution,
    plan::{Content, Overrides},
    serving::{Asked, Wish},
    store::Entry,
};

impl Found {
    pub(super) fn first(&mut self, resolution: &Resolution, now: Now) -> Result<(), StartError> {
        let file = match &self.file {
            Ok(file) => file.parsed.config.clone(),
            Err(errors) => return Err(StartError::Config(Arc::clone(errors))),
        };
        self.install_hash_key(&file)?;
        let environment = file.environment.clone();
        let signers = signers_of(&file).map_err(StartError::First)?;
        let content = Content::new(file, Overrides::default()).with_signers(signers);
        if let Some(store) = &mut self.serving.store {
            let boot = Some(self.serving.boot.clone());
            store.append(&Entry::FirstStart { environment, boot }, AUTHOR, now.time)?;
        }
        let wish = Wish::of(content, BTreeSet::new());
        let plan = self.serving.plan(wish, resolution, AUTHOR, now);
        let request = ApplyRequest {
            digest: plan.digest(),
            plan,
            message: None,
            confirm_within: None,
        };
        let asked = Asked {
            author: AUTHOR,
            by: None,
            cause: "first start",
            on_disk: Ok(Signers::default()),
        };
        let applied = self.serving.apply(request, &asked, resolution, now);
        let applied = applied.map_err(StartError::First)?;
        event!(
            info,
            FirstStart,
            generation = applied.generation,
            "the file is the first generation"
        );
        Ok(())
    }
}
