//! What `top` knows: two looks make rates, sixty a sparkline. Pure: when a
//! look was is an argument.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "rates for people: three digits are shown, and none is below 0"
)]

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    api::model::{Status, Traffic},
    headline::Headline,
};

/// Looks that a sparkline holds.
const REMEMBERED: usize = 60;

/// In a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub packets: f64,
    pub bits: f64,
}

/// Between two looks.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    pub verdicts: BTreeMap<String, Rate>,
    pub vips: BTreeMap<String, Rate>,
    /// By `POOL/NAME`.
    pub backends: BTreeMap<String, Rate>,
}

impl Rates {
    fn sum(&self, of: &str) -> Rate {
        let verdicts = self.verdicts.iter().filter(|(name, _)| name.starts_with(of));
        verdicts.fold(Rate::default(), |sum, (_, rate)| Rate {
            packets: sum.packets + rate.packets,
            bits: sum.bits + rate.bits,
        })
    }

    pub fn forwarded(&self) -> Rate {
        self.sum("Forward")
    }

    pub fn dropped(&self) -> f64 {
        self.sum("Drop").packets
    }
}

/// By what backends are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Traffic,
    Name,
    Slots,
}

impl Order {
    pub const fn next(self) -> Self {
        match self {
            Self::Traffic => Self::Name,
            Self::Name => Self::Slots,
            Self::Slots => Self::Traffic,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Traffic => "traffic",
            Self::Name => "name",
            Self::Slots => "slots",
        }
    }
}

#[derive(Debug, Default)]
pub struct Model {
    last: Option<(Status, Duration)>,
    rates: Option<Rates>,
    /// Packets a second of each backend, oldest first.
    history: BTreeMap<String, VecDeque<u64>>,
    away: Option<String>,
    pub order: Order,
    pub filter: String,
    /// The filter is being typed.
    pub typing: bool,
    pub paused: bool,
    pub scroll: usize,
}

impl Model {
    /// A look `at` this time since the start.
    pub fn learn(&mut self, status: Status, at: Duration) {
        let was_away = self.away.take().is_some();
        if self.paused {
            return;
        }
        if let Some((before, then)) = self.last.take().filter(|_| !was_away) {
            let rates = rates(&before, &status, at.saturating_sub(then));
            for (name, rate) in &rates.backends {
                let history = self.history.entry(name.clone()).or_default();
                history.push_back(whole(rate.packets));
                if history.len() > REMEMBERED {
                    history.pop_front();
                }
            }
            self.history.retain(|name, _| rates.backends.contains_key(name));
            self.rates = Some(rates);
        }
        self.last = Some((status, at));
    }

    /// Nobody answered.
    pub fn lose(&mut self, why: &str) {
        self.away = Some(why.to_owned());
    }

    pub fn status(&self) -> Option<&Status> {
        self.last.as_ref().map(|(status, _)| status)
    }

    pub const fn rates(&self) -> Option<&Rates> {
        self.rates.as_ref()
    }

    pub const fn is_away(&self) -> bool {
        self.away.is_some()
    }

    pub fn history(&self, backend: &str) -> Vec<u64> {
        self.history.get(backend).into_iter().flatten().copied().collect()
    }

    pub fn headline(&self) -> String {
        match (&self.away, self.status()) {
            (Some(why), _) => format!("▲ DAEMON AWAY {why}. The kernel goes on forwarding; asking again."),
            (None, Some(status)) => Headline::from(status).text().1,
            (None, None) => "asking the daemon".to_owned(),
        }
    }

    /// A key was pressed; whether that ends it.
    pub fn press(&mut self, key: Key) -> bool {
        match (self.typing, key) {
            (true, Key::Letter(letter)) => self.filter.push(letter),
            (true, Key::Back) => drop(self.filter.pop()),
            (true, Key::Enter) => self.typing = false,
            (true, Key::Escape) => {
                self.typing = false;
                self.filter.clear();
            }
            (false, Key::Letter('q') | Key::Escape) | (_, Key::Quit) => return true,
            (false, Key::Letter('/')) => self.typing = true,
            (false, Key::Letter('s')) => self.order = self.order.next(),
            (false, Key::Letter('p' | ' ')) => self.paused = !self.paused,
            (_, Key::Down) => self.scroll = self.scroll.saturating_add(1),
            (_, Key::Up) => self.scroll = self.scroll.saturating_sub(1),
            (false, Key::Letter(_) | Key::Enter | Key::Back) => {}
        }
        false
    }
}

/// For people: packets are whole.
pub const fn whole(rate: f64) -> u64 {
    rate.round().max(0.0) as u64
}

/// Keys that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Letter(char),
    Up,
    Down,
    Enter,
    Back,
    Escape,
    /// Ctrl-C.
    Quit,
}

fn rates(before: &Status, after: &Status, between: Duration) -> Rates {
    let seconds = between.as_secs_f64().max(0.001);
    let rate = |before: Option<Traffic>, after: Traffic| {
        // What is new is not known to be of this interval; what was made anew
        // counts from 0.
        let before = before.unwrap_or(after);
        Rate {
            packets: after.packets.saturating_sub(before.packets) as f64 / seconds,
            bits: after.bytes.saturating_sub(before.bytes) as f64 * 8.0 / seconds,
        }
    };
    let vips: BTreeMap<&str, Traffic> = before.vips.iter().map(|vip| (vip.name.as_str(), vip.traffic)).collect();
    let backends: BTreeMap<String, Traffic> = backends(before).collect();
    Rates {
        verdicts: after
            .verdicts
            .iter()
            .map(|(name, traffic)| (name.clone(), rate(before.verdicts.get(name).copied(), *traffic)))
            .collect(),
        vips: after
            .vips
            .iter()
            .map(|vip| {
                (
                    vip.name.clone(),
                    rate(vips.get(vip.name.as_str()).copied(), vip.traffic),
                )
            })
            .collect(),
        backends: self::backends(after)
            .map(|(name, traffic)| {
                let rate = rate(backends.get(&name).copied(), traffic);
                (name, rate)
            })
            .collect(),
    }
}

fn backends(status: &Status) -> impl Iterator<Item = (String, Traffic)> {
    let pools = status.pools.iter();
    pools.flat_map(|pool| {
        let backends = pool.backends.iter();
        backends.map(|backend| (format!("{}/{}", pool.name, backend.name), backend.traffic))
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
