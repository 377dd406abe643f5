//! Checks go the way of their backend's traffic, in the outer headers of the
//! record that the running daemon has published, and fail when a part of that
//! way is broken that a check of the backend's own address does not see.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use holdfast::{
    config::{Check, DnsRecord, Statuses, Tls},
    health::{
        Target, Via,
        probe::{ProbeError, Prober},
        tunnel::Tunnel,
    },
    revision::BackendId,
};
use lb_common::{
    abi::{active::Active, member::Member, table::Slot, vip::VipKey},
    select,
};
use support::{
    addresses::{Family, VIPS},
    config::{DATAGRAMS, Encap, STREAMS},
    contract::Status,
    native::Native,
    netns::Namespace,
    rig::{Layout, Rig},
    snapshot::Snapshot,
    topology::Shape,
    wait,
};

const PASSES: Duration = Duration::from_secs(5);
const FAILS: Duration = Duration::from_millis(700);

const WEB: u16 = 8080;
const NAMES: u16 = 5353;

/// Answers HTTP and DNS on every VIP of a backend until it is dropped.
struct Answers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Answers {
    fn start(host: &Namespace) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let listener = host.run(|| TcpListener::bind(("::", WEB)))??;
        listener.set_nonblocking(true)?;
        let stopped = Arc::clone(&stop);
        threads.push(thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                };
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(PASSES))?;
                // A check that gave up is no matter of ours.
                if stream.read(&mut [0; 1024]).is_ok() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").ok();
                }
            }
            Ok(())
        }));
        for address in VIPS[0].both() {
            let socket = host.run(|| UdpSocket::bind((address, NAMES)))??;
            socket.set_read_timeout(Some(Duration::from_millis(100)))?;
            let stopped = Arc::clone(&stop);
            threads.push(thread::spawn(move || {
                let mut question = [0; 512];
                while !stopped.load(Ordering::Relaxed) {
                    let Ok((length, from)) = socket.recv_from(&mut question) else {
                        continue;
                    };
                    // A response with one answer (RFC 1035 §4.1): the name that
                    // was asked for, A, IN, an hour, four bytes.
                    let mut answer = question[..length].to_vec();
                    (answer[2], answer[7]) = (0x81, 1);
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 192, 0, 2, 1]);
                    socket.send_to(&answer, from).ok();
                }
                Ok(())
            }));
        }
        Ok(Self { stop, threads })
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(Ok(())) => {}
                ended => eprintln!("warning: answers ended: {ended:?}"),
            }
        }
    }
}

/// The record of the one backend of the pool `web`, as the program reads it.
fn published(rig: &Rig) -> Result<Member> {
    let snapshot = Snapshot::read(&rig.installation.pins)?;
    let view = Native::new(&snapshot);
    let IpAddr::V4(vip) = STREAMS.at.of(Family::V4) else {
        unreachable!("it is IPv4")
    };
    let key = VipKey::v4(u32::from_ne_bytes(vip.octets()), STREAMS.port.to_be(), 6);
    let vip = select::vip(&view, Active(snapshot.active).vips(), &key)
        .ok()
        .context("no such VIP")?;
    let Some(Slot::Clean(number)) = select::slot(&view, &vip, 0) else {
        anyhow::bail!("slot 0 is dirty or missing");
    };
    Ok(*select::member(&view, &vip, number).context("no such member")?)
}

/// The runtime of the balancer's namespace, and what probes from there.
struct Checker<'r> {
    rig: &'r Rig,
    prober: Prober,
    member: Member,
}

impl Checker<'_> {
    async fn by(&self, via: Via, check: Check, timeout: Duration) -> Result<(), ProbeError> {
        let backend = BackendId {
            pool: "web".to_owned(),
            backend: "be1".to_owned(),
        };
        let target = Target {
            address: self.rig.fleet.pools[0].backends[0].address,
            check: Arc::new(check),
            interval: timeout,
            timeout,
            via,
        };
        self.prober.probe(&backend, &target).await
    }

    async fn through(&self, vip: IpAddr, check: Check, timeout: Duration) -> Result<(), ProbeError> {
        let member = self.member;
        self.by(Via::Tunnel { vip, member }, check, timeout).await
    }

    async fn direct(&self, check: Check) -> Result<(), ProbeError> {
        self.by(Via::Direct, check, PASSES).await
    }
}

