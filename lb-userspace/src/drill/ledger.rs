//! What became of every packet and connection: written by traffic, read by the
//! judge.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What is not answered within this is lost.
pub const ANSWERED_WITHIN: Duration = Duration::from_millis(1_500);

/// Counts, by the moments at which packets were sent.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    sent: u64,
    lost: Vec<Instant>,
    broken: Vec<Instant>,
    /// Sent and neither answered nor lost yet.
    open: BTreeMap<u64, Instant>,
    next: u64,
    /// Long-lived connections that are open, by VIP and flow: when something last
    /// came back.
    connected: BTreeMap<(usize, usize), Instant>,
    /// By VIP, who answered since the last survey began.
    seen: BTreeMap<usize, BTreeSet<String>>,
}

impl Ledger {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is sent.
    pub fn sends(&self) -> u64 {
        let mut pages = self.pages();
        pages.sent += 1;
        let id = pages.next;
        pages.next += 1;
        pages.open.insert(id, Instant::now());
        id
    }

    /// It was answered.
    pub fn is_answered(&self, id: u64) {
        self.pages().open.remove(&id);
    }

    /// Nobody answered in time.
    pub fn is_lost(&self, id: u64) {
        let mut pages = self.pages();
        if let Some(sent) = pages.open.remove(&id) {
            pages.lost.push(sent);
        }
    }

    /// Something came back on a connection.
    pub fn is_connected(&self, vip: usize, flow: usize) {
        self.pages().connected.insert((vip, flow), Instant::now());
    }

    /// An open connection broke.
    pub fn is_broken(&self, vip: usize, flow: usize) {
        let mut pages = self.pages();
        pages.connected.remove(&(vip, flow));
        pages.broken.push(Instant::now());
    }

    /// A backend answered for a VIP.
    pub fn is_seen(&self, vip: usize, backend: &str) {
        let mut pages = self.pages();
        let seen = pages.seen.entry(vip).or_default();
        if !seen.contains(backend) {
            seen.insert(backend.to_owned());
        }
    }

    /// Who answers is looked at anew.
    pub fn begin_survey(&self) {
        self.pages().seen.clear();
    }

    /// Who answered, by VIP.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<usize, BTreeSet<String>> {
        self.pages().seen.clone()
    }

    /// Connections on which something came back since then.
    #[must_use]
    pub fn connected_since(&self, since: Instant) -> usize {
        self.pages().connected.values().filter(|last| **last >= since).count()
    }

    /// All that was sent before then is answered or lost.
    #[must_use]
    pub fn is_settled(&self, until: Instant) -> bool {
        self.pages().open.values().all(|sent| *sent >= until)
    }

    /// Packets sent in a span that were lost.
    #[must_use]
    pub fn lost_between(&self, from: Instant, until: Instant) -> u64 {
        let pages = self.pages();
        pages.lost.iter().filter(|sent| (from..until).contains(*sent)).count() as u64
    }

    /// Connections that broke in a span.
    #[must_use]
    pub fn broken_between(&self, from: Instant, until: Instant) -> u64 {
        let pages = self.pages();
        pages.broken.iter().filter(|at| (from..until).contains(*at)).count() as u64
    }

    #[must_use]
    pub fn sent(&self) -> u64 {
        self.pages().sent
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::Ledger;

    #[test]
    fn packet_counts_as_lost_in_the_span_in_which_it_was_sent() {
        let ledger = Ledger::default();
        let before = Instant::now();
        let (answered, lost) = (ledger.sends(), ledger.sends());
        let between = Instant::now();
        let later = ledger.sends();
        assert!(!ledger.is_settled(between));
        ledger.is_answered(answered);
        ledger.is_lost(lost);
        ledger.is_lost(answered);
        assert!(ledger.is_settled(between));
        assert_eq!(ledger.lost_between(before, between), 1);
        assert_eq!(ledger.lost_between(between, Instant::now()), 0);
        ledger.is_answered(later);
        assert_eq!(ledger.sent(), 3);
    }
}
