//! Rules about one value.

use super::{codes_of, errors_of, refused, with};
use crate::config::{Code, parse};

/// Each of these in the place of `part` gives this one error.
#[track_caller]
fn all_refused(part: &str, values: &[&str], code: Code) {
    for value in values {
        assert_eq!(codes_of(&with(part, value)), [code], "{value}");
    }
}

#[track_caller]
fn all_taken(part: &str, values: &[&str]) {
    for value in values {
        let taken = parse("test.yaml", &with(part, value));
        assert!(taken.is_ok(), "{value}: {}", taken.unwrap_err());
    }
}

#[test]
fn numbers_that_are_none_are_refused_with_their_place() {
    let others = [
        "1e2", "1.0", ".nan", ".inf", "\"100\"", "'100'", "one", "true", "~", "", "0100", "1_0",
    ];
    for other in others {
        let text = with("weight: 100", &format!("weight: {other}"));
        assert_eq!(codes_of(&text), [Code::NotANumber], "{other}");
    }
    assert_eq!(
        errors_of(&with("weight: 100", "weight: 1e2")),
        [(Code::NotANumber, 4, 103)]
    );
    let errors = refused(&with("weight: 100", "weight: \"100\"")).to_string();
    assert!(errors.contains("weight is `\"100\"`"), "{errors}");
    assert!(errors.contains("without quotes"), "{errors}");
}

#[test]
fn weights_reach_from_0_to_65535() {
    all_taken("weight: 100", &["weight: 1", "weight: 65535"]);
    let beyond = [
        "weight: -1",
        "weight: 65536",
        "weight: 4294967296",
        "weight: 18446744073709551616",
    ];
    for value in beyond {
        let code = codes_of(&with("weight: 100", value));
        assert!(
            code == [Code::NumberOutOfRange] || code == [Code::NotANumber],
            "{value}: {code:?}"
        );
    }
    let message = refused(&with("weight: 100", "weight: 65536")).to_string();
    assert!(message.contains("weight is 65536; it must be 0 to 65535"), "{message}");
}

#[test]
fn ports_reach_from_1_to_65535() {
    all_taken("port: 443", &["port: 1", "port: 65535"]);
    all_refused(
        "port: 443",
        &["port: 0", "port: 65536", "port: -443"],
        Code::NumberOutOfRange,
    );
}

#[test]
fn versions_other_than_ours_are_refused_alone() {
    let text = with("holdfast/v1", "holdfast/v2").replace("port: 443", "port: 0");
    assert_eq!(errors_of(&text), [(Code::ApiVersion, 1, 13)]);
}

#[test]
fn names_are_lower_case_labels() {
    let long = format!("name: {}", "a".repeat(63));
    all_taken(
        "name: web4",
        &["name: 4", "name: a-b", "name: be1.rack2", "name: a_b", &long],
    );
    let too_long = format!("name: {}", "a".repeat(64));
    all_refused(
        "name: web4",
        &[
            "name: Web",
            "name: -a",
            "name: a/b",
            "name: \"\"",
            "name: a b",
            "name: ü",
            &too_long,
        ],
        Code::NameInvalid,
    );
    all_taken("environment: lab", &["environment: prod-ams", "environment: 1"]);
    all_refused(
        "environment: lab",
        &[
            "environment: prod.ams",
            "environment: Prod",
            "environment: ''",
            "environment: \"a\\n\"",
        ],
        Code::NameInvalid,
    );
}

#[test]
fn interface_names_are_what_linux_takes() {
    let named = |name: &str| super::CONTRACT.replace("lb0", name);
    for name in ["eth0", "enp0s31f6.100", "a", "abcdefghijklmno", "Wan_1"] {
        assert!(parse("x", &named(name)).is_ok(), "{name}");
    }
    for name in ["abcdefghijklmnop", "a/b", "\"a b\"", "\"a:b\"", "..", "''"] {
        assert_eq!(codes_of(&named(name)), [Code::InterfaceInvalid], "{name}");
    }
}

#[test]
fn words_are_exact_and_the_nearest_is_named() {
    all_refused(
        "mode: native",
        &["mode: Native", "mode: xdp", "mode: 1"],
        Code::UnknownWord,
    );
    all_refused("encap: ipip", &["encap: GUE", "encap: vxlan"], Code::UnknownWord);
    all_taken("encap: ipip", &["encap: gue", "encap: l2"]);
    all_refused("table: minmove", &["table: min-move"], Code::UnknownWord);
    all_refused("weight: 100", &["state: draining"], Code::UnknownWord);
    all_refused(
        "pool: web",
        &["pool: web, affinity: client", "pool: web, hash: md5"],
        Code::UnknownWord,
    );
    all_taken("pool: web", &["pool: web, affinity: source, hash: siphash"]);
    all_refused("protocol: tcp", &["protocol: sctp", "protocol: 6"], Code::UnknownWord);
    all_taken("table: minmove", &["table: maglev"]);
    all_taken("mode: native", &["mode: generic"]);
    all_taken("protocol: tcp", &["protocol: udp"]);
    let message = refused(&with("table: minmove", "table: min-move")).to_string();
    assert!(message.contains("must be minmove or maglev"), "{message}");
    assert!(message.contains("did you mean `minmove`?"), "{message}");
}

