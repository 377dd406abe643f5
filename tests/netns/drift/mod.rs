//! What somebody else does to the kernel's objects and to files while the daemon
//! runs: healed within a second, named, journaled, counted; and no connection
//! notices.

mod hindered;
mod mounts;

use std::{
    collections::BTreeSet,
    fs,
    os::fd::AsFd as _,
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use holdfast::kernel::sys;
use serde_json::Value;
use support::{
    addresses::Family,
    config::{DATAGRAMS, STREAMS},
    datagrams::{DatagramShape, Datagrams, SHORT},
    rig::Rig,
    scrape::Scrape,
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
    wait,
};

const OPEN: usize = 32;

/// From the accident to all being as it was.
const HEALED: Duration = Duration::from_secs(1);

/// For what is only to be seen some time.
pub const SEEN: Duration = Duration::from_secs(5);

/// Datagrams a second.
const PACE: u32 = 500;

/// What happens while it is not healed yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// No datagram is lost.
    Served,
    /// ACTIVE or the program is what decides: some may be, for a moment.
    Window,
}

#[derive(Clone, Copy)]
struct Accident {
    what: &'static str,
    /// The event, which the journal's entry names.
    event: &'static str,
    happens: fn(&Rig) -> Result<()>,
    meanwhile: Meanwhile,
}

const fn accident(what: &'static str, event: &'static str, happens: fn(&Rig) -> Result<()>) -> Accident {
    Accident {
        what,
        event,
        happens,
        meanwhile: Meanwhile::Served,
    }
}

const fn with_window(accident: Accident) -> Accident {
    Accident {
        meanwhile: Meanwhile::Window,
        ..accident
    }
}

const ACCIDENTS: [Accident; 23] = [
    // First: the same words within ten seconds are journaled once.
    accident("the directory of pins moved away", "PinLost", |rig| {
        Ok(fs::rename(
            &rig.installation.pins,
            rig.installation.pins.with_file_name("away"),
        )?)
    }),
    with_window(accident("ACTIVE zeroed", "ActiveOverwritten", |rig| {
        write_active(rig, [0; 8])
    })),
    with_window(accident(
        "ACTIVE overwritten with garbage",
        "ActiveOverwritten",
        |rig| write_active(rig, [0xff, 0x3f, 0xfe, 0x3f, 0xfd, 0x3f, 0xfc, 0x3f]),
    )),
    accident("the root's slot emptied", "ChunkLost", |rig| empty(rig, 0)),
    accident("the first VIP chunk's slot emptied", "ChunkLost", |rig| empty(rig, 1)),
    accident("every slot of the main root's emptied", "ChunkLost", |rig| {
        main_slots(rig)?.into_iter().try_for_each(|slot| delete(rig, slot))
    }),
    accident("the fallback root's slot emptied", "ChunkLost", |rig| empty(rig, 2)),
    with_window(accident("another map in a slot of CHUNKS", "ChunkLost", foreign_chunk)),
    accident("NODE zeroed", "MapOverwritten", |rig| zero(rig, "NODE")),
    accident("PEERS zeroed", "MapOverwritten", |rig| zero(rig, "PEERS")),
    accident("PROGRAMS emptied", "MapOverwritten", |rig| {
        (0..2).try_for_each(|key| bpftool(&["map", "delete", "pinned", &pin(rig, "maps/PROGRAMS"), "key", &hex4(key)]))
    }),
    accident("COUNTERS cleared", "CountersCleared", clear_counters),
    with_window(accident("bpftool link detach", "LinkLost", |rig| {
        bpftool(&["link", "detach", "pinned", &pin(rig, "links/lb0")])
    })),
    accident("the pin of a link removed", "PinLost", |rig| remove(rig, "links/lb0")),
    accident("pins of maps removed", "PinLost", |rig| {
        ["CHUNKS", "ACTIVE", "COUNTERS", "HASH_KEY", "FLOWS", "PROGRAMS"]
            .iter()
            .try_for_each(|map| remove(rig, &format!("maps/{map}")))
    }),
    accident("pins of programs removed", "PinLost", |rig| {
        ["balancer", "plain", "odd", "agent"]
            .iter()
            .try_for_each(|program| remove(rig, &format!("prog/{program}")))
    }),
    accident("another map under the name of ours", "PinLost", |rig| {
        remove(rig, "maps/ACTIVE")?;
        create(&pin(rig, "maps/ACTIVE"), "8", "1")
    }),
    accident("pins of chunks removed", "PinLost", |rig| {
        for chunk in fs::read_dir(rig.installation.pins.join("chunks"))? {
            fs::remove_file(chunk?.path())?;
        }
        Ok(())
    }),
    accident("the directory of chunks removed", "PinLost", |rig| {
        remove(rig, "maps/NODE")?;
        Ok(fs::remove_dir_all(rig.installation.pins.join("chunks"))?)
    }),
    accident("another map under the name of a link", "PinLost", |rig| {
        remove(rig, "links/lb1")?;
        create(&pin(rig, "links/lb1"), "8", "1")
    }),
    accident("rm -rf of the pins", "PinLost", |rig| {
        Ok(fs::remove_dir_all(&rig.installation.pins)?)
    }),
    accident("the file of the hash key removed", "HashKeyTaken", |rig| {
        Ok(fs::remove_file(&rig.fleet.hash_key_file)?)
    }),
    with_window(accident("all at once", "ActiveOverwritten", |rig| {
        let slots = main_slots(rig)?;
        write_active(rig, [0; 8])?;
        slots.into_iter().try_for_each(|slot| delete(rig, slot))?;
        bpftool(&["link", "detach", "pinned", &pin(rig, "links/lb1")])?;
        Ok(fs::remove_dir_all(&rig.installation.pins)?)
    })),
];

