//! The fate of a packet. Every early exit has its own verdict, so its own
//! counter; received = forwarded + answered + passed + Σ dropped, exactly.

macro_rules! verdicts {
    ($(#[$enum_doc:meta])* $enum:ident { $($(#[doc = $doc:literal])+ $name:ident),+ $(,)? }) => {
        $(#[$enum_doc])*
        #[must_use]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $enum { $($(#[doc = $doc])+ $name),+ }

        impl $enum {
            /// All of them, by their number.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name, the same in JSON, metrics and documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// One sentence for people: the documentation of the variant.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+)),+ }
            }
        }
    };
}

verdicts! {
    /// What the balancer does with a packet. Numbers are counter indices: new
    /// verdicts go to the end, so that pinned counters keep their meaning.
    Verdict {
        /// Encapsulated and sent out of the interface it came in by.
        ForwardTx,
        /// Encapsulated and sent out of another interface.
        ForwardRedirect,
        /// Not addressed to a VIP: passed to the host as it came.
        PassNotVip,
        /// Not IP (ARP, LLDP, stacked VLAN tags and so on): passed to the host as it came.
        PassNotIp,
        /// Nothing has been published: passed to the host as it came.
        PassNoGeneration,
        /// Neither the active nor the fallback VIP table can be read: passed to the host as it came.
        PassUnreadable,
        /// Shorter than an Ethernet header.
        DropRunt,
        /// Shorter than its IP header.
        DropShortL3,
        /// The IP version is not the one the EtherType says.
        DropBadVersion,
        /// To a VIP address: IPv4 header length under 20 bytes or beyond the packet.
        DropHeaderLength,
        /// To a VIP address: IP length beyond the frame or shorter than its header.
        DropTotalLength,
        /// To a VIP: TTL 0 or 1 (RFC 2003 §3.1), which also ends loops.
        DropTtl,
        /// To a VIP: a source that no host may use (RFC 1812 §5.3.7).
        DropMartian,
        /// To a VIP: source equals destination (LAND).
        DropLand,
        /// To a VIP, but in an Ethernet broadcast or multicast frame (RFC 1812 §5.3.4).
        DropL2Multicast,
        /// To a VIP: a fragment; fragments have no ports to balance by.
        DropFragment,
        /// To a VIP: IPv4 options, not balanced yet.
        DropOptions,
        /// To a VIP: 802.1Q tagged, not balanced yet.
        DropVlan,
        /// To a VIP address: an ICMP message of no use to anybody (RFC 6633), or without its header.
        DropIcmp,
        /// To a VIP: shorter than its TCP or UDP header.
        DropShortL4,
        /// To a VIP: TCP data offset under 20 bytes or beyond the packet (RFC 9293 §3.1).
        DropTcpOffset,
        /// To a VIP: UDP length under 8 bytes or beyond the packet (RFC 768).
        DropUdpLength,
        /// To a VIP, from our own encapsulation source: a loop.
        DropLoop,
        /// To a VIP whose pool has nobody in this slot.
        DropNoBackend,
        /// The backend's next hop has never been resolved.
        DropNoNextHop,
        /// Longer than the path to the backend allows, and the client was not told: it was told enough of late, or must not be.
        DropTooBig,
        /// The driver left no room in front of the frame for the outer header.
        DropNoHeadroom,
        /// To a VIP whose table or members can be read neither in the active nor in the fallback revision.
        DropUnreadable,
        /// To a VIP, with an encapsulation this program does not know.
        DropEncap,
        /// To a VIP address: IPv6 extension headers, not balanced yet.
        DropExtension,
        /// To a VIP address: an ICMP error that does not quote a packet of one of its VIPs.
        DropIcmpQuote,
        /// ICMP echo request to a VIP address: answered.
        AnswerEcho,
        /// Longer than the path to the backend allows: the client was told what fits.
        AnswerTooBig,
        /// ICMP error about an outer header of ours: noted for the backend, and passed to the host as it came.
        PassOuterError,
        /// The program for odd packets cannot be called: passed to the host as it came.
        PassNoOddPath,
        /// To a VIP that an operator took out of service.
        DropMaint,
    }
}

verdicts! {
    /// What the agent does with a packet on a backend.
    AgentVerdict {
        /// Outer header taken off, inner packet passed up.
        AcceptDecapsulated,
        /// Neither IP-in-IP nor GUE: passed on untouched.
        PassNotEncapsulated,
        /// Encapsulated, but from outside the balancer prefixes: passed on untouched.
        PassUntrusted,
        /// From a balancer, but damaged, fragmented or of an unknown variant: passed on untouched.
        PassMalformed,
        /// Congestion was marked on the way, and the inner packet cannot carry the mark (RFC 6040 §4.2).
        DropCongestion,
    }
}

verdicts! {
    /// What happens in a dirty slot, beside a packet's verdict.
    FlowEvent {
        /// A new flow was noted for the new owner.
        NotedNew,
        /// A flow from before the change was noted for its owner.
        NotedOld,
        /// No room to note a new flow: it goes to the owner from before the change.
        RefusedNew,
        /// No room to note a flow from before the change: it stays where it is, unwatched.
        RefusedOld,
    }
}
