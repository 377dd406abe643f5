//! A change, step by step, from the configuration's text to the slots that are
//! emptied after it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use holdfast::{layout::Layout, plan::Content, publish::Published};
use serde::Serialize;

use crate::{
    progress::Progress,
    site::{self, Arm, Carried, Shape, Site},
    statistics::Summary,
};

/// Changes that are published of each configuration.
const TIMES: usize = 11;

const SHAPES: [(&str, Shape); 3] = [
    (
        "small",
        Shape {
            pools: 1,
            backends_in_pool: 10,
            vips: 1,
            carried: Carried::IpipV4,
        },
    ),
    (
        "middle",
        Shape {
            pools: 64,
            backends_in_pool: 16,
            vips: 64,
            carried: Carried::IpipV4,
        },
    ),
    (
        "large",
        Shape {
            pools: 64,
            backends_in_pool: 16,
            vips: 16_000,
            carried: Carried::IpipV4,
        },
    ),
];

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// Everything, to an empty kernel.
    First,
    /// One backend less, or again one more.
    OneBackend,
}

impl What {
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::OneBackend => "one backend",
        }
    }
}

/// Times in ms.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishCase {
    pub size: &'static str,
    pub pools: usize,
    pub backends: usize,
    pub vips: usize,
    pub what: What,
    pub chunks_written: u32,
    pub steps: Vec<Step>,
    pub total: Summary,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub name: &'static str,
    pub ms: Summary,
}

/// In the order they are taken; the last two come after the switch and belong
/// to the next one.
pub const STEPS: [&str; 8] = [
    "configuration",
    "revision",
    "layout",
    "chunks",
    "install",
    "rehearse",
    "switch",
    "collect",
];

/// Seconds of each of [`STEPS`].
type Times = [f64; STEPS.len()];

pub fn measure(directory: &Path, progress: &Progress) -> Result<Vec<PublishCase>> {
    progress.begin("publishing", SHAPES.len() * (TIMES + 1));
    let mut cases = Vec::new();
    for (name, shape) in SHAPES {
        let place = directory.join(format!("publish-{name}"));
        let mut site = Site::open(&place, vec![Arm::imagined(0)])?;
        let text = site::yaml(shape, &site.arms);
        progress.step(&format!("{name}: first"));
        let (published, times) = publish(&mut site, &text, |_| {})?;
        cases.push(case(name, shape, What::First, published, &[times])?);
        let mut all = Vec::new();
        let mut last = published;
        for nth in 0..TIMES {
            progress.step(&format!("{name}: change {nth}"));
            let (published, times) = publish(&mut site, &text, |content| {
                // Every other time the backend is back.
                if nth % 2 == 0 {
                    content.config.pools[0].backends.pop();
                }
            })?;
            all.push(times);
            last = published;
        }
        cases.push(case(name, shape, What::OneBackend, last, &all)?);
    }
    progress.end();
    Ok(cases)
}

fn publish(site: &mut Site, text: &str, change: impl FnOnce(&mut Content)) -> Result<(Published, Times)> {
    let mut lap = Lap(Instant::now());
    let mut content = site::content(text)?;
    let configuration = lap.cut();
    change(&mut content);
    lap.cut();
    let revision = site.next(content)?;
    let revised = lap.cut();
    let layout = Layout::of(&revision, site.layout.as_ref())?;
    let laid_out = lap.cut();
    let published = site.publish(revision, layout)?;
    lap.cut();
    // The daemon does it with the next publish; done here, it is on its own.
    site.publisher.collect()?;
    let collect = lap.cut();
    let steps = published.steps;
    let times = [
        configuration,
        revised,
        laid_out,
        steps.chunks,
        steps.install,
        steps.rehearse,
        steps.switch,
        collect,
    ];
    Ok((published, times.map(|took| took.as_secs_f64())))
}

fn case(name: &'static str, shape: Shape, what: What, published: Published, all: &[Times]) -> Result<PublishCase> {
    let summed_up = |of: &dyn Fn(&Times) -> f64| Summary::of(all.iter().map(|times| of(times) * 1e3));
    let steps = STEPS.iter().enumerate().map(|(at, name)| {
        let ms = summed_up(&|times| times[at]).context("nothing was published")?;
        Ok(Step { name, ms })
    });
    Ok(PublishCase {
        size: name,
        pools: shape.pools,
        backends: shape.pools * shape.backends_in_pool,
        vips: shape.vips,
        what,
        chunks_written: published.written,
        steps: steps.collect::<Result<_>>()?,
        total: summed_up(&|times| times.iter().sum()).context("nothing was published")?,
    })
}

/// Cuts time into steps.
struct Lap(Instant);

impl Lap {
    fn cut(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}
