//! A preview says what a plan would do to packets, and does nothing itself.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use support::{
    addresses::Family,
    api,
    config::{Encap, Fleet, Pool, STREAMS},
    contract::{Applied, SLOTS},
    rig::Rig,
    streams::{Load, LoadShape},
    topology::{Shape, Topology},
};

const OPEN: usize = 48;

#[test]
fn preview_counts_as_the_tables_do_and_leaves_nothing_behind() -> Result<()> {
    let rig = Rig::start(Shape::OneArm, 4, 4)?;
    let load = streams(&rig)?;
    let next = rig.fleet.clone().weighing("web", "be1", 50);
    let plan = plan_of(&rig, &next)?;
    // What the start left is collected with the first.
    preview_of(&rig, &plan)?;
    let before = Kept::of(&rig)?;
    let preview = preview_of(&rig, &plan)?;
    let after = Kept::of(&rig)?;
    assert_eq!(before, after, "a preview left something behind, or changed it");
    let planned = plan["effects"][0]["slotsMoved"].as_u64().context("no effect")?;
    println!("{preview:#}");
    assert_eq!(preview["slotsMoved"], planned);
    assert_eq!(preview["slots"], 2 * u64::from(SLOTS));
    // Whose slot moves stays with who had it.
    assert_eq!(preview["slotsKept"], planned);
    assert_eq!(preview["otherBackend"], 0);
    assert!(preview["newDrops"].is_null() && preview["contradictions"].is_null() && preview["refusal"].is_null());
    assert_eq!(preview["vips"], rig.fleet.vips.len());
    ensure!(
        preview["flows"].as_u64() >= Some(4 * rig.fleet.vips.len() as u64),
        "too few flows for all VIPs"
    );
    let tenths = (planned * 1000 + u64::from(SLOTS)) / (2 * u64::from(SLOTS));
    let share = format!("{}.{} % of slots move, 0 new drops", tenths / 10, tenths % 10);
    assert_eq!(preview["summary"], share);

    // `plan` shows it, and an apply makes its own and says the same.
    rig.installation.write(&next)?;
    let config = rig.installation.config.to_string_lossy().into_owned();
    let shown = rig.installation.run(&["plan", "-f", &config])?;
    ensure!(shown.stdout.contains(&format!("PREVIEW {share}")), "{}", shown.said());
    let applied: Value = rig.installation.ask(&["apply", "-f", &config])?;
    assert_eq!(applied["preview"], share);
    assert_eq!(applied["effects"][0]["slotsMoved"], planned);
    let report = load.stop()?;
    assert_eq!((report.completed(), report.connections()), (OPEN, OPEN), "{report}");
    Ok(())
}

