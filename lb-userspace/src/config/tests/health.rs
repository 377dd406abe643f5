//! How a pool is checked: what is taken, and what is refused where.

use super::{codes_of, errors_of, with};
use crate::config::{
    Check, Code, DnsRecord, Health, Milliseconds, Percent, Statuses, Tls, Velocity, judge_again, parse,
};

/// The contract with more keys in its pool.
fn pool(keys: &str) -> String {
    with("table: minmove", &format!("table: minmove, {keys}"))
}

fn health(keys: &str) -> Health {
    let parsed = parse("x", &pool(&format!("health: {{ {keys} }}"))).unwrap();
    parsed.config.pools[0].health.clone().unwrap()
}

#[test]
fn every_check_is_read_and_comes_out_of_its_json_the_same() {
    let checks = [
        ("tcp: {}", Check::Tcp { port: 443 }),
        ("tcp: { port: 80 }", Check::Tcp { port: 80 }),
        ("icmp: {}", Check::Icmp {}),
        (
            "http: { path: /healthz, host: a.example, tls: verified, status: \"204\" }",
            Check::Http {
                port: 443,
                path: "/healthz".to_owned(),
                host: Some("a.example".to_owned()),
                tls: Tls::Verified,
                status: Statuses { from: 204, to: 204 },
            },
        ),
        (
            r#"udp: { send: "a\0b" }"#,
            Check::Udp {
                port: 443,
                send: "a\0b".to_owned(),
                expect: String::new(),
            },
        ),
        (
            "dns: { port: 53, name: example.net., record: AAAA }",
            Check::Dns {
                port: 53,
                name: "example.net".to_owned(),
                record: DnsRecord::Aaaa,
            },
        ),
        (
            "exec: { command: [/bin/check, -x] }",
            Check::Exec {
                command: vec!["/bin/check".to_owned(), "-x".to_owned()],
            },
        ),
    ];
    for (written, check) in checks {
        let text = pool(&format!("health: {{ {written} }}, panicThreshold: 30%"));
        let config = parse("x", &text).unwrap().config;
        assert_eq!(config.pools[0].health.as_ref().unwrap().check, check, "{written}");
        assert_eq!(config.pools[0].panic_threshold, Percent::new(30).unwrap());
        // What is stored is what is read back, as a plan and as a state.
        assert_eq!(judge_again(&config).unwrap(), config, "{written}");
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<crate::config::Config>(&json).unwrap(), config);
    }
}

#[test]
fn pool_without_health_is_written_as_it_always_was() {
    let config = parse("x", &with("web4", "web4")).unwrap().config;
    let json = serde_json::to_value(&config).unwrap();
    let keys: Vec<&String> = json["pools"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["backends", "drain", "encap", "name", "table"]);
}

#[test]
fn defaults_are_those_of_the_document() {
    let health = health("tcp: {}");
    assert_eq!((health.rise, health.fall), (2, 3));
    assert_eq!(
        (health.interval, health.timeout),
        (Milliseconds(2000), Milliseconds(1000))
    );
    assert_eq!((health.damping.suppress, health.damping.reuse), (4000, 2000));
    assert_eq!(health.velocity, None);
    assert_eq!(self::health("tcp: {}, interval: 200ms").timeout, Milliseconds(200));
    assert_eq!(
        self::health("tcp: {}, velocity: {}").velocity,
        Some(Velocity::default())
    );
}

#[test]
fn port_is_that_of_the_vips_also_of_a_pool_that_falls_back() {
    let two = with(
        "interface: lb0 } }] }]",
        "interface: lb0 } }] }, { name: sorry, health: { tcp: {} }, backends: [{ name: a, address: 10.0.1.12 }] }]",
    );
    assert_eq!(codes_of(&two), [Code::CheckPort]);
    let two = two.replace(
        "table: minmove",
        "table: minmove, health: { icmp: {} }, fallbackPool: sorry",
    );
    let config = parse("x", &two).unwrap().config;
    assert_eq!(
        config.pool("sorry").unwrap().health.as_ref().unwrap().check,
        Check::Tcp { port: 443 }
    );
    let other = two.replace(
        "pool: web }]",
        "pool: web }, { name: b, address: 203.0.113.11, port: 80, protocol: tcp, pool: web }]",
    );
    assert_eq!(codes_of(&other), [Code::CheckPort]);
}

#[test]
fn each_rule_refuses_at_its_place() {
    let cases = [
        ("health: {}", Code::CheckKinds),
        ("health: { tcp: {}, icmp: {} }", Code::CheckKinds),
        ("health: { tcp: { port: 0 } }", Code::NumberOutOfRange),
        ("health: { http: { path: healthz } }", Code::CheckText),
        ("health: { http: { path: \"/a b\" } }", Code::CheckText),
        ("health: { http: { status: \"399-200\" } }", Code::CheckText),
        ("health: { http: { tls: true } }", Code::UnknownWord),
        ("health: { dns: { name: a..b } }", Code::CheckText),
        ("health: { exec: { command: [] } }", Code::NoneGiven),
        ("health: { exec: { command: [true] } }", Code::PathInvalid),
        ("health: { tcp: {}, interval: 99ms }", Code::NumberOutOfRange),
        ("health: { tcp: {}, interval: 2 s }", Code::TimeInvalid),
        ("health: { tcp: {}, interval: 1s, timeout: 2s }", Code::TimeoutOrder),
        ("health: { tcp: {}, rise: 0 }", Code::NumberOutOfRange),
        ("health: { tcp: {}, fall: 101 }", Code::NumberOutOfRange),
        ("health: { tcp: {}, floor: 101% }", Code::PercentInvalid),
        ("health: { tcp: {}, damping: { reuse: 4000 } }", Code::DampingOrder),
        (
            "health: { tcp: {}, velocity: { window: 10ms } }",
            Code::NumberOutOfRange,
        ),
        ("health: { tcp: {}, speed: 1 }", Code::UnknownKey),
        ("panicThreshold: 50%", Code::NeedsHealth),
        ("health: { icmp: {} }, fallbackPool: web", Code::FallbackLoop),
        ("health: { icmp: {} }, fallbackPool: sory", Code::UnknownPool),
    ];
    for (keys, code) in cases {
        let errors = errors_of(&pool(keys));
        assert_eq!(errors.len(), 1, "{keys}: {errors:?}");
        assert_eq!((errors[0].0, errors[0].1), (code, 4), "{keys}");
    }
}
