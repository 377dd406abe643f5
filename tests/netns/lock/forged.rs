//! A plan that was approved, and then written otherwise, is another plan.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::{
    api,
    config::Fleet,
    rig::{Layout, Rig},
    topology::Shape,
};

use super::people::{
    Person::{Ann, Ben, Cy, Root},
    Team, alone, ensure_flat, ensure_same, streams, without_vip,
};
use super::ways::{digest_of, plan_of};

/// What is written otherwise, and how.
type Forgery = (&'static str, fn(&mut Value));

const FORGERIES: [Forgery; 16] = [
    ("target", |plan| drop_vip(&mut plan["target"]["config"]["vips"], "raw6")),
    ("target and removed", |plan| {
        drop_vip(&mut plan["target"]["config"]["vips"], "raw6");
        plan["removed"] = json!(["vip/raw4", "vip/raw6"]);
    }),
    ("hosts", |plan| plan["hosts"] = json!(["elsewhere"])),
    ("environment", |plan| plan["environment"] = json!("production")),
    ("bounds", |plan| plan["bounds"]["backends"] = json!(99)),
    ("blast", |plan| plan["blast"]["packets"] = json!(1_000_000)),
    ("needs", |plan| plan["needs"] = json!(0)),
    ("trial", |plan| {
        plan.as_object_mut().map(|plan| plan.remove("trial"));
    }),
    ("expires", |plan| plan["expires"] = json!("2199-01-01T00:00:00Z")),
    ("author", |plan| swap(plan, "author", "ann", "dora")),
    ("nonce", |plan| {
        let nonce = plan["nonce"].as_str().unwrap_or_default().to_owned();
        swap(plan, "nonce", &nonce, "0123456789abcdef");
    }),
    ("wipe", |plan| plan["wipe"] = json!(true)),
    ("base", |plan| plan["base"]["generation"] = json!(7)),
    ("base's content", |plan| {
        plan["base"]["digest"] = json!("0".repeat(64));
    }),
    ("findings", |plan| plan["findings"] = json!([])),
    ("changes", |plan| plan["changes"] = json!([])),
];

fn drop_vip(vips: &mut Value, name: &str) {
    if let Some(vips) = vips.as_array_mut() {
        vips.retain(|vip| vip["name"] != name);
    }
}

/// In the statement, too, so that it is about the plan.
fn swap(plan: &mut Value, key: &str, from: &str, to: &str) {
    plan[key] = json!(to);
    let about = plan["about"].as_str().unwrap_or_default();
    let about = match key {
        "author" => about.replace(&format!("By {from},"), &format!("By {to},")),
        _ => about.replace(from, to),
    };
    plan["about"] = json!(about);
}

#[test]
fn approved_plan_that_was_written_otherwise_is_refused_and_changes_nothing() -> Result<()> {
    let team = Team::build("")?;
    let load = streams(&team.rig)?;
    let (plan, digest) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "raw4")?;
    team.approves(Ben, &digest)?;
    team.approves(Cy, &digest)?;
    let before = team.rig.installation.status()?;
    let good = fs::read_to_string(team.desk.join(&plan))?;
    let value: Value = serde_json::from_str(&good)?;
    ensure!(written(&value)? == good, "what nobody forged is the same file");
    for (what, forge) in FORGERIES {
        let mut forged = value.clone();
        forge(&mut forged);
        ensure!(forged != value, "{what} is as it was");
        fs::write(team.desk.join("forged.plan"), written(&forged)?)?;
        let outcome = team.types(Root, &["apply", "forged.plan"])?;
        ensure!(matches!(outcome.code, Some(3 | 4)), "{what}: {outcome:?}");
        ensure!(outcome.said().contains("error[HF20"), "{what}: {outcome:?}");
        ensure_same(&before, &team.rig.installation.status()?).context(what)?;
        let key = team.key(Ben).to_string_lossy().into_owned();
        let outcome = team.types(Ben, &["approve", "forged.plan", "--key", &key])?;
        // The daemon keeps no such plan.
        ensure!(outcome.code == Some(1), "{what}, approved: {outcome:?}");
        ensure!(
            outcome.said().contains("error[HF5004]"),
            "{what}, approved: {outcome:?}"
        );
    }
    // And not one byte else.
    fs::write(team.desk.join("forged.plan"), good.replacen(':', ": ", 1))?;
    team.is_refused(Ann, &["apply", "forged.plan"], 1, "was altered: byte")?;
    fs::write(team.desk.join("forged.plan"), &good)?;
    team.does(Ann, &["apply", "forged.plan"])?;
    team.does(Ann, &["confirm"])?;
    ensure_flat(load)
}