#[test]
fn backends_and_vips_are_unicast_addresses() {
    let kinds = [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
    ];
    all_refused("10.0.1.11", &kinds, Code::AddressNotUnicast);
    all_refused("203.0.113.10", &kinds, Code::AddressNotUnicast);
    let others = [
        "10.0.1",
        "10.0.1.256",
        "10.0.1.011",
        "10.0.1.11/32",
        "be1",
        "\"2001:db8::1::2\"",
        "\"[2001:db8::1]\"",
        "\"2001:db8::1%lb0\"",
        "\"2001:db8::1/128\"",
        "167772427",
    ];
    all_refused("10.0.1.11", &others, Code::AddressInvalid);
    let six = [
        "\"::\"",
        "\"::1\"",
        "\"ff02::1\"",
        "\"fe80::1\"",
        "\"febf::1\"",
        "\"::ffff:10.0.1.11\"",
    ];
    all_refused("203.0.113.10", &six, Code::AddressNotUnicast);
    all_refused("10.0.1.11", &six, Code::AddressNotUnicast);
    all_taken("203.0.113.10", &["\"2001:db8::10\"", "2001:db8::10", "\"fec0::1\""]);
    let message = refused(&with("203.0.113.10", "\"fe80::1\"")).to_string();
    assert!(message.contains("fe80::1 is link-local"), "{message}");
}

#[test]
fn encap_source_is_a_clean_unicast_prefix() {
    all_taken("10.255.0.0/16", &["11.0.0.0/8", "10.255.0.1/32", "192.0.2.128/25"]);
    all_refused(
        "10.255.0.0/16",
        &[
            "10.255.0.1/16",
            "10.0.0.0/7",
            "0.0.0.0/0",
            "0.0.0.0/8",
            "127.0.0.0/8",
            "224.0.0.0/8",
            "240.0.0.0/8",
            "10.255.0.0",
            "10.255.0.0/33",
            "10.255.0.0/-1",
            "fd00::/64",
        ],
        Code::PrefixInvalid,
    );
    let six = |prefix: &str| with("v4: 10.255.0.0/16", &format!("v4: 10.255.0.0/16, v6: \"{prefix}\""));
    for prefix in ["fd00:ff::/64", "fd00:ff::/32", "2001:db8::1/128", "fd00::/96"] {
        let taken = parse("x", &six(prefix));
        assert!(taken.is_ok(), "{prefix}: {}", taken.unwrap_err());
    }
    for prefix in [
        "fd00:ff::1/64",
        "fd00::/31",
        "::/32",
        "::1/128",
        "::/96",
        "::ffff:0:0/96",
        "::fffe:0:0/95",
        "::ffff:10.0.0.0/104",
        "fe80::/64",
        "ff00::/32",
        "fd00:ff::",
        "fd00:ff::/129",
        "10.255.0.0/16",
        "fd00:ff::%lb0/64",
    ] {
        assert_eq!(codes_of(&six(prefix)), [Code::PrefixInvalid], "{prefix}");
    }
}

#[test]
fn times_are_whole_numbers_with_a_unit() {
    let idle = |time: &str| with("table: minmove", &format!("drain: {{ idle: {time}, deadline: 24h }}"));
    for time in ["1s", "60m", "1h", "3600s"] {
        assert!(parse("x", &idle(time)).is_ok(), "{time}");
    }
    for time in [
        "60",
        "1.5m",
        "m",
        "5 m",
        "5M",
        "1h30m",
        "-1s",
        "+1s",
        "05s",
        "\"\"",
        "1d",
        "99999999999999999999",
    ] {
        assert_eq!(codes_of(&idle(time)), [Code::TimeInvalid], "{time}");
    }
    for time in ["0s", "3601s", "61m", "99999999999999999999h"] {
        assert_eq!(codes_of(&idle(time)), [Code::NumberOutOfRange], "{time}");
    }
    let message = refused(&idle("2h")).to_string();
    assert!(message.contains("drain.idle is 2h; it must be 1s to 1h"), "{message}");
    let deadline = |time: &str| with("table: minmove", &format!("drain: {{ deadline: {time} }}"));
    assert!(parse("x", &deadline("24h")).is_ok());
    assert_eq!(codes_of(&deadline("25h")), [Code::NumberOutOfRange]);
}

#[test]
fn next_hop_is_the_ethernet_address_of_one_host() {
    all_taken("02:00:00:00:00:11", &["AA:bb:cc:dd:ee:ff"]);
    all_refused(
        "02:00:00:00:00:11",
        &[
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "01:00:5e:00:00:01",
            "02:00:00:00:00",
            "02-00-00-00-00-11",
            "02:00:00:00:00:11:22",
            "+2:00:00:00:00:11",
            "",
        ],
        Code::MacInvalid,
    );
}

#[test]
fn hash_key_file_is_an_absolute_path() {
    all_refused(
        "/var/lib/holdfast/hash.key",
        &["hash.key", "./hash.key", "''", "/"],
        Code::PathInvalid,
    );
}
