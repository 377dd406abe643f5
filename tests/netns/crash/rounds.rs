//! Rounds: an operation is cut short at one point, and what serves is looked at.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use support::tracer::{Points, Seen, Strike, Trace};

use super::{
    operations::{Operation, Way},
    site::{Side, Site},
    traffic::Sent,
};

/// A start has ended, one way or the other, within this; it is slow when followed.
const START: Duration = Duration::from_secs(90);

/// What became of all points of an operation.
#[derive(Debug, Default)]
pub struct Tally {
    pub rounds: usize,
    /// How often the one from before serves after it, and how often the new one.
    pub before: usize,
    pub after: usize,
    /// The first point that no run reached.
    pub end: usize,
    /// By call.
    pub struck: BTreeMap<String, usize>,
    took: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds of {} points in {:.1?}: N served after {}, N+1 after {};",
            self.rounds,
            self.end.saturating_sub(1),
            self.took,
            self.before,
            self.after
        )?;
        for (call, times) in &self.struck {
            write!(f, " {call} {times},")?;
        }
        Ok(())
    }
}

/// Kills at every point of an operation, or at every so many.
pub fn kill_everywhere(operation: &Operation, points: Points, stride: usize) -> Result<Tally> {
    let began = Instant::now();
    let tally = Mutex::new(Tally::default());
    let end = everywhere(stride, |site, nth| {
        let round = kill_at(site, operation, nth, points);
        let round = round.with_context(|| format!("{}, point {nth}\n{}", operation.name, log_of(site)))?;
        let Some(Cut { call, switched }) = round else {
            return Ok(Round::Over);
        };
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.rounds += 1;
        *(if switched { &mut tally.after } else { &mut tally.before }) += 1;
        *tally.struck.entry(call).or_default() += 1;
        Ok(Round::Struck)
    })?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let took = began.elapsed();
    let tally = Tally { end, took, ..tally };
    println!("{}: {tally}", operation.name);
    Ok(tally)
}

/// Whether a round reached the point it was for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Round {
    Struck,
    Over,
}

/// Rounds for the first point and every so many after it, until one is over before
/// its point, on two sites at a time: one starts while the other is looked at. Gives
/// the point that was not reached.
pub fn everywhere(stride: usize, round: impl Fn(&mut Site, usize) -> Result<Round> + Sync) -> Result<usize> {
    const SITES: usize = 2;
    let (next, end) = (AtomicUsize::new(1), AtomicUsize::new(usize::MAX));
    let work = || -> Result<()> {
        let mut site = Site::serving()?;
        site.ensure_clear().context("before everything")?;
        loop {
            let nth = next.fetch_add(stride, Ordering::Relaxed);
            if nth >= end.load(Ordering::Relaxed) {
                return Ok(());
            }
            let round = round(&mut site, nth).inspect_err(|_| end.store(0, Ordering::Relaxed))?;
            if round == Round::Over {
                end.fetch_min(nth, Ordering::Relaxed);
                return Ok(());
            }
        }
    };
    thread::scope(|scope| {
        #[expect(clippy::needless_collect, reason = "all of them run before one is waited for")]
        let sites: Vec<_> = (0..SITES).map(|_| scope.spawn(work)).collect();
        sites
            .into_iter()
            .try_for_each(|site| site.join().map_err(|_| anyhow!("a site panicked"))?)
    })?;
    Ok(end.into_inner())
}

/// One operation that was cut short.
struct Cut {
    call: String,
    /// The new generation serves.
    switched: bool,
}

/// `None`: it was over before that point, and all is well.
fn kill_at(site: &mut Site, operation: &Operation, nth: usize, points: Points) -> Result<Option<Cut>> {
    (operation.prepare)(site).context("preparing")?;
    let strike = Strike::Kill { nth, points };
    let from = site.traffic.sent();
    match operation.way {
        Way::Asked { act, aim } => {
            let before = site.serves()?;
            let links = site.links()?;
            let aim = aim(&before);
            let id = site.daemon.as_ref().context("no daemon")?.id();
            let trace = Trace::start(id, strike)?;
            let done = act(site, &trace)?;
            let seen = trace.end(|| site.poke())?;
            let Some(call) = seen.struck else {
                ensure!(done, "it fails though nobody killed the daemon");
                let unsynced = operation.syncs.iter().find(|file| !seen.synced.contains(**file));
                ensure!(unsynced.is_none(), "{unsynced:?} is not synced, but {:?}", seen.synced);
                (operation.mend)(site, done)?;
                let now = site.served()?;
                ensure!(now.is(&aim, &before), "{now:?} serves, not {aim:?}");
                return Ok(None);
            };
            site.kill()?;
            let crash = Crash::happens(site, from)?;
            (operation.next)(site, nth);
            site.start().with_context(|| format!("the start after {call}"))?;
            (operation.mend)(site, done).with_context(|| format!("mending after {call}"))?;
            let now = site.ensure_clear().with_context(|| format!("after {call}"))?;
            let clear = || -> Result<bool> {
                ensure!(
                    now.is(&aim, &before) || now == before,
                    "{now:?} serves, not {before:?} nor {aim:?}"
                );
                ensure!(
                    !done || now.is(&aim, &before),
                    "it was said to be done, and {now:?} serves"
                );
                let stay = |id: &(&String, &u32)| now.attached.contains(id.0);
                let (was, is) = (links, site.links()?);
                let anew: Vec<_> = was
                    .iter()
                    .filter(stay)
                    .filter(|(name, id)| is.get(*name) != Some(id))
                    .collect();
                ensure!(anew.is_empty(), "attached anew: {anew:?}");
                crash.ensure_whole(site, Some(before.side), now.side)?;
                Ok(now != before)
            };
            let switched = clear().with_context(|| format!("after {call}"))?;
            (operation.settle)(site, &now)?;
            site.ensure_applies(&site.served()?)
                .with_context(|| format!("after {call}"))?;
            Ok(Some(Cut {
                call: call.to_string(),
                switched,
            }))
        }
        Way::Start => {
            let before = site.served()?;
            let links = site.links()?;
            site.kill()?;
            let Some(call) = start_followed(site, strike)?.struck.map(|call| call.to_string()) else {
                let now = site.ensure_clear()?;
                ensure!(now == before, "{now:?} serves, not {before:?}");
                return Ok(None);
            };
            site.kill()?;
            let crash = Crash::happens(site, from)?;
            (operation.next)(site, nth);
            site.start().with_context(|| format!("the start after {call}"))?;
            let clear = || -> Result<()> {
                let now = site.ensure_clear()?;
                ensure!(now == before, "{now:?} serves, not {before:?}");
                ensure!(site.links()? == links, "links were attached anew");
                crash.ensure_whole(site, Some(before.side), now.side)?;
                site.ensure_applies(&now).map(drop)
            };
            clear().with_context(|| format!("after {call}"))?;
            Ok(Some(Cut { call, switched: false }))
        }
        Way::Begin => begin(site, operation, strike, nth),
    }
}

