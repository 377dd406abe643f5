//! A flow of either family in one shape, so that one piece of code serves both.

use super::carry::Tuple;
use crate::{
    abi::{
        hash_key::HashKey,
        member::Member,
        vip::{MAPPED, VipKey},
    },
    hash::{FlowHash, FlowV4, FlowV6},
    wire::{PROTOCOL_IPIP, PROTOCOL_IPV6},
};

/// See the module.
#[derive(Clone, Copy)]
pub struct Either {
    /// IPv4 in the last word.
    source: [u32; 4],
    /// IPv4 mapped into IPv6.
    destination: [u32; 4],
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    pub is_v6: bool,
}

impl Either {
    #[inline(always)]
    pub const fn v4(flow: FlowV4) -> Self {
        Self {
            source: [0, 0, MAPPED, flow.source],
            destination: [0, 0, MAPPED, flow.destination],
            source_port: flow.source_port,
            destination_port: flow.destination_port,
            protocol: flow.protocol,
            is_v6: false,
        }
    }

    #[inline(always)]
    pub const fn v6(flow: FlowV6) -> Self {
        Self {
            source: flow.source,
            destination: flow.destination,
            source_port: flow.source_port,
            destination_port: flow.destination_port,
            protocol: flow.protocol,
            is_v6: true,
        }
    }

    #[inline(always)]
    const fn as_v4(&self) -> FlowV4 {
        FlowV4 {
            source: self.source[3],
            destination: self.destination[3],
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol: self.protocol,
        }
    }

    #[inline(always)]
    const fn as_v6(&self) -> FlowV6 {
        FlowV6 {
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol: self.protocol,
        }
    }
}

impl Tuple for Either {
    #[inline(always)]
    fn inner_protocol(&self) -> u8 {
        if self.is_v6 { PROTOCOL_IPV6 } else { PROTOCOL_IPIP }
    }

    #[inline(always)]
    fn key(&self) -> VipKey {
        VipKey::v6(self.destination, self.destination_port, self.protocol)
    }

    #[inline(always)]
    fn address(&self) -> VipKey {
        VipKey::v6_address(self.destination)
    }

    #[inline(always)]
    fn fast_hash(&self, key: &HashKey, by_source: bool) -> FlowHash {
        if self.is_v6 {
            self.as_v6().fast_hash(key, by_source)
        } else {
            self.as_v4().fast_hash(key, by_source)
        }
    }

    #[inline(always)]
    fn siphash(&self, key: &HashKey, by_source: bool) -> FlowHash {
        if self.is_v6 {
            Tuple::siphash(&self.as_v6(), key, by_source)
        } else {
            Tuple::siphash(&self.as_v4(), key, by_source)
        }
    }

    #[inline(always)]
    fn loops(&self, member: &Member) -> bool {
        if self.is_v6 {
            self.as_v6().loops(member)
        } else {
            self.as_v4().loops(member)
        }
    }
}