#[test]
fn what_somebody_else_changes_is_healed_within_a_second_named_and_journaled() -> Result<()> {
    let mut rig = Rig::start(Shape::TwoArm, 4, 4)?;
    let key = fs::read(&rig.fleet.hash_key_file)?;
    let before = rig.installation.status()?;
    let load = streams(&rig)?;
    println!("{:<45} {:>8} {:>6}", "accident", "healed", "lost");
    for accident in &ACCIDENTS {
        let datagrams = datagrams(&rig)?;
        let seen = drifts(&rig)?.len();
        let began = Instant::now();
        (accident.happens)(&rig).with_context(|| accident.what)?;
        wait::until(SEEN, accident.what, || is_whole(&rig).then_some(())).with_context(|| rig.daemon_log())?;
        let took = began.elapsed();
        let named = wait::until(SEEN, "an entry of the journal", || {
            let drifts = drifts(&rig).ok()?;
            let new = drifts.get(seen..)?;
            new.iter()
                .any(|drift| drift["payload"]["what"] == accident.event)
                .then(|| new.to_vec())
        })
        .with_context(|| format!("{}: {}", accident.what, rig.daemon_log()))?;
        let report = datagrams.stop()?;
        let lost = report.sent - report.answered;
        println!("{:<45} {:>6} ms {lost:>6}", accident.what, took.as_millis());
        ensure!(took <= HEALED, "{}: healed after {took:?}", accident.what);
        ensure!(report.sent > 50 && report.wrong == 0, "{}: {report:?}", accident.what);
        let most = match accident.meanwhile {
            Meanwhile::Served => 0,
            Meanwhile::Window => u64::from(PACE),
        };
        ensure!(
            lost <= most,
            "{}: {lost} of {} datagrams lost",
            accident.what,
            report.sent
        );
        for drift in named {
            let healed = drift["payload"]["what"] != "CountersCleared";
            assert_eq!(drift["payload"]["healed"], healed, "{}: {drift}", accident.what);
        }
    }
    // Nothing of it was a change: it is the same revision, and nobody is read-only.
    let after = rig.installation.status()?;
    assert_eq!(
        (after.generation, after.revision, &after.digest, after.mode.as_str()),
        (before.generation, before.revision, &before.digest, "normal")
    );
    assert_eq!(fs::read(&rig.fleet.hash_key_file)?, key, "the same hash key");
    for kind in ["active", "chunk", "map", "counters", "link", "pin", "hash-key"] {
        let name = format!("holdfast_drift_total{{kind=\"{kind}\"}}");
        let found = Scrape::of_socket(&rig.installation.socket)?.count(&name)?;
        ensure!(found > 0, "{name}: {found}");
    }
    // What was healed is what the next daemon adopts.
    rig.kill_daemon()?;
    rig.start_daemon()?;
    let adopted = rig.installation.status()?;
    assert_eq!((adopted.revision, adopted.mode.as_str()), (before.revision, "normal"));
    ensure!(is_whole(&rig), "{}", rig.daemon_log());
    let report = load.stop()?;
    assert_eq!((report.connections(), report.completed()), (OPEN, OPEN), "{report}");
    Ok(())
}

