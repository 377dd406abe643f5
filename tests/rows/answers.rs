//! ICMP both ways: what we tell clients is limited, and what routers tell us
//! is noted.

use std::net::IpAddr;

use anyhow::Result;
use support::{
    native::Native,
    oracle::Oracle,
    packet::Packet,
    rows::{path_errors, too_big},
    sites::{self, V4, V6},
    snapshot::Snapshot,
};

const KEY: [u8; 32] = [0x17; 32];

#[test]
fn beyond_the_limit_a_packet_that_is_too_long_is_dropped_untouched() -> Result<()> {
    const LIMIT: u32 = 3;
    let site = sites::one_arm();
    let mut snapshot = Snapshot::published(&site, KEY)?;
    snapshot.node.answers_per_second = LIMIT;
    let oracle = snapshot.oracle(&site)?;
    let silent = Oracle {
        may_answer: false,
        ..oracle.clone()
    };
    let native = Native::new(&snapshot);
    for nth in 0..10 {
        let to = if nth % 2 == 0 { V4 } else { V6 };
        let frame = Packet::segment(to.client, to.web, &[0x42; 2000]).bytes();
        let expected = if nth < LIMIT { &oracle } else { &silent };
        assert_eq!(native.run(&frame, 1), expected.judge(&frame, 1), "packet {nth}");
    }
    // What is no error has no limit.
    let echo = Packet::icmp(V4.client.ip(), V4.web.ip(), 8, 0, &[7; 20]).bytes();
    assert_eq!(native.run(&echo, 1).verdict, "AnswerEcho");
    Ok(())
}

#[test]
fn a_packet_just_too_long_hears_of_the_length_that_fits() -> Result<()> {
    for (name, site) in sites::all() {
        let snapshot = Snapshot::published(&site, KEY)?;
        let oracle = snapshot.oracle(&site)?;
        let native = Native::new(&snapshot);
        for to in [V4, V6] {
            for pool in sites::MIXES {
                let headers = Packet::segment(to.client, sites::mix(&to, pool), &[]).ip_bytes().len();
                let of = |bytes: usize| {
                    let data = vec![0x42; bytes - headers];
                    Packet::segment(to.client, sites::mix(&to, pool), &data).bytes()
                };
                // The flow's backend is the same whatever its length.
                let told = native.run(&of(9001), 1);
                assert_eq!(told.verdict, "AnswerTooBig", "{name}, {pool}");
                let at = if to.client.is_ipv4() { 14 + 20 + 6 } else { 14 + 40 + 6 };
                let fits = u16::from_be_bytes([told.bytes[at], told.bytes[at + 1]]).into();
                for bytes in [fits - 1, fits, fits + 1] {
                    let fate = native.run(&of(bytes), 1);
                    assert_eq!(fate, oracle.judge(&of(bytes), 1), "{name}, {pool}, {bytes} bytes");
                    let forwarded = fate.verdict.starts_with("Forward");
                    assert_eq!(forwarded, bytes <= fits, "{name}, {pool}, {bytes} bytes");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn an_error_about_an_outer_header_is_noted_for_its_backend() -> Result<()> {
    let site = sites::one_arm();
    let snapshot = Snapshot::published(&site, KEY)?;
    for (backend, error) in path_errors() {
        let native = Native::new(&snapshot);
        let frame = error.bytes();
        let fate = native.run(&frame, 1);
        assert_eq!(
            (fate.verdict.as_str(), &fate.bytes),
            ("PassOuterError", &frame),
            "{backend}"
        );
        assert_eq!(native.path(backend), Some(1400), "{backend}");
    }
    Ok(())
}

#[test]
fn no_path_is_believed_to_carry_less_than_its_family_must() -> Result<()> {
    let site = sites::one_arm();
    let snapshot = Snapshot::published(&site, KEY)?;
    let backends: [(IpAddr, IpAddr, u16); 2] = [
        ("10.255.0.7".parse()?, "10.0.1.11".parse()?, 552),
        ("fd00:ff::7".parse()?, "fd00:1::15".parse()?, 1280),
    ];
    for (ours, backend, least) in backends {
        let sent = Packet::segment(V4.client, V4.web, b"data").inside(ours, backend);
        for said in [0, 1, 67, least - 1, least, least + 1] {
            let native = Native::new(&snapshot);
            let fate = native.run(&too_big(&sent, said).bytes(), 1);
            assert_eq!(fate.verdict, "PassOuterError");
            assert_eq!(native.path(backend), Some(said.max(least)), "{backend}: {said}");
        }
    }
    Ok(())
}
