use std::collections::BTreeMap;

use super::*;
use crate::{
    config::MacAddr,
    neighbours::{Link, Problem, Resolution},
    plan::policy::{host, omission::MAX_TOLD},
    revision::BackendId,
};

/// A host with the interfaces lb0 and lb1, in which everything resolves.
fn resolution() -> Resolution {
    let link = |ifindex| Link {
        ifindex,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        xdp: None,
        xdp_program: None,
        bare: true,
        up: true,
    };
    Resolution {
        links: BTreeMap::from([("lb0".to_owned(), link(2)), ("lb1".to_owned(), link(3))]),
        ..Resolution::default()
    }
}

#[track_caller]
fn assert_only(resolution: &Resolution, target: &Content, severity: Severity, code: &str, message: &str) {
    let findings = host::judge(&target.config, resolution);
    let told: Vec<_> = findings
        .iter()
        .map(|finding| (finding.severity, finding.code.as_str(), finding.message.as_str()))
        .collect();
    assert_eq!(told, [(severity, code, message)]);
}

#[test]
fn host_in_which_everything_resolves_has_nothing_to_say() {
    assert_eq!(host::judge(&content().config, &resolution()), []);
}

#[test]
fn backend_at_an_address_of_this_host_is_refused_and_a_vip_there_is_a_warning() {
    let mut own = resolution();
    own.local = [[10, 0, 1, 11].into()].into();
    let message = "backend be1 has the address 10.0.1.11 of this host";
    assert_only(&own, &content(), Severity::Refuse, "HF2018", message);
    let address = "2001:db8::10".parse().unwrap();
    own.local = [address].into();
    let target = changed(|target| target.config.vips[3].address = address);
    let message = "vip web4 has the address 2001:db8::10 of this host: what this host sends there itself, \
                   and what comes in by other interfaces, is not balanced";
    assert_only(&own, &target, Severity::Warn, "HF2022", message);
}

#[test]
fn interface_that_is_not_there_is_a_warning() {
    let mut without = resolution();
    without.links.remove("lb1");
    let message = "there is no interface lb1 now: nothing is balanced there";
    assert_only(&without, &content(), Severity::Warn, "HF2023", message);
}

#[test]
fn backend_without_a_next_hop_is_a_warning_that_says_why() {
    let mut lost = resolution();
    let id = |backend: &str| BackendId {
        pool: "web".to_owned(),
        backend: backend.to_owned(),
    };
    lost.problems.insert(id("be1"), Problem::NoRoute);
    lost.problems.insert(id("not-in-the-target"), Problem::NoRoute);
    let message = "backend web/be1 has no next hop now (there is no route to it): without one it gets no traffic";
    assert_only(&lost, &content(), Severity::Warn, "HF2024", message);
}

#[test]
fn many_backends_without_a_next_hop_are_counted() {
    let backends = (0..MAX_TOLD + 5).map(|at| backend(&format!("b{at}"), at as u8, 1));
    let target = changed(|target| target.config.pools[1].backends = backends.collect());
    let mut lost = resolution();
    for backend in &target.config.pools[1].backends {
        let id = BackendId {
            pool: "web".to_owned(),
            backend: backend.name.clone(),
        };
        lost.problems.insert(id, Problem::NotAsked);
    }
    let findings = host::judge(&target.config, &lost);
    assert_eq!(findings.len(), MAX_TOLD + 1);
    assert_eq!(
        findings[MAX_TOLD].message,
        "and 5 more backends that have no next hop now"
    );
}
