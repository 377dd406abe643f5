//! What was removed, served again; and nothing served at all.

use super::Content;
use crate::config::{Config, ObjectName};

impl Content {
    /// Puts an object in again as `earlier` had it, with what it cannot be
    /// without: a VIP's pool. `false`: it had none, or it is there.
    pub fn take_back(&mut self, object: &ObjectName, earlier: &Self) -> bool {
        let mut config = self.config.clone();
        if !take_back(&mut config, object, &earlier.config) {
            return false;
        }
        *self = Self::new(config, self.overrides.clone()).with_signers(self.signers.clone());
        true
    }

    /// The same without pools and VIPs.
    #[must_use]
    pub fn emptied(&self) -> Self {
        let config = Config {
            pools: Vec::new(),
            vips: Vec::new(),
            ..self.config.clone()
        };
        let overrides = self.overrides.clone().within(&config);
        Self::new(config, overrides).with_signers(self.signers.clone())
    }
}

fn take_back(config: &mut Config, object: &ObjectName, earlier: &Config) -> bool {
    match object {
        ObjectName::Vip(name) => {
            let Some(vip) = earlier.vips.iter().find(|vip| vip.name == *name) else {
                return false;
            };
            if config.pool(&vip.pool).is_none() && !take_back(config, &ObjectName::Pool(vip.pool.clone()), earlier) {
                return false;
            }
            insert(&mut config.vips, vip, |vip| &vip.name)
        }
        ObjectName::Pool(name) => earlier
            .pool(name)
            .is_some_and(|pool| insert(&mut config.pools, pool, |pool| &pool.name)),
        ObjectName::Backend { pool, backend } => {
            let Some(found) = earlier.pool(pool).and_then(|pool| pool.backend(backend)) else {
                return false;
            };
            let into = config.pools.iter_mut().find(|other| other.name == *pool);
            into.is_some_and(|pool| insert(&mut pool.backends, found, |backend| &backend.name))
        }
    }
}

/// Where its name sorts; `false`: it is there.
fn insert<T: Clone>(objects: &mut Vec<T>, object: &T, name: impl Fn(&T) -> &str) -> bool {
    match objects.binary_search_by(|other| name(other).cmp(name(object))) {
        Ok(_) => false,
        Err(at) => {
            objects.insert(at, object.clone());
            true
        }
    }
}

#[cfg(test)]
mod tests;
