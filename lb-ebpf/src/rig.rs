//! `rig`: programs of the test rig. `generator` makes UDP flows when it is run
//! on live frames, `sink` counts which backend each flow was sent to, `pass`
//! is what a veth's peer needs to take frames sent by XDP.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod license;

#[cfg(not(target_arch = "bpf"))]
fn main() -> std::process::ExitCode {
    eprintln!("rig is a BPF program, and this is a stub of it: cargo xtask build");
    std::process::ExitCode::FAILURE
}

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::xdp_action,
        btf_maps::{Array, PerCpuArray},
        macros::{btf_map, xdp},
        programs::XdpContext,
    };
    use lb_common::{
        abi::rig::{
            Generator, SINK_BACKENDS, SINK_FLOWS, SINK_MIXED, SINK_OTHER, SINK_TAKEN, SINK_TOTALS as TOTALS,
            TEMPLATE_LEN,
        },
        frame::Frame as _,
        wire::{ETHERNET_LEN, ETHERTYPE_IPV4, EthernetIpv4, IPV4_LEN, PROTOCOL_IPIP},
    };

    use crate::frame::XdpFrame;

    #[btf_map]
    static GENERATOR: Array<Generator, 1> = Array::new();

    /// Frames by flow and backend: `flow * SINK_BACKENDS + backend`.
    #[btf_map]
    static SINK: PerCpuArray<u64, { (SINK_FLOWS * SINK_BACKENDS) as usize }> = PerCpuArray::new();

    #[btf_map]
    static SINK_TOTALS: PerCpuArray<u64, { TOTALS as usize }> = PerCpuArray::new();

    #[xdp(frags)]
    pub fn pass(_: XdpContext) -> u32 {
        xdp_action::XDP_PASS
    }

    /// Live frames come back with what others wrote into them, so all headers
    /// are written anew.
    #[xdp]
    pub fn generator(context: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&context);
        let Some(generator) = GENERATOR.get_ptr_mut(0) else {
            return xdp_action::XDP_ABORTED;
        };
        // SAFETY: one run at a time, on one CPU, uses this entry.
        let generator = unsafe { &mut *generator };
        if generator.flows == 0 {
            return xdp_action::XDP_ABORTED;
        }
        let port = generator.first_port + (generator.sent % u64::from(generator.flows)) as u32;
        const SOURCE_PORT: u32 = ETHERNET_LEN + IPV4_LEN;
        let written = frame.store::<[u8; TEMPLATE_LEN]>(0, &generator.template)
            && frame.store::<u16>(SOURCE_PORT, &(port as u16).to_be());
        if !written {
            return xdp_action::XDP_ABORTED;
        }
        generator.sent += 1;
        xdp_action::XDP_TX
    }

    #[xdp]
    pub fn sink(context: XdpContext) -> u32 {
        let frame = XdpFrame::new(&context);
        let inner_ports = ETHERNET_LEN + 2 * IPV4_LEN;
        // One question after the other: combined, LLVM tests a register that
        // is not set on every path ("R3 !read_ok").
        let Some(port) = frame.load::<u16>(inner_ports) else {
            return other();
        };
        let Some(outer) = frame.load::<EthernetIpv4>(0) else {
            return other();
        };
        if outer.ethernet.ethertype != ETHERTYPE_IPV4 {
            return other();
        }
        if outer.ip.protocol != PROTOCOL_IPIP {
            return other();
        }
        let backend = outer.ip.destination.to_ne_bytes()[3];
        // Byte 5 of the frame: the last of the destination.
        if { outer.ethernet.second }.to_ne_bytes()[1] != backend {
            add(SINK_MIXED);
        }
        let flow = u32::from(u16::from_be(port)) % SINK_FLOWS;
        if let Some(count) = SINK.get_ptr_mut(flow * SINK_BACKENDS + u32::from(backend) % SINK_BACKENDS) {
            // SAFETY: a per-CPU entry, and XDP runs with softirqs off.
            unsafe { *count += 1 };
        }
        add(SINK_TAKEN);
        xdp_action::XDP_DROP
    }

    #[inline(always)]
    fn other() -> u32 {
        add(SINK_OTHER);
        xdp_action::XDP_PASS
    }

    #[inline(always)]
    fn add(total: u32) {
        if let Some(count) = SINK_TOTALS.get_ptr_mut(total) {
            // SAFETY: a per-CPU entry, and XDP runs with softirqs off.
            unsafe { *count += 1 };
        }
    }
}
