//! Rules between objects, and what a correct file means.

use std::fmt::Write;

use super::{CONTRACT, codes_of, errors_of, refused, with};
use crate::config::{
    Affinity, Backend, BackendState, Code, Drain, Encap, HashKind, ObjectName, Protocol, TableKind, XdpMode,
    judge_again,
    limits::{MAX_BACKENDS, MAX_INTERFACES, MAX_POOLS, MAX_VIPS},
    parse,
};

#[test]
fn contract_means_what_it_says() {
    let parsed = parse("contract.yaml", CONTRACT).unwrap();
    let config = parsed.config;
    assert_eq!(config.environment, "lab");
    assert_eq!(config.node.interfaces[0].name, "lb0");
    assert_eq!(config.node.interfaces[0].mode, XdpMode::Native);
    assert_eq!(config.node.encap_source.to_string(), "10.255.0.0/16");
    assert_eq!(config.node.hash_key_file.to_str(), Some("/var/lib/holdfast/hash.key"));
    let pool = &config.pools[0];
    assert_eq!((pool.encap, pool.table), (Encap::Ipip, TableKind::Minmove));
    assert_eq!(pool.drain, Drain::default());
    let Backend {
        name,
        address,
        weight,
        state,
        next_hop,
    } = &pool.backends[0];
    assert_eq!((name.as_str(), *address), ("be1", [10, 0, 1, 11].into()));
    assert_eq!((*weight, *state), (100, BackendState::Ready));
    assert_eq!(next_hop.as_ref().unwrap().mac.to_string(), "02:00:00:00:00:11");
    let vip = &config.vips[0];
    assert_eq!((vip.port, vip.protocol, vip.pool.as_str()), (443, Protocol::Tcp, "web"));
    assert_eq!((vip.affinity, vip.hash), (Affinity::Tuple, HashKind::Fast));
    assert!(parsed.removed.is_empty());
}

#[test]
fn omitted_optional_keys_mean_their_defaults() {
    let short = CONTRACT
        .replace(", mode: native", "")
        .replace(", encap: ipip, table: minmove", "")
        .replace(", weight: 100", "");
    assert_eq!(parse("a", &short).unwrap(), parse("b", CONTRACT).unwrap());
}

#[test]
fn order_in_the_file_does_not_change_the_digest() {
    let pool = |name: &str, backends: &str| format!("{{ name: {name}, backends: [{backends}] }}");
    let be = |at: u8| format!("{{ name: b{at}, address: 10.0.0.{at} }}");
    let vip = |at: u8, pool: &str| {
        format!("{{ name: v{at}, address: 203.0.113.{at}, port: 53, protocol: udp, pool: {pool} }}")
    };
    let file = |pools: &[String], vips: &[String]| {
        let head = CONTRACT.split("pools:").next().unwrap();
        format!("{head}pools: [{}]\nvips: [{}]\n", pools.join(", "), vips.join(", "))
    };
    let (b12, b21) = ([be(1), be(2)].join(", "), [be(2), be(1)].join(", "));
    let one = file(&[pool("p", &b12), pool("q", &be(3))], &[vip(1, "p"), vip(2, "q")]);
    let two = file(&[pool("q", &be(3)), pool("p", &b21)], &[vip(2, "q"), vip(1, "p")]);
    let digest = |text: &str| parse("x", text).unwrap().config.digest();
    assert_eq!(digest(&one), digest(&two));
    assert_ne!(digest(&one), digest(CONTRACT));
}

#[test]
fn no_vips_is_for_the_policy_to_judge() {
    let text = format!("{}vips: []\n", CONTRACT.split("vips:").next().unwrap());
    assert!(parse("x", &text).unwrap().config.vips.is_empty());
}

#[test]
fn pool_that_no_vip_uses_is_fine() {
    let text = with(
        "pools: [",
        "pools: [{ name: spare, backends: [{ name: b, address: 10.0.2.1 }] }, ",
    );
    assert_eq!(parse("x", &text).unwrap().config.pools.len(), 2);
}

#[test]
fn every_rule_that_is_broken_is_reported_at_once() {
    let text = CONTRACT
        .replace("environment: lab", "environment: Lab")
        .replace("mode: native", "mode: nativ")
        .replace("/16", "/33")
        .replace("weight: 100", "weight: -1")
        .replace("port: 443", "port: 65536")
        .replace("pool: web", "pool: wbe");
    assert_eq!(
        codes_of(&text),
        [
            Code::NameInvalid,
            Code::UnknownWord,
            Code::PrefixInvalid,
            Code::NumberOutOfRange,
            Code::NumberOutOfRange,
            Code::UnknownPool,
        ]
    );
}

