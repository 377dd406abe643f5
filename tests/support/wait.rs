//! Waiting for something to become true, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// Looks until there is something to give back, or the time is over.
pub fn until<T>(at_most: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if started.elapsed() > at_most {
            bail!("{what}: not within {:.1} s", at_most.as_secs_f64());
        }
        thread::sleep(LOOK);
    }
}
