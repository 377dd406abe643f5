//! While live packets are sampled another program is on the interface: no frame
//! is lost when it comes and goes, nor when nobody is left to take it off.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::programs::ProgramInfo;
use serde_json::Value;
use support::{
    daemon::{Installation, Outcome},
    scrape::Scrape,
};

use crate::{
    switches::{Bench, NEW, OLD},
    upgrade::{Counted, program_of},
};

#[test]
fn sampling_loses_no_frame_and_counts_what_came() -> Result<()> {
    let mut bench = Bench::start()?;
    let before = program_of(&bench.installation.status()?)?;
    // The other four: every flow goes elsewhere, at once.
    bench.write_as(NEW, OLD, "maint")?;
    let config = bench.installation.config.to_string_lossy().into_owned();
    let plan = bench.installation.config.with_file_name("next.plan");
    let plan = plan.to_string_lossy().into_owned();
    let outcome = bench.installation.run(&["plan", "-f", &config, "--out", &plan])?;
    ensure!(outcome.code == Some(0), "{}", outcome.said());
    let mut previews = Vec::new();
    let mut seen = Vec::new();
    let counted = Counted::under_mut(&mut bench, |bench| {
        // The daemon knows the rate from the second before.
        thread::sleep(Duration::from_secs(2));
        for _ in 0..3 {
            let preview = thread::scope(|scope| -> Result<Value> {
                let lb = &bench.installation;
                let asking = scope.spawn(|| lb.run(&["preview", &plan, "--sample", "2s", "-o", "json"]));
                wait_for_sample(lb)?;
                seen.push(program_of(&lb.status()?)?);
                let verified = lb.run(&["bpf", "verify"])?;
                ensure!(verified.code == Some(0), "{}", verified.said());
                let outcome = asking.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
                ensure!(outcome.code == Some(0), "{}", outcome.said());
                outcome.json()
            })?;
            previews.push(preview);
        }
        Ok(())
    })?;
    println!("{counted}");
    counted.ensure_whole("sampling")?;
    for preview in &previews {
        println!("{}", preview["summary"]);
        let sampled = &preview["sampled"];
        let of = |key: &str| sampled[key].as_u64().with_context(|| format!("no {key} in {sampled}"));
        let (packets, of_vips) = (of("packets")?, of("ofVips")?);
        // Half of what the ring holds is aimed at, from the rate as it was.
        ensure!((400..=3_640).contains(&packets), "{packets} packets");
        assert_eq!(of_vips, packets, "the generator sends nothing else");
        assert_eq!(of("otherBackend")?, packets, "all go to the other four");
        ensure!(sampled["newDrops"].is_null(), "{sampled}");
    }
    let status = bench.installation.status()?;
    assert_eq!(program_of(&status)?, before, "the sampling program stayed");
    ensure!(
        seen.iter().all(|seen| *seen != before),
        "it was never on the link: {seen:?}"
    );
    assert_eq!(drift(&bench.installation, "program")?, 0);
    ensure!(!pin(&bench.installation).exists(), "its pin stayed");
    Ok(())
}

#[test]
fn daemon_killed_while_it_samples_is_cleaned_up_after_by_the_next() -> Result<()> {
    let mut bench = Bench::start()?;
    let before = program_of(&bench.installation.status()?)?;
    bench.write_as(NEW, OLD, "maint")?;
    let config = bench.installation.config.to_string_lossy().into_owned();
    let counted = Counted::under_mut(&mut bench, |bench| {
        let lb = bench.installation.clone();
        let asking = thread::spawn(move || -> Result<Outcome> { lb.run(&["plan", "-f", &config, "--sample", "15s"]) });
        wait_for_sample(&bench.installation)?;
        bench.daemon.take().context("no daemon")?.kill()?;
        let outcome = asking.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
        assert_eq!(outcome.code, Some(5), "{}", outcome.said());
        // Nobody steers for a while.
        thread::sleep(Duration::from_millis(500));
        bench.daemon = Some(bench.installation.start(&bench.inside)?);
        Ok(())
    })?;
    println!("{counted}");
    counted.ensure_whole("killed while it samples")?;
    let status = bench.installation.status()?;
    let pinned = ProgramInfo::from_pin(bench.installation.pins.join("prog/balancer"))?.id();
    assert_eq!((program_of(&status)?, pinned), (before, before));
    ensure!(!pin(&bench.installation).exists(), "its pin stayed");
    let scrape = Scrape::of_socket(&bench.installation.socket)?;
    assert_eq!(scrape.count("holdfast_events_total{event=\"SampleSettled\"}")?, 1);
    assert_eq!(
        drift(&bench.installation, "program")?,
        0,
        "it was taken for somebody else's"
    );
    Ok(())
}

fn pin(lb: &Installation) -> PathBuf {
    lb.pins.join("prog/sampled")
}

/// It is on the link: its pin comes just before.
fn wait_for_sample(lb: &Installation) -> Result<()> {
    let began = Instant::now();
    while !pin(lb).exists() {
        ensure!(began.elapsed() < Duration::from_secs(10), "nothing is sampled");
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(200));
    Ok(())
}

fn drift(lb: &Installation, kind: &str) -> Result<u64> {
    let scrape = Scrape::of_socket(&lb.socket)?;
    scrape.count(&format!("holdfast_drift_total{{kind=\"{kind}\"}}"))
}
