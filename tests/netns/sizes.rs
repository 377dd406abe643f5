//! As much as there can be: 1,024 pools with a table of their own each, 16,384
//! VIPs, 32,000 backends.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    os::fd::AsFd as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use holdfast::kernel::sys;
use support::{
    config::UNPROTECTED,
    contract::Applied,
    daemon::{Binaries, Installation},
    netns::{Namespace, ip_batch},
    process::Process,
    run::{RunId, Scratch},
    turn::Turn,
    wait,
};

const POOLS: usize = 1_024;
const BACKENDS: usize = 32_000;
const VIPS: usize = 16_384;

/// Whatever somebody changes is as it was within this.
const HEALED: Duration = Duration::from_secs(1);

/// Bytes of a chunk.
const CHUNK: usize = 128 << 10;

#[test]
fn largest_configuration_is_served_changed_adopted_and_served_again() -> Result<()> {
    let _turn = Turn::alone();
    let id = RunId::new();
    let scratch = Scratch::new(&id)?;
    let inside = Namespace::create(id.namespace("lb"))?;
    let name = inside.name();
    ip_batch(&[format!(
        "link add lb0 netns {name} type veth peer name far0 netns {name}"
    )])?;
    inside.ip("link set lb0 up")?;
    let installation = Installation {
        binaries: Binaries::find()?,
        config: scratch.path("config.yaml"),
        state: scratch.path("state"),
        socket: scratch.path("holdfastd.sock"),
        pins: scratch.bpf().join("lb"),
        log: scratch.path("holdfastd.log"),
        arguments: Vec::new(),
        environment: Vec::new(),
    };
    fs::create_dir(&installation.state)?;
    fs::write(&installation.config, yaml(&scratch.path("hash.key"), 1000))?;

    let daemon = timed("first start", || installation.start(&inside))?;
    let first = timed("status", || installation.status())?;
    assert_eq!((first.pools.len(), first.vips.len()), (POOLS, VIPS));
    ensure!(first.in_sync, "out of sync from the start");
    let tables: BTreeSet<&str> = first.pools.iter().map(|pool| pool.table_digest.as_str()).collect();
    assert_eq!(tables.len(), POOLS, "pools share tables");
    report(&daemon, &installation)?;

    fs::write(&installation.config, yaml(&scratch.path("hash.key"), 999))?;
    let file = installation.config.to_string_lossy();
    let plan = scratch.path("plan.json").to_string_lossy().into_owned();
    timed("plan", || installation.run(&["plan", "-f", &file, "--out", &plan]))?;
    let preview: serde_json::Value = timed("preview", || installation.ask(&["preview", &plan]))?;
    println!(
        "  the writer was busy for {} ms, with {} flows",
        preview["tookUs"].as_u64().context("tookUs")? / 1000,
        preview["flows"]
    );
    let applied: Applied = timed("plan and apply of one weight", || {
        installation.ask(&["apply", "-f", &file])
    })?;
    println!("published in {} ms: {applied:?}", applied.publish_us / 1000);
    assert_eq!(applied.effects.len(), 1, "one pool has another weight");
    ensure!(applied.chunks_shared > 1_000, "{} shared", applied.chunks_shared);
    ensure!(applied.chunks_written < 100, "{} written", applied.chunks_written);
    let before = timed("status after it", || installation.status())?;
    report(&daemon, &installation)?;

    let healed = timed("a slot that was emptied is filled", || heal(&installation))?;
    ensure!(healed < HEALED, "not healed within {HEALED:?}: {healed:?}");

    daemon.kill()?;
    let daemon = timed("start that adopts", || installation.start(&inside))?;
    let after = installation.status()?;
    assert_eq!(
        (after.generation, after.revision, after.mode.as_str()),
        (before.generation, before.revision, "normal")
    );
    let digests = |status: &support::contract::Status| -> Vec<String> {
        status.pools.iter().map(|pool| pool.table_digest.clone()).collect()
    };
    assert_eq!(digests(&after), digests(&before));
    report(&daemon, &installation)?;

    // As after a reboot: the kernel has nothing, the store has it all.
    daemon.kill()?;
    fs::remove_dir_all(&installation.pins)?;
    let daemon = timed("start from the store", || installation.start(&inside))?;
    let again = installation.status()?;
    assert_eq!((again.generation, again.mode.as_str()), (before.generation, "normal"));
    assert_eq!(digests(&again), digests(&before));
    report(&daemon, &installation)?;

    // The other way round: the store has nothing, the kernel has it all.
    daemon.kill()?;
    fs::remove_dir_all(&installation.state)?;
    let daemon = timed("start without a store", || installation.start(&inside))?;
    let recovery: serde_json::Value = timed("recover", || installation.ask(&["recover"]))?;
    assert_eq!(recovery["recovered"], true, "{recovery}");
    let recovered = installation.status()?;
    assert_eq!(
        (recovered.generation, recovered.mode.as_str()),
        (before.generation, "normal")
    );
    assert_eq!(digests(&recovered), digests(&before));
    report(&daemon, &installation)
}

