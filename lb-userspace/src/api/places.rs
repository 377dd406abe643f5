//! Places for connections: how many there are, and for whom. Pure but for the
//! count it keeps.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Connections served at once.
pub const CONNECTIONS: usize = 64;

/// Of them, only for root and the daemon's own user, so that nobody else can
/// lock them out.
pub const RESERVED: usize = 8;

/// Of one user who is neither.
pub const PER_UID: usize = 16;

/// All places.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// By users without privilege.
    common: HashMap<u32, usize>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    /// Whose, unless it is one with privilege.
    uid: Option<u32>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("{CONNECTIONS} connections are open, the limit; {RESERVED} of them are kept for root")]
    All,
    #[error("you have {PER_UID} connections open, the limit of a user")]
    User,
}

impl Places {
    /// # Errors
    /// If there is no place for them.
    pub fn take(&self, uid: u32, is_privileged: bool) -> Result<Place, Full> {
        let mut taken = self.taken();
        let common: usize = taken.common.values().sum();
        let uid = (!is_privileged).then_some(uid);
        if taken.all >= CONNECTIONS || (uid.is_some() && common >= CONNECTIONS - RESERVED) {
            return Err(Full::All);
        }
        if let Some(uid) = uid {
            let own = taken.common.entry(uid).or_default();
            if *own >= PER_UID {
                return Err(Full::User);
            }
            *own += 1;
        }
        taken.all += 1;
        drop(taken);
        Ok(Place {
            places: self.clone(),
            uid,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing panics between two of its counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(uid) = self.uid
            && let Some(own) = taken.common.get_mut(&uid)
        {
            *own -= 1;
            if *own == 0 {
                taken.common.remove(&uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_places_for_others_and_all_users_leave_some_for_root() {
        let places = Places::default();
        let mut held = Vec::new();
        for uid in 1000..1010 {
            while let Ok(place) = places.take(uid, false) {
                held.push(place);
            }
        }
        assert_eq!(held.len(), CONNECTIONS - RESERVED);
        assert_eq!(places.take(1010, false).expect_err("full"), Full::All);
        let roots: Vec<Place> = (0..RESERVED).map(|_| places.take(0, true).expect("reserved")).collect();
        assert_eq!(places.take(0, true).expect_err("full"), Full::All);
        drop(roots);
        drop(held.pop());
        assert!(places.take(1010, false).is_ok(), "a place that is left is free");
    }

    #[test]
    fn user_has_so_many_and_gets_them_back() {
        let places = Places::default();
        let mut held: Vec<Place> = (0..PER_UID).map(|_| places.take(1, false).expect("a place")).collect();
        assert_eq!(places.take(1, false).expect_err("full"), Full::User);
        assert!(places.take(2, false).is_ok());
        held.clear();
        assert!(places.take(1, false).is_ok());
        assert!(places.taken().common.is_empty() && places.taken().all == 0);
    }
}
