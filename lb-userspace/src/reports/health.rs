//! What the daemon knows of health, beside what is published.

use jiff::Timestamp;

use crate::{
    api::model::{HealthState, Status},
    clock::Moment,
    health::watch::Watch,
};

/// Adds it to a status that says what is published.
pub fn add(status: &mut Status, watch: &Watch, now: Moment, time: Timestamp) {
    for pool in &mut status.pools {
        pool.reasons = watch.reasons(&pool.name);
        for backend in &mut pool.backends {
            let Some(report) = watch.backend(&pool.name, &backend.name, now) else {
                continue;
            };
            let health = &mut backend.health;
            if report.held && health.state == HealthState::Up {
                health.state = HealthState::Held;
                backend.up = false;
            }
            health.since = report.took.and_then(|_| time.checked_sub(report.age).ok());
            health.error = report.problem;
            health.check_us = report
                .took
                .map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }
}
