use proptest::prelude::*;

use super::{
    maps::{self, FALLBACK_VIPS, MEMBER_COUNTER, MEMBERS, Maps, TABLE, VIP_COUNTER, VIPS},
    packets::{self, Packet, VIP, any_frame},
};
use crate::{abi::active::Active, path::balance, verdict::Verdict};

fn is_forwarded(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::ForwardTx | Verdict::ForwardRedirect)
}

/// What may be wrong with the maps, beside the packet.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    NothingPublished,
    NoKey,
    NoInterfaces,
    NoVips,
    NoVipsAtAll,
    NoTable,
    NoMembers,
    NoNextHop,
    UnknownEncap,
    SmallMtu,
    OtherInterface,
}

const FAULTS: [Fault; 12] = [
    Fault::None,
    Fault::NothingPublished,
    Fault::NoKey,
    Fault::NoInterfaces,
    Fault::NoVips,
    Fault::NoVipsAtAll,
    Fault::NoTable,
    Fault::NoMembers,
    Fault::NoNextHop,
    Fault::UnknownEncap,
    Fault::SmallMtu,
    Fault::OtherInterface,
];

fn maps_with(fault: Fault) -> Maps {
    let mut member = maps::member();
    match fault {
        Fault::NoNextHop => member.flags = 0,
        Fault::UnknownEncap => member.encap = 99,
        Fault::SmallMtu => member.mtu = 50,
        Fault::OtherInterface => member.ifindex = 8,
        Fault::None
        | Fault::NothingPublished
        | Fault::NoKey
        | Fault::NoInterfaces
        | Fault::NoVips
        | Fault::NoVipsAtAll
        | Fault::NoTable
        | Fault::NoMembers => {}
    }
    let mut maps = Maps::of(&member);
    let missing: &[u16] = match fault {
        Fault::NoVips => &[VIPS],
        Fault::NoVipsAtAll => &[VIPS, FALLBACK_VIPS],
        Fault::NoTable => &[TABLE],
        Fault::NoMembers => &[MEMBERS],
        Fault::NothingPublished => {
            maps.active = Active::default();
            &[]
        }
        Fault::NoKey => {
            maps.key = None;
            &[]
        }
        Fault::NoInterfaces => {
            maps.interfaces = None;
            &[]
        }
        Fault::None | Fault::NoNextHop | Fault::UnknownEncap | Fault::SmallMtu | Fault::OtherInterface => &[],
    };
    maps.chunks.retain(|chunk, _| !missing.contains(chunk));
    maps
}

#[test]
fn each_fault_has_its_verdict() {
    let verdict = |fault| {
        let mut packet = Packet::new(&packets::tcp(VIP, b"hello"), 20, 0);
        balance(&mut packet.frame(), &maps_with(fault)).verdict
    };
    let expected = |fault| match fault {
        // The fallback serves as well as the active revision.
        Fault::None | Fault::NoInterfaces | Fault::NoVips => Verdict::ForwardTx,
        Fault::OtherInterface => Verdict::ForwardRedirect,
        Fault::NothingPublished => Verdict::PassNoGeneration,
        Fault::NoVipsAtAll => Verdict::PassUnreadable,
        Fault::NoKey | Fault::NoTable | Fault::NoMembers => Verdict::DropUnreadable,
        Fault::NoNextHop => Verdict::DropNoNextHop,
        Fault::UnknownEncap => Verdict::DropEncap,
        Fault::SmallMtu => Verdict::DropTooBig,
    };
    for fault in FAULTS {
        assert_eq!(verdict(fault), expected(fault), "{fault:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_frame_is_untouched_or_finished(
        frame in any_frame(),
        fault in 0..FAULTS.len(),
        headroom in prop_oneof![0_usize..20, Just(20), Just(64)],
    ) {
        let maps = maps_with(FAULTS[fault]);
        let mut packet = Packet::new(&frame, headroom, 0xa5);
        let before = packet.buffer.clone();
        let outcome = balance(&mut packet.frame(), &maps);
        if is_forwarded(outcome.verdict) {
            // Nothing but the outer header and the Ethernet header is written.
            let written = headroom - 20..headroom + 14;
            prop_assert_eq!(&packet.buffer[..written.start], &before[..written.start]);
            prop_assert_eq!(&packet.buffer[written.end..], &before[written.end..]);
        } else {
            prop_assert_eq!(packet.buffer, before);
        }
    }

    #[test]
    fn each_packet_is_counted_once_by_verdict_and_if_forwarded_by_vip_and_member(
        frame in any_frame(),
        fault in 0..FAULTS.len(),
    ) {
        let maps = maps_with(FAULTS[fault]);
        let outcome = balance(&mut Packet::new(&frame, 64, 0).frame(), &maps);
        let once = (1, frame.len() as u64);
        let mut expected = std::collections::BTreeMap::from([(outcome.verdict as u32, once)]);
        if is_forwarded(outcome.verdict) {
            expected.insert(u32::from(VIP_COUNTER), once);
            expected.insert(u32::from(MEMBER_COUNTER), once);
        }
        prop_assert_eq!(maps.counted.into_inner(), expected);
    }
}
