//! What keeps the kernel's side safe while people and scripts are at work on
//! the host.

use std::{fs, process::Command, thread, time::Duration};

use anyhow::{Result, ensure};
use support::{
    daemon::{Binaries, Installation},
    netns::{Namespace, ip_batch},
    rig::Rig,
    run::{RunId, Scratch},
    topology::Shape,
    turn::Turn,
    wait,
};

#[test]
fn second_daemon_on_the_same_pins_is_refused_and_changes_nothing() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 2, 2)?;
    let before = rig.installation.status()?;
    let first = &rig.installation;
    let second = Installation {
        socket: first.socket.with_extension("other"),
        state: first.state.with_extension("second"),
        log: first.log.with_extension("second"),
        ..first.clone()
    };
    fs::create_dir(&second.state)?;
    let refused = second.start(&rig.network.balancer);
    let said = refused.err().map_or_else(String::new, |error| format!("{error:#}"));
    ensure!(said.contains("another daemon has the pins"), "it says: {said}");
    let after = rig.installation.status()?;
    assert_eq!((after.generation, after.revision), (before.generation, before.revision));
    ensure!(verified(&rig)?, "something was changed");
    Ok(())
}

#[test]
fn removed_link_pin_detaches_nothing_and_comes_back() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 2, 2)?;
    let pin = rig.installation.pins.join("links/lb0");
    let before = rig.installation.status()?.interfaces[0].prog_id;
    fs::remove_file(&pin)?;
    assert_eq!(rig.installation.status()?.interfaces.len(), 1);
    thread::sleep(Duration::from_secs(2));
    ensure!(pin.exists(), "the pin did not come back");
    assert_eq!(rig.installation.status()?.interfaces[0].prog_id, before);
    let link = rig.network.balancer.ip("link show lb0")?;
    ensure!(link.contains("xdp"), "detached: {link}");
    Ok(())
}

#[test]
fn daemon_without_its_state_directory_serves_and_follows_but_changes_nothing() -> Result<()> {
    let mut rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let before = rig.installation.status()?;
    rig.kill_daemon()?;
    fs::remove_dir_all(&rig.installation.state)?;
    fs::create_dir(&rig.installation.state)?;
    rig.start_daemon()?;
    let status = rig.installation.status()?;
    assert_eq!(
        (status.generation, status.mode.as_str()),
        (before.generation, "read-only")
    );

    let lessened = rig.fleet.clone().without("web", "be2");
    rig.installation.write(&lessened)?;
    let apply = rig
        .installation
        .run(&["apply", "-f", &rig.installation.config.to_string_lossy()])?;
    assert_eq!(apply.code, Some(3), "{}", apply.said());
    ensure!(apply.said().contains("HF2019"), "{}", apply.said());

    // A next hop that changes is followed all the same.
    let backend = &rig.network.backends[0];
    backend.namespace.ip("link set eth0 address 02:00:00:00:99:01")?;
    wait::until(Duration::from_secs(10), "following the new address", || {
        let outcome = rig.installation.run(&["status", "-o", "json"]).ok()?;
        outcome.stdout.contains("02:00:00:00:99:01").then_some(())
    })
}

#[test]
fn daemon_started_by_ip_netns_exec_leaves_pins_and_program_that_outlive_it() -> Result<()> {
    let _turn = Turn::alone();
    let id = RunId::new();
    let scratch = Scratch::new(&id)?;
    let inside = Namespace::create(id.namespace("lb"))?;
    let name = inside.name();
    ip_batch(&[format!(
        "link add lb0 netns {name} type veth peer name far0 netns {name}"
    )])?;
    inside.ip("link set lb0 up")?;
    let config = scratch.path("config.yaml");
    fs::write(&config, yaml(&scratch.path("hash.key").display().to_string()))?;
    // An ordinary directory: the daemon mounts a bpffs there, and must not do
    // it in the mount namespace that `ip netns exec` made for it alone.
    let pins = scratch.path("pins");
    let mut daemon = Command::new("ip")
        .args(["netns", "exec", name])
        .arg(Binaries::find()?.holdfastd())
        .arg("--config")
        .arg(&config)
        .arg("--state-dir")
        .arg(scratch.path("state"))
        .arg("--socket")
        .arg(scratch.path("socket"))
        .arg("--pin-dir")
        .arg(&pins)
        .spawn()?;
    let pinned = wait::until(Duration::from_secs(15), "the link's pin, seen from outside", || {
        pins.join("links/lb0").exists().then_some(())
    });
    daemon.kill()?;
    daemon.wait()?;
    let stayed = pins.join("prog/balancer").exists();
    let link = inside.ip("link show lb0")?;
    // The bpffs of this run goes, whatever was found.
    let unmounted = Command::new("umount").arg(&pins).status()?;
    pinned?;
    ensure!(stayed, "the pins went with the daemon");
    ensure!(link.contains("xdp"), "the program went with the daemon: {link}");
    ensure!(unmounted.success(), "the pins are not on a file system of their own");
    Ok(())
}

#[test]
fn interface_is_detached_and_attached_as_generations_but_never_the_last_one() -> Result<()> {
    let mut rig = Rig::start(Shape::TwoArm, 2, 2)?;
    let before = rig.installation.status()?;
    let detach = rig.installation.run(&["detach", "lb1"])?;
    assert_eq!(detach.code, Some(0), "{}", detach.said());
    let detached = rig.installation.status()?;
    assert_eq!(detached.generation, before.generation + 1);
    assert_eq!(
        (detached.interfaces[1].mode.as_deref(), detached.interfaces[1].prog_id),
        (None, 0)
    );
    let link = rig.network.balancer.ip("link show lb1")?;
    ensure!(!link.contains("xdp"), "still there: {link}");

    let last = rig.installation.run(&["detach", "lb0"])?;
    assert_eq!(last.code, Some(3), "{}", last.said());
    ensure!(last.said().contains("HF2006"), "{}", last.said());

    // What was meant to be detached stays so.
    rig.kill_daemon()?;
    rig.start_daemon()?;
    thread::sleep(Duration::from_secs(2));
    assert_eq!(rig.installation.status()?.interfaces[1].prog_id, 0);

    let attach = rig.installation.run(&["attach", "lb1"])?;
    assert_eq!(attach.code, Some(0), "{}", attach.said());
    let attached = rig.installation.status()?;
    assert_eq!(attached.generation, before.generation + 2);
    assert_eq!(attached.interfaces[1].mode.as_deref(), Some("native"));
    assert_eq!(attached.interfaces[1].prog_id, before.interfaces[1].prog_id);
    Ok(())
}

fn yaml(key: &str) -> String {
    format!(
        "apiVersion: holdfast/v1\nenvironment: lab\n\
         node: {{ interfaces: [{{ name: lb0, mode: native }}], encapSource: {{ v4: 10.255.0.0/16 }}, hashKeyFile: {key} }}\n\
         pools: [{{ name: web, backends: [{{ name: be1, address: 10.0.1.11, \
         nextHop: {{ mac: \"02:00:00:00:00:11\", interface: lb0 }} }}] }}]\n\
         vips: [{{ name: web4, address: 203.0.113.10, port: 443, protocol: tcp, pool: web }}]\n"
    )
}

fn verified(rig: &Rig) -> Result<bool> {
    Ok(rig.installation.run(&["bpf", "verify"])?.code == Some(0))
}