/// An error about two places names both lines.
#[track_caller]
fn assert_lines(text: &str, code: Code, here: u32, other: u32) {
    let errors = refused(text);
    let found: Vec<_> = errors
        .iter()
        .map(|error| (error.problem.code(), error.place, error.other))
        .collect();
    assert_eq!(found.len(), 1, "{errors}");
    let (found, place, second) = &found[0];
    assert_eq!((*found, place.unwrap().line, second.unwrap().line), (code, here, other));
    let message = errors.to_string();
    assert!(message.contains(&format!("test.yaml:{here}:")), "{message}");
    assert!(message.contains(&format!("line {other}")), "{message}");
}

#[test]
fn duplicates_are_refused_with_both_lines() {
    let vip = "vips:  [{ name: web4, address: 203.0.113.10, port: 443, protocol: tcp, pool: web }]";
    let again = |name: &str, port: u16| {
        let more = format!("\n  {{ name: {name}, address: 203.0.113.10, port: {port}, protocol: tcp, pool: web }}]");
        with(vip, &format!("{},{more}", vip.trim_end_matches(']')))
    };
    assert!(parse("x", &again("web5", 80)).is_ok(), "another port is another VIP");
    assert_lines(&again("web4", 80), Code::DuplicateName, 7, 6);
    assert_lines(&again("web5", 443), Code::DuplicateVip, 7, 6);

    let backend = |name: &str, address: &str| {
        let more = format!("interface: lb0 }} }},\n  {{ name: {name}, address: {address} }}] }}]");
        with("interface: lb0 } }] }]", &more)
    };
    assert!(parse("x", &backend("be2", "10.0.1.12")).is_ok());
    assert_lines(&backend("be1", "10.0.1.12"), Code::DuplicateName, 6, 4);
    assert_lines(&backend("be2", "10.0.1.11"), Code::DuplicateBackend, 6, 4);

    let pool = with(
        "pools: [",
        "pools: [{ name: web, backends: [{ name: b, address: 10.0.2.1 }] },\n ",
    );
    assert_lines(&pool, Code::DuplicateName, 5, 4);
    let interface = with("[{ name: lb0, mode: native }]", "[{ name: lb0 },\n { name: lb0 }]");
    assert_lines(&interface, Code::DuplicateName, 4, 3);
}

#[test]
fn one_address_may_serve_in_several_pools() {
    let text = with(
        "pools: [",
        "pools: [{ name: api, backends: [{ name: be1, address: 10.0.1.11 }] }, ",
    );
    assert!(parse("x", &text).is_ok());
}

#[test]
fn backend_that_is_a_vip_or_a_source_is_refused_as_a_loop() {
    assert_lines(&with("10.0.1.11", "203.0.113.10"), Code::BackendIsVip, 4, 6);
    assert_lines(&with("10.0.1.11", "10.255.3.4"), Code::BackendIsSource, 4, 3);
    assert_lines(&with("203.0.113.10", "10.255.3.4"), Code::VipIsSource, 6, 3);
}

/// The contract with IPv6 in every place that takes it.
const SIX: &str = r#"apiVersion: holdfast/v1
environment: lab
node: { interfaces: [{ name: lb0 }, { name: lb1 }], encapSource: { v6: "fd00:ff::/64" }, hashKeyFile: /k/key }
pools:
  - { name: web, encap: gue, drain: { idle: 90s, deadline: 2h },
      backends: [{ name: be1, address: "fd00:1::11" }, { name: be2, address: "fd00:1::12", state: drain }] }
  - { name: flat, encap: l2, backends: [{ name: be1, address: 10.0.1.11 }] }
vips:
  - { name: web6, address: "2001:db8::10", port: 443, protocol: tcp, pool: web, affinity: source, hash: siphash }
  - { name: flat4, address: 203.0.113.10, port: 443, protocol: tcp, pool: flat }
"#;

