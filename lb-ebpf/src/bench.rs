//! `bench`: the benchmark's programs, run with `BPF_PROG_TEST_RUN` only.
//!
//! A test run reuses one buffer: after the first round the frame is already
//! encapsulated, and the program under test would be measured on another
//! packet. So `wrapper` makes the frame anew each time round, and tail-calls
//! what is measured; the floors go through it in the same way.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod license;

#[cfg(not(target_arch = "bpf"))]
fn main() -> std::process::ExitCode {
    eprintln!("bench is a BPF program, and this is a stub of it: cargo xtask build");
    std::process::ExitCode::FAILURE
}

#[cfg(target_arch = "bpf")]
mod program {
    use core::{arch::asm, ptr};

    use aya_ebpf::{
        bindings::xdp_action,
        btf_maps::{Array, ProgramArray},
        macros::{btf_map, xdp},
        programs::XdpContext,
    };
    use bytemuck::{Pod, Zeroable};
    use lb_common::{
        abi::bench::{FIRST_PORT, SHAPE_V4, SHAPE_V6, SOURCE_BITS, Setting, one_of, scattered},
        checksum,
        encap::presum_v4,
        frame::Frame as _,
        wire::{
            DONT_FRAGMENT, ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4_LEN, IPV6_LEN, Ipv4, PROTOCOL_IPIP,
            PROTOCOL_UDP, UDP_LEN, VERSION_IHL,
        },
    };

    use crate::frame::XdpFrame;

    #[btf_map]
    static SETTING: Array<Setting, 1> = Array::new();

    /// The program under test. The index is a constant, so the kernel patches
    /// the tail call into a direct jump, without retpolines.
    #[btf_map]
    static TARGET: ProgramArray<1> = ProgramArray::new();

    /// The same for programs that do not take frames of several buffers: the
    /// kernel allows a program array one of the two kinds only.
    #[btf_map]
    static TARGET_LINEAR: ProgramArray<1> = ProgramArray::new();

    #[xdp(frags)]
    #[inline(always)]
    pub fn wrapper(context: XdpContext) -> u32 {
        if make_frame(&context).is_some() {
            // SAFETY: comes back only if there is no program in the array.
            unsafe { TARGET.tail_call(&context, 0) };
        }
        xdp_action::XDP_ABORTED
    }

    #[xdp]
    #[inline(always)]
    pub fn wrapper_linear(context: XdpContext) -> u32 {
        if make_frame(&context).is_some() {
            // SAFETY: comes back only if there is no program in the array.
            unsafe { TARGET_LINEAR.tail_call(&context, 0) };
        }
        xdp_action::XDP_ABORTED
    }

    /// Writes the next frame. What follows it is decided afterwards, so that
    /// the bytes have some time to reach the cache before they are read: from a
    /// NIC they would have been there long before.
    #[inline(always)]
    fn make_frame(context: &XdpContext) -> Option<()> {
        let mut frame = XdpFrame::new(context);
        let setting = SETTING.get_ptr_mut(0)?;
        // SAFETY: one run at a time, on one CPU, uses this entry.
        let setting = unsafe { &mut *setting };
        let mut len = u64::from(frame.linear_len());
        // SAFETY: adds nothing. It hides from LLVM that `len` is a difference of
        // pointers: it would add the other term to one of them, and the verifier
        // says "pointer arithmetic with <<= operator prohibited".
        unsafe { asm!("{0} += 0", inlateout(reg) len) };
        let grown = (len as u32).wrapping_sub(setting.frame_len).cast_signed();
        if grown != 0 && !frame.adjust_head(grown) {
            return None;
        }
        write_frame(&mut frame, setting)?;
        setting.made += 1;
        setting.state = xorshift(setting.state);
        setting.next = match setting.flows {
            0 => setting.made as u32,
            flows => ((setting.state >> 32) * u64::from(flows) >> 32) as u32,
        };
        Some(())
    }

