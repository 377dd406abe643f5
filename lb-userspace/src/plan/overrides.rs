//! What operators decided by command, over what the file says.
//!
//! A content keeps both, and what they mean together is derived
//! ([`Content::in_force`]): nothing that is derived is stored or hashed.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::OnceLock,
};

use jiff::{Timestamp, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Content;
use crate::approval::Signers;
use crate::config::{Backend, BackendState, Config, ObjectName, Pool, Seconds, Vip, VipState, limits::MAX_WEIGHT};

#[cfg(test)]
mod tests;

/// What operators decided by command; it survives the next `apply -f`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Overrides {
    /// Interfaces of the configuration that `detach` took the program off.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub detached: BTreeSet<String>,
    /// Of backends, by their names as objects (`backend/web/be2`). None of them
    /// is empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub backends: BTreeMap<ObjectName, BackendOverride>,
    /// Of VIPs, by their names as objects (`vip/web4`): their states, where the
    /// file says another.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vips: BTreeMap<ObjectName, VipState>,
}

/// What holds of a backend instead of what the file says; what is absent is as
/// the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendOverride {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<BackendState>,
    /// 0..=65,535.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Of a drain: connections that are open then are ended. The pool's
    /// `drain` holds beside it, whichever comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// `drain until …, weight 50`.
impl fmt::Display for BackendOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.map(|state| match self.until {
            Some(until) => format!("{state} until {until}"),
            None => state.to_string(),
        });
        let weight = self.weight.map(|weight| format!("weight {weight}"));
        f.write_str(&state.into_iter().chain(weight).collect::<Vec<_>>().join(", "))
    }
}

impl BackendOverride {
    /// All is as the file says.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The backend as it is with this override.
    #[must_use]
    pub fn over(&self, file: &Backend) -> Backend {
        Backend {
            state: self.state.unwrap_or(file.state),
            weight: self.weight.unwrap_or(file.weight),
            ..file.clone()
        }
    }
}

/// What somebody wants of a backend, by command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "set", rename_all = "camelCase", deny_unknown_fields)]
pub enum BackendWish {
    /// In service; a drain is over.
    Ready,
    /// No new connections; those there are end by themselves, at the latest
    /// after `deadline`.
    Drain {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Seconds>,
    },
    /// Out of service at once.
    Maint,
    Weight {
        /// 0..=65,535.
        #[schemars(range(max = MAX_WEIGHT))]
        weight: u32,
    },
    /// As the file says: no override any more.
    Reset,
}

/// What somebody wants of a VIP, by command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "set", rename_all = "camelCase", deny_unknown_fields)]
pub enum VipWish {
    /// In service.
    Ready,
    /// Out of service at once: its packets are dropped.
    Maint,
    /// As the file says: no override any more.
    Reset,
}

/// Why a wish makes no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    #[error("there is no backend {pool}/{backend}{}", listed(.known))]
    NoBackend {
        pool: String,
        backend: String,
        /// Backends of the pool; empty: there is no such pool.
        known: Vec<String>,
    },
    #[error("{0} is not a backend")]
    NotABackend(ObjectName),
    #[error("there is no vip {vip}{}", told(.known))]
    NoVip { vip: String, known: Vec<String> },
    #[error("{0} is not a VIP")]
    NotAVip(ObjectName),
    #[error("weight {0} is above the limit of {MAX_WEIGHT}")]
    Weight(u32),
    #[error("a deadline of {deadline}: pool {pool} keeps connections for {limit} at most (`drain.deadline`)")]
    Deadline {
        pool: String,
        deadline: Seconds,
        limit: Seconds,
    },
}

/// As many names are told.
const TOLD: usize = 10;

fn listed(known: &[String]) -> String {
    match known {
        [] => ": there is no such pool".to_owned(),
        _ => told(known),
    }
}

fn told(known: &[String]) -> String {
    let more = known.len().saturating_sub(TOLD);
    match known {
        [] => String::new(),
        _ if more > 0 => format!("; there are {} and {more} more", known[..TOLD].join(", ")),
        _ => format!("; there are {}", known.join(", ")),
    }
}

impl Overrides {
    /// Nothing was set by command.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Nothing was set by command for an object.
    #[must_use]
    pub fn are_of_node_alone(&self) -> bool {
        self.backends.is_empty() && self.vips.is_empty()
    }

    /// Of a backend.
    #[must_use]
    pub fn backend(&self, pool: &str, backend: &str) -> Option<&BackendOverride> {
        if self.backends.is_empty() {
            return None;
        }
        self.backends.get(&ObjectName::Backend {
            pool: pool.to_owned(),
            backend: backend.to_owned(),
        })
    }

    /// The overrides after a wish. What they say about `object` only differs
    /// from the file: a wish for what the file says is no override.
    ///
    /// # Errors
    /// If nothing can be meant by it.
    pub fn wished(
        content: &Content,
        object: &ObjectName,
        wish: BackendWish,
        now: Timestamp,
    ) -> Result<Self, WishError> {
        let (pool, file) = backend_of(&content.config, object)?;
        let mut overrides = content.overrides.clone();
        let mut of = overrides.backends.remove(object).unwrap_or_default();
        let state = |state| (state != file.state).then_some(state);
        match wish {
            BackendWish::Ready => (of.state, of.until) = (state(BackendState::Ready), None),
            BackendWish::Maint => (of.state, of.until) = (state(BackendState::Maint), None),
            BackendWish::Drain { deadline: None } => (of.state, of.until) = (state(BackendState::Drain), None),
            BackendWish::Drain {
                deadline: Some(deadline),
            } => {
                let limit = pool.drain.deadline;
                if deadline > limit {
                    let pool = pool.name.clone();
                    return Err(WishError::Deadline { pool, deadline, limit });
                }
                of.state = Some(BackendState::Drain);
                of.until = Some(after(now, deadline));
            }
            BackendWish::Weight { weight } if weight > MAX_WEIGHT => return Err(WishError::Weight(weight)),
            BackendWish::Weight { weight } => of.weight = (weight != file.weight).then_some(weight),
            BackendWish::Reset => of = BackendOverride::default(),
        }
        if !of.is_empty() {
            overrides.backends.insert(object.clone(), of);
        }
        Ok(overrides)
    }

