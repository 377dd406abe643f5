//! The declared exception: a broken glass opens the lock, and everybody sees it.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{
    served::More,
    site::{Site, digest_of},
};
use crate::lock::people::{head, last_entry, scrape};

pub const WHY: &str = "INC-4711: nobody else is awake";

/// While it is broken a quiet VIP goes, on trial, and comes back.
pub fn ensure_opens_loudly(site: &mut Site) -> Result<()> {
    let first = head(&site.team.rig)?;
    ensure!(first.starts_with("▲ GLASS BROKEN") && first.contains(WHY), "{first}");
    let entry = last_entry(&site.team.rig, "glassBroken")?;
    ensure!(entry["payload"]["why"] == WHY, "{entry}");
    ensure!(scrape(&site.team.rig)?.count("holdfast_guard_glass")? == 1, "no metric");
    let plan = site.removal()?;
    let request = json!({ "plan": plan, "digest": digest_of(&plan)? });
    let (who, socket) = (site.who.uid(), site.socket().to_owned());
    let ask = |path: &str, body| support::api::ask_as(who, &socket, "POST", path, body);
    let answer = ask("/v1/apply", &request)?;
    ensure!(answer.is_success(), "{answer:?}");
    let status = site.team.rig.installation.status()?;
    ensure!(status.vips.iter().all(|vip| vip.name != "raw4"), "it is there yet");
    let intent = last_entry(&site.team.rig, "intent")?;
    ensure!(intent["payload"]["glass"] == true, "{intent}");
    let answer = ask("/v1/abort", &serde_json::Value::Null)?;
    ensure!(answer.is_success(), "{answer:?}");
    site.check("what the glass opened was taken back", More::Adds)
}

/// Afterwards it opens nothing.
pub fn ensure_is_shut(site: &mut Site) -> Result<()> {
    ensure!(
        scrape(&site.team.rig)?.count("holdfast_guard_glass")? == 0,
        "it is open yet"
    );
    let plan = site.removal()?;
    site.is_locked_by_api(&plan)
}
