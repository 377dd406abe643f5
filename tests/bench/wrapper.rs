//! The wrapper program: loads it, says what it is to make and what it is to
//! run, and runs it.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use aya::{
    Ebpf,
    maps::{Array, ProgramArray},
    programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp},
};
use aya_obj::programs::XdpAttachType;
use lb_common::abi::bench::Setting;
use rustix::time::{ClockId, clock_gettime};
use support::pass;

/// The only entry of SETTING as aya wants it.
type Words = [u64; size_of::<Setting>() / 8];

/// What programs do without which no balancer can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// The wrapper alone.
    Nop,
    MacSwap,
    /// MAC addresses swapped, and an outer IPv4 header.
    EncapV4,
    /// The same with IPv6.
    EncapV6,
    /// The same with IPv4, UDP and GUE.
    EncapGueV4,
    /// The same with IPv6, UDP and GUE.
    EncapGueV6,
    /// An outer IPv4 header taken off.
    Decap,
}

impl Floor {
    pub const ALL: [Self; 7] = [
        Self::Nop,
        Self::MacSwap,
        Self::EncapV4,
        Self::EncapV6,
        Self::EncapGueV4,
        Self::EncapGueV6,
        Self::Decap,
    ];

    /// Of its program.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nop => "nop",
            Self::MacSwap => "mac_swap",
            Self::EncapV4 => "encap_floor",
            Self::EncapV6 => "encap_floor_v6",
            Self::EncapGueV4 => "encap_floor_gue",
            Self::EncapGueV6 => "encap_floor_gue_v6",
            Self::Decap => "decap_floor",
        }
    }
}

/// One run: many rounds through the wrapper.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Time of this thread for a packet, ns.
    pub ns: f64,
    /// The same by the kernel's clock, which test runs report in whole ns.
    pub kernel_ns: f64,
    /// The action of the last packet, as the kernel numbers them.
    pub action: u32,
}

pub struct Wrapper {
    loaded: Ebpf,
    /// The program that tail-calls what was aimed at last.
    entry: &'static str,
}

impl Wrapper {
    pub fn load() -> Result<Self> {
        let path = pass::object().with_file_name("bench.o");
        let mut loaded =
            Ebpf::load_file(&path).with_context(|| format!("loading {}: run `cargo xtask build`", path.display()))?;
        let floors = Floor::ALL.map(Floor::name);
        for name in [ENTRY, ENTRY_LINEAR].into_iter().chain(floors) {
            program_mut(&mut loaded, name)?
                .load()
                .with_context(|| format!("loading the program {name}"))?;
        }
        Ok(Self { loaded, entry: ENTRY })
    }

    pub fn floor(&self, floor: Floor) -> Result<ProgramFd> {
        let name = floor.name();
        let program = self
            .loaded
            .program(name)
            .with_context(|| format!("no program {name}"))?;
        let program: &Xdp = program.try_into()?;
        Ok(program.fd()?.try_clone()?)
    }

    /// The programs of the wrapper itself, for what needs one attached.
    pub fn floor_mut(&mut self, floor: Floor) -> Result<&mut Xdp> {
        program_mut(&mut self.loaded, floor.name())
    }

    /// Says what the next runs measure. A program array takes programs of one
    /// kind only, and which one this is the kernel does not say.
    pub fn aim(&mut self, program: &ProgramFd) -> Result<()> {
        let mut refusals = Vec::new();
        for (entry, array) in [(ENTRY, "TARGET"), (ENTRY_LINEAR, "TARGET_LINEAR")] {
            let map = self.loaded.map_mut(array).with_context(|| format!("no map {array}"))?;
            match ProgramArray::try_from(map)?.set(0, program, 0) {
                Ok(()) => {
                    self.entry = entry;
                    return Ok(());
                }
                Err(error) => refusals.push(anyhow::Error::from(error)),
            }
        }
        bail!("neither kind of program array takes the program: {refusals:?}")
    }

    /// Runs so many packets made after `setting`, from its start.
    pub fn run(&mut self, frame: &[u8], setting: &Setting, packets: u32) -> Result<Run> {
        self.set(setting)?;
        let entry = self.entry;
        let program = program_mut(&mut self.loaded, entry)?;
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat: packets,
            ..TestRunOptions::new()
        };
        let began = thread_time();
        let result = program.test_run(options).context("the test run")?;
        let took = thread_time().saturating_sub(began);
        let made = self.made()?;
        ensure!(
            made == u64::from(packets),
            "the wrapper made {made} of {packets} frames (last action {})",
            result.return_value
        );
        Ok(Run {
            ns: nanoseconds(took) / f64::from(packets),
            kernel_ns: nanoseconds(result.duration),
            action: result.return_value,
        })
    }

    fn set(&mut self, setting: &Setting) -> Result<()> {
        let mut map: Array<_, Words> = Array::try_from(self.loaded.map_mut("SETTING").context("no SETTING")?)?;
        Ok(map.set(0, bytemuck::cast::<Setting, Words>(*setting), 0)?)
    }

    fn made(&self) -> Result<u64> {
        let map: Array<_, Words> = Array::try_from(self.loaded.map("SETTING").context("no SETTING")?)?;
        Ok(bytemuck::cast::<Words, Setting>(map.get(&0, 0)?).made)
    }
}

/// For programs that take frames of several buffers.
const ENTRY: &str = "wrapper";
/// For those that do not.
const ENTRY_LINEAR: &str = "wrapper_linear";

/// The XDP program pinned at `path`.
pub fn pinned(path: &Path) -> Result<ProgramFd> {
    let program = Xdp::from_pin(path, XdpAttachType::Interface);
    let program = program.with_context(|| format!("opening the program pinned at {}", path.display()))?;
    Ok(program.fd()?.try_clone()?)
}

/// What `enum xdp_action` of the kernel's include/uapi/linux/bpf.h calls it.
pub const fn action_name(action: u32) -> &'static str {
    match action {
        0 => "XDP_ABORTED",
        1 => "XDP_DROP",
        2 => "XDP_PASS",
        3 => "XDP_TX",
        4 => "XDP_REDIRECT",
        _ => "no action",
    }
}

fn program_mut<'e>(loaded: &'e mut Ebpf, name: &str) -> Result<&'e mut Xdp> {
    let program = loaded
        .program_mut(name)
        .with_context(|| format!("bench.o has no program `{name}`"))?;
    Ok(program.try_into()?)
}

fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        now.tv_sec.cast_unsigned(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

fn nanoseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1e9
}
