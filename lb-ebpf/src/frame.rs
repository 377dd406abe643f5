//! A packet in the kernel: [`lb_common::frame::Frame`] over `xdp_md`.

use core::{arch::asm, ptr};

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_md,
    helpers::{bpf_csum_diff, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use bytemuck::Pod;
use lb_common::{checksum, frame::Frame};

pub struct XdpFrame<'c> {
    context: &'c XdpContext,
}

impl<'c> XdpFrame<'c> {
    #[inline(always)]
    pub const fn new(context: &'c XdpContext) -> Self {
        Self { context }
    }

    /// The bytes at `offset`, if the first buffer holds all of them. The
    /// verifier wants to see this very comparison before each access.
    #[inline(always)]
    fn at<T>(&self, offset: u32) -> Option<*mut T> {
        self.checked(self.context.data() + offset as usize)
    }

    #[inline(always)]
    fn checked<T>(&self, start: usize) -> Option<*mut T> {
        if start + size_of::<T>() > self.context.data_end() {
            return None;
        }
        Some(start as *mut T)
    }

    #[inline(always)]
    fn raw(&self) -> *mut xdp_md {
        self.context.as_ptr().cast()
    }
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn linear_len(&self) -> u32 {
        (self.context.data_end() - self.context.data()) as u32
    }

    #[inline(always)]
    fn total_len(&self) -> u32 {
        // SAFETY: the context is the one the kernel called us with.
        unsafe { bpf_xdp_get_buff_len(self.raw()) as u32 }
    }

    #[inline(always)]
    fn ingress_ifindex(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn load<T: Pod>(&self, offset: u32) -> Option<T> {
        let at = self.at::<T>(offset)?;
        // SAFETY: `at` checked that the packet holds a T there; Pod takes any
        // bytes; the read does not need alignment.
        Some(unsafe { ptr::read_unaligned(at) })
    }

    #[inline(always)]
    fn load_variable<T: Pod>(&self, offset: u32) -> Option<T> {
        let mut start = self.context.data() + offset as usize;
        // SAFETY: adds nothing. It hides from LLVM that `start` is a sum:
        // otherwise `start` and `start + size` are summed apart, and the
        // verifier ("offset is outside of the packet") sees no connection. An
        // empty statement will not do: two lines for one instruction are an
        // "Invalid line_info".
        unsafe { asm!("{0} += 0", inlateout(reg) start) };
        let at = self.checked::<T>(start)?;
        // SAFETY: as in `load`.
        Some(unsafe { ptr::read_unaligned(at) })
    }

    #[inline(always)]
    fn store<T: Pod>(&mut self, offset: u32, value: &T) -> bool {
        let Some(at) = self.at::<T>(offset) else {
            return false;
        };
        // SAFETY: as in `load`; the packet is ours alone while we run.
        unsafe { ptr::write_unaligned(at, *value) };
        true
    }

    #[inline(always)]
    fn adjust_head(&mut self, bytes: i32) -> bool {
        // SAFETY: the context is the one the kernel called us with; pointers
        // into the packet are made anew for each access.
        unsafe { bpf_xdp_adjust_head(self.raw(), bytes) == 0 }
    }

    #[inline(always)]
    fn truncate(&mut self, len: u32) -> bool {
        let Some(less) = self.total_len().checked_sub(len) else {
            return false;
        };
        // SAFETY: as for `adjust_head`.
        less == 0 || unsafe { bpf_xdp_adjust_tail(self.raw(), -less.cast_signed()) == 0 }
    }

    #[inline(always)]
    fn sum<const LEN: usize>(&self, offset: u32) -> Option<u32> {
        let at = self.at::<[u8; LEN]>(offset)?;
        // SAFETY: `at` checked that the packet holds LEN bytes there.
        let sum = unsafe { bpf_csum_diff(ptr::null_mut(), 0, at.cast(), LEN as u32, 0) };
        Some(checksum::fold(checksum::halves(sum as u32)).into())
    }
}
