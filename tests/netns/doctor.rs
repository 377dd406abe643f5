//! `holdfast doctor` names what is broken, and its fix mends it.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::{
    addresses::{Family, VIPS},
    config::Interface,
    pass,
    rig::Rig,
    topology::Shape,
    wait,
};

/// Exit code and findings, as seen from the balancer.
fn doctor(rig: &Rig, more: &[&str]) -> Result<(Option<i32>, Vec<Value>)> {
    let installation = &rig.installation;
    let mut command = Command::new(installation.binaries.holdfast());
    command.arg("--socket").arg(&installation.socket).arg("doctor");
    command.arg("--state-dir").arg(&installation.state);
    command.arg("--pin-dir").arg(&installation.pins);
    command.args(more).args(["-o", "json"]);
    let output = rig.network.balancer.run(|| command.output())??;
    let document: Value =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let findings = document["findings"].as_array().context("findings")?.clone();
    Ok((output.status.code(), findings))
}

fn level(findings: &[Value], check: &str, object: &str) -> Option<(String, Option<String>)> {
    let is_it =
        |finding: &&Value| finding["check"] == check && finding["object"].as_str().unwrap_or("").starts_with(object);
    let finding = findings.iter().find(is_it)?;
    let fix = finding["fix"].as_str().map(str::to_owned);
    Some((finding["level"].as_str()?.to_owned(), fix))
}

/// `check` of `object` is at `bad` now; after its own fix it is well.
fn ensure_mended(rig: &Rig, more: &[&str], check: &str, object: &str, bad: &str) -> Result<()> {
    let (code, findings) = doctor(rig, more)?;
    let (found, fix) =
        level(&findings, check, object).with_context(|| format!("no {check} of {object}: {findings:?}"))?;
    ensure!(found == bad, "{check} of {object} is {found}: {findings:?}");
    ensure!((bad == "fail") == (code == Some(1)), "exit {code:?}: {findings:?}");
    let fix = fix.context("no fix")?;
    let output = rig
        .network
        .balancer
        .run(|| Command::new("sh").args(["-c", &fix]).output())??;
    ensure!(
        output.status.success(),
        "{fix}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (_, findings) = doctor(rig, more)?;
    let after = level(&findings, check, object).map(|(level, _)| level);
    ensure!(after.as_deref() != Some(bad), "{fix} mended nothing: {findings:?}");
    Ok(())
}

#[test]
fn doctor_finds_nothing_wrong_with_a_rig_and_names_what_is_broken() -> Result<()> {
    let rig = Rig::start_beside(Shape::TwoArm, 2, 2)?;
    let balancer = &rig.network.balancer;
    let (code, findings) = doctor(&rig, &[])?;
    let failures: Vec<_> = findings.iter().filter(|finding| finding["level"] == "fail").collect();
    assert_eq!((code, failures), (Some(0), Vec::new()));
    for (check, object) in [
        ("xdp", "lb0"),
        ("mtu", "web/be1"),
        ("neighbour", "web/be1"),
        ("disk-sync", ""),
    ] {
        let found = level(&findings, check, object).map(|(level, _)| level);
        assert_eq!(found.as_deref(), Some("ok"), "{check}");
    }

    balancer.ip("link set dev lb1 mtu 1500")?;
    ensure_mended(&rig, &[], "mtu", "web/be1", "warn")?;
    balancer.sysctl("ipv4/conf/lb0/rp_filter", "1")?;
    ensure_mended(&rig, &[], "rp-filter", "lb0", "warn")?;
    for family in Family::BOTH {
        let vip = VIPS[0].of(family);
        let (length, name) = if vip.is_ipv4() { (32, "web4") } else { (128, "web6") };
        balancer.ip(&format!("addr add {vip}/{length} dev lb1"))?;
        ensure_mended(&rig, &[], "vip", name, "fail")?;
    }
    Ok(())
}

#[test]
fn doctor_names_a_backend_that_does_not_answer() -> Result<()> {
    let rig = Rig::start_beside(Shape::TwoArm, 2, 2)?;
    let host = rig.host("be1").context("be1")?;
    host.namespace.ip("link set eth0 down")?;
    rig.network
        .balancer
        .ip(&format!("neigh del {} dev lb1", host.address.of(Family::V4)))?;
    let (code, findings) = doctor(&rig, &[])?;
    let found = level(&findings, "neighbour", "web/be1").map(|(level, _)| level);
    assert_eq!((code, found.as_deref()), (Some(1), Some("fail")), "{findings:?}");
    host.namespace.ip("link set eth0 up")?;
    wait::until(Duration::from_secs(10), "be1 to answer", || {
        let (_, findings) = doctor(&rig, &[]).ok()?;
        let (level, _) = level(&findings, "neighbour", "web/be1")?;
        (level == "ok").then_some(())
    })
}

#[test]
fn doctor_names_a_program_that_is_not_ours_with_and_without_a_daemon() -> Result<()> {
    let mut rig = Rig::start_beside(Shape::OneArm, 2, 2)?;
    rig.network.balancer.ip("link add x0 type veth peer name x1")?;
    let mut fleet = rig.fleet.clone();
    fleet.interfaces.push(Interface {
        name: "x0".to_owned(),
        mode: "native",
    });
    let file = rig.installation.config.with_extension("doctor.yaml");
    fs::write(&file, fleet.yaml())?;
    let file = file.display().to_string();
    for running in [true, false] {
        if !running {
            rig.stop_daemon()?;
        }
        attach_foreign(&rig, &format!("foreign-{running}"))?;
        ensure_mended(&rig, &["--config", &file], "xdp", "x0", "fail")?;
        let (_, findings) = doctor(&rig, &["--config", &file])?;
        let ours = level(&findings, "xdp", "lb0").map(|(level, _)| level);
        assert_eq!(ours.as_deref(), Some("ok"), "{findings:?}");
    }
    Ok(())
}

/// As another tool does it, without a link.
fn attach_foreign(rig: &Rig, name: &str) -> Result<()> {
    // A bpffs takes no dot in a name.
    let directory = rig.installation.pins.with_file_name(name);
    let bpftool = |arguments: &[&str]| -> Result<()> {
        let output = rig
            .network
            .balancer
            .run(|| Command::new("bpftool").args(arguments).output())??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    let at = |path: &Path| path.display().to_string();
    bpftool(&["prog", "loadall", &at(&pass::object()), &at(&directory)])?;
    let pinned = at(&directory.join("pass"));
    bpftool(&["net", "attach", "xdpdrv", "pinned", &pinned, "dev", "x0"])
}
