//! A configuration, made safe to drill with. Pure.

use std::{net::IpAddr, path::PathBuf};

use super::{network, people::Person};
use crate::{
    config::limits::MAX_VIPS,
    config::{
        API_VERSION, Access, Affinity, Check, CheckVia, Config, Damping, HashKind, Initial, Milliseconds, Protocol,
        Seconds, Subject, Vip, VipState,
    },
};

/// The configuration that is drilled with unless a file is given.
pub const BUILT_IN: &str = include_str!("built-in.yaml");

/// A VIP that no traffic goes to, so that it can be asked to be removed.
pub const SPARE: &str = "drill-spare";

/// Port of the checks by TCP: on the backends of a drill something listens there.
pub const CHECK_PORT: u16 = 47_113;

/// Where things of a copy are.
#[derive(Clone, Debug)]
pub struct Places {
    pub hash_key: PathBuf,
    pub approvers: PathBuf,
}

/// A copy to drill with, and what is not in it as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapted {
    pub config: Config,
    pub changes: Vec<String>,
}

/// Makes the copy.
#[must_use]
pub fn adapt(original: &Config, places: &Places) -> Adapted {
    let mut config = original.clone();
    let mut changes = vec![
        "node.interfaces: links of the drill's own namespaces, by the same names".to_owned(),
        "backends: their addresses are on hosts of the drill's".to_owned(),
        "node.hashKeyFile: a new key in the drill's directory".to_owned(),
        format!("access: {}", roles()),
    ];
    // It would be the whole host's, and refuse what the drill does to its own daemon.
    if std::mem::replace(&mut config.node.guard, false) {
        changes.push("node.guard: off, since LSM programs are the whole host's".to_owned());
    }
    config.node.hash_key_file.clone_from(&places.hash_key);
    config.access = Some(access());
    let approvals = &mut config.protection.approvals;
    approvals.approvers = Some(places.approvers.clone());
    approvals.remove = approvals.remove.max(2);
    approvals.drain = approvals.drain.max(1);
    // Ben and Cy are all there are.
    approvals.remove = approvals.remove.min(2);
    approvals.drain = approvals.drain.min(2);
    approvals.ttl = Seconds(TTL);
    changes.push(format!(
        "protection.approvals: {} to remove, {} to drain, by keys of the drill's; ttl {}",
        approvals.remove, approvals.drain, approvals.ttl
    ));
    for pool in &mut config.pools {
        let given = pool.backends.iter_mut().filter(|backend| backend.next_hop.is_some());
        let given = given.map(|backend| backend.next_hop = None).count();
        if given > 0 {
            changes.push(format!("pools.{}: {given} next hops are found, not given", pool.name));
        }
        let Some(health) = &mut pool.health else { continue };
        let serves = original
            .vips
            .iter()
            .any(|vip| vip.pool == pool.name && vip.state.is_ready());
        let before = health.check.to_string();
        health.check = match health.check {
            Check::Icmp {} => Check::Icmp {},
            Check::Tcp { .. } | Check::Http { .. } | Check::Udp { .. } | Check::Dns { .. } | Check::Exec { .. } => {
                Check::Tcp { port: CHECK_PORT }
            }
        };
        if !serves {
            health.via = CheckVia::Direct;
        }
        health.interval = Milliseconds(300);
        health.timeout = Milliseconds(250);
        health.rise = 2;
        health.fall = 3;
        health.initial = Initial::Up;
        health.slow_start = Milliseconds(0);
        health.damping = Damping {
            suppress: 0,
            ..Damping::default()
        };
        changes.push(format!(
            "pools.{}.health: {before} becomes {}, every 300 ms, without slow start and damping",
            pool.name, health.check
        ));
    }
    if let Some(pool) = original.pools.first()
        && original.vips.len() < MAX_VIPS
        && original.vips.iter().all(|vip| vip.name != SPARE)
    {
        let spare = spare(original, &pool.name);
        changes.push(format!(
            "vips: {} {} is one more, without traffic",
            spare.name,
            spare.endpoint()
        ));
        config.vips.push(spare);
        config.vips.sort_by(|one, other| one.name.cmp(&other.name));
    }
    Adapted { config, changes }
}

/// Of plans and approvals, seconds.
pub const TTL: u32 = 600;

fn spare(config: &Config, pool: &str) -> Vip {
    let address: IpAddr = network::spare_address(config);
    Vip {
        name: SPARE.to_owned(),
        address,
        port: 9,
        protocol: Protocol::Udp,
        pool: pool.to_owned(),
        affinity: Affinity::default(),
        hash: HashKind::default(),
        protected: false,
        state: VipState::default(),
    }
}

fn access() -> Access {
    let uid = |person: Person| Subject::Uid(person.uid());
    Access {
        viewer: Vec::new(),
        operator: vec![uid(Person::Ann), uid(Person::Dan)],
        approver: vec![uid(Person::Ben), uid(Person::Cy), uid(Person::Eve)],
        admin: Vec::new(),
    }
}

fn roles() -> String {
    "ann and dan operate, ben and cy approve, eve would like to".to_owned()
}

/// As a file.
#[must_use]
pub fn yaml(config: &Config) -> String {
    let mut document = serde_json::to_value(config).unwrap_or_default();
    document["apiVersion"] = API_VERSION.into();
    serde_saphyr::to_string(&document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Adapted, BUILT_IN, CHECK_PORT, Places, SPARE, adapt, yaml};
    use crate::config::{Check, parse, sample};

    fn adapted(text: &str) -> Adapted {
        let parsed = parse("test", text).expect("it is a configuration");
        let places = Places {
            hash_key: "/d/hash.key".into(),
            approvers: "/d/approvers".into(),
        };
        adapt(&parsed.config, &places)
    }

    #[test]
    fn copies_of_configurations_are_configurations_and_mean_themselves_as_files() {
        for text in [BUILT_IN.to_owned(), sample("lab", "eth0")] {
            let Adapted { config, changes } = adapted(&text);
            let read = parse("copy", &yaml(&config)).expect("the copy is a configuration");
            assert_eq!(read.config, config);
            assert!(changes.len() >= 5, "{changes:?}");
            assert!(config.vips.iter().any(|vip| vip.name == SPARE));
        }
    }

    #[test]
    fn nothing_of_the_hosts_own_is_in_a_copy() {
        let text = sample("lab", "eth0")
            .replace(
                "    table: minmove",
                "    health: { exec: { command: [/usr/bin/check] } }\n    table: minmove",
            )
            .replace(
                "address: 10.0.1.11,",
                "address: 10.0.1.11, nextHop: { mac: \"02:00:00:00:00:01\", interface: eth0 },",
            );
        let Adapted { config, .. } = adapted(&text);
        assert_eq!(config.node.hash_key_file, Path::new("/d/hash.key"));
        let pool = &config.pools[0];
        assert!(pool.backends.iter().all(|backend| backend.next_hop.is_none()));
        let health = pool.health.as_ref().expect("it is checked");
        assert_eq!(health.check, Check::Tcp { port: CHECK_PORT });
        let text = yaml(&config);
        assert!(!text.contains("/usr/bin/check") && !text.contains("/var/lib"), "{text}");
        // Who may approve is not the host's either.
        assert!(text.contains("/d/approvers") && text.contains("uid:70013"), "{text}");
    }
}
