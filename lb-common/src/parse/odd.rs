//! Packets that are not of the common shape.

use super::{ipv4, ipv6};
use crate::{
    abi::vip::VipKey,
    frame::Frame,
    hash::{FlowV4, FlowV6},
    verdict::Verdict,
    view::View,
    wire::{ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, Ethernet, VLAN_TAG_LEN},
};

/// An odd packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odd {
    pub news: News,
    /// Bytes of the frame, of all its buffers, for the counters.
    pub frame_len: u32,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It needs no lookup.
    Settled(Verdict),
    /// It is of the common shape after all; only its frame was not.
    Plain,
    /// Its fate, if it is for a VIP.
    Refuse(Claim, Verdict),
    /// An echo request, to be answered if it is for a VIP.
    EchoV4(Claim),
    EchoV6(Claim),
    /// An error about a packet of this flow.
    QuoteV4(Quote<FlowV4>),
    QuoteV6(Quote<FlowV6>),
}

/// For whom a packet seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub key: VipKey,
    /// For address records: flags of which one at least must be set.
    pub protocols: u16,
}

/// An ICMP error, to be sent where the flow goes that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote<T> {
    /// As its client sends it: the quoted packet went the other way.
    pub flow: T,
    pub tos: u8,
    /// Bytes of the IP packet that holds the error.
    pub length: u16,
}

#[inline(always)]
pub fn parse<F: Frame, V: View>(frame: &F, view: &V) -> Odd {
    let linear = frame.linear_len();
    let Some(ethernet) = frame.load::<Ethernet>(0) else {
        return Odd::settled(Verdict::DropRunt, linear);
    };
    let mut head = Head {
        group: ethernet.destination[0] & 1 != 0,
        l3: ETHERNET_LEN,
        linear,
        tagged: false,
    };
    let mut ethertype = ethernet.ethertype;
    if ethertype == ETHERTYPE_VLAN {
        head.l3 += VLAN_TAG_LEN;
        head.tagged = true;
        ethertype = frame
            .load::<u16>(ETHERNET_LEN + VLAN_TAG_LEN - 2)
            .unwrap_or(ETHERTYPE_VLAN);
    }
    match ethertype {
        ETHERTYPE_IPV4 => ipv4::parse(frame, view, &head),
        ETHERTYPE_IPV6 => ipv6::parse(frame, view, &head),
        _ => Odd::settled(Verdict::PassNotIp, linear),
    }
}

/// What stands before the IP header.
pub(super) struct Head {
    /// The destination is a group address (IEEE 802-2014 §8.2.2).
    pub group: bool,
    /// Offset of the IP header.
    pub l3: u32,
    /// Bytes of the first buffer.
    pub linear: u32,
    /// 802.1Q, one tag: not balanced yet.
    pub tagged: bool,
}

impl Head {
    /// A refusal; a tag stands before any other.
    #[inline(always)]
    pub const fn refused(&self, claim: Claim, verdict: Verdict, frame_len: u32) -> Odd {
        let verdict = if self.tagged { Verdict::DropVlan } else { verdict };
        Odd {
            news: News::Refuse(claim, verdict),
            frame_len,
        }
    }
}

impl Odd {
    #[inline(always)]
    pub(super) const fn settled(verdict: Verdict, frame_len: u32) -> Self {
        Self {
            news: News::Settled(verdict),
            frame_len,
        }
    }

    #[inline(always)]
    pub(super) const fn plain(frame_len: u32) -> Self {
        Self {
            news: News::Plain,
            frame_len,
        }
    }
}

/// Bytes of the frame: only a header that states more than the first buffer
/// holds is worth the helper call.
#[inline(always)]
pub fn frame_len<F: Frame>(frame: &F, linear: u32, stated: u32) -> u32 {
    if stated > linear { frame.total_len() } else { linear }
}
