//! `holdfast top`: what is served, as it is now. On a terminal a live table;
//! elsewhere a table of text, or an object, each interval.

mod draw;
mod live;
mod model;

use std::time::{Duration, Instant};

use serde::Serialize;

use self::model::{Model, Rates};
use super::{
    args,
    args::Format,
    error::{Error, Exit},
    terminal::Terminal,
    text::{count, numbers, plain, table, words},
};
use crate::api::{
    client::{Client, ClientError},
    model::{Document, Kind, Status},
};

pub(super) async fn top(args: args::Top, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let live = terminal.out.is_seen && matches!(terminal.format, Format::Table | Format::Wide);
    if live && args.times.is_none() {
        return live::run(client, args.interval, terminal.out.color).await;
    }
    let mut model = Model::default();
    let started = Instant::now();
    // Rates need two looks: the first is not shown.
    let mut shown = 0;
    loop {
        ask(client, &mut model, started.elapsed()).await?;
        if model.rates().is_some() || model.is_away() {
            let line = Document::new(Line::of(&model));
            match terminal.format {
                Format::Table | Format::Wide => terminal.print(&text(&model))?,
                Format::Json => terminal.print(&serde_json::to_string(&line).map_err(Error::Json)?)?,
                Format::Yaml => terminal.document(&line)?,
            }
            shown += 1;
            if args.times.is_some_and(|times| shown >= times) {
                return Ok(Exit::Done);
            }
        }
        tokio::time::sleep(args.interval).await;
    }
}

/// One look. A daemon that is away is seen, not an error; one that never was
/// there is one.
async fn ask(client: &Client, model: &mut Model, at: Duration) -> Result<(), Error> {
    match client.status().await {
        Ok(status) => model.learn(status.body, at),
        Err(error @ (ClientError::Unreachable { .. } | ClientError::BrokenOff { .. } | ClientError::Silent { .. }))
            if model.status().is_some() =>
        {
            model.lose(&error.to_string());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// One line of `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    away: bool,
    generation: u64,
    revision: u64,
    forwarded_pps: f64,
    forwarded_bps: f64,
    dropped_pps: f64,
    vips: Vec<Of>,
    backends: Vec<Of>,
}

impl Kind for Line {
    const KIND: &'static str = "Top";
}

#[derive(Debug, Serialize)]
struct Of {
    name: String,
    pps: f64,
    bps: f64,
}

impl Line {
    fn of(model: &Model) -> Self {
        let none = Rates::default();
        let rates = model.rates().unwrap_or(&none);
        let of = |(name, rate): (&String, &model::Rate)| Of {
            name: name.clone(),
            pps: rate.packets,
            bps: rate.bits,
        };
        Self {
            away: model.is_away(),
            generation: model.status().map_or(0, |status| status.generation),
            revision: model.status().map_or(0, |status| status.revision),
            forwarded_pps: rates.forwarded().packets,
            forwarded_bps: rates.forwarded().bits,
            dropped_pps: rates.dropped(),
            vips: rates.vips.iter().map(of).collect(),
            backends: rates.backends.iter().map(of).collect(),
        }
    }
}

/// VIPs, backends and drops, without a terminal.
fn text(model: &Model) -> String {
    let none = Rates::default();
    let rates = model.rates().unwrap_or(&none);
    let Some(status) = model.status() else {
        return model.headline();
    };
    let per_second = |rate: f64| count(model::whole(rate));
    let named =
        |(name, rate): (&String, &model::Rate)| vec![name.clone(), per_second(rate.packets), per_second(rate.bits)];
    let vips = [words("VIP"), numbers("PPS"), numbers("BPS")];
    let backends = [words("BACKEND"), numbers("PPS"), numbers("BPS")];
    let drops = [words("VERDICT"), numbers("PPS")];
    let dropped = rates
        .verdicts
        .iter()
        .filter(|(name, rate)| name.starts_with("Drop") && rate.packets > 0.0);
    [
        format!("{}\n{}", plain(&model.headline()), generation(status)),
        table(&vips, rates.vips.iter().map(named)),
        table(&backends, rates.backends.iter().map(named)),
        table(
            &drops,
            dropped.map(|(name, rate)| vec![name.clone(), per_second(rate.packets)]),
        ),
    ]
    .join("\n\n")
}

fn generation(status: &Status) -> String {
    format!(
        "environment {}, generation {}, revision {}",
        status.environment, status.generation, status.revision
    )
}
