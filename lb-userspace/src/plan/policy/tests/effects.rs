use super::*;

/// The only finding, as severity, code and message.
fn only(target: &Content, names: &[&str]) -> (Severity, String, String) {
    let findings = judged(target, names);
    let [finding] = &findings[..] else {
        panic!("not one finding: {findings:#?}");
    };
    (finding.severity, finding.code.clone(), finding.message.clone())
}

fn assert_only(target: &Content, names: &[&str], severity: Severity, code: &str, message: &str) {
    assert_eq!(only(target, names), (severity, code.to_owned(), message.to_owned()));
}

#[test]
fn named_removal_of_a_vip_says_what_breaks() {
    let target = changed(|target| drop(target.config.vips.remove(0)));
    let message = "vip dns leaves 203.0.113.53:53/udp: every connection to it breaks, \
                   its packets pass to this host's network stack like those of no VIP";
    assert_only(&target, &["vip/dns"], Severity::Warn, "HF2014", message);
}

#[test]
fn renamed_vip_with_the_same_pool_breaks_nothing() {
    let target = changed(|target| target.config.vips[3].name = "web5".to_owned());
    let message = "vip web4 leaves 203.0.113.10:443/tcp to vip web5 of the same pool: no connection breaks";
    assert_only(&target, &["vip/web4"], Severity::Note, "HF2014", message);
}

#[test]
fn renamed_vip_with_another_pool_breaks_its_connections() {
    let target = changed(|target| {
        target.config.vips[3].name = "web5".to_owned();
        target.config.vips[3].pool = "dns".to_owned();
    });
    let message = "vip web4 leaves 203.0.113.10:443/tcp to vip web5, which has pool dns instead of web: \
                   every connection to it breaks";
    assert_only(&target, &["vip/web4"], Severity::Warn, "HF2014", message);
}

#[test]
fn vip_that_changes_its_port_leaves_the_old_one() {
    let target = changed(|target| target.config.vips[3].port = 8443);
    let message = "vip web4 leaves 203.0.113.10:443/tcp: every connection to it breaks, \
                   its packets pass to this host's network stack like those of no VIP";
    assert_only(&target, &[], Severity::Warn, "HF2013", message);
}

#[test]
fn vips_that_swap_their_names_are_taken_over() {
    let target = changed(|target| {
        let (old, web4) = (target.config.vips[2].clone(), target.config.vips[3].clone());
        target.config.vips[2] = vip("old", 10, web4.port, web4.protocol, "web");
        target.config.vips[3] = vip("web4", 9, old.port, old.protocol, "web");
    });
    let findings = judged(&target, &[]);
    assert_eq!(findings.len(), 2);
    for finding in findings {
        assert_eq!((finding.severity, finding.code.as_str()), (Severity::Note, "HF2013"));
    }
}

#[test]
fn repointed_vip_breaks_its_connections() {
    let target = changed(|target| target.config.vips[2].pool = "dns".to_owned());
    let message = "vip old goes from pool web to pool dns: every connection to it breaks";
    assert_only(&target, &[], Severity::Warn, "HF2011", message);
}

#[test]
fn removed_pool_that_served_is_a_warning_and_another_a_note() {
    let target = changed(|target| {
        target.config.pools.remove(0);
        target.config.vips.drain(..2);
    });
    let findings = judged(&target, &["pool/dns", "vip/dns", "vip/dns-tcp"]);
    let about_pool = findings
        .iter()
        .find(|finding| finding.object == Some(ObjectName::Pool("dns".to_owned())));
    let about_pool = about_pool.expect("a finding about the pool");
    assert_eq!(about_pool.message, "pool dns is removed; it served vip dns, dns-tcp");
    assert_eq!(about_pool.severity, Severity::Warn);

    let running = changed(|running| running.config.pools.push(pool("xmas", vec![backend("x", 30, 1)])));
    let findings = judged_from(Some(&running), &content(), &["pool/xmas"]);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].message, "pool xmas is removed; no VIP used it");
    assert_eq!(findings[0].severity, Severity::Note);
}

#[test]
fn removed_backend_keeps_its_connections_for_a_while() {
    let target = changed(|target| drop(target.config.pools[1].backends.remove(2)));
    let message = "backend web/be5 is removed: it gets no new connections; \
                   connections stay where they are until idle for 1m, for 1h at most";
    assert_only(&target, &["backend/web/be5"], Severity::Warn, "HF2014", message);
}

#[test]
fn removed_backend_that_owned_no_slot_is_a_note() {
    for idle in [
        |backend: &mut Backend| backend.weight = 0,
        |backend: &mut Backend| backend.state = BackendState::Maint,
    ] {
        let running = changed(|running| idle(&mut running.config.pools[1].backends[2]));
        let target = changed(|target| drop(target.config.pools[1].backends.remove(2)));
        let findings = judged_from(Some(&running), &target, &["backend/web/be5"]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].severity, Severity::Note);
        assert_eq!(
            findings[0].message,
            "backend web/be5 is removed; it owned no slot: no connection breaks"
        );
    }
}

#[test]
fn removed_backend_of_a_pool_without_vips_is_a_note() {
    let running = changed(|running| running.config.vips.truncate(2));
    let mut target = running.clone();
    target.config.pools[1].backends.pop();
    let findings = judged_from(Some(&running), &target, &["backend/web/be5"]);
    assert_eq!(findings[0].severity, Severity::Note);
    assert_eq!(
        findings[0].message,
        "backend web/be5 is removed; no VIP uses the pool: no connection breaks"
    );
}

