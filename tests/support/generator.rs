//! Frames at a rate of our choice, made in the kernel, and a sink that knows
//! which backend each flow was sent to.
//!
//! The generator runs on live frames (`BPF_F_TEST_XDP_LIVE_FRAMES`) in batches of
//! 64, after each of which the receiver has its turn on the same CPU. A call
//! takes 30 ms to set up and take down, so the frames of a call make the rate.

use std::{
    net::SocketAddrV4,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result, anyhow};
use aya::{
    Ebpf,
    maps::{Array, PerCpuArray},
    programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use etherparse::PacketBuilder;
use lb_common::abi::rig::{
    Generator as Setting, SINK_BACKENDS, SINK_FLOWS, SINK_MIXED, SINK_OTHER, SINK_TAKEN, TEMPLATE_LEN,
};

use crate::{netns::Namespace, pass};

/// Frames of one batch; a veth's ring takes 256.
pub const BATCH: u32 = 64;

/// Bytes of UDP payload: the frame is as short as Ethernet allows.
const PAYLOAD: usize = 18;

/// `struct xdp_md`: data, data_end, data_meta, ingress_ifindex,
/// rx_queue_index, egress_ifindex.
const CONTEXT_WORDS: usize = 6;

/// Makes UDP frames and sends them out of an interface.
#[derive(Debug)]
pub struct Generator {
    loaded: Ebpf,
    frame: Vec<u8>,
    context: Vec<u8>,
}

impl Generator {
    /// Frames from `first` and the ports after it, `flows` in all, to `to`,
    /// sent out of the interface with this index.
    pub fn new(ifindex: u32, first: SocketAddrV4, to: SocketAddrV4, flows: u32) -> Result<Self> {
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(first.ip().octets(), to.ip().octets(), 64)
            .udp(first.port(), to.port());
        let mut frame = Vec::new();
        builder.write(&mut frame, &[0; PAYLOAD])?;
        // Ports change from frame to frame: no checksum (RFC 768).
        frame[TEMPLATE_LEN - 2..TEMPLATE_LEN].fill(0);
        let setting = Setting {
            template: frame[..TEMPLATE_LEN].try_into()?,
            reserved: [0; 2],
            flows,
            first_port: u32::from(first.port()),
            reserved2: 0,
            sent: 0,
        };
        let mut loaded = load()?;
        let mut map: Array<_, [u8; 64]> = Array::try_from(loaded.map_mut("GENERATOR").context("no GENERATOR")?)?;
        map.set(0, bytemuck::cast::<Setting, [u8; 64]>(setting), 0)?;
        program(&mut loaded, "generator")?.load()?;
        let mut words = [0_u32; CONTEXT_WORDS];
        words[1] = u32::try_from(frame.len())?;
        words[3] = ifindex;
        Ok(Self {
            loaded,
            frame,
            context: bytemuck::cast_slice(&words).to_vec(),
        })
    }

    /// Sends this many frames at once. Must be called in the namespace of the
    /// interface.
    pub fn send(&mut self, frames: u32) -> Result<()> {
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            ctx_in: Some(&self.context),
            repeat: frames,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        program(&mut self.loaded, "generator")?
            .test_run(options)
            .context("sending live frames")?;
        Ok(())
    }

    /// Frames sent so far.
    pub fn sent(&self) -> Result<u64> {
        let map: Array<_, [u8; 64]> = Array::try_from(self.loaded.map("GENERATOR").context("no GENERATOR")?)?;
        Ok(bytemuck::cast::<[u8; 64], Setting>(map.get(&0, 0)?).sent)
    }

    /// Sends on a thread of its own, so many frames a call.
    pub fn start(self, namespace: &Namespace, frames: u32) -> Result<Sending> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let mut generator = self;
        let thread = namespace.spawn("generator", move || {
            while !told.load(Ordering::Relaxed) {
                generator.send(frames)?;
            }
            Ok(generator)
        })?;
        Ok(Sending {
            stop,
            thread: Some(thread),
        })
    }
}

/// A generator at work; stopped when dropped.
#[derive(Debug)]
pub struct Sending {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Result<Generator>>>>,
}

impl Sending {
    /// Stops it and gives it back.
    pub fn stop(mut self) -> Result<Generator> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it was stopped already")?;
        thread.join().map_err(|_| anyhow!("the generator panicked"))??
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Counts IP-in-IP frames by inner source port and outer destination.
#[derive(Debug)]
pub struct Sink {
    loaded: Ebpf,
}

/// What a sink took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub frames: u64,
    /// Frames whose outer headers do not belong together.
    pub mixed: u64,
    /// Frames that are not IP-in-IP.
    pub other: u64,
    /// By flow (source port modulo 4,096), then backend (last byte of the
    /// outer destination modulo 16), where there are any.
    pub by_flow: Vec<[u64; SINK_BACKENDS as usize]>,
}

impl Sink {
    /// Attaches it to an interface of a namespace, in the driver.
    pub fn attach(namespace: &Namespace, interface: &str) -> Result<Self> {
        let mut loaded = load()?;
        let sink = program(&mut loaded, "sink")?;
        sink.load()?;
        namespace.run(|| sink.attach(interface, XdpMode::Driver))??;
        Ok(Self { loaded })
    }

    /// Everything it took since it was attached.
    pub fn taken(&self) -> Result<Taken> {
        let totals: PerCpuArray<_, u64> =
            PerCpuArray::try_from(self.loaded.map("SINK_TOTALS").context("no SINK_TOTALS")?)?;
        let total = |index: u32| -> Result<u64> { Ok(totals.get(&index, 0)?.iter().sum()) };
        let cells: PerCpuArray<_, u64> = PerCpuArray::try_from(self.loaded.map("SINK").context("no SINK")?)?;
        let by_flow = (0..SINK_FLOWS).map(|flow| {
            let mut backends = [0; SINK_BACKENDS as usize];
            for (backend, count) in (0..).zip(&mut backends) {
                *count = cells.get(&(flow * SINK_BACKENDS + backend), 0)?.iter().sum();
            }
            Ok(backends)
        });
        Ok(Taken {
            frames: total(SINK_TAKEN)?,
            mixed: total(SINK_MIXED)?,
            other: total(SINK_OTHER)?,
            by_flow: by_flow.collect::<Result<_>>()?,
        })
    }
}

fn load() -> Result<Ebpf> {
    let path = pass::object();
    Ebpf::load_file(&path).with_context(|| format!("loading {}: run `cargo xtask build`", path.display()))
}

fn program<'e>(loaded: &'e mut Ebpf, name: &str) -> Result<&'e mut Xdp> {
    let program = loaded
        .program_mut(name)
        .with_context(|| format!("rig.o has no program `{name}`"))?;
    Ok(program.try_into()?)
}
