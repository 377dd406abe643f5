//! What happens many times a second for as long as it lasts is no event each time.

use std::time::{Duration, Instant};

/// Between two times that it is said.
const PAUSE: Duration = Duration::from_secs(10);

/// Says something at once, and then at most every ten seconds.
#[derive(Debug, Default)]
pub struct Seldom {
    said: Option<Instant>,
    /// How often it happened since.
    times: u64,
}

impl Seldom {
    /// It happened once more. To be said now: how often it did since it was last said.
    pub fn say(&mut self, now: Instant) -> Option<u64> {
        self.times += 1;
        let is_due = self
            .said
            .is_none_or(|said| now.saturating_duration_since(said) >= PAUSE);
        is_due.then(|| {
            self.said = Some(now);
            std::mem::take(&mut self.times)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_said_at_once_and_then_every_ten_seconds_with_how_often() {
        let mut seldom = Seldom::default();
        let start = Instant::now();
        let said = (0..250).filter_map(|tenth| {
            let now = start + tenth * Duration::from_millis(100);
            seldom.say(now).map(|times| (tenth, times))
        });
        assert_eq!(said.collect::<Vec<_>>(), [(0, 1), (100, 100), (200, 100)]);
    }
}
