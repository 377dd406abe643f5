//! Headers of one packet in so many, for the daemon to look what a candidate
//! would do with them. Only `sampled` comes here.

use core::arch::asm;

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_prandom_u32, bpf_xdp_get_buff_len, bpf_xdp_load_bytes, generated::bpf_ktime_get_coarse_ns},
    programs::XdpContext,
};
use lb_common::abi::sample::{SAMPLE_BYTES, Sample};

use crate::maps::{SAMPLES, SAMPLING};

/// `BPF_RB_NO_WAKEUP` of the kernel's `include/uapi/linux/bpf.h`: the daemon
/// reads when the time is over.
const NO_WAKEUP: u64 = 1;

/// Copies the packet's first bytes, if it is one of those; the packet stays as
/// it is.
#[inline(always)]
pub fn take(context: &XdpContext) {
    let Some(sampling) = SAMPLING.get(0) else {
        return;
    };
    // SAFETY: a helper without arguments.
    if unsafe { bpf_ktime_get_coarse_ns() } >= sampling.until_ns {
        return;
    }
    // SAFETY: a helper without arguments.
    if unsafe { bpf_get_prandom_u32() }.checked_rem(sampling.one_in) != Some(0) {
        return;
    }
    // SAFETY: the context is the one the kernel called us with.
    let frame_len = unsafe { bpf_xdp_get_buff_len(context.as_ptr().cast()) } as u32;
    let mut copied = u64::from(frame_len.min(SAMPLE_BYTES as u32));
    // SAFETY: adds nothing. It hides from LLVM where the number comes from:
    // otherwise it compares one register and hands in another ("R4 min value is
    // negative").
    unsafe { asm!("{0} += 0", inlateout(reg) copied) };
    // The verifier refuses a copy of no bytes.
    if copied == 0 || copied > SAMPLE_BYTES as u64 {
        return;
    }
    let Some(mut entry) = SAMPLES.reserve_untyped::<Sample>(0) else {
        return;
    };
    let sample: *mut Sample = entry.as_mut_ptr();
    // SAFETY: the entry is ours until it is submitted, and as large as a Sample;
    // `copied` is no more than `bytes` holds.
    let failed = unsafe {
        (&raw mut (*sample).frame_len).write(frame_len);
        (&raw mut (*sample).copied).write(copied as u32);
        bpf_xdp_load_bytes(
            context.as_ptr().cast(),
            0,
            (&raw mut (*sample).bytes).cast(),
            copied as u32,
        )
    };
    if failed == 0 {
        entry.submit(NO_WAKEUP);
    } else {
        entry.discard(NO_WAKEUP);
    }
}
