//! A host that the package is for: a balancer of a rig, and a guest in its place.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use support::{
    addresses::Family,
    config::STREAMS,
    guest::{Disk, Guest},
    rig::{Layout, Rig},
    streams::{Load, LoadShape, Report},
    topology::Topology,
};

const OPEN: usize = 48;

/// A unit has done what it was told within this.
pub const SOON: Duration = Duration::from_secs(20);

/// A balancer of which only the network is there, and a guest in its place.
pub struct Host {
    pub rig: Rig,
    pub disk: Disk,
}

impl Host {
    pub fn make(layout: &Layout) -> Result<Self> {
        let rig = Rig::without_daemon(layout, |fleet| fleet)?;
        let disk = Disk::over_this_machine(rig.directory().join("guest"))?;
        for revision in 1..=2 {
            let package = package(revision)?;
            let inside = disk.path(&format!("/srv/holdfast_{revision}.deb"));
            fs::copy(&package, inside).with_context(|| package.display().to_string())?;
        }
        Ok(Self { rig, disk })
    }

    pub fn boot(&self) -> Result<Guest> {
        Guest::boot(
            &self.disk,
            &self.rig.network.balancer,
            &self.rig.directory().join("guest.log"),
        )
    }

    /// The configuration where the package looks for it.
    pub fn configure(&self, guest: &Guest) -> Result<()> {
        let mut fleet = self.rig.fleet.clone();
        fleet.hash_key_file = PathBuf::from("/var/lib/holdfast/hash.key");
        fs::write(self.disk.path("/etc/holdfast/config.yaml"), fleet.yaml())?;
        guest.must(&["chgrp", "holdfast", "/etc/holdfast/config.yaml"])?;
        guest.must(&["chmod", "0640", "/etc/holdfast/config.yaml"]).map(drop)
    }

    pub fn open_streams(&self) -> Result<Load> {
        let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
        let load = Load::start(&self.rig.network.client, shape)?;
        load.wait(SOON, "open streams", |report| report.open().count() == OPEN)?;
        Ok(load)
    }
}

/// What `cargo xtask dist --dev` made.
fn package(revision: u32) -> Result<PathBuf> {
    let folder = match env::var_os("HOLDFAST_DIST_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dist/dev"),
    };
    let made = fs::read_dir(&folder)
        .with_context(|| format!("{}: run `cargo xtask test packages`", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()));
    let wanted = format!("-{revision}_");
    made.into_iter()
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".deb") && name.contains(&wanted)
        })
        .with_context(|| format!("no package of revision {revision} in {}", folder.display()))
}

/// Every stream goes on.
pub fn ensure_progress(load: &Load, what: &str) -> Result<()> {
    let before = load.report();
    load.wait(SOON, what, |report| {
        let pairs = before.records.iter().zip(&report.records);
        pairs.clone().all(|(before, after)| after.bytes > before.bytes)
    })
    .map(drop)
}

/// None of them broke.
pub fn ensure_whole(report: &Report) -> Result<()> {
    ensure!(
        (report.connections(), report.completed()) == (OPEN, OPEN),
        "connections broke: {report}"
    );
    Ok(())
}
