//! How much comes in by which interface. Sans-I/O: counts and times are told.
//!
//! The program counts nothing by interface, as every packet would pay for it; the
//! kernel counts what an interface receives, whatever it is for. So it is not
//! known what an interface brings to VIPs, only that it is no more than it
//! received. Shares of what all interfaces received would say less than is true
//! where another one has much traffic of its own.
//!
//! A driver that does not count what XDP takes would make a busy interface look
//! idle. So what the program received and no interface counted is added to any
//! that is asked about.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lb_common::abi::counters::Counter;

use crate::activity::{Activity, Live};

#[cfg(test)]
mod tests;

/// Nothing is said before it was watched for so long: as long as the longer of
/// the two rates.
const KNOWN: Duration = Duration::from_mins(1);

/// Both sides are not read at one moment, and drivers may add up once a second:
/// one in so many that no interface counted says nothing.
const SKEW: u64 = 50;

/// What was counted, and when it was looked at.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// By the program, on all interfaces.
    received: Activity,
    /// By the kernel.
    interfaces: BTreeMap<String, Activity>,
}

impl Arrivals {
    /// Once a second is often enough. What is not among `interfaces` is
    /// forgotten.
    pub fn look(&mut self, received: u64, interfaces: BTreeMap<String, Counter>, now: Instant) {
        let packets = received;
        self.received.look(&[Counter { packets, bytes: 0 }], now);
        self.interfaces.retain(|name, _| interfaces.contains_key(name));
        for (name, counter) in interfaces {
            self.interfaces.entry(name).or_default().look(&[counter], now);
        }
    }

    /// What may have come in by an interface, at most: the more of what did over
    /// seconds and over a minute. `attached` are all that the program is on.
    /// `None`: it is not known.
    #[must_use]
    pub fn at_most<'a>(&self, interface: &str, attached: impl Iterator<Item = &'a str>) -> Option<Live> {
        let received = known(&self.received)?;
        let own = known(self.interfaces.get(interface)?)?;
        let all: Vec<Live> = attached.filter_map(|name| known(self.interfaces.get(name)?)).collect();
        let at_most = |pps: fn(&Live) -> u64| {
            let unseen = pps(&received).saturating_sub(all.iter().map(pps).sum());
            let is_skew = unseen <= pps(&received) / SKEW + 1;
            pps(&own) + if is_skew { 0 } else { unseen }
        };
        let pps_minute = at_most(|live| live.pps_minute);
        let pps_now = at_most(|live| live.pps_now).max(pps_minute);
        Some(Live {
            pps_now,
            pps_minute,
            ..own
        })
    }
}

fn known(activity: &Activity) -> Option<Live> {
    let live = activity.counter(0);
    (live.known_for >= KNOWN).then_some(live)
}
