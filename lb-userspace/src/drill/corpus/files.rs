//! What is applied instead of what was meant.

use std::{fs, process::Stdio};

use crate::{
    config::{ObjectName, parse},
    drill::{
        adapt::yaml,
        error::{DrillError, Result},
        people::Person::{Ann, Dan},
        scene::Scene,
    },
};

fn applies(scene: &mut Scene, name: &str, text: &str) -> Result<()> {
    let file = scene.site.file(name, text)?;
    scene.refused(Ann, &["apply", "-f", &file])
}

pub fn empty(scene: &mut Scene) -> Result<()> {
    applies(scene, "empty.yaml", "")
}

pub fn blank(scene: &mut Scene) -> Result<()> {
    applies(scene, "blank.yaml", " \n\n  \n")
}

/// Cut after the line next to the middle where a configuration still ends.
pub fn half(scene: &mut Scene) -> Result<()> {
    let text = yaml(&scene.config);
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    let middle = ends.len() / 2;
    let mut nearest: Vec<usize> = (0..ends.len().saturating_sub(1)).collect();
    nearest.sort_by_key(|nth| nth.abs_diff(middle));
    let cut = nearest
        .into_iter()
        .map(|nth| &text[..ends[nth]])
        .find(|part| parse("half", part).is_ok());
    let cut = cut.ok_or_else(|| DrillError::Answer("a part of the file that parses".to_owned()))?;
    applies(scene, "half.yaml", cut)
}

pub fn elsewhere(scene: &mut Scene) -> Result<()> {
    let mut config = scene.config.clone();
    "elsewhere".clone_into(&mut config.environment);
    applies(scene, "elsewhere.yaml", &yaml(&config))
}

pub fn doubled(scene: &mut Scene) -> Result<()> {
    let text = yaml(&scene.config);
    applies(scene, "documents.yaml", &format!("{text}---\n{text}"))?;
    applies(scene, "keys.yaml", &format!("{text}{text}"))
}

pub fn garbage(scene: &mut Scene) -> Result<()> {
    let path = scene.site.stage.path("desk").join("garbage.yaml");
    let bytes: Vec<u8> = (0..4096_u32).map(|nth| (nth * 131 % 251) as u8).collect();
    fs::write(&path, bytes).map_err(DrillError::io("writing garbage"))?;
    scene.refused(Ann, &["apply", "-f", &path.display().to_string()])?;
    scene.refused(Ann, &["apply", "-f", "/"])?;
    applies(scene, "null.yaml", "apiVersion: holdfast/v1\nvips: \u{0}\n")
}

pub fn all_removed(scene: &mut Scene) -> Result<()> {
    let mut config = scene.config.clone();
    let removed: Vec<String> = config.objects().map(|object| object.to_string()).collect();
    config.vips.clear();
    config.pools.clear();
    applies(
        scene,
        "removed.yaml",
        &format!("{}removed: [{}]\n", yaml(&config), removed.join(", ")),
    )
}

pub fn blank_selector(scene: &mut Scene) -> Result<()> {
    let file = scene.good_file()?;
    scene.refused(Ann, &["apply", "-f", &file, "--remove", ""])?;
    scene.refused(Ann, &["apply", "-f", &file, "--remove", "vip/"])?;
    let text = yaml(&scene.config);
    applies(scene, "selector.yaml", &format!("{text}removed: [\"\"]\n"))
}

/// Of the pool with most backends one is left, in `maint`; all others are named.
pub fn emptied_pool(scene: &mut Scene) -> Result<()> {
    let (pool, kept, _) = scene.one_of_many()?;
    let mut config = scene.config.clone();
    let mut removed = Vec::new();
    for of in config.pools.iter_mut().filter(|of| of.name == pool) {
        let gone = of.backends.iter().filter(|backend| backend.name != kept);
        removed.extend(gone.map(|backend| {
            ObjectName::Backend {
                pool: pool.clone(),
                backend: backend.name.clone(),
            }
            .to_string()
        }));
        of.backends.retain(|backend| backend.name == kept);
        for backend in &mut of.backends {
            backend.state = crate::config::BackendState::Maint;
        }
    }
    applies(
        scene,
        "emptied.yaml",
        &format!("{}removed: [{}]\n", yaml(&config), removed.join(", ")),
    )
}

fn planned(scene: &Scene, nth: u32, name: &str) -> Result<String> {
    let file = scene.site.file("heavier.yaml", &yaml(&scene.heavier(nth)?))?;
    let out = scene.site.stage.path("desk").join(name).display().to_string();
    fs::remove_file(&out).ok();
    scene.does(Ann, &["plan", "-f", &file, "--out", &out])?;
    Ok(out)
}

pub fn stale_plan(scene: &mut Scene) -> Result<()> {
    let plan = planned(scene, 1, "stale.plan")?;
    let (backend, weight) = scene.harmless(2)?;
    scene.does(Dan, &["backend", "weight", &backend, &weight])?;
    scene.settle_on_this()?;
    scene.refused(Ann, &["apply", &plan])
}

pub fn racing(scene: &mut Scene) -> Result<()> {
    let plans = [planned(scene, 1, "one.plan")?, planned(scene, 2, "other.plan")?];
    scene.settle_on_this()?;
    let mut racers = Vec::new();
    for (person, plan) in [Ann, Dan].into_iter().zip(&plans) {
        let mut command = scene.site.command(person);
        command
            .args(["apply", plan])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        racers.push(command.spawn().map_err(DrillError::io("running holdfast"))?);
    }
    let mut won = 0;
    for mut racer in racers {
        let status = racer.wait().map_err(DrillError::io("waiting for holdfast"))?;
        won += u32::from(status.success());
    }
    if won != 1 {
        return Err(DrillError::Answer(format!("{won} of two racing plans were applied")));
    }
    // Whoever lost tries again.
    for plan in &plans {
        scene.refused(Dan, &["apply", plan])?;
    }
    Ok(())
}

/// What is applied is what was planned, whatever stands in the file by then.
pub fn swapped(scene: &mut Scene) -> Result<()> {
    let plan = planned(scene, 1, "swapped.plan")?;
    scene.site.file("heavier.yaml", "")?;
    scene.settle_on_this()?;
    scene.does(Ann, &["apply", &plan])?;
    Ok(())
}
