//! A disk that is full, and one that nobody may write to: changes are refused
//! before the switch, and go on when there is room again.

use std::{
    ffi::CStr,
    fs,
    io::Write as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};

use super::{
    failures::refused,
    site::{Served, Site},
};

/// A next hop is followed within this.
const FOLLOWED: Duration = Duration::from_secs(10);

/// The journal is tried once a second.
const TRIED: Duration = Duration::from_millis(2_500);

/// A small file system that only its owner enters.
const SIZE: &CStr = c"size=4m,mode=700";

/// A file system of its own on a directory; gone when dropped.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.0, UnmountFlags::DETACH) {
            eprintln!("warning: {}: {error}", self.0.display());
        }
    }
}

#[test]
fn full_disk_refuses_changes_before_the_switch_until_there_is_room() -> Result<()> {
    let mut site = Site::new()?;
    let state = site.state().to_owned();
    mount("tmpfs", &state, "tmpfs", MountFlags::empty(), Some(SIZE)).context("mounting")?;
    let _mounted = Mounted(&state);
    site.start()?;
    let mut served = site.ensure_clear()?;
    // However much room is left, down to none.
    for left in [0, 4096, 16 << 10] {
        let filler = state.join("filler");
        fill(&filler, left)?;
        refused(&site, &served, "HF4001").with_context(|| format!("{left} bytes are left"))?;
        // Not so much as a page can be written.
        if left <= 4096 {
            says_for_a_while(&site, "SQLITE_FULL").with_context(|| format!("{left} bytes are left"))?;
        }
        // Connections matter more than the record of them.
        site.hop = 3 - site.hop;
        site.set_hop(site.hop)?;
        site.until(FOLLOWED, "the gateway's address on a full disk", || {
            Ok(site.has_hop(site.hop))
        })?;
        fs::remove_file(&filler)?;
        // The journal catches up by itself.
        until_no_problem(&site)?;
        served = site.ensure_applies(&site.ensure_clear()?)?;
    }
    // A start on a full disk leaves what serves alone, and is whole when there is room.
    let filler = state.join("filler");
    fill(&filler, 0)?;
    let from = site.traffic.sent();
    site.kill()?;
    site.start().context("a start on a full disk")?;
    let status = site.installation.status()?;
    ensure!(status.mode == "read-only", "{}", status.mode);
    fs::remove_file(&filler)?;
    site.kill()?;
    site.start()?;
    let now = site.ensure_clear()?;
    assert_eq!(now, served);
    super::failures::ensure_whole(&site, from, now.side, now.side)?;
    ensure_recovers_when_there_is_room(&mut site, &served)
}

/// A store of no use stays where it is while no other could be written.
fn ensure_recovers_when_there_is_room(site: &mut Site, served: &Served) -> Result<()> {
    let (store, filler) = (site.state().join("holdfast.db"), site.state().join("filler"));
    site.kill()?;
    let cut = fs::metadata(&store)?.len() / 2;
    fs::File::options().write(true).open(&store)?.set_len(cut)?;
    site.start()?;
    fill(&filler, 16 << 10)?;
    for recover in [&["recover", "--dry-run"][..], &["recover"]] {
        let refused = site.installation.run(recover)?;
        ensure!(
            refused.code == Some(1) && refused.stderr.contains("HF4000") && refused.stderr.contains("df -h"),
            "{recover:?}: {}",
            refused.said()
        );
        assert_eq!(fs::metadata(&store)?.len(), cut, "{recover:?}");
        ensure!(!site.state().join("set-aside").exists(), "{recover:?}");
    }
    fs::remove_file(&filler)?;
    site.run(&["recover"])?;
    assert_eq!(site.take_set_aside()?.len(), 1);
    let now = site.ensure_clear()?;
    assert_eq!(now, *served);
    site.ensure_applies(&now).map(drop)
}

#[test]
fn disk_that_became_read_only_refuses_changes_until_it_is_writable() -> Result<()> {
    let mut site = Site::new()?;
    site.start()?;
    let served = site.ensure_clear()?;
    let state = site.state().to_owned();
    {
        mount_bind(&state, &state)?;
        let _mounted = Mounted(&state);
        mount_remount(&state, MountFlags::BIND | MountFlags::RDONLY, c"")?;
        refused(&site, &served, "HF4001")?;
        says_for_a_while(&site, "SQLITE_")?;
    }
    // Nobody changes anything: it is found out all the same.
    until_no_problem(&site)?;
    let now = site.ensure_clear()?;
    assert_eq!(now, served);
    site.ensure_applies(&now).map(drop)
}

/// `status` says why a change was refused, until the disk is well again.
fn says_for_a_while(site: &Site, what: &str) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < TRIED {
        let problem = site.installation.status()?.journal_problem;
        ensure!(
            problem.as_ref().is_some_and(|problem| problem.contains(what)),
            "after {:?} status says {problem:?}",
            began.elapsed()
        );
        thread::sleep(Duration::from_millis(100));
    }
    let log = fs::read_to_string(&site.installation.log)?;
    ensure!(log.contains("JournalFailed"), "no event");
    Ok(())
}

fn until_no_problem(site: &Site) -> Result<()> {
    site.until(FOLLOWED, "a journal without a problem", || {
        Ok(site.installation.status()?.journal_problem.is_none())
    })
}

/// Takes all room but so many bytes.
fn fill(path: &Path, left: u64) -> Result<()> {
    let mut file = fs::File::create(path)?;
    let block = [1; 4096];
    while file.write(&block).is_ok_and(|written| written > 0) {}
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(left)).map_err(Into::into)
}