#[test]
fn published_chunk_cannot_be_written_even_by_root() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 2, 2)?;
    let mut tried = 0;
    for chunk in fs::read_dir(rig.installation.pins.join("chunks"))? {
        let path = chunk?.path().display().to_string();
        let value = vec!["0"; 64];
        let update = [
            &["map", "update", "pinned", &path, "key", "0", "0", "0", "0", "value"],
            &value[..],
        ]
        .concat();
        let refused = run(&update)?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(!refused.status.success(), "{path} was written");
        ensure!(said.contains("not permitted"), "{said}");
        tried += 1;
    }
    ensure!(tried >= 4, "{tried} chunks");
    ensure!(is_whole(&rig), "something was changed");
    ensure!(drifts(&rig)?.is_empty());
    Ok(())
}

#[test]
fn what_was_meant_to_be_detached_stays_so_and_quiet_hosts_have_no_drift() -> Result<()> {
    let rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let detach = rig.installation.run(&["detach", "lb1"])?;
    ensure!(detach.code == Some(0), "{}", detach.said());
    rig.installation.apply(&rig.fleet.clone().weighing("web", "be1", 7))?;
    rig.installation.run(&["hold", "-m", "a storm"])?;
    rig.installation.run(&["resume"])?;
    let revision = rig.installation.status()?.revision;
    std::thread::sleep(Duration::from_secs(3));
    let status = rig.installation.status()?;
    assert_eq!((status.interfaces[1].prog_id, status.revision), (0, revision));
    let found = drifts(&rig)?;
    ensure!(found.is_empty(), "{found:?}");
    ensure!(is_whole(&rig), "{}", rig.daemon_log());
    Ok(())
}

/// The whole of it is as it was published, and the program is on its interfaces.
fn is_whole(rig: &Rig) -> bool {
    let verified = rig.installation.run(&["bpf", "verify"]);
    let Ok(status) = rig.installation.status() else {
        return false;
    };
    let pinned = ["maps/CHUNKS", "maps/PEERS", "prog/odd", "links/lb0"];
    verified.is_ok_and(|outcome| outcome.code == Some(0))
        && status.interfaces.iter().take(1).all(|interface| interface.prog_id != 0)
        && pinned.iter().all(|pin| rig.installation.pins.join(pin).exists())
        && programs(rig) == 2
        && rig.fleet.hash_key_file.exists()
        && fs::read_dir(rig.installation.pins.join("chunks")).is_ok_and(|mut chunks| chunks.next().is_some())
        && rig
            .network
            .balancer
            .ip("link show lb0")
            .is_ok_and(|shown| shown.contains("xdp"))
}

/// Entries of PROGRAMS.
fn programs(rig: &Rig) -> usize {
    let Ok(map) = sys::open_pin(&rig.installation.pins.join("maps/PROGRAMS")) else {
        return 0;
    };
    (0..2)
        .filter(|index| matches!(sys::map_id_in_slot(map.as_fd(), *index), Ok(Some(_))))
        .count()
}

pub fn drifts(rig: &Rig) -> Result<Vec<Value>> {
    let journal: Value = rig.installation.ask(&["journal", "list"])?;
    let entries = journal["entries"].as_array().context("entries")?.clone();
    Ok(entries.into_iter().filter(|entry| entry["kind"] == "drift").collect())
}

fn streams(rig: &Rig) -> Result<Load> {
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(SEEN, "open streams", |report| report.open().count() == OPEN)?;
    Ok(load)
}

fn datagrams(rig: &Rig) -> Result<Datagrams> {
    let shape = DatagramShape {
        target: DATAGRAMS.v4(),
        sources: Topology::client_addresses(Family::V4),
        length: SHORT,
        per_second: PACE,
        at_most: 10_000,
    };
    let datagrams = Datagrams::start(&rig.network.client, shape)?;
    wait::until(SEEN, "datagrams", || (datagrams.report().answered > 50).then_some(()))?;
    Ok(datagrams)
}

fn run(arguments: &[&str]) -> Result<Output> {
    Command::new("bpftool")
        .args(arguments)
        .output()
        .context("running bpftool")
}

