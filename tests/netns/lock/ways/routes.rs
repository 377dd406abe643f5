//! Every route that is not asked by GET, with the worst that it takes.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{
    glass,
    inputs::FILES,
    served::More,
    site::{Site, adding, digest_of, plan_request},
};

/// Tries a route.
type Try = fn(&mut Site) -> Result<()>;

/// A route that is new has to say here how it is tried.
pub const ROUTES: [(&str, Try); 21] = [
    ("/v1/plan", plan),
    ("/v1/preview", preview),
    ("/v1/apply", apply),
    ("/v1/confirm", confirm),
    ("/v1/abort", abort),
    ("/v1/rollback", rollback),
    ("/v1/attach", attach),
    ("/v1/detach", detach),
    ("/v1/backend", backend),
    ("/v1/vip", vip),
    ("/v1/approve", approve),
    ("/v1/reject", reject),
    ("/v1/withdraw", withdraw),
    ("/v1/hold", hold),
    ("/v1/resume", resume),
    ("/v1/break-glass", break_glass),
    ("/v1/mend-glass", mend_glass),
    ("/v1/recover", recover),
    ("/v1/undelete", undelete),
    ("/v1/wipe", wipe),
    ("/v1/why-refused", why_refused),
];

fn plan(site: &mut Site) -> Result<()> {
    let before = site.refused;
    for (what, edit) in FILES {
        println!("-- {what}");
        let mut request = plan_request(&edit(&site.yaml));
        site.is_kept_from("/v1/plan", &request)?;
        // And with everything named by the request that could be.
        request["remove"] = json!(["vip/web4", "vip/raw4", "vip/new4", "pool/web", "backend/web/be1"]);
        site.is_kept_from("/v1/plan", &request)?;
    }
    // Not one of them means nothing.
    ensure!(
        site.refused - before == 2 * FILES.len(),
        "{} refusals",
        site.refused - before
    );
    Ok(())
}

/// Whatever a plan says, only what would be is told.
fn preview(site: &mut Site) -> Result<()> {
    let plan = site.removal()?;
    let mut plans = vec![plan.clone()];
    for (_, edit) in WORDS {
        let mut edited = plan.clone();
        edit(&mut edited);
        plans.push(edited);
    }
    for plan in &plans {
        site.asks("/v1/preview", &json!({ "plan": plan, "sample": 0 }), More::Nothing)?;
    }
    for sample in [1, 21] {
        site.asks("/v1/preview", &json!({ "plan": plan, "sample": sample }), More::Nothing)?;
    }
    site.is_locked_by_api(&plan)
}

