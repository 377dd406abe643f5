//! What systemd hears: ready when it serves, alive while it lives.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use support::{rig::Rig, topology::Shape, wait};

/// Everything said so far, and when.
#[derive(Clone)]
struct Heard(Arc<Mutex<Vec<(Instant, String)>>>);

impl Heard {
    fn listen(path: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        let heard = Self(Arc::default());
        let written = heard.clone();
        // Ends with the process of the tests.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
                written.all().push((Instant::now(), said));
            }
        });
        Ok(heard)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn said(&self, line: &str) -> usize {
        let all = self.all();
        all.iter()
            .filter(|(_, said)| said.lines().any(|said| said.starts_with(line)))
            .count()
    }

    fn wait_for(&self, line: &str, times: usize, at_most: Duration) -> Result<()> {
        wait::until(at_most, line, || (self.said(line) >= times).then_some(()))
            .with_context(|| format!("{:?}", self.all()))
    }
}

/// A filesystem of its own for the state directory, so that it can be frozen.
struct Disk(PathBuf);

impl Disk {
    fn hold(state: &Path, image: &Path) -> Result<Self> {
        let copy = state.with_extension("before");
        fs::rename(state, &copy)?;
        fs::create_dir(state)?;
        fs::File::create(image)?.set_len(64 << 20)?;
        let quoted = |path: &Path| path.display().to_string();
        run("mkfs.ext4", &["-q", &quoted(image)])?;
        run("mount", &["-o", "loop", &quoted(image), &quoted(state)])?;
        let disk = Self(state.to_owned());
        run("cp", &["-a", &format!("{}/.", quoted(&copy)), &quoted(state)])?;
        Ok(disk)
    }

    fn freeze(&self) -> Result<()> {
        run("fsfreeze", &["-f", &self.0.display().to_string()])
    }

    fn thaw(&self) -> Result<()> {
        run("fsfreeze", &["-u", &self.0.display().to_string()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Frozen only if the test failed in between.
        self.thaw().ok();
        if let Err(error) = run("umount", &["-l", &self.0.display().to_string()]) {
            eprintln!("warning: {error:#}");
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{program} {arguments:?}: {said}");
    Ok(())
}

#[test]
fn systemd_hears_ready_once_it_serves_and_nothing_of_life_while_the_writer_hangs() -> Result<()> {
    let mut rig = Rig::start(Shape::OneArm, 2, 2)?;
    rig.stop_daemon()?;
    let state = rig.installation.state.clone();
    let disk = Disk::hold(&state, &state.with_extension("image"))?;
    let socket = state.with_extension("notify");
    let heard = Heard::listen(&socket)?;
    rig.installation.environment = vec![
        ("NOTIFY_SOCKET".to_owned(), socket.display().to_string()),
        ("WATCHDOG_USEC".to_owned(), "5000000".to_owned()),
    ];
    rig.start_daemon()?;
    // `status` answered, so that it serves and listens.
    heard.wait_for("READY=1", 1, Duration::from_secs(5))?;
    let first = heard.all().first().cloned().context("nothing was heard")?;
    ensure!(first.1.contains("READY=1"), "it said {} before it was ready", first.1);
    heard.wait_for("STATUS=● SERVING generation 1", 1, Duration::from_secs(5))?;
    heard.wait_for("WATCHDOG=1", 2, Duration::from_secs(5))?;

    // An apply that waits for its disk holds the writer's lock.
    disk.freeze()?;
    let changed = rig.fleet.clone().weighing("web", "be1", 50);
    rig.installation.write(&changed)?;
    let installation = rig.installation.clone();
    let applying = thread::spawn(move || installation.run(&["apply", "-f", &installation.config.to_string_lossy()]));
    thread::sleep(Duration::from_secs(3));
    let before = heard.said("WATCHDOG=1");
    thread::sleep(Duration::from_secs(4));
    let during = heard.said("WATCHDOG=1");
    disk.thaw()?;
    assert_eq!(during, before, "it said that it lives while its writer hung");
    heard.wait_for("WATCHDOG=1", during + 2, Duration::from_secs(10))?;
    let applied = applying.join().ok().context("the apply panicked")??;
    assert_eq!(applied.code, Some(0), "{}", applied.said());
    heard.wait_for("STATUS=● SERVING generation 2", 1, Duration::from_secs(5))?;

    rig.stop_daemon()?;
    heard.wait_for("STOPPING=1", 1, Duration::from_secs(5))?;
    drop(rig);
    drop(disk);
    Ok(())
}

#[test]
fn systemd_shows_a_refusal_and_a_broken_glass() -> Result<()> {
    let mut rig = Rig::start(Shape::OneArm, 2, 2)?;
    rig.stop_daemon()?;
    let socket = rig.installation.state.with_extension("notify");
    let heard = Heard::listen(&socket)?;
    rig.installation.environment = vec![("NOTIFY_SOCKET".to_owned(), socket.display().to_string())];
    rig.start_daemon()?;
    heard.wait_for("STATUS=● SERVING generation 1", 1, Duration::from_secs(5))?;
    rig.installation.write(&rig.fleet.clone().omitting("web", "be1"))?;
    let config = rig.installation.config.to_string_lossy().into_owned();
    let refused = rig.installation.run(&["apply", "-f", &config])?;
    assert_eq!(refused.code, Some(3), "{}", refused.said());
    heard.wait_for("STATUS=▲ REFUSED HF2002 of ", 1, Duration::from_secs(10))?;
    let broken = rig.installation.run(&["break-glass", "-m", "INC-4711"])?;
    assert_eq!(broken.code, Some(0), "{}", broken.said());
    heard.wait_for("STATUS=▲ GLASS BROKEN by ", 1, Duration::from_secs(10))
}

#[test]
fn listener_that_does_not_read_holds_nobody_up_and_hears_ready_when_it_does() -> Result<()> {
    let mut rig = Rig::start(Shape::OneArm, 2, 2)?;
    rig.stop_daemon()?;
    let path = rig.installation.state.with_extension("notify");
    let socket = UnixDatagram::bind(&path)?;
    let other = UnixDatagram::unbound()?;
    other.set_nonblocking(true)?;
    while other.send_to(b"STATUS=of somebody else", &path).is_ok() {}
    rig.installation.environment = vec![("NOTIFY_SOCKET".to_owned(), path.display().to_string())];
    rig.start_daemon()?;
    // What is said after each look at the network waits for nobody, nor do changes.
    thread::sleep(Duration::from_secs(2));
    rig.installation.apply(&rig.fleet.clone().weighing("web", "be1", 50))?;
    ensure!(rig.daemon_log().contains("WatchdogOff"), "{}", rig.daemon_log());
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).context("it never said that it is ready")?;
        if buffer[..length].starts_with(b"READY=1") || String::from_utf8_lossy(&buffer[..length]).contains("\nREADY=1")
        {
            return Ok(());
        }
    }
}
