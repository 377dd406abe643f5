//! A thousand switches under frames that never stop: each one comes out as the
//! old or the new revision says, and none is lost or miscounted.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use support::{
    config::UNPROTECTED,
    contract::Status,
    daemon::{Binaries, Installation},
    generator::{Generator, Sink, Taken},
    netns::{Namespace, ip_batch},
    process::Process,
    run::{RunId, Scratch},
    turn::Turn,
};

const SWITCHES: usize = 1_000;

const FLOWS: u32 = 4_096;
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 7), 20_000);
const VIP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 10), 443);

/// Frames a call: about 100,000 a second, which the rig carries without loss,
/// also on a busy machine.
pub const PACED: u32 = 4_096;

/// Frames a call at full speed.
const UNPACED: u32 = 1 << 20;

/// Backends in service in the two configurations: none is in both, so a packet that met
/// half of each would be dropped or go to a third place.
pub const OLD: [u8; 4] = [1, 2, 3, 4];
pub const NEW: [u8; 4] = [5, 6, 7, 8];

#[test]
fn thousand_switches_mix_and_lose_no_frame_and_nor_does_kill_9() -> Result<()> {
    let mut bench = Bench::start()?;
    let old = bench.map_of(OLD, NEW)?;
    let new = bench.map_of(NEW, OLD)?;
    assert!(
        old.iter().zip(&new).all(|(old, new)| old != new),
        "the maps have backends in common"
    );

    let before = bench.installation.status()?;
    let taken_before = bench.sink.taken()?;
    let lost_before = bench.lost_on_link()?;
    let generator = bench.generator()?;
    let sending = generator.start(&bench.outside, PACED)?;
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for switch in 0..SWITCHES {
        let (to, from) = if switch % 2 == 0 { (OLD, NEW) } else { (NEW, OLD) };
        if switch == SWITCHES / 2 {
            bench.kill_and_restart()?;
        }
        let one = Instant::now();
        bench.apply(to, from)?;
        slowest = slowest.max(one.elapsed());
    }
    let took = began.elapsed();
    let generator = sending.stop()?;
    // What is on its way arrives.
    thread::sleep(Duration::from_millis(300));

    // What the link itself had no room for was never the balancer's: on a busy
    // machine the receiver's turn may come late.
    let lost = bench.lost_on_link()?;
    let (lost_to, lost_from) = (lost.0 - lost_before.0, lost.1 - lost_before.1);
    let sent = generator.sent()? - lost_to;
    let after = bench.installation.status()?;
    let taken = since(&bench.sink.taken()?, &taken_before);
    println!(
        "{SWITCHES} switches in {took:.1?} (slowest apply {slowest:.1?}), {sent} frames, {:.0} frames/s, {} taken; \
         the link lost {lost_to} before the balancer and {lost_from} behind it",
        rate(sent, took),
        taken.frames
    );
    assert_eq!(
        after.generation,
        before.generation + SWITCHES as u64,
        "each apply is a generation"
    );
    ensure!(
        sent > SWITCHES as u64 * u64::from(PACED),
        "too few frames to see a switch: {sent}"
    );
    assert_eq!(taken.mixed, 0, "frames with headers of two revisions");
    assert_eq!(taken.frames + lost_from, sent, "frames lost on the way");
    let strays = taken.by_flow.iter().enumerate().filter(|(flow, backends)| {
        let allowed = [old[*flow], new[*flow]];
        (0..)
            .zip(*backends)
            .any(|(backend, count)| *count > 0 && !allowed.contains(&backend))
    });
    assert_eq!(strays.count(), 0, "flows that were sent where neither revision says");
    assert_eq!(
        counted(&after, "Forward") - counted(&before, "Forward"),
        sent,
        "frames miscounted"
    );
    assert_eq!(counted(&after, "Drop"), counted(&before, "Drop"), "frames dropped");
    report_full_speed(&bench)
}

/// Not asserted: the machine's mood decides.
fn report_full_speed(bench: &Bench) -> Result<()> {
    let before = bench.sink.taken()?.frames;
    let generator = bench.generator()?;
    let began = Instant::now();
    let sending = generator.start(&bench.outside, UNPACED)?;
    for switch in 0..20 {
        let (to, from) = if switch % 2 == 0 { (OLD, NEW) } else { (NEW, OLD) };
        bench.apply(to, from)?;
    }
    let generator = sending.stop()?;
    let took = began.elapsed();
    thread::sleep(Duration::from_millis(300));
    let (sent, taken) = (generator.sent()?, bench.sink.taken()?.frames - before);
    println!(
        "full speed: {:.0} frames/s sent, {:.0} frames/s forwarded, during 20 switches",
        rate(sent, took),
        rate(taken, took)
    );
    Ok(())
}

/// A balancer and, at the other end of its only link, generator and sink.
pub struct Bench {
    pub daemon: Option<Process>,
    pub sink: Sink,
    pub installation: Installation,
    pub outside: Namespace,
    pub inside: Namespace,
    scratch: Scratch,
    outside_ifindex: u32,
    _turn: Turn,
}