/// A start where nothing serves.
fn begin(site: &mut Site, operation: &Operation, strike: Strike, nth: usize) -> Result<Option<Cut>> {
    let last = site.last.clone();
    let seen = start_followed(site, strike)?;
    let Some(call) = seen.struck.map(|call| call.to_string()) else {
        return site.ensure_clear().map(|_| None);
    };
    site.kill()?;
    (operation.next)(site, nth);
    site.start().with_context(|| format!("the start after {call}"))?;
    let serves = site.traffic.sent();
    let clear = || -> Result<()> {
        let now = site.ensure_clear()?;
        let known = last.as_ref().is_none_or(|last| *last == now);
        ensure!(known, "{now:?} serves, and {last:?} was known");
        ensure!(last.is_some() || now.is_first(), "{now:?} is not the first generation");
        site.traffic.go_on()?;
        let sides = sides(&site.traffic.between(serves, site.traffic.sent())?);
        ensure!(sides == [now.side], "{sides:?} are served, and {now:?} is said to be");
        site.ensure_applies(&now).map(drop)
    };
    clear().with_context(|| format!("after {call}"))?;
    Ok(Some(Cut { call, switched: false }))
}

/// Starts a daemon that is followed until it is ready or was killed.
fn start_followed(site: &mut Site, strike: Strike) -> Result<Seen> {
    let (seen, ready) = start_struck(site, strike)?;
    ensure!(ready || seen.struck.is_some(), "the start ended, and nobody killed it");
    Ok(seen)
}

/// The same; whether it became ready.
pub fn start_struck(site: &mut Site, strike: Strike) -> Result<(Seen, bool)> {
    let process = site.spawn_stopped()?;
    let trace = Trace::start(process.id(), strike)?;
    site.daemon = Some(process);
    let mut ready = false;
    site.until(START, "a start, or its end", || {
        ready |= site.is_ready();
        Ok(ready || trace.is_over())
    })?;
    let seen = trace.end(|| site.poke())?;
    Ok((seen, ready))
}

/// When what was sent meanwhile.
struct Crash {
    /// The operation began.
    from: usize,
    /// No daemon was there any more.
    died: usize,
    /// The next one was started.
    next: usize,
}

impl Crash {
    fn happens(site: &Site, from: usize) -> Result<Self> {
        let died = site.traffic.sent();
        site.traffic.go_on()?;
        Ok(Self {
            from,
            died,
            next: site.traffic.sent(),
        })
    }

    /// Nothing was lost, and there was one switch at most, of all VIPs at once;
    /// after the crash what serves did not change any more.
    fn ensure_whole(&self, site: &Site, before: Option<Side>, now: Side) -> Result<()> {
        site.traffic.go_on()?;
        let sent = site.traffic.between(self.from, site.traffic.sent())?;
        let all = sides(&sent);
        let mut expected: Vec<Side> = before.into_iter().chain([now]).collect();
        expected.dedup();
        ensure!(all == expected, "{all:?} were served one after the other");
        let after = sides(&sent[self.died - self.from..]);
        ensure!(
            after == [now],
            "{after:?} are served after the crash, and {now:?} is said to be"
        );
        let hops = hops(&sent[self.died - self.from..self.next - self.from]);
        ensure!(hops.len() == 1, "next hops {hops:?} without a daemon");
        // The next daemon follows the gateway, if that one had not.
        site.until(START, "the gateway's address", || Ok(site.has_hop(site.hop)))?;
        ensure!(hops_of(&sent) <= 2, "next hops went to and fro");
        Ok(())
    }
}

/// What serves one after the other.
pub fn sides(sent: &[Sent]) -> Vec<Side> {
    let mut sides: Vec<Side> = sent.iter().copied().map(Side::of).collect();
    sides.dedup();
    sides
}

fn hops(sent: &[Sent]) -> Vec<u8> {
    let mut hops: Vec<u8> = sent.iter().map(|sent| sent.hop).collect();
    hops.dedup();
    hops
}

fn hops_of(sent: &[Sent]) -> usize {
    hops(sent).len()
}

pub fn log_of(site: &Site) -> String {
    let log = std::fs::read_to_string(&site.installation.log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