#[test]
fn both_families_and_every_encap_are_read() {
    let config = parse("six.yaml", SIX).unwrap().config;
    assert_eq!(config.node.encap_source.to_string(), "fd00:ff::/64");
    let [flat, web] = &config.pools[..] else {
        panic!("two pools")
    };
    assert_eq!((flat.encap, web.encap), (Encap::L2, Encap::Gue));
    assert_eq!((web.drain.idle.0, web.drain.deadline.0), (90, 7200));
    assert_eq!(web.backends[1].state, BackendState::Drain);
    let web6 = &config.vips[1];
    assert_eq!((web6.affinity, web6.hash), (Affinity::Source, HashKind::Siphash));
    assert_eq!(web6.endpoint(), "[2001:db8::10]:443/tcp");
    assert_eq!(config.vips[0].endpoint(), "203.0.113.10:443/tcp");
}

#[test]
fn configuration_reads_back_as_it_was_written() {
    for text in [SIX, CONTRACT] {
        let config = parse("x", text).unwrap().config;
        assert_eq!(judge_again(&config).unwrap(), config);
    }
}

#[test]
fn spelling_of_an_address_or_time_does_not_change_the_digest() {
    let digest = |text: &str| parse("x", text).unwrap().config.digest();
    let other = SIX
        .replace("2001:db8::10", "2001:0DB8:0:0::0010")
        .replace("fd00:1::11", "FD00:1:0:0:0:0:0:11")
        .replace("fd00:ff::/64", "fd00:00ff:0::/64")
        .replace("2h", "120m");
    assert_ne!(other, SIX);
    assert_eq!(digest(SIX), digest(&other));
}

#[test]
fn two_spellings_of_one_address_are_one_address() {
    let backend = SIX.replace("fd00:1::12", "fd00:1:0::11");
    assert_eq!(codes_of(&backend), [Code::DuplicateBackend]);
    let vip = SIX.replace("address: 203.0.113.10", "address: \"2001:DB8:0::10\"");
    assert_eq!(codes_of(&vip), [Code::DuplicateVip]);
    let loops = SIX.replace("fd00:1::11", "2001:db8:0::10");
    assert_eq!(codes_of(&loops), [Code::BackendIsVip]);
    let source = SIX.replace("fd00:1::11", "fd00:ff::1");
    assert_eq!(codes_of(&source), [Code::BackendIsSource]);
    let source = SIX.replace("2001:db8::10", "fd00:ff::1");
    assert_eq!(codes_of(&source), [Code::VipIsSource]);
}

#[test]
fn encapsulation_needs_a_source_of_the_backends_family_and_l2_needs_none() {
    let four = SIX.replace("fd00:1::12", "10.0.1.12");
    assert_eq!(errors_of(&four), [(Code::NoSource, 6, 78)]);
    let message = refused(&four).to_string();
    assert!(message.contains("gue to it needs encapSource.v4"), "{message}");
    let none = SIX.replace("encapSource: { v6: \"fd00:ff::/64\" }, ", "");
    assert_eq!(
        errors_of(&none),
        [(Code::NoSource, 6, 40)],
        "once for a pool and a family"
    );
    let empty = SIX.replace("{ v6: \"fd00:ff::/64\" }", "{}");
    assert_eq!(codes_of(&empty), [Code::NoSource]);
    assert!(parse("x", &none.replace("encap: gue", "encap: l2")).is_ok());
    let invalid = SIX.replace("fd00:ff::/64", "fd00:ff::/16");
    assert_eq!(
        codes_of(&invalid),
        [Code::PrefixInvalid],
        "and not told again at the pool"
    );
}

#[test]
fn drain_is_idle_before_its_deadline() {
    let with_drain = |drain: &str| SIX.replace("{ idle: 90s, deadline: 2h }", drain);
    for drain in ["{ idle: 1h, deadline: 1h }", "{ deadline: 24h }", "{ idle: 1s }", "{}"] {
        assert!(parse("x", &with_drain(drain)).is_ok(), "{drain}");
    }
    assert_eq!(
        errors_of(&with_drain("{ idle: 2m, deadline: 90s }")),
        [(Code::DrainOrder, 5, 45)]
    );
    assert_eq!(errors_of(&with_drain("{ deadline: 59s }")), [(Code::DrainOrder, 5, 49)]);
}

#[test]
fn references_must_lead_somewhere() {
    assert_eq!(errors_of(&with("pool: web", "pool: wbe")), [(Code::UnknownPool, 6, 78)]);
    assert_eq!(
        errors_of(&with("interface: lb0", "interface: lb1")),
        [(Code::UnknownInterface, 5, 59)]
    );
}