    #[inline(always)]
    fn write_frame(frame: &mut XdpFrame<'_>, setting: &Setting) -> Option<()> {
        stored(frame.store(0, &block(setting, 0)))?;
        if setting.frame_len >= 128 {
            stored(frame.store(64, &block(setting, 8)))?;
        }
        let flow = scattered(setting.next);
        let source = (setting.first_source | flow & ((1 << SOURCE_BITS) - 1)).to_be();
        let port = ((FIRST_PORT + (flow >> SOURCE_BITS)) as u16).to_be();
        let destination = (setting.first_destination + one_of(flow, setting.destinations)).to_be();
        // The last four bytes of both addresses, and the port after them.
        if setting.shape == SHAPE_V4 {
            stored(frame.store(ETHERNET_LEN + 12, &source))?;
            stored(frame.store(ETHERNET_LEN + 16, &destination))?;
            stored(frame.store(ETHERNET_LEN + IPV4_LEN, &port))?;
        } else if setting.shape == SHAPE_V6 {
            stored(frame.store(ETHERNET_LEN + 20, &source))?;
            stored(frame.store(ETHERNET_LEN + 36, &destination))?;
            stored(frame.store(ETHERNET_LEN + IPV6_LEN, &port))?;
        }
        Some(())
    }

    /// Eight words of the template, read one by one: copied whole, LLVM calls
    /// `memmove`, which goes byte by byte.
    #[inline(always)]
    fn block(setting: &Setting, first: usize) -> [u64; 8] {
        let mut words = [0; 8];
        for (at, word) in words.iter_mut().enumerate() {
            // SAFETY: reads a reference; volatile only keeps the words apart.
            *word = unsafe { ptr::read_volatile(&raw const setting.template[first + at]) };
        }
        words
    }

