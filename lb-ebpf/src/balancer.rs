//! `balancer`: the XDP program on a balancer's interfaces, and `plain` and
//! `odd`, which it calls. Entry, path, count, action; no `if` here chooses a
//! fate. `sampled` is `balancer` that first copies headers of some packets, and
//! takes its place for seconds, when somebody asks for a preview.
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
mod sample;
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
        abi::programs::{ODD, PLAIN},
        path::{self, Next, Outcome},
        verdict::Verdict,
        view::View as _,
    };

    use crate::{frame::XdpFrame, maps::PROGRAMS, sample, view::KernelView};

    /// The fast path; what it does not know, the others do.
    // `inline(always)`: `#[xdp]` wraps this function, and LLVM would leave a call
    // between BPF functions, 9 ns on every packet.
    #[xdp(frags)]
    #[inline(always)]
    pub fn balancer(context: XdpContext) -> u32 {
        differ(&context);
        fast(&context)
    }

    /// The same for a while, with a copy of the headers of some packets.
    #[xdp(frags)]
    #[inline(always)]
    pub fn sampled(context: XdpContext) -> u32 {
        sample::take(&context);
        fast(&context)
    }

    /// Packets of the common shape that are not as usual.
    #[xdp(frags)]
    #[inline(always)]
    pub fn plain(context: XdpContext) -> u32 {
        differ(&context);
        let outcome = path::plain::balance(&mut XdpFrame::new(&context), &KernelView);
        act(&context, &outcome)
    }

    /// All other packets.
    #[xdp(frags)]
    #[inline(always)]
    pub fn odd(context: XdpContext) -> u32 {
        differ(&context);
        match path::odd::balance(&mut XdpFrame::new(&context), &KernelView) {
            Ok(outcome) => act(&context, &outcome),
            Err(_) => call(&context, PLAIN),
        }
    }

    #[inline(always)]
    fn fast(context: &XdpContext) -> u32 {
        match path::fast::balance(&mut XdpFrame::new(context), &KernelView) {
            Ok(outcome) => act(context, &outcome),
            Err(Next::Plain) => call(context, PLAIN),
            Err(Next::Odd) => call(context, ODD),
        }
    }

    /// What makes the builds for tests other programs.
    #[inline(always)]
    fn differ(context: &XdpContext) {
        #[cfg(feature = "later")]
        core::hint::black_box(context.data());
        #[cfg(feature = "refused")]
        // SAFETY: the verifier refuses it: nothing says that a byte is there.
        core::hint::black_box(unsafe { (context.data() as *const u8).read_volatile() });
        #[cfg(not(any(feature = "later", feature = "refused")))]
        let _ = context;
    }

    #[inline(always)]
    fn call(context: &XdpContext, program: u32) -> u32 {
        // SAFETY: nothing lives here that would have to be dropped.
        unsafe { PROGRAMS.tail_call(context, program) };
        // Still here: there is no such program.
        let frame_len = (context.data_end() - context.data()) as u32;
        let outcome = Outcome::unforwarded(Verdict::PassNoOddPath, frame_len);
        KernelView.count(outcome.verdict as u32, u64::from(frame_len));
        act(context, &outcome)
    }

    #[inline(always)]
    fn act(context: &XdpContext, outcome: &Outcome) -> u32 {
        #[cfg(feature = "trace")]
        aya_log_ebpf::debug!(
            context,
            "verdict {} for {} bytes from interface {}, members counter {}",
            outcome.verdict as u32,
            outcome.frame_len,
            context.ingress_ifindex() as u32,
            u32::from(outcome.member_counter)
        );
        #[cfg(not(feature = "trace"))]
        let _ = context;
        action(outcome)
    }

    /// The one exhaustive match from a verdict to what the kernel does.
    #[inline(always)]
    fn action(outcome: &Outcome) -> u32 {
        match outcome.verdict {
            Verdict::ForwardTx | Verdict::AnswerEcho | Verdict::AnswerTooBig => xdp_action::XDP_TX,
            // SAFETY: a helper without pointers. It returns XDP_REDIRECT, or
            // XDP_ABORTED for flags we do not set.
            Verdict::ForwardRedirect => unsafe { bpf_redirect(outcome.ifindex, 0) as u32 },
            Verdict::PassNotVip
            | Verdict::PassNotIp
            | Verdict::PassNoGeneration
            | Verdict::PassUnreadable
            | Verdict::PassOuterError
            | Verdict::PassNoOddPath => xdp_action::XDP_PASS,
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
            | Verdict::DropMaint
            | Verdict::DropNoNextHop
            | Verdict::DropTooBig
            | Verdict::DropNoHeadroom
            | Verdict::DropUnreadable
            | Verdict::DropEncap
            | Verdict::DropExtension
            | Verdict::DropIcmpQuote => xdp_action::XDP_DROP,
        }
    }
}
