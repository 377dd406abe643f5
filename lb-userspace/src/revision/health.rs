//! What health says of members, as it is published, and whom a pool falls back
//! on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::BackendId;
use crate::{
    clock::Moment,
    config::{Backend, BackendState, Check, CheckVia, Config, Encap, Initial, Percent, Pool},
    health::sm::{Condition, Flaps},
};

/// Of one member, with what the next daemon has to remember: it goes with what
/// serves, so that one cannot be without the other. Its times are those of this
/// boot: what is served again from the store, after a reboot, has none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemberHealth {
    pub condition: Condition,
    /// What it may have of its weight; 0%: health has it out of service.
    pub share: Percent,
    /// Since when it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Moment>,
    /// What damping remembers of it; absent: nothing that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaps: Option<Flaps>,
    /// When health took it out of service, if that counts for the velocity limit
    /// as long as the window lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Moment>,
}

const FULL: Percent = match Percent::new(100) {
    Some(full) => full,
    None => Percent::ZERO,
};

/// As a pool without checks has it.
impl Default for MemberHealth {
    fn default() -> Self {
        Self {
            condition: Condition::Unknown,
            share: FULL,
            down_since: None,
            flaps: None,
            taken: None,
        }
    }
}

impl MemberHealth {
    const OUT: Self = Self {
        condition: Condition::Unknown,
        share: Percent::ZERO,
        down_since: None,
        flaps: None,
        taken: None,
    };

    /// It is to be published: checks say something else, it serves otherwise, or it
    /// went down once more. What only grew old, a window or a penalty, is left out
    /// with the next revision, and makes none.
    #[must_use]
    pub fn is_news_to(&self, published: &Self) -> bool {
        let other = (self.condition, self.share) != (published.condition, published.share);
        other || self.flaps.is_some_and(|flaps| published.flaps != Some(flaps))
    }

    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is known of the health of members now; of the others it is as it is
/// published.
pub type Standing = BTreeMap<BackendId, MemberHealth>;

/// A backend of a pool's fallback pool, as a member of the pool itself: so its
/// slots get dirty like any, and connections survive the way there and back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guest {
    pub backend: Backend,
    /// Of the fallback pool.
    pub encap: Encap,
}

/// The name of a guest; no backend can have it, for the slash.
#[must_use]
pub fn guest_name(pool: &str, backend: &str) -> String {
    format!("{pool}/{backend}")
}

/// Guests of a pool by name, each with the backend that it is.
pub fn guests<'a>(config: &'a Config, pool: &Pool) -> impl Iterator<Item = (String, BackendId, Guest)> + use<'a> {
    let fallback = pool.fallback_pool.as_ref().and_then(|name| config.pool(name));
    fallback.into_iter().flat_map(|fallback| {
        fallback.backends.iter().map(|backend| {
            let id = BackendId {
                pool: fallback.name.clone(),
                backend: backend.name.clone(),
            };
            let guest = Guest {
                backend: backend.clone(),
                encap: fallback.encap,
            };
            (guest_name(&fallback.name, &backend.name), id, guest)
        })
    })
}

/// What was known of a backend's health counts no more.
#[must_use]
pub fn starts_anew(before: &Pool, pool: &Pool, backend: &Backend) -> bool {
    is_other_host(before, backend) || check(before) != check(pool)
}

/// What a backend's health is at first: in a pool that serves, as `initial`
/// says; with another check, and in a new pool, it serves until it was checked.
pub fn at_first(before: Option<&Pool>, pool: &Pool, backend: &Backend) -> MemberHealth {
    let Some(health) = &pool.health else {
        return MemberHealth::default();
    };
    let joins = before.is_some_and(|before| before.health.is_some() && is_other_host(before, backend));
    match (joins, health.initial) {
        (false, _) => MemberHealth::default(),
        (true, Initial::Up) => MemberHealth {
            condition: Condition::Up,
            ..MemberHealth::default()
        },
        (true, Initial::Down) => MemberHealth {
            condition: Condition::Down,
            ..MemberHealth::OUT
        },
    }
}

/// As a guest is until it is needed.
pub const fn waiting() -> MemberHealth {
    MemberHealth::OUT
}

/// New, at another address, or not checked until now.
fn is_other_host(before: &Pool, backend: &Backend) -> bool {
    before
        .backend(&backend.name)
        .is_none_or(|was| was.address != backend.address || was.state == BackendState::Maint)
}

fn check(pool: &Pool) -> Option<(&Check, CheckVia)> {
    pool.health.as_ref().map(|health| (&health.check, health.via))
}
