use std::{fs, net::Ipv4Addr, path::Path};

use super::{FlowHash, Prefix, hash::Flow};

/// An oracle that asks the defendant knows nothing.
#[test]
fn the_oracle_shares_no_code_with_what_it_judges() {
    // In pieces, or this file would hold them.
    let forbidden = [concat!("lb_", "common"), concat!("hold", "fast::")];
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/oracle");
    let mut read = 0;
    for entry in fs::read_dir(&sources).expect("the oracle's sources are here") {
        let path = entry.expect("its entries can be read").path();
        let text = fs::read_to_string(&path).expect("a source is text");
        for word in forbidden {
            assert!(!text.contains(word), "{} says {word}", path.display());
        }
        read += 1;
    }
    assert!(read >= 6, "only {read} sources in {}", sources.display());
}

/// Worked out with Python's integers from the definition.
#[test]
fn the_flow_hash_is_that_of_its_definition() {
    let flow = Flow {
        source: Ipv4Addr::new(198, 51, 100, 7),
        source_port: 40_000,
        destination: Ipv4Addr::new(203, 0, 113, 10),
        destination_port: 443,
        protocol: 6,
    };
    let key = std::array::from_fn(|at| at as u8);
    let hash = FlowHash::of(&flow, &key);
    assert_eq!((hash.slot(), hash.entropy()), (33591, [250, 137, 3, 103]));
}

#[test]
fn a_prefix_leaves_to_hosts_what_is_behind_its_length() {
    let prefix = |length| Prefix {
        network: Ipv4Addr::new(10, 254, 16, 0),
        length,
    };
    assert_eq!(prefix(20).host_bits(), 0x0fff);
    assert_eq!(prefix(32).host_bits(), 0);
    assert!(prefix(20).contains(Ipv4Addr::new(10, 254, 31, 255)));
    assert!(!prefix(20).contains(Ipv4Addr::new(10, 254, 32, 0)));
    assert!(!prefix(32).contains(Ipv4Addr::new(10, 254, 16, 1)));
}
