//! A connection is made, and closed with a reset.

use std::{net::SocketAddr, time::Duration};

use socket2::{Protocol, Type};
use tokio::net::{TcpSocket, TcpStream};

use super::{ProbeError, socket::Path};

pub async fn check(path: &Path<'_>, port: u16) -> Result<(), ProbeError> {
    connect(path, port).await.map(drop)
}

/// A connection that ends with a reset, which costs neither side a socket in
/// TIME_WAIT (RFC 9293 §3.10.4: ABORT).
pub async fn connect(path: &Path<'_>, port: u16) -> Result<TcpStream, ProbeError> {
    let socket = path.socket(Type::STREAM, Protocol::TCP)?;
    socket.set_linger(Some(Duration::ZERO))?;
    let socket = TcpSocket::from_std_stream(socket.into());
    Ok(socket.connect(SocketAddr::new(path.to, port)).await?)
}