fn bpftool(arguments: &[&str]) -> Result<()> {
    // Its keys and values are words of their own.
    let words: Vec<&str> = arguments.iter().flat_map(|argument| argument.split(' ')).collect();
    let done = run(&words)?;
    ensure!(
        done.status.success(),
        "bpftool {}: {}{}",
        words.join(" "),
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

fn pin(rig: &Rig, name: &str) -> String {
    rig.installation.pins.join(name).display().to_string()
}

fn remove(rig: &Rig, name: &str) -> Result<()> {
    fs::remove_file(rig.installation.pins.join(name)).with_context(|| name.to_owned())
}

/// As bpftool takes a key.
fn hex4(key: u32) -> String {
    hex(&key.to_le_bytes())
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("hex {}", bytes.join(" "))
}

fn write_active(rig: &Rig, bytes: [u8; 8]) -> Result<()> {
    let active = pin(rig, "maps/ACTIVE");
    bpftool(&[
        "map",
        "update",
        "pinned",
        &active,
        "key",
        &hex4(0),
        "value",
        &hex(&bytes),
    ])
}

/// Zeros in the only entry of a map.
fn zero(rig: &Rig, map: &str) -> Result<()> {
    let pin = pin(rig, &format!("maps/{map}"));
    let shape = sys::map_shape(sys::open_pin(pin.as_ref())?.as_fd())?;
    let zeros = vec![0; shape.value_bytes as usize];
    bpftool(&["map", "update", "pinned", &pin, "key", &hex4(0), "value", &hex(&zeros)])
}

/// One of the slots that ACTIVE names: root, VIPs, fallback root, its VIPs.
fn empty(rig: &Rig, nth: usize) -> Result<()> {
    delete(rig, slots(rig)?[nth])
}

fn slots(rig: &Rig) -> Result<[u16; 4]> {
    let active = sys::ActiveCell::map(sys::open_pin(&rig.installation.pins.join("maps/ACTIVE"))?)?;
    let bytes = active.load().to_le_bytes();
    Ok([0, 2, 4, 6].map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]])))
}

fn delete(rig: &Rig, slot: u16) -> Result<()> {
    bpftool(&[
        "map",
        "delete",
        "pinned",
        &pin(rig, "maps/CHUNKS"),
        "key",
        &hex4(u32::from(slot)),
    ])
}

/// Slots of what the main root leads to, itself included.
fn main_slots(rig: &Rig) -> Result<BTreeSet<u16>> {
    let dump: Value = rig.installation.ask(&["bpf", "dump"])?;
    let [root, vips, ..] = slots(rig)?;
    let chunks = dump["chunks"].as_array().context("chunks")?;
    let main = chunks.iter().filter(|chunk| chunk["namedBy"] == "active");
    let found: BTreeSet<u16> = main
        .filter_map(|chunk| u16::try_from(chunk["slot"].as_u64()?).ok())
        .collect();
    ensure!(found.contains(&root) && found.contains(&vips), "{dump}");
    ensure!(found.len() > 2, "{dump}");
    Ok(found)
}

fn create(pin: &str, value: &str, entries: &str) -> Result<()> {
    bpftool(&[
        "map", "create", pin, "type", "array", "key", "4", "value", value, "entries", entries, "name", "foreign",
        "flags", "1024",
    ])
}

fn foreign_chunk(rig: &Rig) -> Result<()> {
    let foreign = rig.installation.pins.with_file_name("foreign");
    let name = foreign.display().to_string();
    create(&name, "64", "2048")?;
    let slot = hex4(u32::from(slots(rig)?[1]));
    let put = bpftool(&[
        "map",
        "update",
        "pinned",
        &pin(rig, "maps/CHUNKS"),
        "key",
        &slot,
        "value",
        "pinned",
        &name,
    ]);
    fs::remove_file(&foreign)?;
    put
}

pub fn clear_counters(rig: &Rig) -> Result<()> {
    let map = sys::open_pin(&rig.installation.pins.join("maps/COUNTERS"))?;
    let cpus = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last: usize = cpus.trim().rsplit(['-', ',']).next().context("a CPU")?.parse()?;
    let keys: Vec<u32> = (0..64).collect();
    Ok(sys::zero_entries(map.as_fd(), &keys, 16 * (last + 1))?)
}
