//! What health remembers when its daemon is killed: how much it took away within
//! the window of the velocity limit, and who came and went too often.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::health::{Checked, NOTICED, reasons, slots, state};

const SOON: Duration = Duration::from_secs(3);

fn kill_and_start(checked: &mut Checked) -> Result<()> {
    checked.rig.kill_daemon()?;
    checked.rig.start_daemon()
}

#[test]
fn killed_daemon_takes_no_more_away_within_the_window_than_one_that_lives() -> Result<()> {
    const WINDOW: Duration = Duration::from_secs(15);
    let mut checked = Checked::up(", velocity: { percent: 25, count: 1, window: 15s }")?;
    checked.close(1);
    checked.wait("be1 out of service", NOTICED + SOON, |status| slots(status, "be1") == 0)?;
    let out = Instant::now();
    kill_and_start(&mut checked)?;
    checked.close(2);
    let limited = |status: &_| state(status, "be2") == "down" && reasons(status) == ["velocity"];
    let kept = checked.wait("be2 known to be down", NOTICED + SOON, limited)?;
    ensure!(slots(&kept, "be2") > 0, "{:?}", kept.pools);
    // As in a crash loop.
    kill_and_start(&mut checked)?;
    let kept = checked.wait("be2 held back once more", SOON, limited)?;
    ensure!(slots(&kept, "be2") > 0, "{:?}", kept.pools);
    checked.wait("the end of the window", WINDOW + SOON, |status| {
        slots(status, "be2") == 0 && reasons(status).is_empty()
    })?;
    let waited = out.elapsed();
    println!("be2 went {waited:?} after be1");
    ensure!(
        waited + SOON > WINDOW && waited < WINDOW + SOON,
        "be2 went {waited:?} after be1"
    );
    Ok(())
}

#[test]
fn backend_that_is_held_down_stays_so_when_the_daemon_is_killed() -> Result<()> {
    let mut checked = Checked::build(3, |fleet| {
        fleet.saying(
            "web",
            "health: { tcp: { port: 8080 }, interval: 100ms, timeout: 100ms, rise: 1, fall: 1, \
             damping: { suppress: 2500, reuse: 1000, halfLife: 10s } }",
        )
    })?;
    checked.wait("all backends up", SOON, |status| {
        status.backends().all(|(_, backend)| backend.health.state == "up")
    })?;
    let mut flaps = 0;
    while state(&checked.status()?, "be2") != "held" {
        flaps += 1;
        ensure!(flaps < 10, "not held after {flaps} flaps");
        checked.close(2);
        checked.wait("be2 down", SOON, |status| state(status, "be2") == "down")?;
        checked.open(2)?;
        checked.wait("be2 passes its checks", SOON, |status| state(status, "be2") != "down")?;
    }
    let held = Instant::now();
    let before = checked.status()?;
    assert_eq!(slots(&before, "be2"), 0);
    kill_and_start(&mut checked)?;
    // Its checks pass all the time.
    thread::sleep(Duration::from_secs(3));
    let after = checked.status()?;
    assert_eq!((state(&after, "be2"), slots(&after, "be2")), ("held", 0));
    assert_eq!(
        (after.revision, &after.pools[0].table_digest),
        (before.revision, &before.pools[0].table_digest),
        "the restart made a revision"
    );
    // Of 2,500 to 3,500, to 1,000: 13 to 18 s after it failed last.
    let released = checked.wait("be2 is released", Duration::from_secs(20), |status| {
        slots(status, "be2") > 0
    })?;
    println!("released {:?} after it was held", held.elapsed());
    ensure!(held.elapsed() > Duration::from_secs(10), "{:?}", held.elapsed());
    assert_eq!(state(&released, "be2"), "up");
    let log = checked.rig.daemon_log();
    log.contains("held down no longer").then_some(()).context(log)
}