/// What is said otherwise, and how.
type Forgery = (&'static str, fn(&mut Value));

/// What a plan says of itself, and of whom.
const WORDS: [Forgery; 10] = [
    ("needs", |plan| plan["needs"] = json!(0)),
    ("findings", |plan| plan["findings"] = json!([])),
    ("changes", |plan| plan["changes"] = json!([])),
    ("wipe", |plan| plan["wipe"] = json!(true)),
    ("base", |plan| plan["base"]["generation"] = json!(1)),
    ("bounds", |plan| plan["bounds"]["vips"] = json!(9)),
    ("author", |plan| plan["author"] = json!("ben")),
    ("rollback", |plan| plan["rollbackTo"] = json!(1)),
    ("vips", |plan| plan["target"]["config"]["vips"] = json!([])),
    ("signers", |plan| plan["target"]["signers"] = json!([])),
];

fn apply(site: &mut Site) -> Result<()> {
    let plan = site.removal()?;
    let digest = digest_of(&plan)?;
    let mut requests = vec![
        json!({ "plan": plan, "digest": digest }),
        json!({ "plan": plan, "digest": digest, "message": "m", "confirmWithin": 3600 }),
    ];
    for (_, edit) in WORDS {
        let mut edited = plan.clone();
        edit(&mut edited);
        requests.push(json!({ "plan": edited, "digest": digest_of(&edited)? }));
        requests.push(json!({ "plan": edited, "digest": digest }));
    }
    for request in requests {
        let answer = site.asks("/v1/apply", &request, More::Nothing)?;
        ensure!(!answer.is_success(), "{request}: {answer:?}");
    }
    Ok(())
}

/// A VIP more, on trial.
fn on_trial(site: &mut Site, name: &str, port: u16) -> Result<()> {
    let plan = site.plan(&adding(&site.yaml.clone(), name, port))?;
    let request = json!({ "plan": plan, "digest": digest_of(&plan)?, "confirmWithin": 3600 });
    let answer = site.asks("/v1/apply", &request, More::Adds)?;
    ensure!(answer.is_success(), "{answer:?}");
    Ok(())
}

fn confirm(site: &mut Site) -> Result<()> {
    let answer = site.asks("/v1/confirm", &Value::Null, More::Nothing)?;
    ensure!(!answer.is_success(), "nothing is on trial: {answer:?}");
    site.yaml = {
        on_trial(site, "kept4", 7002)?;
        adding(&site.yaml, "kept4", 7002)
    };
    // While it is on trial, too.
    let yaml = FILES[3].1(&site.yaml);
    site.is_kept_from("/v1/plan", &plan_request(&yaml))?;
    let answer = site.asks("/v1/confirm", &Value::Null, More::Nothing)?;
    ensure!(answer.is_success(), "{answer:?}");
    Ok(())
}

/// Takes away what it added itself, and nothing else.
fn abort(site: &mut Site) -> Result<()> {
    let answer = site.asks("/v1/abort", &Value::Null, More::Nothing)?;
    ensure!(!answer.is_success(), "nothing is on trial: {answer:?}");
    let before = site.served.clone();
    on_trial(site, "gone4", 7003)?;
    site.served = before;
    let answer = site.asks("/v1/abort", &Value::Null, More::Adds)?;
    ensure!(answer.is_success(), "{answer:?}");
    Ok(())
}

fn rollback(site: &mut Site) -> Result<()> {
    site.is_kept_from("/v1/rollback", &json!({}))?;
    for generation in 0..site.generation() {
        let request = json!({ "generation": generation });
        // The content of the one before last may be the running one's.
        let before = site.refused;
        site.is_kept_from("/v1/rollback", &request)?;
        ensure!(generation >= 4 || site.refused > before, "{request} is taken");
    }
    Ok(())
}

fn attach(site: &mut Site) -> Result<()> {
    let interface = site.interface();
    for interfaces in [json!([interface]), json!(["lo"]), json!([interface, "lo"]), json!([])] {
        site.is_kept_from("/v1/attach", &json!({ "interfaces": interfaces }))?;
    }
    Ok(())
}

fn detach(site: &mut Site) -> Result<()> {
    let before = site.refused;
    let interface = site.interface();
    for interfaces in [
        json!([interface]),
        json!([interface, interface]),
        json!([interface, "lo"]),
    ] {
        site.is_kept_from("/v1/detach", &json!({ "interfaces": interfaces }))?;
    }
    ensure!(site.refused == before + 3);
    Ok(())
}

fn backend(site: &mut Site) -> Result<()> {
    let wishes = [
        json!({ "set": "maint" }),
        json!({ "set": "drain" }),
        json!({ "set": "drain", "deadline": "1s" }),
        json!({ "set": "weight", "weight": 0 }),
        json!({ "set": "weight", "weight": 1 }),
        json!({ "set": "weight", "weight": 65535 }),
    ];
    for wish in &wishes {
        for backend in ["backend/web/be1", "backend/dns/be2"] {
            let before = site.refused;
            site.is_kept_from("/v1/backend", &json!({ "backend": backend, "wish": wish }))?;
            ensure!(site.refused == before + 1, "{wish} of {backend} is no wish");
        }
    }
    // The file drains it.
    let before = site.refused;
    let reset = json!({ "backend": "backend/web/be4", "wish": { "set": "reset" } });
    site.is_kept_from("/v1/backend", &reset)?;
    ensure!(site.refused == before + 1, "it was reset");
    for set in ["ready", "reset"] {
        let request = json!({ "backend": "backend/web/be1", "wish": { "set": set } });
        site.is_kept_from("/v1/backend", &request)?;
    }
    Ok(())
}

fn vip(site: &mut Site) -> Result<()> {
    for vip in ["vip/web4", "vip/raw4"] {
        let before = site.refused;
        site.is_kept_from("/v1/vip", &json!({ "vip": vip, "wish": { "set": "maint" } }))?;
        ensure!(site.refused == before + 1, "{vip} in maint is no wish");
        for set in ["ready", "reset"] {
            site.is_kept_from("/v1/vip", &json!({ "vip": vip, "wish": { "set": set } }))?;
        }
    }
    Ok(())
}

fn approve(site: &mut Site) -> Result<()> {
    let plan = site.removal()?;
    let digest = digest_of(&plan)?;
    site.is_locked_by_api(&plan)?;
    for author in [true, false] {
        // Their own, a second time, and no signature at all.
        for signature in [site.signature(&plan)?, site.signature(&plan)?, "none".to_owned()] {
            let request = json!({ "plan": digest, "signature": signature, "author": author });
            site.asks("/v1/approve", &request, More::Nothing)?;
        }
    }
    site.is_locked_by_api(&plan)
}

fn reject(site: &mut Site) -> Result<()> {
    is_ended_by(site, "/v1/reject")
}

fn withdraw(site: &mut Site) -> Result<()> {
    is_ended_by(site, "/v1/withdraw")
}

/// A plan that is not wanted any more is not applied.
fn is_ended_by(site: &mut Site, route: &str) -> Result<()> {
    let plan = site.removal()?;
    let request = json!({ "plan": digest_of(&plan)?, "message": "no" });
    site.asks(route, &request, More::Nothing)?;
    let request = json!({ "plan": plan, "digest": digest_of(&plan)? });
    let answer = site.asks("/v1/apply", &request, More::Nothing)?;
    ensure!(!answer.is_success(), "{answer:?}");
    Ok(())
}

fn hold(site: &mut Site) -> Result<()> {
    let answer = site.asks("/v1/hold", &json!({ "message": "later" }), More::Nothing)?;
    ensure!(answer.is_success(), "{answer:?}");
    let yaml = adding(&site.yaml.clone(), "held4", 7009);
    site.is_kept_from("/v1/plan", &plan_request(&yaml))?;
    let answer = site.asks("/v1/resume", &Value::Null, More::Nothing)?;
    ensure!(answer.is_success(), "{answer:?}");
    Ok(())
}

fn resume(site: &mut Site) -> Result<()> {
    let answer = site.asks("/v1/resume", &Value::Null, More::Nothing)?;
    ensure!(!answer.is_success(), "nothing is on hold: {answer:?}");
    hold(site)?;
    let plan = site.removal()?;
    site.is_locked_by_api(&plan)
}

/// The exception.
fn break_glass(site: &mut Site) -> Result<()> {
    for request in [
        json!({ "reason": "", "within": 900 }),
        json!({ "reason": "r", "within": 0 }),
        json!({ "reason": "r", "within": 14_401 }),
    ] {
        let answer = site.asks("/v1/break-glass", &request, More::Nothing)?;
        ensure!(!answer.is_success(), "{request}: {answer:?}");
    }
    let request = json!({ "reason": glass::WHY, "within": 900 });
    let answer = site.asks("/v1/break-glass", &request, More::Nothing)?;
    ensure!(answer.is_success(), "{answer:?}");
    glass::ensure_opens_loudly(site)?;
    let answer = site.asks("/v1/mend-glass", &Value::Null, More::Nothing)?;
    ensure!(answer.is_success(), "{answer:?}");
    glass::ensure_is_shut(site)
}

/// Of a daemon that is not read-only: nothing is to be done.
fn recover(site: &mut Site) -> Result<()> {
    for request in [json!({}), json!({ "dryRun": true }), json!({ "dryRun": false })] {
        let answer = site.asks("/v1/recover", &request, More::Nothing)?;
        ensure!(answer.is_success(), "{answer:?}");
    }
    Ok(())
}

fn mend_glass(site: &mut Site) -> Result<()> {
    site.asks("/v1/mend-glass", &Value::Null, More::Nothing)?;
    glass::ensure_is_shut(site)
}

fn undelete(site: &mut Site) -> Result<()> {
    site.is_kept_from("/v1/undelete", &json!({ "objects": ["vip/nobody"] }))?;
    site.is_kept_from("/v1/undelete", &json!({ "objects": ["vip/web4", "pool/web"] }))?;
    let added = site.hands_in("/v1/undelete", &json!({ "objects": ["vip/raw6"] }), More::Adds)?;
    ensure!(added, "what was removed did not come back");
    Ok(())
}

fn wipe(site: &mut Site) -> Result<()> {
    for environment in ["production", "", "lab"] {
        let before = site.refused;
        site.is_kept_from("/v1/wipe", &json!({ "environment": environment }))?;
        ensure!(site.refused == before + 1, "a wipe of {environment:?}");
    }
    Ok(())
}

fn why_refused(site: &mut Site) -> Result<()> {
    let plan = site.removal()?;
    let answer = site.asks("/v1/why-refused", &json!({ "plan": plan }), More::Nothing)?;
    ensure!(answer.is_success() && answer.body["applicable"] == false, "{answer:?}");
    Ok(())
}