/// Runs in the balancer's namespace with a tunnel, which is closed after it.
fn with_checker(layout: &Layout, work: impl AsyncFnOnce(&Checker<'_>) -> Result<()> + Send) -> Result<()> {
    let rig = Rig::build(layout)?;
    let member = published(&rig)?;
    let _answers = Answers::start(&rig.network.backends[0].namespace)?;
    rig.network.balancer.run(|| -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let checker = Checker {
                rig: &rig,
                prober: Prober::new(rig.installation.pins.with_file_name("checker")),
                member,
            };
            let done = work(&checker).await;
            ensure!(marked_rules(&rig.network.balancer)? == 2, "a rule of each family");
            checker.prober.close().await;
            ensure!(marked_rules(&rig.network.balancer)? == 0, "rules were left");
            done
        })
    })?
}

/// Rules that lead what is marked to a tunnel, of both families.
fn marked_rules(balancer: &Namespace) -> Result<usize> {
    let rules = [balancer.ip("-4 rule show")?, balancer.ip("-6 rule show")?].concat();
    Ok(rules.lines().filter(|rule| rule.contains("fwmark 0x4846")).count())
}

fn all_kinds(family: Family) -> Vec<(IpAddr, Check)> {
    let (vip, datagrams) = (STREAMS.at.of(family), DATAGRAMS.at.of(family));
    let http = Check::Http {
        port: WEB,
        path: "/".to_owned(),
        host: None,
        tls: Tls::Off,
        status: Statuses::default(),
    };
    let udp = Check::Udp {
        port: DATAGRAMS.port,
        send: "hello".to_owned(),
        expect: "be1 hello".to_owned(),
    };
    let dns = Check::Dns {
        port: NAMES,
        name: "www.example.net".to_owned(),
        record: DnsRecord::A,
    };
    vec![
        (vip, Check::Tcp { port: STREAMS.port }),
        (vip, http),
        (datagrams, udp),
        (vip, dns),
        (vip, Check::Icmp {}),
    ]
}

fn all_kinds_pass(encap: Encap, outer: Family) -> Result<()> {
    let layout = Layout {
        encap,
        outer,
        ..Layout::of(Shape::TwoArm, 1).beside()
    };
    with_checker(&layout, async |checker| {
        for family in Family::BOTH {
            for (vip, check) in all_kinds(family) {
                let word = check.to_string();
                let passed = checker.through(vip, check, PASSES).await;
                passed.with_context(|| format!("{word} to {vip} by {encap} over {outer:?}"))?;
            }
            // Not for a VIP that the backend has, but nobody listens.
            let closed = checker
                .through(STREAMS.at.of(family), Check::Tcp { port: 7 }, PASSES)
                .await;
            ensure!(matches!(closed, Err(ProbeError::Refused)), "{closed:?}");
        }
        Ok(())
    })
}

#[test]
fn checks_of_all_kinds_pass_by_ip_in_ipv4() -> Result<()> {
    all_kinds_pass(Encap::Ipip, Family::V4)
}

#[test]
fn checks_of_all_kinds_pass_by_ip_in_ipv6() -> Result<()> {
    all_kinds_pass(Encap::Ipip, Family::V6)
}

#[test]
fn checks_of_all_kinds_pass_by_gue_over_both_families() -> Result<()> {
    all_kinds_pass(Encap::Gue, Family::V4)?;
    all_kinds_pass(Encap::Gue, Family::V6)
}

#[test]
fn checks_of_all_kinds_pass_by_l2() -> Result<()> {
    all_kinds_pass(Encap::L2, Family::V4)
}

#[test]
fn checks_leave_by_the_interface_their_traffic_comes_by() -> Result<()> {
    let layout = Layout::of(Shape::OneArm, 1).beside();
    with_checker(&layout, async |checker| {
        for family in Family::BOTH {
            let tcp = Check::Tcp { port: STREAMS.port };
            checker.through(STREAMS.at.of(family), tcp, PASSES).await?;
        }
        Ok(())
    })
}

fn vip_that_is_gone_fails(encap: Encap, outer: Family) -> Result<()> {
    let layout = Layout {
        encap,
        outer,
        ..Layout::of(Shape::TwoArm, 1).beside()
    };
    with_checker(&layout, async |checker| {
        let host = &checker.rig.network.backends[0].namespace;
        for family in Family::BOTH {
            let vip = STREAMS.at.of(family);
            let tcp = || Check::Tcp { port: STREAMS.port };
            let length = if vip.is_ipv4() { 32 } else { 128 };
            checker.through(vip, tcp(), PASSES).await?;
            host.ip(&format!("addr del {vip}/{length} dev lo"))?;
            let failed = checker.through(vip, tcp(), FAILS).await;
            ensure!(
                matches!(failed, Err(ProbeError::TimedOut(_) | ProbeError::Unreachable)),
                "{failed:?}"
            );
            checker.direct(tcp()).await?;
            let nodad = if vip.is_ipv4() { "" } else { "nodad" };
            host.ip(&format!("addr add {vip}/{length} dev lo {nodad}"))?;
            checker.through(vip, tcp(), PASSES).await?;
        }
        Ok(())
    })
}

