//! The rig, the load on it, and what the acts leave in the books.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use support::{
    addresses::Family,
    change::Changed,
    config::{DATAGRAMS, Fleet, STREAMS},
    datagrams::{self, DatagramShape, Datagrams},
    rig::{Layout, Rig},
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
};

use crate::{
    dashboard::{Announcer, Dashboard},
    interrupt,
    people::People,
    scorecard::{self, Scorecard},
};

/// Backends of the demo.
pub const BACKENDS: u8 = 4;
const LONG_LIVED: usize = 64;
const SHORT_PER_SECOND: u32 = 120;
const DATAGRAMS_PER_SECOND: u32 = 300;

pub struct Stage {
    // Dropped in this order: the view, the load, the rig under them.
    dashboard: Option<Dashboard>,
    load: Option<Load>,
    datagrams: Option<Datagrams>,
    pub rig: Rig,
    /// What is configured now.
    pub fleet: Fleet,
    pub book: Scorecard,
    pub people: People,
    announcer: Announcer,
    seconds: f64,
    started: Instant,
}

/// The defaults, in a hurry: a drained slot is clean, and a VIP quiet, within
/// seconds, and what nobody confirms is taken back within seconds, too.
fn protected(fleet: Fleet) -> Fleet {
    Fleet {
        protection: protection(""),
        ..fleet.draining("2s", "1h")
    }
}

fn protection(more: &str) -> String {
    format!("protection: {{ liveVipWindow: 5s, confirm: {{ default: 6s }}{more} }}")
}

fn approvers(fleet: &Fleet) -> PathBuf {
    fleet.hash_key_file.with_file_name("approvers")
}

fn serving(mut rig: Rig) -> Result<Rig> {
    rig.start_daemon()?;
    rig.wait_resolved()?;
    Ok(rig)
}

impl Stage {
    /// What removes something is nobody's word alone any more: the configuration
    /// with the one line more that a team adds.
    pub fn with_a_team(&self) -> Fleet {
        let approvers = approvers(&self.fleet);
        Fleet {
            protection: protection(&format!(
                ", approvals: {{ approvers: {}, remove: 2 }}",
                approvers.display()
            )),
            ..self.fleet.clone()
        }
    }

    /// Builds the rig and starts the load.
    pub fn set(seconds: f64, draws: bool) -> Result<Self> {
        let started = Instant::now();
        let announcer = Announcer::new(draws);
        announcer.event("namespaces, agents and daemon are being started");
        let rig = Rig::without_daemon(&Layout::of(Shape::TwoArm, BACKENDS), protected).context("setting the stage")?;
        let people = People::new(&approvers(&rig.fleet))?;
        let rig = serving(rig).context("setting the stage")?;
        announcer.event("the daemon serves generation 1; clients begin");
        let sources = Topology::client_addresses(Family::V4);
        let shape = LoadShape {
            short_per_second: SHORT_PER_SECOND,
            short_at_most: usize::MAX,
            ..LoadShape::long_lived(STREAMS.v4(), sources.clone(), LONG_LIVED)
        };
        let load = Load::start(&rig.network.client, shape)?;
        let shape = DatagramShape {
            target: DATAGRAMS.v4(),
            sources: sources.repeat(2),
            length: datagrams::SHORT,
            per_second: DATAGRAMS_PER_SECOND,
            at_most: u64::MAX,
        };
        let datagrams = Datagrams::start(&rig.network.client, shape)?;
        let dashboard = draws.then(|| Dashboard::start(rig.installation.clone(), load.watch(), announcer.clone()));
        Ok(Self {
            dashboard: dashboard.transpose()?,
            fleet: rig.fleet.clone(),
            load: Some(load),
            datagrams: Some(datagrams),
            rig,
            book: Scorecard::default(),
            people,
            announcer,
            seconds,
            started,
        })
    }

    /// The running load.
    pub fn load(&self) -> Result<&Load> {
        self.load.as_ref().context("the load has been stopped")
    }

    pub fn datagrams(&self) -> Result<&Datagrams> {
        self.datagrams.as_ref().context("the datagrams have been stopped")
    }

    /// A new act begins.
    pub fn act(&self, number: usize, title: &str) {
        self.announcer.act(number, title);
    }

    /// Something happened that people want to know.
    pub fn event(&self, text: impl Into<String>) {
        self.announcer.event(text);
    }

    /// Lets this share of the whole time pass.
    pub fn rest(&self, share: f64) -> Result<()> {
        interrupt::rest(Duration::from_secs_f64(self.seconds * share))
    }

    /// Books a change.
    pub fn book_change(&mut self, changed: &Changed) {
        self.book.broken_expected += changed.broken.len();
        self.announcer.explain(self.book.broken_expected);
        self.book.slowest_switch_us = self.book.slowest_switch_us.max(changed.applied.publish_us);
    }

    /// Ends the load, takes everything down, and closes the books.
    pub fn strike(mut self) -> Result<Scorecard> {
        self.event("clients finish; everything is taken down");
        let report = self.load.take().context("the load has been stopped")?.stop()?;
        let datagrams = self
            .datagrams
            .take()
            .context("the datagrams have been stopped")?
            .stop()?;
        drop(self.dashboard.take());
        let mut book = std::mem::take(&mut self.book);
        book.connections = report.connections();
        book.completed = report.completed();
        book.wrong_bytes = report.wrong_bytes();
        book.bytes_checked = report.bytes();
        book.broken_unexpected = report.broken().count().saturating_sub(book.broken_expected);
        book.datagrams = scorecard::Datagrams {
            sent: datagrams.sent,
            answered: datagrams.answered,
            wrong: datagrams.wrong,
        };
        let (footprint, started) = (self.rig.footprint(), self.started);
        drop(self);
        book.left_behind = footprint.remains()?;
        book.seconds = started.elapsed().as_secs_f64();
        Ok(book)
    }
}
