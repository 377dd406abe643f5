//! Which addresses one host can have, and which prefixes packets may come from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::{
    limits::{MIN_PREFIX_V4, MIN_PREFIX_V6},
    problem::Problem,
};

/// What an address is, if it is not that of one host anywhere.
pub fn not_unicast(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_unicast_v4(address),
        IpAddr::V6(address) => {
            let mut kinds = NOT_UNICAST_V6.iter();
            kinds
                .find(|(prefix, _)| prefix.contains(&address))
                .map(|(_, kind)| *kind)
        }
    }
}

/// RFC 6890 §2.2.2.
const fn not_unicast_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("in 0.0.0.0/8 (this network)"),
        [127, ..] => Some("loopback"),
        [224..=239, ..] => Some("multicast"),
        [255, 255, 255, 255] => Some("broadcast"),
        [240..=255, ..] => Some("in 240.0.0.0/4 (reserved)"),
        _ => None,
    }
}

/// RFC 4291 §2.4 to §2.7, RFC 6890 §2.2.3. Link-local addresses are of one host,
/// but on one link: nobody could be told which.
const NOT_UNICAST_V6: [(Ipv6Net, &str); 5] = [
    (v6(Ipv6Addr::UNSPECIFIED, 128), "unspecified"),
    (v6(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (
        v6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96),
        "an IPv4-mapped address (write the IPv4 address)",
    ),
    (v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10), "link-local"),
    (v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8), "multicast"),
];

const fn v6(network: Ipv6Addr, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(network, length)
}

/// A prefix of one family.
pub trait Prefix: Sized {
    /// The prefix that is written, if packets may come from there.
    fn judged(written: &str) -> Result<Self, Problem>;
}

impl Prefix for Ipv4Net {
    fn judged(written: &str) -> Result<Self, Problem> {
        let prefix: Self = written.parse().map_err(|_| Problem::PrefixInvalid {
            written: written.to_owned(),
            family: "IPv4",
            like: "10.255.0.0/16",
        })?;
        clean(IpNet::V4(prefix), MIN_PREFIX_V4)?;
        // No prefix of /8 or longer is partly unicast.
        unicast(prefix, not_unicast_v4(prefix.addr()))
    }
}

impl Prefix for Ipv6Net {
    fn judged(written: &str) -> Result<Self, Problem> {
        let prefix: Self = written.parse().map_err(|_| Problem::PrefixInvalid {
            written: written.to_owned(),
            family: "IPv6",
            like: "fd00:ff::/64",
        })?;
        clean(IpNet::V6(prefix), MIN_PREFIX_V6)?;
        let overlaps = |other: &Self| other.contains(&prefix) || prefix.contains(other);
        let kind = NOT_UNICAST_V6.iter().find(|(other, _)| overlaps(other));
        unicast(prefix, kind.map(|(_, kind)| *kind))
    }
}

/// Long enough, and host bits zero.
fn clean(prefix: IpNet, min: u8) -> Result<(), Problem> {
    if prefix.prefix_len() < min {
        return Err(Problem::PrefixTooShort {
            length: prefix.prefix_len(),
            min,
            max: prefix.max_prefix_len(),
        });
    }
    if prefix.trunc() != prefix {
        return Err(Problem::PrefixHasHostBits {
            prefix: prefix.to_string(),
            network: prefix.trunc().to_string(),
        });
    }
    Ok(())
}

fn unicast<P: ToString>(prefix: P, kind: Option<&'static str>) -> Result<P, Problem> {
    kind.map_or(Ok(()), |kind| {
        Err(Problem::PrefixNotUnicast {
            prefix: prefix.to_string(),
            kind,
        })
    })?;
    Ok(prefix)
}
