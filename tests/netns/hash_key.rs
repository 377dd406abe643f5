//! The key that flows are hashed with: with another one every connection would go elsewhere. So
//! whatever becomes of its file, what was served is served with the same again.

use std::{collections::BTreeSet, fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use support::{
    addresses::{CLIENT_HOSTS, Family, client},
    config::STREAMS,
    rig::{Layout, Rig},
    topology::Shape,
    wait,
};

use super::drift::{SEEN, drifts};

type Damage = (&'static str, fn(&Path) -> Result<()>);

const DAMAGES: [Damage; 5] = [
    ("removed", |file| Ok(fs::remove_file(file)?)),
    ("emptied", |file| Ok(fs::write(file, "")?)),
    ("another key", |file| Ok(fs::write(file, OTHER)?)),
    ("a directory in its place", |file| {
        fs::remove_file(file)?;
        Ok(fs::create_dir(file)?)
    }),
    ("a link to nothing", |file| {
        fs::remove_file(file)?;
        Ok(std::os::unix::fs::symlink("nowhere", file)?)
    }),
];

const OTHER: [u8; 32] = [0x5a; 32];

/// Backends of many flows.
fn flows(rig: &Rig) -> Result<Vec<Option<String>>> {
    let sources = CLIENT_HOSTS.take(4).map(|host| client(host).of(Family::V4));
    let flows = sources.flat_map(|source| (20_000..20_016).map(move |port| SocketAddr::new(source, port)));
    let backends = flows.map(|flow| Ok(rig.installation.why_tcp_by_api(flow, STREAMS.v4())?.backend));
    backends.collect()
}

fn rig() -> Result<Rig> {
    Rig::build(&Layout::of(Shape::OneArm, 4).beside())
}

#[test]
fn after_a_reboot_flows_go_where_they_went_whatever_became_of_the_keys_file() -> Result<()> {
    let mut rig = rig()?;
    let file = rig.fleet.hash_key_file.clone();
    let (key, before) = (fs::read(&file)?, flows(&rig)?);
    ensure!(before.iter().collect::<BTreeSet<_>>().len() > 2, "{before:?}");
    for (what, happens) in DAMAGES {
        rig.kill_daemon()?;
        // As a reboot leaves it.
        fs::remove_dir_all(&rig.installation.pins)?;
        happens(&file).context(what)?;
        rig.start_daemon().context(what)?;
        rig.wait_resolved()?;
        assert_eq!(flows(&rig)?, before, "{what}");
        assert_eq!(fs::read(&file).context(what)?, key, "{what}");
        // With the first look.
        wait::until(SEEN, "an entry of the journal", || {
            let drifts = drifts(&rig).ok()?;
            let last = &drifts.last()?["payload"];
            (last["what"] == "HashKeyTaken" && last["healed"] == true).then_some(())
        })
        .with_context(|| format!("{what}: {}", rig.daemon_log()))?;
        let status: Value = rig.installation.ask(&["status"])?;
        ensure!(
            status["mode"] == "normal" && status["damage"].is_null(),
            "{what}: {status}"
        );
    }
    // What somebody put there is kept.
    let aside = fs::read_dir(file.parent().context("a directory")?)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().contains("set-aside"));
    ensure!(aside.count() > 0, "nothing was set aside");
    Ok(())
}

#[test]
fn without_any_copy_of_the_key_a_start_says_so_and_serves_when_it_is_back() -> Result<()> {
    let mut rig = rig()?;
    let file = rig.fleet.hash_key_file.clone();
    let (key, before) = (fs::read(&file)?, flows(&rig)?);
    rig.kill_daemon()?;
    fs::remove_dir_all(&rig.installation.pins)?;
    fs::remove_file(&file)?;
    fs::remove_file(rig.installation.state.join("hash.key.copy"))?;
    let refused = rig.start_daemon().err().context("it started with another key")?;
    let said = format!("{refused:#}");
    ensure!(said.contains("HF3023") && said.contains("from a backup"), "{said}");
    ensure!(!file.exists(), "a new key was made");
    fs::write(&file, &key)?;
    rig.start_daemon()?;
    rig.wait_resolved()?;
    assert_eq!(flows(&rig)?, before);
    Ok(())
}

#[test]
fn another_key_in_the_file_is_said_as_long_as_it_lasts_and_recover_puts_it_right() -> Result<()> {
    let rig = rig()?;
    let file = rig.fleet.hash_key_file.clone();
    let (key, before) = (fs::read(&file)?, flows(&rig)?);
    fs::write(&file, OTHER)?;
    let said = |what: bool| {
        wait::until(SEEN, "what status says of the file", || {
            let outcome = rig.installation.run(&["status"]).ok()?;
            let first = outcome.stdout.lines().next()?.to_owned();
            (first.contains("hash key") == what).then_some(first)
        })
    };
    let first = said(true)?;
    ensure!(first.contains("holdfast recover"), "{first}");
    assert_eq!(flows(&rig)?, before, "the key in use stays in use");
    let recovery: Value = rig.installation.ask(&["recover"])?;
    ensure!(recovery["hashKey"] == "other", "{recovery}");
    said(false)?;
    assert_eq!(fs::read(&file)?, key);
    Ok(())
}
