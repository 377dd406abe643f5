//! `agent`: the XDP program on a backend. It takes the outer header off what
//! configured balancers sent and passes it up; the rest is untouched.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod license;

#[cfg(not(target_arch = "bpf"))]
fn main() -> std::process::ExitCode {
    eprintln!("agent is a BPF program, and this is a stub of it: cargo xtask build");
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
        abi::{agent::Peers, counters::Counter},
        agent::accept,
        frame::Frame as _,
        verdict::AgentVerdict,
    };

    use crate::frame::XdpFrame;

    /// From whom encapsulated packets are taken; one entry.
    #[btf_map]
    static PEERS: Array<Peers, 1> = Array::new();

    /// By the number of the verdict.
    #[btf_map]
    static AGENT_COUNTERS: PerCpuArray<Counter, { AgentVerdict::ALL.len() }> = PerCpuArray::new();

    #[xdp(frags)]
    #[inline(always)]
    pub fn agent(context: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&context);
        let bytes = u64::from(frame.linear_len());
        let Some(peers) = PEERS.get(0) else {
            return xdp_action::XDP_PASS;
        };
        let verdict = accept(&mut frame, peers);
        count(verdict, bytes);
        match verdict {
            AgentVerdict::AcceptDecapsulated
            | AgentVerdict::PassNotEncapsulated
            | AgentVerdict::PassUntrusted
            | AgentVerdict::PassMalformed => xdp_action::XDP_PASS,
            AgentVerdict::DropCongestion => xdp_action::XDP_DROP,
        }
    }

    #[inline(always)]
    fn count(verdict: AgentVerdict, bytes: u64) {
        if let Some(counter) = AGENT_COUNTERS.get_ptr_mut(verdict as u32) {
            // SAFETY: a per-CPU entry; XDP runs with softirqs off, so nobody else
            // writes this CPU's copy meanwhile.
            unsafe {
                (*counter).packets += 1;
                (*counter).bytes += bytes;
            }
        }
    }
}
