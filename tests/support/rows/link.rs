//! Ethernet: runts, other protocols, tags, group addresses, padding.

use lb_common::verdict::Verdict;

use super::{NOT_VIP, Row, WEB_POOL, dropped, passed, row, transport::port};
use crate::{
    packet::{CLIENT, IP, Packet, cut, overwritten},
    sites::{Targets, WEB},
};

/// EtherTypes.
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

pub fn rows() -> Vec<Row> {
    kinds()
}

pub fn twins(to: &Targets) -> Vec<Row> {
    [tags(to), addresses(to)].concat()
}

fn kinds() -> Vec<Row> {
    let web = Packet::syn(CLIENT, WEB);
    let not_ip = |claim, ethertype: u16| row(claim, typed(ethertype, 46), passed(Verdict::PassNotIp));
    vec![
        row("an empty frame is a runt", Vec::new(), dropped(Verdict::DropRunt)),
        row("13 bytes are a runt", cut(web.bytes(), 13), dropped(Verdict::DropRunt)),
        row(
            "an Ethernet header alone, of IPv4, holds no IP header",
            cut(web.bytes(), 14),
            dropped(Verdict::DropShortL3),
        ),
        row(
            "an Ethernet header alone, of IPv6, holds no IP header",
            typed(0x86dd, 0),
            dropped(Verdict::DropShortL3),
        ),
        row(
            "19 bytes of IPv4 are no header",
            cut(web.bytes(), IP + 19),
            dropped(Verdict::DropShortL3),
        ),
        not_ip("ARP is passed", 0x0806),
        not_ip("LLDP is passed", 0x88cc),
        not_ip("MPLS is passed", 0x8847),
        not_ip("a PPPoE session is passed", 0x8864),
        not_ip("a frame with a length instead of a type (spanning tree) is passed", 38),
    ]
}

fn tags(to: &Targets) -> Vec<Row> {
    let web = Packet::syn(to.client, to.web);
    let host = Packet::syn(to.client, to.host);
    let tagged = |packet: &Packet, tags: &[[u16; 2]]| packet.clone().with(|p| p.tags = tags.to_vec()).bytes();
    vec![
        row(
            "a tagged packet to a VIP is dropped",
            tagged(&web, &[[VLAN, 100]]),
            dropped(Verdict::DropVlan),
        ),
        row(
            "a packet with a priority tag to a VIP is dropped",
            tagged(&web, &[[VLAN, 7 << 13]]),
            dropped(Verdict::DropVlan),
        ),
        row(
            "a tagged packet to the host is passed",
            tagged(&host, &[[VLAN, 100]]),
            NOT_VIP,
        ),
        row(
            "a tagged segment cut off by the frame is dropped for its tag",
            cut(tagged(&web, &[[VLAN, 100]]), web.bytes().len() - 1),
            dropped(Verdict::DropVlan),
        ),
        row(
            "a tagged segment to another port of a VIP's address is passed",
            tagged(&Packet::syn(to.client, port(to.web, 22)), &[[VLAN, 100]]),
            NOT_VIP,
        ),
        row(
            "a tagged packet of another version than it claims belongs to nobody",
            overwritten(tagged(&host, &[[VLAN, 100]]), 18, &[0x05]),
            dropped(Verdict::DropBadVersion),
        ),
        row(
            "tagged ARP is passed",
            overwritten(tagged(&web, &[[VLAN, 5]]), 16, &[0x08, 0x06]),
            passed(Verdict::PassNotIp),
        ),
        row(
            "a tag that is cut off is passed",
            cut(tagged(&web, &[[VLAN, 5]]), 17),
            passed(Verdict::PassNotIp),
        ),
        row(
            "half an IP header behind a tag holds no IP header",
            cut(tagged(&web, &[[VLAN, 5]]), 30),
            dropped(Verdict::DropShortL3),
        ),
        row(
            "an 802.1ad tag is passed",
            tagged(&web, &[[QINQ, 5]]),
            passed(Verdict::PassNotIp),
        ),
        row(
            "two tags are passed",
            tagged(&web, &[[QINQ, 5], [VLAN, 6]]),
            passed(Verdict::PassNotIp),
        ),
        row(
            "two customer tags are passed",
            tagged(&web, &[[VLAN, 5], [VLAN, 6]]),
            passed(Verdict::PassNotIp),
        ),
        row(
            "twenty tags are passed",
            tagged(&web, &[[VLAN, 5]; 20]),
            passed(Verdict::PassNotIp),
        ),
    ]
}

fn addresses(to: &Targets) -> Vec<Row> {
    let web = Packet::syn(to.client, to.web);
    let host = Packet::syn(to.client, to.host);
    vec![
        row(
            "a broadcast frame to a VIP is dropped",
            overwritten(web.bytes(), 0, &[0xff; 6]),
            dropped(Verdict::DropL2Multicast),
        ),
        row(
            "a multicast frame to a VIP is dropped",
            overwritten(web.bytes(), 0, &[0x01, 0, 0x5e, 0, 0, 1]),
            dropped(Verdict::DropL2Multicast),
        ),
        row(
            "a broadcast frame to the host is passed",
            overwritten(host.bytes(), 0, &[0xff; 6]),
            NOT_VIP,
        ),
        row(
            "a short packet in a padded frame is forwarded with its padding",
            web.with(|p| p.padding = 6).bytes(),
            WEB_POOL,
        ),
    ]
}

/// A frame of this type, with so many bytes of content.
fn typed(ethertype: u16, content: usize) -> Vec<u8> {
    let header = cut(Packet::syn(CLIENT, WEB).bytes(), IP);
    let frame = overwritten(header, 12, &ethertype.to_be_bytes());
    [frame, vec![0x5a; content]].concat()
}
