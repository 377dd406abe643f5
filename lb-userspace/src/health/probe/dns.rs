//! A question is answered without an error, and with a record: a server that
//! lost its zone, or only refers to others, answers NOERROR with nothing in it.

use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use super::{ProbeError, error::DnsError, socket::Path, udp};
use crate::config::DnsRecord;

pub async fn check(path: &Path<'_>, port: u16, name: &str, record: DnsRecord) -> Result<(), ProbeError> {
    let id = fastrand::u16(..);
    let question = question(id, name, record)?;
    judge(&udp::exchange(path, port, &question).await?, id)
}

fn question(id: u16, name: &str, record: DnsRecord) -> Result<Vec<u8>, ProbeError> {
    let cannot = |_| ProbeError::Question("the name is no domain name");
    let name = Name::new(name.trim_end_matches('.')).map_err(cannot)?;
    let kind = match record {
        DnsRecord::A => TYPE::A,
        DnsRecord::Aaaa => TYPE::AAAA,
        DnsRecord::Soa => TYPE::SOA,
        DnsRecord::Ns => TYPE::NS,
        DnsRecord::Txt => TYPE::TXT,
    };
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let asked = Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false);
    packet.questions.push(asked);
    packet.build_bytes_vec().map_err(cannot)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "updates, signatures, what comes later")]
pub fn judge(answer: &[u8], id: u16) -> Result<(), ProbeError> {
    let packet = Packet::parse(answer).map_err(|_| ProbeError::Dns)?;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return Err(ProbeError::Dns);
    }
    let refused = match packet.rcode() {
        RCODE::NoError if packet.answers.is_empty() => return Err(ProbeError::NoRecords),
        RCODE::NoError => return Ok(()),
        RCODE::FormatError => DnsError::Format,
        RCODE::ServerFailure => DnsError::Server,
        RCODE::NameError => DnsError::Name,
        RCODE::NotImplemented => DnsError::NotImplemented,
        RCODE::Refused => DnsError::Refused,
        _ => DnsError::Other,
    };
    Err(ProbeError::Rcode(refused))
}
