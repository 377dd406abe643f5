use super::*;
use crate::plan::samples;

fn probe(source: &str, destination: &str, protocol: Protocol) -> Probe {
    Probe {
        source: source.parse().unwrap(),
        source_port: 40000,
        destination: destination.parse().unwrap(),
        destination_port: 443,
        protocol,
    }
}

#[test]
fn packet_of_either_family_is_whole() {
    let v4 = probe("192.0.2.1", "203.0.113.10", Protocol::Tcp).packet();
    assert_eq!((v4.len(), &v4[12..14]), (14 + 20 + 20, &[0x08, 0x00][..]));
    let words = v4[14..34]
        .chunks(2)
        .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
    let sum: u32 = words.sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    assert_eq!(v4[30..34], [203, 0, 113, 10]);
    let v6 = probe("2001:db8::1", "2001:db8::10", Protocol::Udp).packet();
    assert_eq!((v6.len(), &v6[12..14]), (14 + 40 + 8, &[0x86, 0xdd][..]));
    assert_eq!((v6[14], &v6[18..20], v6[20], v6[21]), (0x60, &[0, 8][..], 17, 64));
    assert_eq!(v6[53], 0x10);
    assert_eq!(v6[54..58], [0x9c, 0x40, 0x01, 0xbb]);
}

#[test]
fn slot_follows_the_vips_affinity_and_hash() {
    let key = HashKey::from_bytes(&[7; 32]);
    for (source, destination) in [("192.0.2.1", "203.0.113.10"), ("2001:db8::1", "2001:db8::10")] {
        let one = probe(source, destination, Protocol::Tcp);
        let mut other = one;
        other.source_port = 40001;
        other.destination_port = 80;
        let slots = |affinity, hash| {
            let vip = Vip {
                affinity,
                hash,
                ..samples::vip("v", 10, 443, Protocol::Tcp, "web")
            };
            (one.slot(&vip, &key), other.slot(&vip, &key))
        };
        for hash in [HashKind::Fast, HashKind::Siphash] {
            let (a, b) = slots(Affinity::Source, hash);
            assert_eq!(a, b, "{source} {hash}");
            let (a, b) = slots(Affinity::Tuple, hash);
            assert_ne!(a, b, "{source} {hash}");
        }
        assert_ne!(
            slots(Affinity::Tuple, HashKind::Fast),
            slots(Affinity::Tuple, HashKind::Siphash)
        );
    }
}