#[test]
fn vip_that_is_gone_from_the_backend_fails_the_check_and_not_a_direct_one() -> Result<()> {
    vip_that_is_gone_fails(Encap::Ipip, Family::V4)?;
    vip_that_is_gone_fails(Encap::L2, Family::V4)
}

fn agent_that_is_gone_fails(encap: Encap, outer: Family) -> Result<()> {
    let layout = Layout {
        encap,
        outer,
        ..Layout::of(Shape::TwoArm, 1).beside()
    };
    with_checker(&layout, async |checker| {
        let kinds = || all_kinds(Family::V4);
        let (vip, tcp) = kinds().remove(0);
        checker.through(vip, tcp, PASSES).await?;
        // The pin alone holds the agent: nothing else runs on the backend.
        let agents = checker.rig.installation.pins.with_file_name("agent-be1");
        unpin(&agents.join("links"))?;
        // The kernel lets go of a link a little after its last pin.
        let (vip, tcp) = kinds().remove(0);
        while checker.through(vip, tcp.clone(), FAILS).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for (vip, check) in kinds() {
            let word = check.to_string();
            let failed = checker.through(vip, check, FAILS).await;
            ensure!(matches!(failed, Err(ProbeError::TimedOut(_))), "{word}: {failed:?}");
        }
        checker.direct(Check::Tcp { port: STREAMS.port }).await?;
        checker.direct(Check::Icmp {}).await?;
        Ok(())
    })
}

#[test]
fn agent_that_is_gone_fails_checks_of_all_kinds_and_not_direct_ones() -> Result<()> {
    agent_that_is_gone_fails(Encap::Ipip, Family::V4)?;
    agent_that_is_gone_fails(Encap::Gue, Family::V6)
}

fn unpin(directory: &Path) -> Result<()> {
    let pins = fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut count = 0;
    for pin in pins {
        fs::remove_file(pin?.path())?;
        count += 1;
    }
    ensure!(count == 1, "{count} links in {}", directory.display());
    Ok(())
}

#[test]
fn what_a_killed_daemon_left_is_replaced_and_two_daemons_do_not_meet() -> Result<()> {
    let rig = Rig::start_beside(Shape::OneArm, 1, 1)?;
    let balancer = &rig.network.balancer;
    let pins = &rig.installation.pins;
    let open = |directories: &[&Path]| -> Result<Vec<u32>> {
        balancer.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut tunnels = Vec::new();
                for directory in directories {
                    tunnels.push(Tunnel::open(directory).await?);
                }
                // Dropped, not closed: as after `kill -9`.
                Ok(tunnels.iter().map(Tunnel::mark).collect())
            })
        })?
    };
    let first = open(&[pins])?;
    assert_eq!(marked_rules(balancer)?, 2, "a killed daemon leaves its rules");
    let links = balancer.ip("link show")?;
    ensure!(!links.contains("hf-check"), "the device goes with the process: {links}");
    assert_eq!(open(&[pins])?, first, "the same pins, the same mark");
    assert_eq!(marked_rules(balancer)?, 2, "replaced, not added to");
    let both = open(&[pins, pins])?;
    assert_ne!(both[0], both[1], "a name that is taken is not taken away");
    Ok(())
}

/// Not for us: what is routed to the VIP without the mark leaves by the main
/// table, as before.
#[test]
fn only_marked_packets_are_led_to_the_tunnel() -> Result<()> {
    let layout = Layout::of(Shape::TwoArm, 1).beside();
    with_checker(&layout, async |checker| {
        let balancer = &checker.rig.network.balancer;
        for family in Family::BOTH {
            let vip = STREAMS.at.of(family);
            checker.through(vip, Check::Tcp { port: STREAMS.port }, PASSES).await?;
            let way = balancer.ip(&format!("route get {vip}"))?;
            ensure!(way.contains("dev lb0"), "{way}");
            let marked = balancer.ip(&format!("route get {vip} mark {:#x}", checker_mark(balancer)?))?;
            ensure!(marked.contains("dev hf-check-"), "{marked}");
        }
        Ok(())
    })
}