impl Bench {
    pub fn start() -> Result<Self> {
        let turn = Turn::alone();
        let id = RunId::new();
        let scratch = Scratch::new(&id)?;
        let inside = Namespace::create(id.namespace("lb"))?;
        let outside = Namespace::create(id.namespace("gen"))?;
        let (lb, generator) = (inside.name(), outside.name());
        ip_batch(&[format!(
            "link add lb0 netns {lb} type veth peer name gen0 netns {generator}"
        )])?;
        for (namespace, interface) in [(&inside, "lb0"), (&outside, "gen0")] {
            namespace.sysctl("ipv6/conf/all/disable_ipv6", "1")?;
            namespace.ip(&format!("link set {interface} up"))?;
        }
        let links: serde_json::Value = serde_json::from_str(&outside.ip("-j link show gen0")?)?;
        let outside_ifindex = u32::try_from(links[0]["ifindex"].as_u64().context("no ifindex")?)?;
        let sink = Sink::attach(&outside, "gen0")?;
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
        let mut bench = Self {
            daemon: None,
            sink,
            installation,
            outside,
            inside,
            scratch,
            outside_ifindex,
            _turn: turn,
        };
        bench.write(OLD, NEW)?;
        bench.daemon = Some(bench.installation.start(&bench.inside)?);
        Ok(bench)
    }

    /// Frames that found no room in the link's rings, on their way to the
    /// balancer and back from it, as the kernel counts them.
    pub fn lost_on_link(&self) -> Result<(u64, u64)> {
        let links: serde_json::Value = serde_json::from_str(&self.outside.ip("-s -j link show gen0")?)?;
        let dropped = |way: &str| {
            let count = links[0]["stats64"][way]["dropped"].as_u64();
            count.with_context(|| format!("no count of frames dropped: {links}"))
        };
        Ok((dropped("tx")?, dropped("rx")?))
    }

    pub fn generator(&self) -> Result<Generator> {
        Generator::new(self.outside_ifindex, CLIENT, VIP, FLOWS)
    }

    /// Which backend the kernel sends each flow to, one frame each, at rest.
    fn map_of(&self, backends: [u8; 4], others: [u8; 4]) -> Result<Vec<u8>> {
        self.apply(backends, others)?;
        let before = self.sink.taken()?;
        let mut generator = self.generator()?;
        self.outside.run(|| generator.send(FLOWS))??;
        thread::sleep(Duration::from_millis(100));
        let taken = since(&self.sink.taken()?, &before);
        assert_eq!(taken.frames, u64::from(FLOWS), "one frame for each flow");
        let owner = |backends: &[u64; 16]| (0..).zip(backends).find(|(_, count)| **count == 1).map(|(at, _)| at);
        let map: Option<Vec<u8>> = taken.by_flow.iter().map(owner).collect();
        let map = map.context("a flow went nowhere")?;
        ensure!(
            map.iter().all(|backend| backends.contains(backend)),
            "a flow went to no backend of the pool"
        );
        Ok(map)
    }

    /// In maintenance, not removed nor drained: of those the program lets go at
    /// once, so that each revision says one thing of every flow.
    fn write(&self, backends: [u8; 4], others: [u8; 4]) -> Result<()> {
        self.write_as(backends, others, "maint")
    }

    /// With `backends` ready and `others` in another state.
    pub fn write_as(&self, backends: [u8; 4], others: [u8; 4], state: &str) -> Result<()> {
        let states = backends.map(|number| (number, "ready")).into_iter();
        let states = states.chain(others.map(|number| (number, state)));
        let lines: Vec<String> = states
            .map(|(number, state)| {
                format!(
                    "    - {{ name: be{number}, address: 10.0.1.{number}, weight: 100, state: {state}, \
                     nextHop: {{ mac: \"02:00:00:00:00:{number:02x}\", interface: lb0 }} }}\n"
                )
            })
            .collect();
        let list = lines.concat();
        let text = format!(
            "apiVersion: holdfast/v1\nenvironment: lab\n{UNPROTECTED}\n\
             node: {{ interfaces: [{{ name: lb0, mode: native }}], encapSource: {{ v4: 10.255.0.0/16 }}, \
             hashKeyFile: {key} }}\n\
             pools:\n- name: web\n  encap: ipip\n  table: maglev\n  backends:\n{list}\
             vips: [{{ name: web4, address: {address}, port: {port}, protocol: udp, pool: web }}]\n",
            key = self.scratch.path("hash.key").display(),
            address = VIP.ip(),
            port = VIP.port(),
        );
        fs::write(&self.installation.config, text).context("writing the configuration")
    }

    fn apply(&self, backends: [u8; 4], removed: [u8; 4]) -> Result<()> {
        self.write(backends, removed)?;
        self.apply_file()
    }

    pub fn apply_file(&self) -> Result<()> {
        let outcome = self
            .installation
            .run(&["apply", "-f", &self.installation.config.to_string_lossy()])?;
        ensure!(outcome.code == Some(0), "apply: {}", outcome.said());
        Ok(())
    }

    fn kill_and_restart(&mut self) -> Result<()> {
        let daemon = self.daemon.take().context("no daemon")?;
        daemon.kill()?;
        // Nobody steers for a while.
        thread::sleep(Duration::from_millis(200));
        self.daemon = Some(self.installation.start(&self.inside)?);
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is only shown")]
fn rate(frames: u64, took: Duration) -> f64 {
    frames as f64 / took.as_secs_f64()
}

pub fn counted(status: &Status, prefix: &str) -> u64 {
    let verdicts = status.verdicts.iter().filter(|(name, _)| name.starts_with(prefix));
    verdicts.map(|(_, traffic)| traffic.packets).sum()
}

pub fn since(after: &Taken, before: &Taken) -> Taken {
    let by_flow = after.by_flow.iter().zip(&before.by_flow);
    Taken {
        frames: after.frames - before.frames,
        mixed: after.mixed - before.mixed,
        other: after.other - before.other,
        by_flow: by_flow
            .map(|(after, before)| std::array::from_fn(|at| after[at] - before[at]))
            .collect(),
    }
}
