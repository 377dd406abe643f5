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
    use lb_common::{
        abi::{
            bench::{FIRST_PORT, SHAPE_V4, SHAPE_V6, SOURCE_BITS, Setting, one_of, scattered},
            member::Macs,
        },
        checksum,
        encap::{OUTER_TTL, presum_v4},
        frame::Frame as _,
        wire::{
            DONT_FRAGMENT, ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, EthernetIpv4, EthernetIpv6, EthernetWords,
            GUE_LEN, GUE_PORT, Gue, IPV4_LEN, IPV6_LEN, Ipv4, Ipv6, PROTOCOL_IPIP, PROTOCOL_UDP, UDP_LEN, Udp, UdpGue,
            VERSION_IHL,
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
        let Some(macs) = frame.load(0) else {
            return xdp_action::XDP_ABORTED;
        };
        let EthernetWords {
            first, second, third, ..
        } = answered(macs, 0);
        sent(frame.store(0, &Macs::of_words(first, second, third)))
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
        sent(ipip_v6(&mut frame).is_some())
    }

    /// The same with outer IPv4, UDP and GUE headers; the UDP checksum is zero.
    #[xdp(frags)]
    #[inline(always)]
    pub fn encap_floor_gue(context: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&context);
        sent(gue_v4(&mut frame).is_some())
    }

    /// The same with outer IPv6, UDP and GUE headers.
    #[xdp(frags)]
    #[inline(always)]
    pub fn encap_floor_gue_v6(context: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&context);
        sent(gue_v6(&mut frame).is_some())
    }

    /// What no agent can do without: Ethernet moved over the outer IPv4 header,
    /// and the room given back.
    #[xdp(frags)]
    #[inline(always)]
    pub fn decap_floor(context: XdpContext) -> u32 {
        taken_off(&context, IPV4_LEN)
    }

    #[xdp(frags)]
    #[inline(always)]
    pub fn decap_floor_v6(context: XdpContext) -> u32 {
        taken_off(&context, IPV6_LEN)
    }

    #[xdp(frags)]
    #[inline(always)]
    pub fn decap_floor_gue(context: XdpContext) -> u32 {
        taken_off(&context, IPV4_LEN + UDP_LEN + GUE_LEN)
    }

    #[xdp(frags)]
    #[inline(always)]
    pub fn decap_floor_gue_v6(context: XdpContext) -> u32 {
        taken_off(&context, IPV6_LEN + UDP_LEN + GUE_LEN)
    }

    /// Outer headers of so many bytes in front of an IPv4 packet.
    #[inline(always)]
    fn taken_off(context: &XdpContext, outer: u32) -> u32 {
        let mut frame = XdpFrame::new(context);
        if decapsulated(&mut frame, outer).is_some() {
            xdp_action::XDP_PASS
        } else {
            xdp_action::XDP_ABORTED
        }
    }

    const OUTER_SOURCE: u32 = u32::from_ne_bytes([10, 255, 0, 1]);
    const OUTER_DESTINATION: u32 = u32::from_ne_bytes([10, 0, 0, 1]);
    const PRESUM: u32 = presum_v4(OUTER_SOURCE, OUTER_DESTINATION);

    /// The Ethernet header of an answer.
    #[inline(always)]
    const fn answered(macs: [u32; 3], ethertype: u16) -> EthernetWords {
        let [a, b, c] = macs;
        // Little-endian: the destination is `a` and the low half of `b`.
        EthernetWords {
            first: b >> 16 | c << 16,
            second: c >> 16 | a << 16,
            third: a >> 16 | b << 16,
            ethertype,
        }
    }

    #[inline(always)]
    fn ipip_v4(frame: &mut XdpFrame<'_>) -> Option<()> {
        let outer = outer_v4(frame, IPV4_LEN, PROTOCOL_IPIP)?;
        stored(frame.adjust_head(-IPV4_LEN.cast_signed()) && frame.store(0, &outer))
    }

    #[inline(always)]
    fn gue_v4(frame: &mut XdpFrame<'_>) -> Option<()> {
        const ADDED: u32 = IPV4_LEN + UDP_LEN + GUE_LEN;
        let outer = outer_v4(frame, ADDED, PROTOCOL_UDP)?;
        let header = udp_gue(u16::from_be(outer.ip.total_length) - IPV4_LEN as u16);
        let whole = frame.adjust_head(-ADDED.cast_signed())
            && frame.store(0, &outer)
            && frame.store(ETHERNET_LEN + IPV4_LEN, &header);
        stored(whole)
    }

    #[inline(always)]
    fn ipip_v6(frame: &mut XdpFrame<'_>) -> Option<()> {
        let outer = outer_v6(frame, IPV6_LEN, PROTOCOL_IPIP)?;
        stored(frame.adjust_head(-IPV6_LEN.cast_signed()) && frame.store(0, &outer))
    }

    #[inline(always)]
    fn gue_v6(frame: &mut XdpFrame<'_>) -> Option<()> {
        const ADDED: u32 = IPV6_LEN + UDP_LEN + GUE_LEN;
        let outer = outer_v6(frame, ADDED, PROTOCOL_UDP)?;
        let header = udp_gue(u16::from_be(outer.ip.payload_length));
        let whole = frame.adjust_head(-ADDED.cast_signed())
            && frame.store(0, &outer)
            && frame.store(ETHERNET_LEN + IPV6_LEN, &header);
        stored(whole)
    }

    /// Ethernet and IPv4 for the front of the frame, `added` bytes longer.
    #[inline(always)]
    fn outer_v4(frame: &XdpFrame<'_>, added: u32, protocol: u8) -> Option<EthernetIpv4> {
        let ethernet = answered(frame.load(0)?, ETHERTYPE_IPV4);
        let total_length = ((frame.linear_len() - ETHERNET_LEN + added) as u16).to_be();
        let sum = PRESUM + u32::from(u16::from_ne_bytes([0, protocol])) + u32::from(total_length);
        let ip = Ipv4 {
            version_ihl: VERSION_IHL,
            tos: 0,
            total_length,
            id: 0,
            fragment: DONT_FRAGMENT,
            ttl: OUTER_TTL,
            protocol,
            checksum: checksum::finish(sum),
            source: OUTER_SOURCE,
            destination: OUTER_DESTINATION,
        };
        Some(EthernetIpv4 { ethernet, ip })
    }

    /// The same with IPv6.
    #[inline(always)]
    fn outer_v6(frame: &XdpFrame<'_>, added: u32, next_header: u8) -> Option<EthernetIpv6> {
        let ethernet = answered(frame.load(0)?, ETHERTYPE_IPV6);
        let payload = frame.linear_len() - ETHERNET_LEN + added - IPV6_LEN;
        let ip = Ipv6 {
            version_class_label: 0x6000_0000_u32.to_be(),
            payload_length: (payload as u16).to_be(),
            next_header,
            hop_limit: OUTER_TTL,
            source: [0xfd, 0, 0, 1],
            destination: [0xfd, 0, 0, 2],
        };
        Some(EthernetIpv6 { ethernet, ip })
    }

    #[inline(always)]
    const fn udp_gue(length: u16) -> UdpGue {
        UdpGue {
            udp: Udp {
                source: 0xc000_u16.to_be(),
                destination: GUE_PORT,
                length: length.to_be(),
                checksum: 0,
            },
            gue: Gue {
                variant_length: 0,
                protocol: PROTOCOL_IPIP,
                flags: 0,
            },
        }
    }

    #[inline(always)]
    fn decapsulated(frame: &mut XdpFrame<'_>, outer: u32) -> Option<()> {
        // Word by word: what is only moved LLVM moves byte by byte.
        let ethernet = EthernetWords {
            first: frame.load(0)?,
            second: frame.load(4)?,
            third: frame.load(8)?,
            ethertype: ETHERTYPE_IPV4,
        };
        stored(frame.adjust_head(outer.cast_signed()) && frame.store(0, &ethernet))
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