    /// Marsaglia, "Xorshift RNGs", 2003: the triple 13, 7, 17.
    #[inline(always)]
    const fn xorshift(mut state: u64) -> u64 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^ state << 17
    }

    #[inline(always)]
    const fn stored(whole: bool) -> Option<()> {
        if whole { Some(()) } else { None }
    }

    /// The floor under all floors: the wrapper alone.
    #[xdp(frags)]
    #[inline(always)]
    pub fn nop(_: XdpContext) -> u32 {
        xdp_action::XDP_PASS
    }

    #[xdp(frags)]
    #[inline(always)]
    pub fn mac_swap(context: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&context);
        let Some(macs) = frame.load::<Macs>(0) else {
            return xdp_action::XDP_ABORTED;
        };
        sent(frame.store(0, &macs.swapped()))
    }

    /// What no IP-in-IP balancer can do without: MAC addresses swapped, room
    /// made, and an outer header of constants but for length and checksum.
    #[xdp(frags)]
    #[inline(always)]
    pub fn encap_floor(context: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&context);
        sent(ipip_v4(&mut frame).is_some())
    }

    /// The same with an outer IPv6 header, which has no checksum.
    #[xdp(frags)]
    #[inline(always)]
    pub fn encap_floor_v6(context: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&context);
        sent(outer_v6(&mut frame).is_some())
    }

    /// The same with outer IPv4 and UDP headers; the UDP checksum is zero.
    #[xdp(frags)]
    #[inline(always)]
    pub fn encap_floor_udp(context: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&context);
        sent(udp_v4(&mut frame).is_some())
    }

    /// What no agent can do without: Ethernet moved over the outer IPv4 header,
    /// and the room given back.
    #[xdp(frags)]
    #[inline(always)]
    pub fn decap_floor(context: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&context);
        if decapsulated(&mut frame).is_some() {
            xdp_action::XDP_PASS
        } else {
            xdp_action::XDP_ABORTED
        }
    }

    const OUTER_SOURCE: u32 = u32::from_ne_bytes([10, 255, 0, 1]);
    const OUTER_DESTINATION: u32 = u32::from_ne_bytes([10, 0, 0, 1]);
    const PRESUM: u32 = presum_v4(OUTER_SOURCE, OUTER_DESTINATION);

    /// Both MAC addresses, in words: LLVM copies arrays byte by byte.
    #[derive(Clone, Copy, Pod, Zeroable)]
    #[repr(C, packed)]
    struct Macs {
        first: u64,
        second: u32,
    }

    impl Macs {
        #[inline(always)]
        const fn swapped(self) -> Self {
            let (first, second) = (self.first, self.second as u64);
            Self {
                first: first >> 48 | second << 16 | first << 48,
                second: (first >> 16) as u32,
            }
        }
    }

    /// An Ethernet header.
    #[derive(Clone, Copy, Pod, Zeroable)]
    #[repr(C, packed)]
    struct Start {
        macs: Macs,
        ethertype: u16,
    }

    #[derive(Clone, Copy, Pod, Zeroable)]
    #[repr(C, packed)]
    struct OuterV4 {
        start: Start,
        ip: Ipv4,
    }

    #[derive(Clone, Copy, Pod, Zeroable)]
    #[repr(C, packed)]
    struct OuterUdp {
        outer: OuterV4,
        source_port: u16,
        destination_port: u16,
        length: u16,
        checksum: u16,
    }

    /// Version to flow label, payload length, next header and hop limit, then
    /// the addresses.
    #[derive(Clone, Copy, Pod, Zeroable)]
    #[repr(C, packed)]
    struct OuterV6 {
        start: Start,
        version: u32,
        payload_length: u16,
        next_header_hop_limit: u16,
        source: [u64; 2],
        destination: [u64; 2],
    }

    #[inline(always)]
    fn ipip_v4(frame: &mut XdpFrame<'_>) -> Option<()> {
        let outer = outer_v4(frame, IPV4_LEN, PROTOCOL_IPIP)?;
        stored(frame.adjust_head(-IPV4_LEN.cast_signed()) && frame.store(0, &outer))
    }

    #[inline(always)]
    fn udp_v4(frame: &mut XdpFrame<'_>) -> Option<()> {
        const ADDED: u32 = IPV4_LEN + UDP_LEN;
        let outer = outer_v4(frame, ADDED, PROTOCOL_UDP)?;
        let outer = OuterUdp {
            outer,
            source_port: 0xc000_u16.to_be(),
            destination_port: 6080_u16.to_be(),
            length: (u16::from_be(outer.ip.total_length) - IPV4_LEN as u16).to_be(),
            checksum: 0,
        };
        stored(frame.adjust_head(-ADDED.cast_signed()) && frame.store(0, &outer))
    }

    /// Ethernet and IPv4 for the front of the frame, `added` bytes longer.
    #[inline(always)]
    fn outer_v4(frame: &XdpFrame<'_>, added: u32, protocol: u8) -> Option<OuterV4> {
        let macs = frame.load::<Macs>(0)?;
        let total_length = ((frame.linear_len() - ETHERNET_LEN + added) as u16).to_be();
        let start = Start {
            macs: macs.swapped(),
            ethertype: ETHERTYPE_IPV4,
        };
        let ip = Ipv4 {
            version_ihl: VERSION_IHL,
            tos: 0,
            total_length,
            id: 0,
            fragment: DONT_FRAGMENT,
            ttl: 64,
            protocol,
            checksum: checksum::finish(PRESUM + u32::from(total_length)),
            source: OUTER_SOURCE,
            destination: OUTER_DESTINATION,
        };
        Some(OuterV4 { start, ip })
    }

    #[inline(always)]
    fn outer_v6(frame: &mut XdpFrame<'_>) -> Option<()> {
        let macs = frame.load::<Macs>(0)?;
        let outer = OuterV6 {
            start: Start {
                macs: macs.swapped(),
                ethertype: ETHERTYPE_IPV6,
            },
            version: 0x6000_0000_u32.to_be(),
            payload_length: ((frame.linear_len() - ETHERNET_LEN) as u16).to_be(),
            // IPv4 in IPv6, 64 hops.
            next_header_hop_limit: u16::from_ne_bytes([PROTOCOL_IPIP, 64]),
            source: [0xfd, 1],
            destination: [0xfd, 2],
        };
        stored(frame.adjust_head(-IPV6_LEN.cast_signed()) && frame.store(0, &outer))
    }

    #[inline(always)]
    fn decapsulated(frame: &mut XdpFrame<'_>) -> Option<()> {
        // Word by word: what is only moved LLVM moves byte by byte.
        let macs = Macs {
            first: frame.load(0)?,
            second: frame.load(8)?,
        };
        let start = Start {
            macs,
            ethertype: ETHERTYPE_IPV4,
        };
        stored(frame.adjust_head(IPV4_LEN.cast_signed()) && frame.store(0, &start))
    }

    #[inline(always)]
    const fn sent(whole: bool) -> u32 {
        if whole {
            xdp_action::XDP_TX
        } else {
            xdp_action::XDP_ABORTED
        }
    }
}