/// Empties the slot of the active root. Says how long it was empty.
fn heal(installation: &Installation) -> Result<Duration> {
    let maps = installation.pins.join("maps");
    let active = sys::ActiveCell::map(sys::open_pin(&maps.join("ACTIVE"))?)?;
    let chunks = sys::open_pin(&maps.join("CHUNKS"))?;
    // Its first two bytes are the root's slot.
    let root = || active.load() as u16;
    let began = Instant::now();
    sys::delete_slot(chunks.as_fd(), root())?;
    wait::until(10 * HEALED, "the active root's slot to be filled", || {
        matches!(sys::map_id_in_slot(chunks.as_fd(), root()), Ok(Some(_))).then_some(())
    })?;
    Ok(began.elapsed())
}

fn timed<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let done = work().with_context(|| what.to_owned())?;
    println!("{what}: {:.2} s", started.elapsed().as_secs_f64());
    Ok(done)
}

/// Memory of the daemon and of what it published, and how big the store is.
fn report(daemon: &Process, installation: &Installation) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id()))?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.id()))?;
    // utime and stime of proc(5), in hundredths of a second.
    let ticks = stat.split_whitespace().skip(13).take(2);
    let ticks: u32 = ticks.filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    let lines = status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    let dump: serde_json::Value = timed("bpf dump", || installation.ask(&["bpf", "dump"]))?;
    let chunks = dump["chunks"].as_array().context("chunks")?;
    let maps: BTreeSet<u64> = chunks.iter().filter_map(|chunk| chunk["mapId"].as_u64()).collect();
    let store = fs::metadata(installation.state.join("holdfast.db"))?.len();
    println!(
        "  {} s of CPU; {}; {} chunks in {} slots, {} MiB; store {} MiB",
        f64::from(ticks) / 100.0,
        lines.collect::<Vec<_>>().join(", "),
        maps.len(),
        chunks.len(),
        (maps.len() * CHUNK) >> 20,
        store >> 20
    );
    Ok(())
}

/// Every pool has other weights; those of the first backend are given.
fn yaml(hash_key: &Path, weight: usize) -> String {
    let mut text = format!(
        "apiVersion: holdfast/v1\nenvironment: lab\n{UNPROTECTED}\n\
         node: {{ interfaces: [{{ name: lb0 }}], encapSource: {{ v4: 10.255.0.0/16 }}, hashKeyFile: {} }}\npools:\n",
        hash_key.display()
    );
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes all that is written");
    let mut number = 0;
    for pool in 0..POOLS {
        line(format!("- name: p{pool:04}\n  backends:"));
        for at in 0..BACKENDS / POOLS + usize::from(pool < BACKENDS % POOLS) {
            number += 1;
            let weight = match (pool, at) {
                (0, 0) => weight,
                (_, 0) => 1000 + pool,
                (..) => 1000,
            };
            line(format!(
                "  - {{ name: b{number:05}, address: 10.1.{}.{}, weight: {weight}, \
                 nextHop: {{ mac: \"02:00:00:00:00:11\", interface: lb0 }} }}",
                number >> 8,
                number & 0xff
            ));
        }
    }
    line("vips:".to_owned());
    for vip in 0..VIPS {
        let (high, low, pool) = (vip >> 8, vip & 0xff, vip % POOLS);
        line(format!(
            "- {{ name: v{vip:05}, address: 198.18.{high}.{low}, port: 443, protocol: tcp, pool: p{pool:04} }}"
        ));
    }
    text
}