    /// The overrides after a wish of a VIP.
    ///
    /// # Errors
    /// If there is no such VIP.
    pub fn wished_of_vip(content: &Content, object: &ObjectName, wish: VipWish) -> Result<Self, WishError> {
        let file = vip_of(&content.config, object)?;
        let mut overrides = content.overrides.clone();
        let state = match wish {
            VipWish::Ready => VipState::Ready,
            VipWish::Maint => VipState::Maint,
            VipWish::Reset => file.state,
        };
        if state == file.state {
            overrides.vips.remove(object);
        } else {
            overrides.vips.insert(object.clone(), state);
        }
        Ok(overrides)
    }

    /// The same without those of objects that are not in `config`.
    #[must_use]
    pub fn within(mut self, config: &Config) -> Self {
        let ours = |name: &String| config.node.interfaces.iter().any(|interface| interface.name == *name);
        self.detached.retain(ours);
        self.backends.retain(|object, _| backend_of(config, object).is_ok());
        self.vips.retain(|object, _| vip_of(config, object).is_ok());
        self
    }
}

/// In whole seconds, for people.
fn after(now: Timestamp, span: Seconds) -> Timestamp {
    let now = now.round(Unit::Second).unwrap_or(now);
    now.saturating_add(jiff::SignedDuration::from_secs(span.0.into()))
        .unwrap_or(now)
}

/// A backend and its pool, as the file has them.
pub fn backend_of<'c>(config: &'c Config, object: &ObjectName) -> Result<(&'c Pool, &'c Backend), WishError> {
    let ObjectName::Backend { pool, backend } = object else {
        return Err(WishError::NotABackend(object.clone()));
    };
    let found = config.pool(pool);
    found
        .and_then(|pool| Some((pool, pool.backend(backend)?)))
        .ok_or_else(|| WishError::NoBackend {
            pool: pool.clone(),
            backend: backend.clone(),
            known: found.map_or_else(Vec::new, |pool| {
                pool.backends.iter().map(|backend| backend.name.clone()).collect()
            }),
        })
}

/// A VIP, as the file has it.
pub fn vip_of<'c>(config: &'c Config, object: &ObjectName) -> Result<&'c Vip, WishError> {
    let ObjectName::Vip(name) = object else {
        return Err(WishError::NotAVip(object.clone()));
    };
    let found = config.vips.iter().find(|vip| vip.name == *name);
    found.ok_or_else(|| WishError::NoVip {
        vip: name.clone(),
        known: config.vips.iter().map(|vip| vip.name.clone()).collect(),
    })
}

/// The configuration with the overrides of objects in it; itself, if there is
/// none.
fn overridden<'c>(config: &'c Config, overrides: &Overrides) -> Cow<'c, Config> {
    if overrides.are_of_node_alone() {
        return Cow::Borrowed(config);
    }
    let mut config = config.clone();
    for (object, over) in &overrides.backends {
        let ObjectName::Backend { pool, backend } = object else {
            continue;
        };
        let by_name = |other: &Pool| other.name.as_str().cmp(pool);
        let Ok(at) = config.pools.binary_search_by(by_name) else {
            continue;
        };
        let backends = &mut config.pools[at].backends;
        if let Ok(at) = backends.binary_search_by(|other| other.name.as_str().cmp(backend)) {
            backends[at] = over.over(&backends[at]);
        }
    }
    for (object, state) in &overrides.vips {
        let named = |vip: &&mut Vip| matches!(object, ObjectName::Vip(name) if *name == vip.name);
        if let Some(vip) = config.vips.iter_mut().find(named) {
            vip.state = *state;
        }
    }
    Cow::Owned(config)
}

/// A configuration derived from a content, made when it is first asked for.
/// It is no part of the content: a clone begins without it, so that a clone may
/// be changed, and all are equal.
#[derive(Default)]
pub struct Derived(OnceLock<Box<Config>>);

impl Content {
    /// A content of both.
    #[must_use]
    pub fn new(config: Config, overrides: Overrides) -> Self {
        Self {
            config,
            overrides,
            signers: Signers::default(),
            derived: Derived::default(),
        }
    }

    /// The same, with who may approve.
    #[must_use]
    pub fn with_signers(self, signers: Signers) -> Self {
        Self { signers, ..self }
    }

    /// What is served: the file's configuration with the overrides of objects
    /// in it. The file's own, by reference, where there is none.
    ///
    /// A content that was asked must not be changed after: change a clone.
    #[must_use]
    pub fn in_force(&self) -> &Config {
        if self.overrides.are_of_node_alone() {
            return &self.config;
        }
        self.derived
            .0
            .get_or_init(|| Box::new(overridden(&self.config, &self.overrides).into_owned()))
    }
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Derived {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Derived {}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Derived")
    }
}
