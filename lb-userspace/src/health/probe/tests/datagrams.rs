//! udp, dns and icmp.

use std::net::Ipv6Addr;

use simple_dns::{
    CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord,
    rdata::{A, RData},
};
use tokio::net::UdpSocket;

use super::{super::dns, HOST, PATIENT, SHORT, probe, probe_at, said};
use crate::{
    config::{Check, DnsRecord},
    health::probe::ProbeError,
};

/// Answers one datagram.
async fn server(answer: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static) -> u16 {
    let socket = UdpSocket::bind((HOST, 0)).await.expect("loopback has ports");
    let port = socket.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        let (length, from) = socket.recv_from(&mut buffer).await.expect("somebody asks");
        socket
            .send_to(&answer(&buffer[..length]), from)
            .await
            .expect("it is loopback");
    });
    port
}

fn udp(port: u16) -> Check {
    Check::Udp {
        port,
        send: "PING".to_owned(),
        expect: "PONG".to_owned(),
    }
}

fn question(port: u16) -> Check {
    Check::Dns {
        port,
        name: "www.example.net".to_owned(),
        record: DnsRecord::A,
    }
}

#[tokio::test]
async fn udp_passes_with_an_answer_that_begins_as_expected() {
    let port = server(|asked| {
        if asked == b"PING" {
            b"PONG 7".to_vec()
        } else {
            Vec::new()
        }
    })
    .await;
    probe(udp(port), PATIENT).await.expect("PONG 7 begins with PONG");
}

#[tokio::test]
async fn udp_fails_with_another_answer_and_shows_it() {
    let port = server(|_| b"-ERR loading".to_vec()).await;
    assert_eq!(
        said(probe(udp(port), PATIENT).await),
        "the answer begins with \"-ERR loading\", wanted \"PONG\""
    );
}

#[tokio::test]
async fn closed_port_is_refused_at_once_by_its_icmp_error() {
    let socket = UdpSocket::bind((HOST, 0)).await.expect("loopback has ports");
    let port = socket.local_addr().expect("it is bound").port();
    drop(socket);
    assert_eq!(said(probe(udp(port), PATIENT).await), "connection refused");
    assert_eq!(said(probe(question(port), PATIENT).await), "connection refused");
}

#[tokio::test]
async fn silence_runs_out_of_time() {
    let socket = UdpSocket::bind((HOST, 0)).await.expect("loopback has ports");
    let port = socket.local_addr().expect("it is bound").port();
    assert_eq!(said(probe(udp(port), SHORT).await), "no answer within 300ms");
}

#[tokio::test]
async fn answer_of_somebody_else_is_none() {
    let socket = UdpSocket::bind((HOST, 0)).await.expect("loopback has ports");
    let port = socket.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        let (_, from) = socket.recv_from(&mut [0; 64]).await.expect("somebody asks");
        let stranger = UdpSocket::bind((HOST, 0)).await.expect("loopback has ports");
        stranger.send_to(b"PONG", from).await.ok();
        tokio::time::sleep(PATIENT).await;
    });
    assert_eq!(said(probe(udp(port), SHORT).await), "no answer within 300ms");
}

/// What a server says to a question.
fn reply(asked: &[u8], with_record: bool, rcode: RCODE) -> Vec<u8> {
    let asked = Packet::parse(asked).expect("we asked");
    assert_eq!(asked.questions.len(), 1);
    assert_eq!(asked.questions[0].qname.to_string(), "www.example.net");
    let mut reply = Packet::new_reply(asked.id());
    reply.set_flags(PacketFlag::RESPONSE);
    *reply.rcode_mut() = rcode;
    reply.questions = asked.questions.clone();
    if with_record {
        let address = RData::A(A { address: 0xc000_0201 });
        let name = Name::new_unchecked("www.example.net").into_owned();
        reply.answers.push(ResourceRecord::new(name, CLASS::IN, 60, address));
    }
    reply.build_bytes_vec().expect("it is a packet")
}

#[tokio::test]
async fn dns_passes_with_a_record() {
    let port = server(|asked| reply(asked, true, RCODE::NoError)).await;
    probe(question(port), PATIENT).await.expect("there is a record");
}

#[tokio::test]
async fn dns_fails_with_an_error_or_nothing() {
    for (rcode, expected) in [
        (RCODE::ServerFailure, "the answer is SERVFAIL, wanted NOERROR"),
        (RCODE::Refused, "the answer is REFUSED, wanted NOERROR"),
        (RCODE::NameError, "the answer is NXDOMAIN, wanted NOERROR"),
        (RCODE::NoError, "the answer has no records"),
    ] {
        let port = server(move |asked| reply(asked, false, rcode)).await;
        assert_eq!(said(probe(question(port), PATIENT).await), expected);
    }
}

#[test]
fn answer_to_another_question_or_no_answer_is_no_dns() {
    let mut packet = Packet::new_query(7);
    let asked = packet.build_bytes_vec().expect("it is a packet");
    assert!(
        matches!(dns::judge(&asked, 7), Err(ProbeError::Dns)),
        "a question is no answer"
    );
    packet.set_flags(PacketFlag::RESPONSE);
    let answered = packet.build_bytes_vec().expect("it is a packet");
    assert!(matches!(dns::judge(&answered, 8), Err(ProbeError::Dns)), "another id");
    assert!(matches!(dns::judge(&answered, 7), Err(ProbeError::NoRecords)));
    for length in 0..12 {
        assert!(matches!(dns::judge(&answered[..length], 7), Err(ProbeError::Dns)));
    }
}

/// Where a socket for echo requests may be opened; elsewhere it is said that
/// the fault is ours.
#[tokio::test]
async fn loopback_answers_echo_requests_of_both_families() {
    for address in [HOST, Ipv6Addr::LOCALHOST.into()] {
        match probe_at(address, Check::Icmp {}, PATIENT).await {
            Ok(()) => {}
            Err(error) => {
                assert!(error.is_ours(), "{error:?}");
                assert!(!rustix::process::geteuid().is_root(), "root may: {error:?}");
            }
        }
    }
}
