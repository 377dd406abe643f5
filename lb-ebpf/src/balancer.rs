//! `balancer`: the XDP program on a balancer's interfaces. Entry, path, count,
//! action; no `if` here chooses a fate.
//!
//! For another target than BPF this is a stub, so that clippy and
//! rust-analyzer see the whole workspace; `cargo xtask build` builds it.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod license;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod view;

#[cfg(not(target_arch = "bpf"))]
fn main() -> std::process::ExitCode {
    eprintln!("balancer is a BPF program, and this is a stub of it: cargo xtask build");
    std::process::ExitCode::FAILURE
}

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{bindings::xdp_action, helpers::bpf_redirect, macros::xdp, programs::XdpContext};
    use lb_common::{
        path::{Outcome, balance},
        verdict::Verdict,
    };

    use crate::{frame::XdpFrame, view::KernelView};

    // `inline(always)`: `#[xdp]` wraps this function, and LLVM would leave a call
    // between BPF functions, 9 ns on every packet.
    #[xdp(frags)]
    #[inline(always)]
    pub fn balancer(context: XdpContext) -> u32 {
        let outcome = balance(&mut XdpFrame::new(&context), &KernelView);
        #[cfg(feature = "trace")]
        aya_log_ebpf::debug!(
            &context,
            "verdict {} for {} bytes from interface {}, members counter {}",
            outcome.verdict as u32,
            outcome.frame_len,
            context.ingress_ifindex() as u32,
            u32::from(outcome.member_counter)
        );
        action(&outcome)
    }

    /// The one exhaustive match from a verdict to what the kernel does.
    #[inline(always)]
    fn action(outcome: &Outcome) -> u32 {
        match outcome.verdict {
            Verdict::ForwardTx => xdp_action::XDP_TX,
            // SAFETY: a helper without pointers. It returns XDP_REDIRECT, or
            // XDP_ABORTED for flags we do not set.
            Verdict::ForwardRedirect => unsafe { bpf_redirect(outcome.ifindex, 0) as u32 },
            Verdict::PassNotVip
            | Verdict::PassNotIp
            | Verdict::PassIpv6
            | Verdict::PassNoGeneration
            | Verdict::PassUnreadable => xdp_action::XDP_PASS,
            Verdict::DropRunt
            | Verdict::DropShortL3
            | Verdict::DropBadVersion
            | Verdict::DropHeaderLength
            | Verdict::DropTotalLength
            | Verdict::DropTtl
            | Verdict::DropMartian
            | Verdict::DropLand
            | Verdict::DropL2Multicast
            | Verdict::DropFragment
            | Verdict::DropOptions
            | Verdict::DropVlan
            | Verdict::DropIcmp
            | Verdict::DropShortL4
            | Verdict::DropTcpOffset
            | Verdict::DropUdpLength
            | Verdict::DropLoop
            | Verdict::DropNoBackend
            | Verdict::DropNoNextHop
            | Verdict::DropTooBig
            | Verdict::DropNoHeadroom
            | Verdict::DropUnreadable
            | Verdict::DropEncap => xdp_action::XDP_DROP,
        }
    }
}