#[test]
fn vips_that_would_drop_are_named_and_the_apply_is_refused() -> Result<()> {
    // Next hops are the backends themselves, no router that answers for all.
    let rig = Rig::start(Shape::TwoArm, 4, 4)?;
    let load = streams(&rig)?;
    let before = rig.installation.status()?;

    // Their pool is one whose only backend nobody answers for.
    let mut nowhere = rig.fleet.clone();
    let mut far = Pool {
        name: "far",
        encap: Encap::Ipip,
        backends: nowhere.pools[0].backends[..1].to_vec(),
        ..nowhere.pools[0].clone()
    };
    far.backends[0].address = unanswered(far.backends[0].address);
    nowhere.pools.push(far);
    for vip in nowhere.vips.iter_mut().filter(|vip| vip.name.starts_with("http")) {
        vip.pool = "far";
    }
    let preview = preview_of(&rig, &plan_of(&rig, &nowhere)?)?;
    println!("{preview:#}");
    assert_eq!(names(&preview["newDrops"]), BTreeSet::from(["http4", "http6"]));
    assert_eq!(preview["newDrops"][0]["verdict"], "DropNoNextHop");
    assert_eq!(preview["refusal"]["code"], "HF3020");
    let told = preview["summary"].as_str().context("no summary")?;
    ensure!(told.ends_with("new drops of 2 VIPs: http4, http6"), "{told}");
    rig.installation.write(&nowhere)?;
    let config = rig.installation.config.to_string_lossy().into_owned();
    let outcome = rig.installation.run(&["apply", "-f", &config])?;
    assert_eq!(outcome.code, Some(3), "{}", outcome.said());
    ensure!(outcome.said().contains("HF3020"), "{}", outcome.said());

    // Most of a pool in maint: nobody drops, and the preview says who goes.
    let mut maint = rig.fleet.clone();
    for number in 1..=3 {
        maint = maint.stating("dns", &format!("be{number}"), "maint");
    }
    let preview = preview_of(&rig, &plan_of(&rig, &maint)?)?;
    assert_eq!(names(&preview["newDrops"]), BTreeSet::new());
    let told = preview["summary"].as_str().context("no summary")?;
    ensure!(told.contains("dns loses 3 of 4 backends"), "{told}");

    // What the plan names is no surprise.
    let mut without = rig.fleet.clone();
    without.vips.retain(|vip| vip.name != "http6");
    without.removed.push("vip/http6".to_owned());
    let preview = preview_of(&rig, &plan_of(&rig, &without)?)?;
    assert_eq!(preview["ends"], json!({ "http6": "removed" }));
    assert!(
        preview["newDrops"].is_null() && preview["refusal"].is_null(),
        "{preview:#}"
    );
    let applied: Applied = rig.installation.apply(&without)?;
    // The number of the one that was refused before its switch is not used again.
    assert_eq!(applied.generation, before.generation + 2);
    let report = load.stop()?;
    assert_eq!((report.completed(), report.connections()), (OPEN, OPEN), "{report}");
    Ok(())
}

fn streams(rig: &Rig) -> Result<Load> {
    let shape = LoadShape::long_lived(STREAMS.v4(), Topology::client_addresses(Family::V4), OPEN);
    let load = Load::start(&rig.network.client, shape)?;
    load.wait(Duration::from_secs(10), "open streams", |report| {
        report.open().count() == OPEN
    })?;
    Ok(load)
}

/// In the same network, where nobody is.
fn unanswered(address: std::net::IpAddr) -> std::net::IpAddr {
    match address {
        std::net::IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            [a, b, c, 250].into()
        }
        v6 @ std::net::IpAddr::V6(_) => v6,
    }
}

fn plan_of(rig: &Rig, fleet: &Fleet) -> Result<Value> {
    let request = json!({ "file": "next.yaml", "text": fleet.yaml() });
    let answer = api::ask(&rig.installation.socket, "POST", "/v1/plan", &request)?;
    ensure!(answer.is_success(), "{answer:?}");
    let mut plan = answer.body;
    let keys = plan.as_object_mut().context("a plan")?;
    keys.remove("apiVersion");
    keys.remove("kind");
    Ok(plan)
}

/// By what is made up alone.
fn preview_of(rig: &Rig, plan: &Value) -> Result<Value> {
    let request = json!({ "plan": plan, "sample": 0 });
    let answer = api::ask(&rig.installation.socket, "POST", "/v1/preview", &request)?;
    ensure!(answer.is_success(), "{answer:?}");
    Ok(answer.body)
}

fn names(drops: &Value) -> BTreeSet<&str> {
    let drops = drops.as_array().map(Vec::as_slice).unwrap_or_default();
    drops.iter().filter_map(|drop| drop["vip"].as_str()).collect()
}

/// What the kernel has of us.
#[derive(Debug, PartialEq)]
struct Kept {
    dump: Value,
    pins: BTreeSet<String>,
    journal: usize,
}

impl Kept {
    fn of(rig: &Rig) -> Result<Self> {
        let mut pins = BTreeSet::new();
        for directory in ["chunks", "prog", "links", "maps"] {
            for entry in fs::read_dir(rig.installation.pins.join(directory))? {
                pins.insert(format!("{directory}/{}", entry?.file_name().to_string_lossy()));
            }
        }
        let journal: Value = rig.installation.ask(&["journal", "list"])?;
        Ok(Self {
            dump: rig.installation.ask(&["bpf", "dump"])?,
            pins,
            journal: journal["entries"].as_array().context("entries")?.len(),
        })
    }
}