#[test]
fn plan_that_comes_with_the_digest_of_another_is_refused_by_the_api() -> Result<()> {
    let team = Team::build("")?;
    let (plan, digest) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "raw4")?;
    team.approves(Ben, &digest)?;
    team.approves(Cy, &digest)?;
    let before = team.rig.installation.status()?;
    let good = plan_of(serde_json::from_str(&fs::read_to_string(team.desk.join(plan))?)?)?;
    assert_eq!(digest_of(&good)?, digest, "the digest is of the exact bytes");
    let socket = &team.rig.installation.socket;
    for (what, forge) in FORGERIES {
        let mut forged = good.clone();
        forge(&mut forged);
        // What was approved, said of something else; and the other way round.
        for (plan, digest) in [(&forged, &digest), (&good, &digest_of(&forged)?)] {
            let request = json!({ "plan": plan, "digest": digest });
            let answer = api::ask(socket, "POST", "/v1/apply", &request)?;
            ensure!(
                answer.status == 409 && answer.body["code"] == "HF2017",
                "{what}: {answer:?}"
            );
            let said = answer.body["message"].as_str().unwrap_or_default();
            ensure!(said.contains("digest"), "{what}: {said}");
        }
        ensure_same(&before, &team.rig.installation.status()?).context(what)?;
    }
    let answer = api::ask(socket, "POST", "/v1/apply", &json!({ "plan": good, "digest": digest }))?;
    ensure!(answer.is_success(), "as it was approved: {answer:?}");
    Ok(())
}

fn written(plan: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string(plan)?))
}

#[test]
fn what_a_plan_says_of_itself_counts_for_nothing() -> Result<()> {
    let rig = Rig::build_with(&Layout::of(Shape::OneArm, 4).beside(), |fleet| Fleet {
        protection: String::new(),
        ..fleet
    })?;
    let file = rig.installation.config.to_string_lossy().into_owned();
    let plan = rig.installation.config.with_file_name("raw4.plan");
    let path = plan.to_str().context("a path of ASCII")?.to_owned();
    rig.installation.write(&without_vip(&rig.fleet, "raw4"))?;
    alone(&rig, &["plan", "-f", &file, "--out", &path], 0, "HF2064")?;
    let mut forged: Value = serde_json::from_str(&fs::read_to_string(&plan)?)?;
    forged.as_object_mut().context("a plan")?.remove("trial");
    fs::write(&plan, written(&forged)?)?;
    let mut silent = forged.clone();
    silent["findings"]
        .as_array_mut()
        .context("findings")?
        .retain(|finding| finding["code"] != "HF2064");
    // Its statement names what stands against it.
    let other = plan.with_file_name("silent.plan");
    fs::write(&other, written(&silent)?)?;
    alone(
        &rig,
        &["apply", other.to_str().context("a path of ASCII")?],
        3,
        "HF2017",
    )?;
    let said = alone(&rig, &["apply", &path], 0, "")?;
    ensure!(said.contains("on trial until"), "{said}");
    alone(&rig, &["abort"], 0, "")?;
    Ok(())
}

#[test]
fn plan_of_another_environment_or_of_what_ran_before_is_refused() -> Result<()> {
    let team = Team::build("")?;
    let before = team.rig.installation.status()?;
    let mut elsewhere = team.rig.fleet.clone();
    elsewhere.environment = "production".to_owned();
    fs::write(&team.rig.installation.config, elsewhere.yaml())?;
    let config = team.rig.installation.config.to_string_lossy().into_owned();
    team.is_refused(Ann, &["apply", "-f", &config], 3, "HF2005")?;
    ensure_same(&before, &team.rig.installation.status()?)?;

    // Approved, and overtaken.
    let (plan, digest) = team.planned(&without_vip(&team.rig.fleet, "raw4").yaml(), "raw4")?;
    team.approves(Ben, &digest)?;
    team.approves(Cy, &digest)?;
    team.does(Ann, &["backend", "weight", "web/be1", "110"])?;
    let before = team.rig.installation.status()?;
    team.is_refused(Ann, &["apply", &plan], 4, "HF2003")?;
    ensure_same(&before, &team.rig.installation.status()?)
}
