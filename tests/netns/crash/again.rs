//! A daemon that ends as soon as it begins, again and again.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};

use super::{failures::ensure_whole, site::Site};

const TIMES: usize = 20;

/// A start takes about that long.
const START_MS: u64 = 700;

#[test]
fn crash_loop_touches_neither_packets_nor_links() -> Result<()> {
    let mut site = Site::serving()?;
    let served = site.ensure_clear()?;
    let (links, programs) = (site.links()?, site.programs()?);
    let from = site.traffic.sent();
    site.kill()?;
    let mut ready = 0;
    for _ in 0..TIMES {
        let process = site.spawn()?;
        thread::sleep(Duration::from_millis(fastrand::u64(0..START_MS)));
        ready += usize::from(site.is_ready());
        process.kill()?;
        ensure!(site.links()? == links, "links were attached anew");
    }
    println!("{ready} of {TIMES} were ready before they were killed");
    site.start()?;
    let now = site.ensure_clear()?;
    assert_eq!(now, served);
    assert_eq!((site.links()?, site.programs()?), (links, programs));
    ensure_whole(&site, from, now.side, now.side)?;
    site.ensure_applies(&now).map(drop)
}