#[test]
fn pool_needs_a_backend_that_takes_flows() {
    let none = with(", weight: 100,", ", weight: 0,");
    assert_eq!(errors_of(&none), [(Code::NoWeight, 4, 17)]);
    for state in ["maint", "drain"] {
        let out = with(", weight: 100,", &format!(", state: {state},"));
        assert_eq!(errors_of(&out), [(Code::NoWeight, 4, 17)], "{state}");
    }
    let both = with(
        "backends: [",
        "backends: [{ name: off, address: 10.0.1.9, weight: 0 }, { name: out, address: 10.0.1.8, state: maint }, ",
    );
    assert!(parse("x", &both).is_ok());
    let head = CONTRACT.split("pools:").next().unwrap();
    let empty = format!("{head}pools: [{{ name: web, backends: [] }}]\nvips: []\n");
    assert_eq!(errors_of(&empty), [(Code::NoneGiven, 4, 17)]);
}

#[test]
fn removed_objects_are_read_and_must_not_be_there() {
    let removed = |list: &str| format!("{CONTRACT}removed: [{list}]\n");
    let parsed = parse("x", &removed("vip/dns, pool/x, backend/web/be5, vip/dns")).unwrap();
    let expected = [
        ObjectName::Vip("dns".into()),
        ObjectName::Pool("x".into()),
        ObjectName::Backend {
            pool: "web".into(),
            backend: "be5".into(),
        },
    ];
    assert_eq!(parsed.removed, expected.into());
    assert_lines(&removed("vip/web4"), Code::PresentAndRemoved, 7, 6);
    assert_lines(&removed("pool/web"), Code::PresentAndRemoved, 7, 4);
    assert_lines(&removed("backend/web/be1"), Code::PresentAndRemoved, 7, 4);
    for malformed in [
        "dns",
        "vip/",
        "vips/dns",
        "backend/be5",
        "vip/Dns",
        "pool/a/b",
        "\"vip/a b\"",
    ] {
        assert_eq!(codes_of(&removed(malformed)), [Code::ObjectInvalid], "{malformed}");
    }
}

/// A configuration with so many pools of so many backends, and VIPs.
fn large(pools: usize, backends: usize, vips: usize) -> String {
    let mut text = CONTRACT.split("pools:").next().unwrap().to_owned();
    let address = |at: usize| std::net::Ipv4Addr::from(0x0b00_0000 + at as u32);
    text.push_str("pools: [");
    for pool in 0..pools {
        write!(text, "{{name: {pool:x},backends: [").unwrap();
        for backend in 0..backends {
            write!(text, "{{name: {backend:x},address: {}}},", address(backend)).unwrap();
        }
        text.push_str("]},");
    }
    text.push_str("]\nvips: [");
    for vip in 0..vips {
        let address = address(0x10_0000 + vip);
        write!(
            text,
            "{{name: {vip:x},address: {address},port: 1,protocol: tcp,pool: 0}},"
        )
        .unwrap();
    }
    text.push_str("]\n");
    text
}

#[test]
fn counts_at_the_limit_are_taken_and_one_more_is_refused() {
    assert!(parse("x", &large(MAX_POOLS, 1, 1)).is_ok());
    assert_eq!(codes_of(&large(MAX_POOLS + 1, 1, 1)), [Code::TooMany]);
    assert!(parse("x", &large(1, 2047, 1)).is_ok());
    assert_eq!(codes_of(&large(1, 2048, 1)), [Code::TooMany]);
    let mut interfaces: Vec<String> = (0..MAX_INTERFACES).map(|at| format!("{{ name: lb{at} }}")).collect();
    let of = |interfaces: &[String]| with("{ name: lb0, mode: native }", &interfaces.join(", "));
    assert!(parse("x", &of(&interfaces)).is_ok());
    interfaces.push("{ name: more }".to_owned());
    assert_eq!(codes_of(&of(&interfaces)), [Code::TooMany]);
    assert_eq!(
        codes_of(&with("[{ name: lb0, mode: native }]", "[]")),
        [Code::NoneGiven, Code::UnknownInterface]
    );
}

#[test]
fn largest_configuration_fits_into_a_file() {
    let largest = large(16, MAX_BACKENDS / 16, MAX_VIPS);
    let config = parse("x", &largest).unwrap().config;
    assert_eq!(config.vips.len(), MAX_VIPS);
    assert_eq!(config.objects().count(), 16 + MAX_BACKENDS + MAX_VIPS);
    assert_eq!(codes_of(&large(16, MAX_BACKENDS / 16 + 1, 1)), [Code::TooMany]);
    assert_eq!(codes_of(&large(1, 1, MAX_VIPS + 1)), [Code::TooMany]);
}
