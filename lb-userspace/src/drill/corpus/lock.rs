//! Approvals that are none.

use std::fs;

use crate::drill::{
    error::{DrillError, Result},
    people::{
        self,
        Person::{Ann, Ben, Cy, Eve, Root},
    },
    scene::Scene,
};

use super::super::people::Person;

fn key(scene: &Scene, person: Person) -> String {
    people::key(&scene.site.stage, person).display().to_string()
}

/// Somebody approves a plan in a file.
pub fn approves(scene: &Scene, person: Person, plan: &str) -> Result<()> {
    scene
        .does(person, &["approve", plan, "--key", &key(scene, person)])
        .map(drop)
}

fn bytes(plan: &str) -> Result<Vec<u8>> {
    fs::read(plan).map_err(DrillError::io("reading a plan"))
}

pub fn unapproved(scene: &mut Scene) -> Result<()> {
    let plan = scene.removal("unapproved.plan")?;
    scene.refused(Ann, &["apply", &plan])?;
    // One of two is not enough either.
    approves(scene, Ben, &plan)?;
    scene.refused(Ann, &["apply", &plan])
}

pub fn own(scene: &mut Scene) -> Result<()> {
    let plan = scene.removal("own.plan")?;
    let own = key(scene, Ann);
    scene.refused(Ann, &["approve", &plan, "--key", &own])?;
    approves(scene, Ben, &plan)?;
    approves(scene, Ben, &plan)?;
    scene.refused(Ann, &["apply", &plan])
}

pub fn forged(scene: &mut Scene) -> Result<()> {
    let plan = scene.removal("forged.plan")?;
    let text = bytes(&plan)?;
    let stage = &scene.site.stage;
    let longer = [&text[..], b" "].concat();
    let sound = people::approve(stage, Ben, &text)?;
    let signatures = [
        ("stranger.sig", people::approve(stage, Eve, &text)?),
        ("other.sig", people::approve(stage, Ben, &longer)?),
        ("purpose.sig", people::sign(stage, Ben, "file", &text)?),
        ("cut.sig", sound[..sound.len() / 2].to_owned()),
        ("empty.sig", String::new()),
    ];
    for (name, signature) in signatures {
        let file = scene.site.file(name, &signature)?;
        scene.refused(Ben, &["approve", &plan, "--signature", &file])?;
    }
    let stranger = key(scene, Eve);
    scene.refused(Eve, &["approve", &plan, "--key", &stranger])
}

pub fn of_another(scene: &mut Scene) -> Result<()> {
    let approved = scene.removal("approved.plan")?;
    let other = scene.removal("other.plan")?;
    for person in [Ben, Cy] {
        let signature = people::approve(&scene.site.stage, person, &bytes(&approved)?)?;
        let file = scene.site.file("borrowed.sig", &signature)?;
        scene.refused(person, &["approve", &other, "--signature", &file])?;
    }
    scene.refused(Ann, &["apply", &other])
}

pub fn altered(scene: &mut Scene) -> Result<()> {
    let plan = scene.removal("altered.plan")?;
    approves(scene, Ben, &plan)?;
    let text = String::from_utf8_lossy(&bytes(&plan)?).into_owned();
    let edited = text.replace("\"needs\":2", "\"needs\":0");
    if edited == text {
        return Err(DrillError::Answer("a plan that needs two approvals".to_owned()));
    }
    let file = scene.site.file("edited.plan", &edited)?;
    scene.refused(Ann, &["apply", &file])?;
    let file = scene.site.file("cut.plan", &text[..text.len() / 2])?;
    scene.refused(Ann, &["apply", &file])
}

pub fn revoked(scene: &mut Scene) -> Result<()> {
    let plan = scene.removal("revoked.plan")?;
    approves(scene, Ben, &plan)?;
    approves(scene, Cy, &plan)?;
    people::write_approvers(&scene.site.stage, &[Ann, Cy])?;
    scene.settle_on_this()?;
    scene.refused(Ann, &["apply", &plan])
}

/// The plan is approved, applied and taken back; nothing of it is good for
/// anything after that.
pub fn replayed(scene: &mut Scene) -> Result<()> {
    let plan = scene.removal("replayed.plan")?;
    let mut signatures = Vec::new();
    for person in [Ben, Cy] {
        let signature = people::approve(&scene.site.stage, person, &bytes(&plan)?)?;
        let file = scene
            .site
            .file(&format!("replayed-{}.sig", person.name()), &signature)?;
        scene.does(person, &["approve", &plan, "--signature", &file])?;
        signatures.push((person, file));
    }
    scene.does(Ann, &["apply", &plan])?;
    if scene.site.status()?.trial.is_some() {
        scene.does(Ann, &["abort"])?;
    } else {
        scene.does(Ann, &["undelete", &format!("vip/{}", crate::drill::adapt::SPARE)])?;
    }
    scene.settle_on_this()?;
    scene.refused(Ann, &["apply", &plan])?;
    let again = scene.removal("again.plan")?;
    for (person, file) in &signatures {
        scene.refused(*person, &["approve", &plan, "--signature", file])?;
        scene.refused(*person, &["approve", &again, "--signature", file])?;
    }
    Ok(())
}

pub fn wipe(scene: &mut Scene) -> Result<()> {
    let environment = scene.config.environment.clone();
    scene.refused(Root, &["wipe", "--environment", &environment])?;
    scene.refused(Root, &["wipe", "--environment", "elsewhere"])
}

/// What nothing makes valid.
pub fn glass(scene: &mut Scene) -> Result<()> {
    scene.does(Root, &["break-glass", "-m", "a drill"])?;
    let file = scene.site.file("nothing.yaml", "")?;
    scene.refused(Root, &["apply", "-f", &file])?;
    let mut config = scene.config.clone();
    config.vips.truncate(1);
    let file = scene.site.file("one.yaml", &crate::drill::adapt::yaml(&config))?;
    scene.refused(Root, &["apply", "-f", &file])?;
    scene.does(Root, &["break-glass", "--end"]).map(drop)
}

pub fn interfaces(scene: &mut Scene) -> Result<()> {
    let names = scene.network.interfaces.clone();
    let mut line = vec!["detach"];
    line.extend(names.iter().map(String::as_str));
    scene.refused(Ann, &line)
}
