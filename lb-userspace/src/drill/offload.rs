//! Turns off checksum and segmentation offload of veth interfaces.
//!
//! With offload on, a veth hands over packets whose checksums nobody has
//! computed and segments of up to 64 KiB; a program that forwards them as they
//! are puts broken packets on the wire. A network card's driver never does this
//! on receive. Spoken to the kernel directly (generic netlink family
//! `ethtool`, Documentation/networking/ethtool-netlink.rst), so that no
//! `ethtool` program is needed.

use std::io::{self, ErrorKind};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// Segmentation offload needs the checksum, so the kernel turns it off with it.
const OFF: [&str; 2] = ["tx-checksum-ip-generic", "rx-gro"];

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
/// A bit that is named and does not carry a value is to be cleared.
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const NLA_F_NESTED: u16 = 0x8000;
/// Netlink header and generic netlink header.
const HEADERS: usize = 16 + 4;

/// Turns the offloads of `interface` off, in the calling thread's network
/// namespace.
///
/// # Errors
/// When there is no such interface, or the kernel does not take it.
pub fn turn_off(interface: &str) -> io::Result<()> {
    let family = resolve_ethtool()?;
    let header = attribute(
        ETHTOOL_A_FEATURES_HEADER | NLA_F_NESTED,
        &attribute(ETHTOOL_A_HEADER_DEV_NAME, &text(interface)),
    );
    let bits: Vec<u8> = OFF
        .iter()
        .flat_map(|name| {
            let bit = attribute(ETHTOOL_A_BITSET_BIT_NAME, &text(name));
            attribute(ETHTOOL_A_BITSET_BITS_BIT | NLA_F_NESTED, &bit)
        })
        .collect();
    let wanted = attribute(
        ETHTOOL_A_FEATURES_WANTED | NLA_F_NESTED,
        &attribute(ETHTOOL_A_BITSET_BITS | NLA_F_NESTED, &bits),
    );
    let body = [header, wanted].concat();
    ask(family, ETHTOOL_MSG_FEATURES_SET, NLM_F_ACK, &body).map(drop)
}

fn resolve_ethtool() -> io::Result<u16> {
    let name = attribute(CTRL_ATTR_FAMILY_NAME, &text("ethtool"));
    let answer = ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0, &name)?;
    let mut rest = answer.get(HEADERS..).unwrap_or_default();
    while let [len_0, len_1, kind_0, kind_1, ..] = *rest {
        let len = usize::from(u16::from_ne_bytes([len_0, len_1]));
        let kind = u16::from_ne_bytes([kind_0, kind_1]);
        if let (CTRL_ATTR_FAMILY_ID, Some(&[a, b])) = (kind, rest.get(4..6)) {
            return Ok(u16::from_ne_bytes([a, b]));
        }
        rest = rest.get(len.max(4).next_multiple_of(4)..).unwrap_or_default();
    }
    Err(ErrorKind::InvalidData.into())
}

/// Sends one request and gives the first message of the answer; an error the
/// kernel reports is an error.
fn ask(family: u16, command: u8, flags: u16, body: &[u8]) -> io::Result<Vec<u8>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::GENERIC),
    )?;
    let length = u32::try_from(HEADERS + body.len()).map_err(|_| ErrorKind::InvalidInput)?;
    let mut request = Vec::new();
    request.extend(length.to_ne_bytes());
    request.extend(family.to_ne_bytes());
    request.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    request.extend([0; 8]); // Sequence and port: one request on its own socket.
    request.extend([command, 1, 0, 0]);
    request.extend(body);
    send(&socket, &request, SendFlags::empty())?;

    let mut answer = vec![0; 8192];
    let (received, _) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    answer.truncate(received);
    let (Some(&[kind_0, kind_1]), Some(&[a, b, c, d])) = (answer.get(4..6), answer.get(16..20)) else {
        return Err(ErrorKind::InvalidData.into());
    };
    let error = i32::from_ne_bytes([a, b, c, d]);
    if u16::from_ne_bytes([kind_0, kind_1]) == NLMSG_ERROR && error != 0 {
        return Err(io::Error::from_raw_os_error(-error));
    }
    Ok(answer)
}

/// Length, kind, value, padded to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("attributes here are short");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn text(value: &str) -> Vec<u8> {
    [value.as_bytes(), &[0]].concat()
}
