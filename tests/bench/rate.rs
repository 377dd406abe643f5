//! Live frames over veth, with one arm and with two: how many a second one
//! processor carries, generator, veth, balancer and sink together. A floor on
//! the same path shows how much of that is the rig's.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::programs::XdpMode;
use holdfast::config;
use lb_common::abi::rig::SINK_FLOWS;
use serde::Serialize;
use support::{
    generator::{Generator, Sink},
    netns::{Namespace, ip_batch},
    run::RunId,
};

use crate::{
    progress::Progress,
    site::{Arm, FIRST_VIP, PORT, Site, Size},
    statistics::Summary,
    wrapper::{Floor, Wrapper},
};

/// Frames of a round; a call of the kernel's takes 30 ms to set up.
const FRAMES: u32 = 1 << 20;
/// Frames on their way arrive within this.
const ARRIVAL: Duration = Duration::from_millis(100);

const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 1), 20_000);
const SIZE: Size = Size {
    pools: 1,
    backends_in_pool: 10,
    vips: 1,
};

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateCase {
    pub name: &'static str,
    pub frames_per_second: Summary,
    /// Frames that came out, of those sent: a veth's ring overflows where the
    /// receiver has no turn.
    pub carried: f64,
}

pub fn measure(directory: &Path, rounds: usize, progress: &Progress) -> Result<Vec<RateCase>> {
    progress.begin("live frames", rounds * 3);
    let mut cases = vec![Line::floor()?.measure("encap_floor, one arm", rounds, progress)?];
    for (name, arms) in [("balancer, one arm", 1), ("balancer, two arms", 2)] {
        let line = Line::balancer(&directory.join(format!("rate-{arms}")), arms)?;
        cases.push(line.measure(name, rounds, progress)?);
    }
    progress.end();
    Ok(cases)
}

/// Generator, something that forwards, and a sink. Fields are dropped in their
/// order.
struct Line {
    sink: Sink,
    _forwarder: Forwarder,
    wires: Wires,
}

/// What is attached to the inner ends; it is detached when dropped.
#[expect(dead_code, reason = "held while frames run")]
enum Forwarder {
    Floor(Wrapper),
    Balancer(Box<Site>),
}

/// `gen0`–`lb0`, and with two arms `gen1`–`lb1`.
struct Wires {
    outside: Namespace,
    inside: Namespace,
    arms: Vec<Arm>,
    generator_ifindex: u32,
}

impl Line {
    /// The floor sends back what it gets.
    fn floor() -> Result<Self> {
        let wires = Wires::lay(1)?;
        let mut wrapper = Wrapper::load()?;
        let program = wrapper.floor_mut(Floor::EncapV4)?;
        wires.inside.run(|| program.attach("lb0", XdpMode::Driver))??;
        Self::over(wires, Forwarder::Floor(wrapper))
    }

    fn balancer(directory: &Path, arms: u8) -> Result<Self> {
        let wires = Wires::lay(arms)?;
        // Inside, because a rehearsal comes by the first of the interfaces.
        let site = wires.inside.run(|| -> Result<Site> {
            let mut site = Site::serving(directory, wires.arms.clone(), SIZE)?;
            for arm in &wires.arms {
                let kernel = site.publisher.kernel_mut();
                kernel.attach(&arm.name, arm.ifindex, config::XdpMode::Native)?;
            }
            Ok(site)
        })??;
        Self::over(wires, Forwarder::Balancer(Box::new(site)))
    }

    /// The sink is at the far end of the last arm.
    fn over(wires: Wires, forwarder: Forwarder) -> Result<Self> {
        let sink = Sink::attach(&wires.outside, &format!("gen{}", wires.arms.len() - 1))?;
        Ok(Self {
            sink,
            _forwarder: forwarder,
            wires,
        })
    }

    fn measure(&self, name: &'static str, rounds: usize, progress: &Progress) -> Result<RateCase> {
        let vip = SocketAddrV4::new(FIRST_VIP, PORT);
        let mut generator = Generator::new(self.wires.generator_ifindex, CLIENT, vip, SINK_FLOWS)?;
        let (mut rates, mut sent, mut taken) = (Vec::new(), 0, 0);
        for round in 0..rounds {
            progress.step(&format!("round {} of {rounds}: {name}", round + 1));
            let before = self.sink.taken()?.frames;
            let began = Instant::now();
            self.wires.outside.run(|| generator.send(FRAMES))??;
            let took = began.elapsed();
            thread::sleep(ARRIVAL);
            let frames = self.sink.taken()?.frames - before;
            rates.push(exact(frames) / took.as_secs_f64());
            sent += u64::from(FRAMES);
            taken += frames;
        }
        ensure!(taken > 0, "{name}: no frame came out");
        Ok(RateCase {
            name,
            frames_per_second: Summary::of(rates).context("no round was run")?,
            carried: exact(taken) / exact(sent),
        })
    }
}

impl Wires {
    fn lay(arms: u8) -> Result<Self> {
        let id = RunId::new();
        let inside = Namespace::create(id.namespace("lb"))?;
        let outside = Namespace::create(id.namespace("gen"))?;
        let mut found = Vec::new();
        for number in 0..arms {
            ip_batch(&[format!(
                "link add lb{number} mtu 1600 netns {} type veth peer name gen{number} mtu 1600 netns {}",
                inside.name(),
                outside.name()
            )])?;
            inside.ip(&format!("link set lb{number} up"))?;
            outside.ip(&format!("link set gen{number} up"))?;
            let mac = Arm::imagined(number).mac;
            let name = format!("lb{number}");
            let ifindex = ifindex(&inside, &name)?;
            found.push(Arm { name, ifindex, mac });
        }
        Ok(Self {
            generator_ifindex: ifindex(&outside, "gen0")?,
            outside,
            inside,
            arms: found,
        })
    }
}

fn ifindex(namespace: &Namespace, name: &str) -> Result<u32> {
    let printed = namespace.ip(&format!("-j link show dev {name}"))?;
    let links: serde_json::Value = serde_json::from_str(&printed)?;
    let index = links[0]["ifindex"].as_u64();
    Ok(u32::try_from(index.with_context(|| format!("no index: {printed}"))?)?)
}

#[expect(clippy::cast_precision_loss, reason = "counts here stay far under 2^53")]
const fn exact(count: u64) -> f64 {
    count as f64
}
