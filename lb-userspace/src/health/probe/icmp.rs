//! An echo request is answered (RFC 792, RFC 4443 §4.1). One socket for each
//! address that is asked from serves all backends.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket},
    sync::{Arc, Mutex, PoisonError},
};

use lb_common::checksum;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::UdpSocket, sync::oneshot, task::AbortHandle};

use super::{ProbeError, socket::Path};

/// Which socket: its family, and the source and mark of one in the tunnel.
type Kind = (bool, Option<(IpAddr, u32)>);

/// Sockets for echo requests, made when first needed.
#[derive(Default)]
pub struct Echoes {
    sockets: Mutex<HashMap<Kind, Arc<EchoSocket>>>,
}

impl Echoes {
    pub async fn check(&self, path: &Path<'_>) -> Result<(), ProbeError> {
        let socket = self.socket(path)?;
        let (token, answered) = socket.expect(path.to);
        let (id, sequence) = ((token >> 16) as u16, token as u16);
        if let Some(tunnelled) = &path.tunnelled {
            let protocol = if path.to.is_ipv4() { ICMP } else { ICMPV6 };
            tunnelled.register(protocol, id);
        }
        let request = request(path.to.is_ipv4(), id, sequence, token);
        // Forgotten when this returns or is dropped.
        let _expected = Expected { socket: &socket, token };
        socket.socket.send_to(&request, SocketAddr::new(path.to, 0)).await?;
        answered.await.map_err(|_| ProbeError::Unreachable)
    }

    fn socket(&self, path: &Path<'_>) -> Result<Arc<EchoSocket>, ProbeError> {
        let tunnelled = path.tunnelled.as_ref();
        let way = tunnelled.map(|tunnelled| (tunnelled.source, tunnelled.tunnel.mark()));
        let kind = (path.to.is_ipv4(), way);
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = sockets.get(&kind) {
            return Ok(Arc::clone(socket));
        }
        let socket = Arc::new(EchoSocket::open(path.domain(), way)?);
        sockets.insert(kind, Arc::clone(&socket));
        Ok(socket)
    }
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

struct EchoSocket {
    socket: Arc<UdpSocket>,
    waiting: Arc<Mutex<Waiting>>,
    reader: AbortHandle,
}

#[derive(Default)]
struct Waiting {
    next: u32,
    /// Token to who is asked.
    asked: HashMap<u32, (IpAddr, oneshot::Sender<()>)>,
}

impl Drop for EchoSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl EchoSocket {
    fn open(domain: Domain, way: Option<(IpAddr, u32)>) -> Result<Self, ProbeError> {
        let protocol = if domain == Domain::IPV4 {
            Protocol::ICMPV4
        } else {
            Protocol::ICMPV6
        };
        let make = |kind: Type| Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol));
        let (socket, raw) = match (make(Type::RAW), way) {
            (Ok(socket), _) => (socket, true),
            // Without CAP_NET_RAW: allowed by net.ipv4.ping_group_range. The
            // kernel chooses the id, so all share one, which the tunnel could
            // not tell apart.
            (Err(_), None) => (make(Type::DGRAM)?, false),
            (Err(error), Some(_)) => return Err(ProbeError::Local(error)),
        };
        if let Some((source, mark)) = way {
            socket.set_mark(mark)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        let socket = Arc::new(UdpSocket::from_std(StdUdpSocket::from(socket))?);
        let first = Waiting {
            next: fastrand::u32(..),
            asked: HashMap::new(),
        };
        let waiting = Arc::new(Mutex::new(first));
        let with_header = raw && domain == Domain::IPV4;
        let reading = read(Arc::clone(&socket), Arc::clone(&waiting), with_header);
        Ok(Self {
            socket,
            waiting,
            reader: tokio::spawn(reading).abort_handle(),
        })
    }

    /// A token of its own, and when it comes back.
    fn expect(&self, from: IpAddr) -> (u32, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // One after the other: id and sequence are used again after 2^32.
        let token = waiting.next.wrapping_add(0x0001_0001);
        waiting.next = token;
        waiting.asked.insert(token, (from, sender));
        (token, receiver)
    }
}

struct Expected<'s> {
    socket: &'s EchoSocket,
    token: u32,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let mut waiting = self.socket.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.asked.remove(&self.token);
    }
}

#[expect(clippy::infinite_loop, reason = "its task is aborted with the socket")]
async fn read(socket: Arc<UdpSocket>, waiting: Arc<Mutex<Waiting>>, with_header: bool) {
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // An ICMP error about an earlier request; the next read works.
                tracing::debug!(%error, "the socket for echo requests");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let Some(token) = answer(&buffer[..length], with_header, from.is_ipv4()) else {
            continue;
        };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.asked.get(&token).is_some_and(|(asked, _)| *asked == from.ip())
            && let Some((_, sender)) = waiting.asked.remove(&token)
        {
            // Who asked may have given up.
            sender.send(()).ok();
        }
    }
}

/// What an echo request carries, so that an answer is known as one to us.
const MAGIC: [u8; 8] = *b"holdfast";

fn request(is_v4: bool, id: u16, sequence: u16, token: u32) -> Vec<u8> {
    let kind = if is_v4 { 8 } else { 128 };
    let mut request = vec![kind, 0, 0, 0];
    request.extend(id.to_be_bytes());
    request.extend(sequence.to_be_bytes());
    request.extend(MAGIC);
    request.extend(token.to_be_bytes());
    if is_v4 {
        // In ICMPv6 the kernel fills it in (RFC 3542 §3.1).
        let words = request.as_chunks::<2>().0.iter();
        let sum = words.map(|word| u32::from(u16::from_ne_bytes(*word))).sum();
        request[2..4].copy_from_slice(&checksum::finish(sum).to_ne_bytes());
    }
    request
}

/// The token of an echo reply of ours.
fn answer(packet: &[u8], with_header: bool, is_v4: bool) -> Option<u32> {
    // Raw IPv4 sockets give the IP header, too; its length is in words.
    let start = if with_header {
        usize::from(packet.first()? & 0x0f) * 4
    } else {
        0
    };
    let (&[kind, code, _, _, _, _, _, _], payload) = packet.get(start..)?.split_first_chunk::<8>()?;
    let reply = if is_v4 { 0 } else { 129 };
    let token = payload.strip_prefix(&MAGIC)?.first_chunk::<4>()?;
    (kind == reply && code == 0).then(|| u32::from_be_bytes(*token))
}