fn checker_mark(balancer: &Namespace) -> Result<u32> {
    let rules = balancer.ip("-4 rule show")?;
    let word = rules.split_whitespace().find_map(|word| word.strip_prefix("0x4846"));
    Ok(0x4846_0000 | u32::from_str_radix(word.context("no rule")?, 16)?)
}

/// Two backends in two pools of the same hosts, checked at the same port: in
/// `web` as its traffic goes, in `dns` at their own addresses.
fn checked_both_ways(encap: Encap) -> Result<Rig> {
    let layout = Layout {
        encap,
        ..Layout::of(Shape::TwoArm, 2).beside()
    };
    let check = format!(
        "tcp: {{ port: {} }}, interval: 200ms, timeout: 200ms, rise: 2, fall: 3",
        STREAMS.port
    );
    let rig = Rig::build_with(&layout, |fleet| {
        let fleet = fleet.saying("web", &format!("health: {{ {check} }}"));
        fleet.saying("dns", &format!("health: {{ {check}, via: direct }}"))
    })?;
    wait_for(&rig, "all backends up", |status| {
        status.backends().all(|(_, backend)| backend.health.state == "up")
    })?;
    Ok(rig)
}

fn wait_for(rig: &Rig, what: &str, holds: impl Fn(&Status) -> bool) -> Result<Status> {
    let found = wait::until(Duration::from_secs(10), what, || {
        rig.installation.status().ok().filter(&holds)
    });
    found.with_context(|| format!("{:?}\n{}", rig.installation.status(), rig.daemon_log()))
}

fn be1_of_web_alone_goes(rig: &Rig) -> Result<()> {
    let status = wait_for(rig, "web/be1 down", |status| {
        status
            .backend("web", "be1")
            .is_some_and(|be1| be1.health.state == "down" && be1.slots == 0)
    })?;
    let web = status.backend("web", "be1").context("it is there")?;
    assert_eq!(web.health.error.as_deref(), Some("no answer within 200ms"));
    for (pool, backend) in [("web", "be2"), ("dns", "be1"), ("dns", "be2")] {
        let other = status.backend(pool, backend).context("it is there")?;
        assert_eq!(other.health.state, "up", "{pool}/{backend}");
        ensure!(other.slots > 0, "{pool}/{backend} has no slots");
    }
    Ok(())
}

#[test]
fn daemon_takes_a_backend_without_agent_out_of_service() -> Result<()> {
    let rig = checked_both_ways(Encap::Ipip)?;
    unpin(&rig.installation.pins.with_file_name("agent-be1").join("links"))?;
    be1_of_web_alone_goes(&rig)
}

#[test]
fn daemon_takes_a_backend_without_the_vip_out_of_service_and_back() -> Result<()> {
    for encap in [Encap::Gue, Encap::L2] {
        let rig = checked_both_ways(encap)?;
        let host = &rig.network.backends[0].namespace;
        let vip = STREAMS.at.of(Family::V4);
        host.ip(&format!("addr del {vip}/32 dev lo"))?;
        be1_of_web_alone_goes(&rig)?;
        host.ip(&format!("addr add {vip}/32 dev lo"))?;
        wait_for(&rig, "web/be1 up again", |status| {
            status
                .backend("web", "be1")
                .is_some_and(|be1| be1.health.state == "up" && be1.slots > 0)
        })?;
    }
    Ok(())
}

#[test]
fn daemon_that_stops_leaves_no_rule_and_one_that_was_killed_is_cleaned_up_after() -> Result<()> {
    let mut rig = checked_both_ways(Encap::Ipip)?;
    assert_eq!(marked_rules(&rig.network.balancer)?, 2);
    rig.kill_daemon()?;
    assert_eq!(marked_rules(&rig.network.balancer)?, 2, "nobody could remove them");
    rig.start_daemon()?;
    wait_for(&rig, "all backends up", |status| {
        status.backends().all(|(_, backend)| backend.health.state == "up")
    })?;
    // Health is as the revision says, at once; the tunnel comes with the first check.
    wait::until(Duration::from_secs(5), "a tunnel", || {
        let links = rig.network.balancer.ip("link show").ok()?;
        links.contains("hf-check").then_some(())
    })?;
    assert_eq!(marked_rules(&rig.network.balancer)?, 2, "replaced, not added to");
    rig.stop_daemon()?;
    assert_eq!(marked_rules(&rig.network.balancer)?, 0);
    let links = rig.network.balancer.ip("link show")?;
    ensure!(!links.contains("hf-check"), "{links}");
    Ok(())
}
