use std::{path::PathBuf, time::Duration};

use super::{
    Finding, Level,
    facts::{Directory, Facts, Network},
    judge::judge,
};
use crate::{
    api::model::{GuardState, GuardStatus},
    config::XdpMode,
    neighbours::{Link, Problem, Resolution},
    plan::samples::{content, hops},
};

/// A host on which all is well.
fn healthy() -> Facts {
    let config = content().config;
    let hops = hops(&content());
    let links = config.node.interfaces.iter().zip(2..).map(|(interface, ifindex)| {
        let link = Link {
            ifindex,
            mac: crate::config::MacAddr([2; 6]),
            mtu: 9000,
            xdp_program: Some(7),
            bare: false,
            up: true,
            xdp: Some(interface.mode),
        };
        (interface.name.clone(), link)
    });
    let resolution = Resolution {
        hops: hops
            .into_iter()
            .map(|(id, hop)| (id, crate::revision::Hop { mtu: 1600, ..hop }))
            .collect(),
        links: links.collect(),
        ..Resolution::default()
    };
    let names = || config.node.interfaces.iter().map(|interface| interface.name.clone());
    Facts {
        kernel: Some("6.1.0-18-amd64".to_owned()),
        btf: true,
        capabilities: Some(u64::MAX),
        memlock: Some(u64::MAX),
        files: Some(4096),
        bpffs: Some(true),
        pin_dir: PathBuf::from("/sys/fs/bpf/holdfast"),
        jit: Some(1),
        neighbour_limits: [Some(1024), Some(1024)],
        state: Directory {
            path: PathBuf::from("/var/lib/holdfast"),
            mode: Some(0o700),
            free: Some(1 << 32),
            sync: Some(Ok(Duration::from_millis(5))),
        },
        clock: Some(true),
        hash_key: Some((PathBuf::from("/etc/holdfast/hash.key"), 0o600)),
        socket: Some((PathBuf::from("/run/holdfast/holdfastd.sock"), 0o660)),
        network: Some(Network {
            rp_filter: names().map(|name| (name, 0)).collect(),
            foreign: std::collections::BTreeMap::new(),
            drivers: names().map(|name| (name, "ice".to_owned())).collect(),
            ours: names().map(|name| (name, 7)).collect(),
            packets: config.vips.iter().map(|vip| (vip.name.clone(), 9)).collect(),
            resolution,
            config,
        }),
        daemon: true,
        security: Some("lockdown,capability,yama,bpf".to_owned()),
        guard: Some(GuardStatus::default()),
    }
}

fn amiss(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
    let mut facts = healthy();
    change(&mut facts);
    let findings = judge(&facts).findings;
    findings
        .into_iter()
        .filter(|finding| finding.level != Level::Ok)
        .collect()
}

fn network(facts: &mut Facts) -> &mut Network {
    facts.network.as_mut().expect("there is one")
}

#[test]
fn healthy_host_has_nothing_amiss() {
    assert_eq!(amiss(|_| {}), []);
    assert!(judge(&healthy()).findings.len() > 20);
}

#[test]
fn every_trouble_of_the_host_is_found_alone_with_its_level() {
    type Change = fn(&mut Facts);
    let cases: [(&str, Level, Change); 22] = [
        ("kernel", Level::Fail, |facts| facts.kernel = Some("5.4.0-1".to_owned())),
        ("kernel", Level::Unknown, |facts| facts.kernel = None),
        ("btf", Level::Warn, |facts| facts.btf = false),
        ("privilege", Level::Unknown, |facts| facts.capabilities = None),
        ("memlock", Level::Fail, |facts| {
            facts.kernel = Some("5.10.0".to_owned());
            facts.memlock = Some(8 << 20);
        }),
        ("open-files", Level::Warn, |facts| facts.files = Some(256)),
        ("bpffs", Level::Warn, |facts| facts.bpffs = Some(false)),
        ("jit", Level::Warn, |facts| facts.jit = Some(0)),
        ("clock", Level::Warn, |facts| facts.clock = Some(false)),
        ("daemon", Level::Unknown, |facts| facts.daemon = false),
        ("state", Level::Unknown, |facts| facts.state.mode = None),
        ("state", Level::Warn, |facts| facts.state.mode = Some(0o755)),
        ("disk-space", Level::Warn, |facts| facts.state.free = Some(100 << 20)),
        ("disk-space", Level::Fail, |facts| facts.state.free = Some(1 << 20)),
        ("disk-sync", Level::Warn, |facts| {
            facts.state.sync = Some(Ok(Duration::from_secs(2)));
        }),
        ("disk-sync", Level::Fail, |facts| {
            facts.state.sync = Some(Err("read-only".to_owned()));
        }),
        ("hash-key", Level::Warn, |facts| {
            facts.hash_key = Some(("/k".into(), 0o644));
        }),
        ("socket", Level::Warn, |facts| facts.socket = Some(("/s".into(), 0o666))),
        ("neighbour-limit", Level::Warn, |facts| {
            facts.neighbour_limits[0] = Some(2);
        }),
        ("rp-filter", Level::Warn, |facts| {
            *network(facts).rp_filter.values_mut().next().expect("one") = 1;
        }),
        ("vip", Level::Unknown, |facts| {
            *network(facts).packets.values_mut().next().expect("one") = 0;
        }),
        ("vip", Level::Fail, |facts| {
            let address = network(facts).config.vips[0].address;
            let network = network(facts);
            network.config.vips.retain(|vip| vip.address == address);
            network.config.vips.truncate(1);
            network.resolution.local.insert(address);
        }),
    ];
    for (check, level, change) in cases {
        let found: Vec<_> = amiss(change)
            .into_iter()
            .map(|finding| (finding.check, finding.level))
            .collect();
        assert_eq!(found, [(check, level)]);
    }
}

