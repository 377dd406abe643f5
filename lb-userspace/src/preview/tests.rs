use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use super::{
    Contradiction, Ends, LivePreview, NewDrop, PoolPreview, Preview,
    live::Packet,
    objection,
    synthetic::{Judged, Met, Standing, Told, weigh},
    text,
};
use crate::{
    config::Protocol,
    digest::Digest,
    kernel::sampler::Sampled,
    rehearsal::{Destination, Probe},
};

const A: Option<Destination> = Some(Destination::Outer(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 11))));
const B: Option<Destination> = Some(Destination::Outer(IpAddr::V4(Ipv4Addr::new(10, 0, 1, 12))));

const fn met(sent: Option<Destination>, wanted: bool, as_wanted: bool) -> Met {
    Met {
        sent,
        wanted,
        as_wanted,
    }
}

#[test]
fn each_way_of_a_packet_is_judged_by_what_the_candidate_says() {
    use Standing::{Gone, Maint, Ready};
    let nobody = met(None, false, false);
    let rows = [
        ("stays", Ready, A, met(A, true, true), Judged::Same),
        ("moves", Ready, A, met(B, true, true), Judged::OtherBackend),
        ("is new", Ready, None, met(A, true, true), Judged::Starts),
        ("was nothing", Ready, None, nobody, Judged::Silent),
        ("loses all", Ready, A, nobody, Judged::NewDrop),
        ("to maint", Maint, A, nobody, Judged::Ends(Ends::Maint)),
        ("goes", Gone, A, nobody, Judged::Ends(Ends::Removed)),
        ("was in maint", Maint, None, nobody, Judged::Same),
        ("to a stranger", Ready, A, met(B, true, false), Judged::Contradicts),
        ("nowhere", Ready, A, met(None, true, false), Judged::Contradicts),
        ("to somebody", Ready, None, met(A, false, false), Judged::Contradicts),
        (
            "in maint all the same",
            Maint,
            A,
            met(A, true, true),
            Judged::Contradicts,
        ),
        ("gone all the same", Gone, A, met(A, false, false), Judged::Contradicts),
    ];
    for (what, standing, before, met, expected) in rows {
        assert_eq!(weigh(&Told { standing, before, met }), expected, "{what}");
    }
}

fn preview() -> Preview {
    Preview {
        plan: Digest::of(&[]),
        generation: 41,
        revision: 43,
        summary: String::new(),
        vips: 3,
        flows: 24,
        other_backend: 0,
        slots: 2 * 65_536,
        slots_moved: 0,
        slots_kept: 0,
        pools: Vec::new(),
        starts: BTreeSet::new(),
        silent: BTreeSet::new(),
        ends: BTreeMap::new(),
        new_drops: Vec::new(),
        contradictions: Vec::new(),
        sampled: None,
        not_sampled: None,
        took_us: 0,
        refusal: None,
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn drops_of(vip: &str, measured: bool) -> NewDrop {
    NewDrop {
        vip: vip.to_owned(),
        packets: 8,
        verdict: "DropNoBackend".to_owned(),
        measured,
    }
}

#[test]
fn sentence_names_slots_backends_and_drops() {
    let of = |preview: &Preview| text::summary(preview, false);
    assert_eq!(of(&preview()), "no slot moves, 0 new drops");
    let two_of_three = Preview {
        slots_moved: 4063,
        slots_kept: 4063,
        pools: vec![PoolPreview {
            pool: "dns".to_owned(),
            slots_moved: 4063,
            slots_kept: 4063,
            backends: 3,
            loses: names(&["be1", "be2"]),
            gains: BTreeSet::new(),
        }],
        ..preview()
    };
    assert_eq!(
        of(&two_of_three),
        "3.1 % of slots move, dns loses 2 of 3 backends, 0 new drops"
    );
    let much = Preview {
        slots_moved: 1,
        starts: names(&["web6"]),
        ends: [("dns".to_owned(), Ends::Removed), ("raw".to_owned(), Ends::Maint)].into(),
        new_drops: vec![drops_of("web4", false)],
        sampled: Some(LivePreview {
            within_ms: 5000,
            packets: 1204,
            other_backend: 37,
            ..LivePreview::default()
        }),
        ..preview()
    };
    assert_eq!(
        of(&much),
        "0.1 % of slots move, 100 % of them with their flows, 1 VIP new, 1 VIP removed, 1 VIP to maint, new drops of 1 \
         VIP: web4; of 1,204 sampled packets 37 go to another backend (0 of established flows), 0 new drops"
    );
    assert_eq!(text::summary(&preview(), true), "nothing is served yet, 0 new drops");
}

#[test]
fn what_the_blast_radius_says_is_no_surprise_and_a_contradiction_always_is() {
    let drops = |measured| Preview {
        new_drops: vec![drops_of("web4", measured)],
        ..preview()
    };
    assert!(objection(&preview()).is_none());
    assert!(objection(&drops(true)).is_none());
    let said = objection(&drops(false)).expect("a surprise").to_string();
    assert_eq!(
        said,
        "packets of 1 VIP that stays would be dropped (DropNoBackend): web4"
    );
    let contradicted = Preview {
        contradictions: vec![Contradiction {
            vip: "web4".to_owned(),
            what: "a packet went nowhere instead of to a backend of its slot".to_owned(),
        }],
        ..drops(true)
    };
    let said = objection(&contradicted).expect("a contradiction");
    assert!(!said.is_drops(), "{said}");
}

fn probe(protocol: Protocol) -> Probe {
    Probe {
        source: Ipv4Addr::new(198, 51, 100, 7).into(),
        source_port: 40_000,
        destination: Ipv4Addr::new(203, 0, 113, 10).into(),
        destination_port: 443,
        protocol,
    }
}

/// A packet with something to say after its headers.
fn sampled(mut head: Vec<u8>) -> (usize, Sampled) {
    let headers = head.len();
    head.extend(b"GET /secret");
    let frame_len = 900;
    (headers, Sampled { frame_len, head })
}

#[test]
fn nothing_but_headers_is_kept_of_a_sampled_packet() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let (headers, sampled) = sampled(probe(protocol).packet());
        let packet = Packet::of(&sampled).expect("a packet");
        assert_eq!(packet.frame[..headers], sampled.head[..headers]);
        assert_eq!(packet.frame.len(), 900);
        assert!(packet.frame[headers..].iter().all(|byte| *byte == 0), "payload is kept");
        let flow = packet.flow.expect("a flow");
        assert_eq!(flow.endpoint, (probe(protocol).destination, 443, protocol));
        assert!(!flow.opens);
    }
}

#[test]
fn syn_opens_a_flow_and_its_answer_does_not() {
    let (headers, mut sampled) = sampled(probe(Protocol::Tcp).packet());
    for (flags, opens) in [(0x02, true), (0x12, false), (0x10, false), (0xc2, true)] {
        // Flags are seven bytes before the end of the shortest TCP header.
        sampled.head[headers - 7] = flags;
        let packet = Packet::of(&sampled).expect("a packet");
        assert_eq!(packet.flow.expect("a flow").opens, opens, "{flags:x}");
    }
}

#[test]
fn frames_that_the_kernel_would_not_run_are_left_out() {
    let (_, sampled) = sampled(probe(Protocol::Udp).packet());
    for frame_len in [13, 3501, 9000] {
        let odd = Sampled {
            frame_len,
            ..sampled.clone()
        };
        assert_eq!(Packet::of(&odd), None, "{frame_len}");
    }
}
