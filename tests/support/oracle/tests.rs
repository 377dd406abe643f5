use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use super::{Affinity, Flow, FlowHash, Function, Prefix};

/// An oracle that asks the defendant knows nothing.
#[test]
fn the_oracle_shares_no_code_with_what_it_judges() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/oracle");
    let read = search(&sources);
    assert!(read >= 12, "only {read} sources in {}", sources.display());
}

/// How many sources there are, none of which may name what it judges.
fn search(directory: &Path) -> usize {
    // In pieces, or this file would hold them.
    let forbidden = [concat!("lb_", "common"), concat!("hold", "fast::")];
    let mut read = 0;
    for entry in fs::read_dir(directory).expect("the oracle's sources are here") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() {
            read += search(&path);
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source is text");
        for word in forbidden {
            assert!(!text.contains(word), "{} says {word}", path.display());
        }
        read += 1;
    }
    read
}

/// Worked out with Python's integers from the definition.
#[test]
fn the_flow_hash_is_that_of_its_definition() {
    for (case, slot, entropy) in HASHES {
        let (source, destination, affinity, function) = case;
        let flow = Flow {
            source: address(source),
            source_port: 40_000,
            destination: address(destination),
            destination_port: 443,
            protocol: 6,
        };
        let key = std::array::from_fn(|at| at as u8);
        let hash = FlowHash::of(&flow, affinity, function, &key);
        assert_eq!((hash.slot(), hash.entropy()), (slot, entropy), "{case:?}");
    }
}

type Case = (&'static str, &'static str, Affinity, Function);

const HASHES: [(Case, u16, u32); 8] = [
    (
        ("198.51.100.7", "203.0.113.10", Affinity::Tuple, Function::Fast),
        33591,
        0x6703_89fa,
    ),
    (
        ("198.51.100.7", "203.0.113.10", Affinity::Source, Function::Fast),
        52485,
        0x2d34_5efe,
    ),
    (
        ("198.51.100.7", "203.0.113.10", Affinity::Tuple, Function::SipHash),
        64578,
        0x2b6c_3451,
    ),
    (
        ("198.51.100.7", "203.0.113.10", Affinity::Source, Function::SipHash),
        48801,
        0xe9d7_9020,
    ),
    (
        ("2001:db8:6::7", "2001:db8:cb00::10", Affinity::Tuple, Function::Fast),
        55483,
        0x288b_6469,
    ),
    (
        ("2001:db8:6::7", "2001:db8:cb00::10", Affinity::Source, Function::Fast),
        57907,
        0x0e19_3ad2,
    ),
    (
        ("2001:db8:6::7", "2001:db8:cb00::10", Affinity::Tuple, Function::SipHash),
        27014,
        0x8036_07d3,
    ),
    (
        (
            "2001:db8:6::7",
            "2001:db8:cb00::10",
            Affinity::Source,
            Function::SipHash,
        ),
        15378,
        0x374d_fd63,
    ),
];

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn a_prefix_leaves_to_hosts_what_is_behind_its_length() {
    let prefix = |length| Prefix {
        network: Ipv4Addr::new(10, 254, 16, 0).into(),
        length,
    };
    assert_eq!(prefix(20).host_bits(), 0x0fff);
    assert_eq!(prefix(32).host_bits(), 0);
    assert!(prefix(20).contains(address("10.254.31.255")));
    assert!(!prefix(20).contains(address("10.254.32.0")));
    assert!(!prefix(32).contains(address("10.254.16.1")));
    assert_eq!(prefix(20).address(0xffff_ffff), address("10.254.31.255"));
}

#[test]
fn a_prefix_of_one_family_holds_no_address_of_the_other() {
    let prefix = |network, length| Prefix {
        network: address(network),
        length,
    };
    assert!(prefix("fd00:ff::", 64).contains(address("fd00:ff::a:b:c:d")));
    assert!(!prefix("fd00:ff::", 64).contains(address("fd00:ff:0:1::")));
    assert!(!prefix("0.0.0.0", 1).contains(address("::")));
    assert!(!prefix("::", 1).contains(address("0.0.0.0")));
    assert_eq!(prefix("fd00:ff::", 32).host_bits(), u128::MAX >> 32);
    // Only the last 32 bits are ever filled.
    let filled = prefix("fd00:ff::", 64).address(u128::from(u32::MAX));
    assert_eq!(filled, address("fd00:ff::ffff:ffff"));
    assert_eq!(prefix("fd00:ff::8", 128).address(5), address("fd00:ff::8"));
}