#[test]
fn guard_that_nobody_asks_for_is_no_trouble_and_one_that_is_missing_has_a_remedy() {
    let said = |change: fn(&mut Facts)| {
        let mut facts = healthy();
        change(&mut facts);
        let found = judge(&facts)
            .findings
            .into_iter()
            .find(|finding| finding.check == "guard");
        found.expect("it is looked at")
    };
    let off = said(|_| {});
    assert_eq!(
        (off.level, off.measured.as_str()),
        (Level::Ok, "off; this host can: `guard: true` in `node:`")
    );
    let none = said(|facts| facts.security = Some("yama,apparmor".to_owned()));
    assert!(
        none.level == Level::Ok && none.measured.contains("`bpf` is not among"),
        "{none:?}"
    );
    let on = said(|facts| {
        let status = facts.guard.as_mut().expect("a daemon");
        status.state = GuardState::On;
        status.refused.insert("unlink".to_owned(), 2);
    });
    assert_eq!(
        (on.level, on.measured.as_str()),
        (Level::Ok, "on; 2 changes by others were refused")
    );
    let missing = said(|facts| {
        facts.security = Some("yama,apparmor".to_owned());
        let status = facts.guard.as_mut().expect("a daemon");
        status.state = GuardState::Unavailable;
        status.reason = Some("`bpf` is not there".to_owned());
    });
    assert_eq!(
        (missing.level, missing.measured.as_str()),
        (Level::Warn, "`bpf` is not there")
    );
    assert!(missing.fix.expect("a remedy").contains("lsm=yama,apparmor,bpf"));
    // Without a daemon, the file says whether it is asked for.
    let asked = said(|facts| {
        facts.guard = None;
        facts.btf = false;
        network(facts).config.node.guard = true;
    });
    assert_eq!(asked.level, Level::Warn, "{asked:?}");
}

#[test]
fn shell_without_capabilities_matters_only_without_a_daemon() {
    assert_eq!(amiss(|facts| facts.capabilities = Some(0)), []);
    let found = amiss(|facts| {
        facts.capabilities = Some(0);
        facts.daemon = false;
    });
    assert!(
        found
            .iter()
            .any(|finding| (finding.check, finding.level) == ("privilege", Level::Fail))
    );
}

#[test]
fn somebody_elses_program_is_named_with_the_command_for_its_mode() {
    let found = amiss(|facts| {
        let network = network(facts);
        let name = network.config.node.interfaces[0].name.clone();
        network.ours.remove(&name);
        network.resolution.links.get_mut(&name).expect("it is there").xdp = Some(XdpMode::Generic);
    });
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!((finding.check, finding.level), ("xdp", Level::Fail));
    assert!(
        finding.fix.as_ref().expect("a command").ends_with("xdpgeneric off"),
        "{finding:?}"
    );
}

#[test]
fn mtu_counts_the_outer_header_and_names_what_a_router_said() {
    let at = |mtu: u16| {
        move |facts: &mut Facts| {
            network(facts)
                .resolution
                .hops
                .values_mut()
                .for_each(|hop| hop.mtu = mtu);
        }
    };
    assert_eq!(amiss(at(1552)), [], "room for GUE over IPv6");
    let found = amiss(at(1519));
    assert!(
        !found.is_empty() && found.iter().all(|finding| finding.check == "mtu"),
        "{found:?}"
    );
    assert!(
        found[0]
            .fix
            .as_ref()
            .expect("a command")
            .starts_with("ip link set dev "),
        "{found:?}"
    );
    let found = amiss(|facts| {
        at(1400)(facts);
        let address = network(facts).config.pools[0].backends[0].address;
        network(facts).resolution.path_mtus.insert(address, 1400);
    });
    assert!(found.iter().any(|finding| {
        finding
            .fix
            .as_ref()
            .is_some_and(|fix| fix.contains("a router said 1400"))
    }));
}

#[test]
fn backend_without_next_hop_and_interface_that_is_gone_are_failures() {
    let found = amiss(|facts| {
        let network = network(facts);
        let id = network.resolution.hops.keys().next().expect("one").clone();
        network.resolution.problems.insert(id, Problem::NoRoute);
    });
    assert_eq!(
        found.iter().map(|finding| finding.check).collect::<Vec<_>>(),
        ["neighbour"]
    );
    let found = amiss(|facts| network(facts).resolution.links.clear());
    assert!(
        found
            .iter()
            .all(|finding| (finding.check, finding.level) == ("interface", Level::Fail)),
        "{found:?}"
    );
}
