//! What happens to the state directory, and to the disk that it is on.

use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::drill::{
    accident::MENDED_MS,
    error::{DrillError, Result},
    people::Person::Ann,
    scene::Scene,
    site::copy_all,
    stage::{self, DISK_BYTES},
};

fn store(scene: &Scene) -> PathBuf {
    scene.site.state().join("holdfast.db")
}

/// Somebody tries a change; a daemon that is read-only takes none.
fn tries_a_change(scene: &mut Scene) -> Result<()> {
    let (backend, weight) = scene.harmless(1)?;
    scene.refused(Ann, &["backend", "weight", &backend, &weight])
}

/// The daemon is killed, something is done to its state, and it starts.
fn meanwhile(scene: &mut Scene, damage: impl FnOnce(&Scene) -> Result<()>) -> Result<()> {
    scene.spoil();
    scene.site.kill();
    damage(scene)?;
    scene.strike();
    scene.site.start(&[])?;
    tries_a_change(scene)
}

fn remove(scene: &Scene) -> Result<()> {
    fs::remove_dir_all(scene.site.state()).map_err(DrillError::io("removing the state"))
}

pub fn removed(scene: &mut Scene) -> Result<()> {
    scene.spoil();
    scene.strike();
    remove(scene)?;
    // It notices by itself.
    let noticed = Duration::from_millis(MENDED_MS);
    scene
        .site
        .until("a daemon that is read-only", noticed, || scene.is_read_only())?;
    tries_a_change(scene)
}

pub fn removed_and_restarted(scene: &mut Scene) -> Result<()> {
    meanwhile(scene, remove)
}

pub fn cut(scene: &mut Scene) -> Result<()> {
    meanwhile(scene, |scene| {
        let path = store(scene);
        let shortened = || -> std::io::Result<()> {
            let file = File::options().write(true).open(&path)?;
            file.set_len(file.metadata()?.len() / 2)
        };
        shortened().map_err(DrillError::io("cutting the store"))
    })
}

pub fn emptied(scene: &mut Scene) -> Result<()> {
    meanwhile(scene, |scene| {
        fs::write(store(scene), "").map_err(DrillError::io("emptying the store"))
    })
}

pub fn flipped(scene: &mut Scene) -> Result<()> {
    meanwhile(scene, |scene| {
        let path = store(scene);
        let flip = || -> std::io::Result<()> {
            let text = fs::read(&path)?;
            // In an entry of the journal, which is text: not in a page that nobody
            // uses.
            let at = text
                .windows(7)
                .rposition(|bytes| bytes == b"\"config")
                .unwrap_or(text.len() / 2);
            File::options()
                .write(true)
                .open(&path)?
                .write_all_at(&[text[at + 2] ^ 0x20], at as u64 + 2)
        };
        flip().map_err(DrillError::io("flipping a bit of the store"))
    })
}

pub fn another_host(scene: &mut Scene) -> Result<()> {
    let place = Path::new("/etc/machine-id");
    let other = scene.site.stage.path("machine-id");
    fs::write(&other, "0123456789abcdef0123456789abcdef\n").map_err(DrillError::io("writing a machine id"))?;
    stage::cover(place, &other)?;
    let done = meanwhile(scene, |_| Ok(()));
    stage::uncover(place)?;
    done
}

pub fn older(scene: &mut Scene) -> Result<()> {
    let (from, kept) = (scene.site.state(), scene.site.stage.path("backup"));
    // A store is copied while nobody writes.
    scene.site.terminate();
    copy_all(&from, &kept)?;
    scene.site.start(&[])?;
    let (backend, weight) = scene.harmless(3)?;
    scene.does(Ann, &["backend", "weight", &backend, &weight])?;
    scene.settle_on_this()?;
    meanwhile(scene, |scene| {
        remove(scene)?;
        copy_all(&kept, &scene.site.state())
    })
}

pub fn protected(scene: &mut Scene) -> Result<()> {
    let disk = scene.site.stage.path("disk");
    let done = meanwhile(scene, |_| stage::write_protect(&disk, true));
    // The daemon does not look again by itself: it stays what it said.
    stage::write_protect(&disk, false)?;
    done
}

pub fn full(scene: &mut Scene) -> Result<()> {
    let path = scene.site.stage.path("disk").join("filler");
    let fill = || -> std::io::Result<()> {
        let mut file = File::create(&path)?;
        let block = vec![0x5a; 64 * 1024];
        for _ in 0..DISK_BYTES / 64 / 1024 {
            if file.write_all(&block).is_err() {
                break;
            }
        }
        // The last bytes.
        while file.write_all(&[0x5a; 512]).is_ok() {}
        file.seek(SeekFrom::Start(0)).map(drop)
    };
    fill().map_err(DrillError::io("filling the disk"))?;
    let tried = tries_a_change(scene);
    fs::remove_file(&path).map_err(DrillError::io("making room"))?;
    tried
}
