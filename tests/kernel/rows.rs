//! The rows in the kernel, and what they leave in the books.

use anyhow::{Context, Result, ensure};
use support::{
    contract::Status,
    native::Native,
    oracle::Action,
    packet::{CLIENT, Packet},
    rows::{Row, rows},
    sites::{self, WEB},
    snapshot::Snapshot,
};

use crate::balancer::{Balancer, LOOPBACK, SHORTEST};

#[test]
fn every_row_has_the_same_fate_in_the_kernel_natively_and_by_the_oracle() -> Result<()> {
    for (name, site) in sites::all() {
        let balancer = Balancer::start(site)?;
        let snapshot = Snapshot::read(balancer.pins())?;
        let oracle = snapshot.oracle(&balancer.site)?;
        let program = balancer.balancer()?;
        let ingress = balancer.site.interfaces[0].ifindex;
        balancer.inside(|| {
            let native = Native::new(&snapshot);
            for Row { claim, frame, .. } in runnable() {
                let kernel = program
                    .fate(&frame, ingress)
                    .with_context(|| format!("{name}: {claim}"))?;
                assert_eq!(
                    kernel,
                    native.run(&frame, ingress),
                    "{name}: {claim}: kernel and native"
                );
                assert_eq!(
                    kernel,
                    oracle.judge(&frame, ingress),
                    "{name}: {claim}: kernel and oracle"
                );
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn an_interface_that_is_not_ours_changes_how_a_packet_is_sent_and_nothing_else() -> Result<()> {
    for (name, site) in sites::all() {
        let balancer = Balancer::start(site)?;
        let program = balancer.balancer()?;
        let ours = balancer.site.interfaces[0].ifindex;
        let foreign = balancer.foreign_interface()?;
        balancer.inside(|| {
            for Row { claim, frame, .. } in runnable() {
                let mut expected = program.fate(&frame, ours)?;
                if expected.verdict == "ForwardTx" {
                    expected.verdict = "ForwardRedirect".to_owned();
                    expected.action = Action::Redirect;
                }
                for other in [LOOPBACK, foreign] {
                    assert_eq!(
                        program.fate(&frame, other)?,
                        expected,
                        "{name}: {claim}: from interface {other}"
                    );
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn the_books_balance_to_the_packet_and_the_byte() -> Result<()> {
    for (name, site) in sites::all() {
        let balancer = Balancer::start(site)?;
        let program = balancer.balancer()?;
        let ingress = balancer.site.interfaces[0].ifindex;
        let before = balancer.installation.status()?;
        let frames: Vec<Vec<u8>> = runnable().into_iter().map(|row| row.frame).collect();
        balancer.inside(|| {
            frames
                .iter()
                .try_for_each(|frame| program.run(frame, ingress).map(drop))
        })?;
        let after = balancer.installation.status()?;
        let delta = |of: fn(&Status) -> support::contract::Traffic| of(&after) - of(&before);
        let received = delta(Status::received);
        assert_eq!(
            received.packets,
            frames.len() as u64,
            "{name}: every packet has a verdict"
        );
        let bytes: usize = frames.iter().map(Vec::len).sum();
        assert_eq!(received.bytes, bytes as u64, "{name}: bytes");
        ensure!(
            delta(Status::forwarded).packets >= 300,
            "{name}: hardly anything was forwarded"
        );
        assert_eq!(delta(Status::forwarded), delta(Status::of_vips), "{name}: VIPs");
        assert_eq!(delta(Status::forwarded), delta(Status::of_backends), "{name}: backends");
    }
    Ok(())
}

/// Frames longer than one buffer are judged, forwarded and counted whole.
#[test]
fn a_frame_of_several_buffers_is_forwarded_whole() -> Result<()> {
    let balancer = Balancer::start(sites::two_arm())?;
    let snapshot = Snapshot::read(balancer.pins())?;
    let oracle = snapshot.oracle(&balancer.site)?;
    let program = balancer.balancer()?;
    let ingress = balancer.site.interfaces[0].ifindex;
    balancer.inside(|| {
        for data in [4000, 8000, 8940, 8941] {
            let frame = Packet::segment(CLIENT, WEB, &vec![0x42; data]).bytes();
            let fate = program.fate(&frame, ingress)?;
            assert_eq!(fate, oracle.judge(&frame, ingress), "{data} bytes of data");
            // 20 bytes outer header, 20 inner, 20 TCP: 9,000.
            let expected = if data <= 8940 {
                "ForwardRedirect"
            } else {
                "AnswerTooBig"
            };
            assert_eq!(fate.verdict, expected, "{data} bytes of data");
        }
        Ok(())
    })
}

/// Rows that `BPF_PROG_TEST_RUN` takes.
pub fn runnable() -> Vec<Row> {
    rows().into_iter().filter(|row| row.frame.len() >= SHORTEST).collect()
}
