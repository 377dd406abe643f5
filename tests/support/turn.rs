//! Whose turn it is: most rigs are measured, and two of them at once would starve
//! each other of processor time. Tests that mostly wait or type may stand beside
//! one another.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static TURN: RwLock<()> = RwLock::new(());

/// With whom a rig runs at the same time, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// With none.
    Alone,
    /// With others that have nothing against it.
    Beside,
}

/// Held as long as it lasts.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "it is held, not read")] Held);

#[derive(Debug)]
enum Held {
    Alone(#[expect(dead_code, reason = "it is held, not read")] RwLockWriteGuard<'static, ()>),
    Beside(#[expect(dead_code, reason = "it is held, not read")] RwLockReadGuard<'static, ()>),
}

impl Turn {
    /// Waits for it.
    #[must_use]
    pub fn take(company: Company) -> Self {
        Self(match company {
            Company::Alone => Held::Alone(TURN.write().unwrap_or_else(PoisonError::into_inner)),
            Company::Beside => Held::Beside(TURN.read().unwrap_or_else(PoisonError::into_inner)),
        })
    }

    /// Of a test that measures, and has no rig.
    #[must_use]
    pub fn alone() -> Self {
        Self::take(Company::Alone)
    }
}