#[test]
fn changed_address_is_another_host() {
    let target = changed(|target| target.config.pools[1].backends[0].address = [10, 0, 1, 99].into());
    let message = "backend web/be1 goes from 10.0.1.11 to 10.0.1.99, another host: every connection to it breaks";
    assert_only(&target, &[], Severity::Warn, "HF2010", message);
}

#[test]
fn backend_taken_out_of_service_breaks_its_connections_and_coming_back_does_not() {
    let out = changed(|target| target.config.pools[1].backends[0].state = BackendState::Maint);
    let message = "backend web/be1 is taken out of service: every connection to it breaks";
    assert_only(&out, &[], Severity::Warn, "HF2016", message);
    assert_eq!(judged_from(Some(&out), &content(), &[]), []);
}

#[test]
fn weight_alone_is_no_finding() {
    let target = changed(|target| target.config.pools[1].backends[0].weight = 50);
    assert_eq!(judged(&target, &[]), []);
}

#[test]
fn other_table_kind_is_a_warning() {
    let target = changed(|target| target.config.pools[1].table = TableKind::Maglev);
    let message = "pool web's table is built in another way: more slots move than weights ask for; \
                   connections stay where they are until idle for 1m, for 1h at most";
    assert_only(&target, &[], Severity::Warn, "HF2012", message);
}

#[test]
fn other_encap_is_a_warning() {
    let target = changed(|target| target.config.pools[1].encap = Encap::Gue);
    let message = "pool web's packets travel by gue instead of ipip: \
                   backends that do not take it drop every connection";
    assert_only(&target, &[], Severity::Warn, "HF2020", message);
}

#[test]
fn other_affinity_or_hash_breaks_connections() {
    let target = changed(|target| target.config.vips[3].affinity = Affinity::Source);
    let message = "vip web4 goes from affinity tuple, hash fast to affinity source, hash fast: \
                   its flows hash to other slots, and nearly all connections to it break";
    assert_only(&target, &[], Severity::Warn, "HF2021", message);
    let target = changed(|target| target.config.vips[3].hash = HashKind::Siphash);
    assert_eq!(only(&target, &[]).1, "HF2021");
}

#[test]
fn drained_backend_keeps_its_connections_until_it_goes_to_maint() {
    let drain = changed(|target| target.config.pools[1].backends[0].state = BackendState::Drain);
    let weightless = changed(|target| target.config.pools[1].backends[0].weight = 0);
    let message = "backend web/be1 is taken out of service: it gets no new connections; \
                   connections stay where they are until idle for 1m, for 1h at most";
    assert_only(&drain, &[], Severity::Warn, "HF2016", message);
    assert_only(&weightless, &[], Severity::Warn, "HF2016", message);
    let maint = changed(|target| target.config.pools[1].backends[0].state = BackendState::Maint);
    let findings = judged_from(Some(&drain), &maint, &[]);
    let message = "backend web/be1 goes from drain to maint: connections it still has break";
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].severity, findings[0].message.as_str()),
        (Severity::Warn, message)
    );
}

#[test]
fn drained_backend_whose_address_changes_breaks_its_connections() {
    let running = changed(|target| target.config.pools[1].backends[0].state = BackendState::Drain);
    let mut target = running.clone();
    target.config.pools[1].backends[0].address = [10, 0, 1, 99].into();
    let findings = judged_from(Some(&running), &target, &[]);
    assert_eq!(
        (findings[0].severity, findings[0].code.as_str()),
        (Severity::Warn, "HF2010")
    );
}

#[test]
fn encap_source_of_a_family_that_had_none_is_no_finding() {
    let running = changed(|running| running.config.node.encap_source.v6 = None);
    assert_eq!(judged_from(Some(&running), &content(), &[]), []);
    assert_eq!(judged_from(Some(&content()), &running, &[]), []);
}

#[test]
fn other_encap_source_is_a_warning() {
    let target = changed(|target| target.config.node.encap_source.v4 = "10.9.0.0/16".parse().ok());
    let message = "outer packets come from 10.9.0.0/16 instead of 10.255.0.0/16: \
                   backends that do not accept it drop every connection";
    assert_only(&target, &[], Severity::Warn, "HF2009", message);
}

#[test]
fn other_hash_key_is_refused() {
    let target = changed(|target| target.config.node.hash_key_file = "/etc/key".into());
    let message = "the hash key would be read from /etc/key instead of /var/lib/holdfast/hash.key: \
                   every flow would move";
    assert_only(&target, &[], Severity::Refuse, "HF2008", message);
}

#[test]
fn interface_that_goes_or_changes_its_mode_is_a_warning() {
    let gone = changed(|target| target.config.node = node(&["lb0"]));
    let (severity, code, message) = only(&gone, &[]);
    assert_eq!((severity, code.as_str()), (Severity::Warn, "HF2007"));
    assert!(message.starts_with("interface lb1 is detached"));

    let generic = changed(|target| target.config.node.interfaces[1].mode = XdpMode::Generic);
    let (severity, code, message) = only(&generic, &[]);
    assert_eq!((severity, code.as_str()), (Severity::Warn, "HF2007"));
    assert!(message.starts_with("interface lb1 changes its XDP mode"));
}

#[test]
fn interface_that_goes_and_is_detached_is_told_once() {
    let target = changed(|target| {
        target.config.node = node(&["lb0"]);
        target.overrides.detached.insert("lb1".to_owned());
    });
    assert_eq!(only(&target, &[]).1, "HF2007");
}

#[test]
fn detached_interface_that_goes_is_no_finding() {
    let running = changed(|running| running.overrides.detached = ["lb1".to_owned()].into());
    let target = changed(|target| target.config.node = node(&["lb0"]));
    assert_eq!(judged_from(Some(&running), &target, &[]), []);
}
