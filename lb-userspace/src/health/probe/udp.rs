//! A datagram is answered by one that begins as expected.

use std::net::SocketAddr;

use socket2::{Protocol, Type};
use tokio::net::UdpSocket;

use super::{ProbeError, socket::Path};

/// The longest answer that is looked at, bytes.
const LONGEST: usize = 4096;

/// Bytes of an unexpected answer that are shown.
const SHOWN: usize = 64;

pub async fn check(path: &Path<'_>, port: u16, send: &[u8], expect: &[u8]) -> Result<(), ProbeError> {
    let answer = exchange(path, port, send).await?;
    if answer.starts_with(expect) {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
    Err(ProbeError::Unexpected {
        got: text(&answer),
        wanted: text(expect),
    })
}

/// One datagram out, one in. The socket is connected, so that only the one who
/// was asked can answer, and an ICMP error ends it at once.
pub async fn exchange(path: &Path<'_>, port: u16, question: &[u8]) -> Result<Vec<u8>, ProbeError> {
    let socket = path.socket(Type::DGRAM, Protocol::UDP)?;
    let socket = UdpSocket::from_std(socket.into())?;
    socket.connect(SocketAddr::new(path.to, port)).await?;
    socket.send(question).await?;
    let mut answer = vec![0; LONGEST];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}
