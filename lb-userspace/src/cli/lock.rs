//! `holdfast approve|reject|approvals|hold|resume|break-glass|undelete|wipe|why-refused`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    args, change,
    error::{Error, Exit},
    preview, status,
    terminal::{Look, Terminal},
    text::{fields, numbers, plain, table, words},
};
use crate::{
    api::{
        client::Client,
        model::{
            Approvals, ApproveRequest, BreakGlassRequest, HoldRequest, RejectRequest, UndeleteRequest, WhyRefused,
            WhyRefusedRequest, WipeRequest,
        },
    },
    approval::sign,
    digest::Digest,
    plan::{Plan, file, render},
};

/// A plan that waits: of a digest, a beginning of one, or a file.
pub(super) async fn waiting(what: &str, client: &Client) -> Result<Plan, Error> {
    let digest = digest_of(what, client).await?;
    let plan = client.waiting_plan(digest).await?.body;
    // What is signed is what is shown; the daemon is not believed.
    if plan.digest() == digest {
        Ok(plan)
    } else {
        Err(Error::OtherPlan(digest))
    }
}

async fn digest_of(what: &str, client: &Client) -> Result<Digest, Error> {
    if let Ok(digest) = what.parse() {
        return Ok(digest);
    }
    let path = PathBuf::from(what);
    if path.is_file() {
        return Ok(change::read_plan(&path)?.digest());
    }
    let plans = client.approvals().await?.body.plans;
    let mut matching = plans
        .iter()
        .filter(|waiting| what.len() >= SHORTEST && waiting.plan.to_string().starts_with(what));
    match (matching.next(), matching.next()) {
        (Some(waiting), None) => Ok(waiting.plan),
        _ => Err(Error::NoSuchObject {
            kind: "plan",
            name: what.to_owned(),
            known: plans
                .iter()
                .map(|waiting| waiting.plan.short())
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// Digits of a digest that may name a plan.
const SHORTEST: usize = 4;

/// What names a plan that waits, and no file.
pub(super) fn digits(what: &Path) -> Option<&str> {
    let digits = what.to_str().filter(|text| text.len() >= SHORTEST && !what.exists())?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits)
}

pub(super) async fn approve(args: &args::Approve, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let plan = waiting(&args.plan, client).await?;
    if let Some(preview) = preview::beside(&plan, None, client, terminal).await? {
        let look = Look {
            color: terminal.err.color,
            ..Look::default()
        };
        terminal.say(&preview::preview_text(&preview, look))?;
    }
    terminal.say(&format!(
        "{}{}",
        render::plan_text(&plan, terminal.err.color),
        plain(&plan.about)
    ))?;
    let bytes = file::export(&plan);
    if let Some(out) = &args.out {
        fs::write(out, &bytes).map_err(|source| Error::Write {
            path: out.clone(),
            source,
        })?;
        let out = out.display();
        terminal.say(&format!(
            "to sign it: ssh-keygen -Y sign -n holdfast-plan-v1 -f KEY {out}\n\
             then: holdfast approve {out} --signature {out}.sig"
        ))?;
        return Ok(Exit::Done);
    }
    let signature = match (&args.key, &args.agent, &args.signature) {
        (Some(key), _, _) => sign::with_file(&bytes, key, passphrase)?.armored,
        (None, Some(wanted), _) => {
            let signers = client.approvals().await?.body.signers;
            let wanted = Some(wanted.as_str()).filter(|wanted| !wanted.is_empty());
            let socket = env::var_os("SSH_AUTH_SOCK");
            sign::with_agent(&bytes, socket.as_deref(), wanted, &signers)?.armored
        }
        (None, None, Some(path)) => read(path)?,
        // clap lets no command through that says neither.
        (None, None, None) => return Err(Error::NothingToApply),
    };
    let request = ApproveRequest {
        plan: plan.digest(),
        signature,
        author: args.as_author,
    };
    let approvals = terminal.patiently("approving", client.approve(&request)).await?;
    terminal.answer(&approvals, approvals_text)?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// Asked on the terminal, without echo.
fn passphrase() -> io::Result<Zeroizing<String>> {
    rpassword::prompt_password("Passphrase: ").map(Zeroizing::new)
}

pub(super) async fn reject(args: &args::Reject, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let request = RejectRequest {
        plan: digest_of(&args.plan, client).await?,
        message: args.message.clone(),
    };
    let approvals = terminal.patiently("rejecting", client.reject(&request)).await?;
    terminal.answer(&approvals, approvals_text)?;
    Ok(Exit::Done)
}

pub(super) async fn withdraw(args: &args::Reject, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let request = RejectRequest {
        plan: digest_of(&args.plan, client).await?,
        message: args.message.clone(),
    };
    let approvals = terminal.patiently("withdrawing", client.withdraw(&request)).await?;
    terminal.answer(&approvals, approvals_text)?;
    Ok(Exit::Done)
}

pub(super) async fn approvals(client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let approvals = terminal.patiently("asking", client.approvals()).await?;
    terminal.answer(&approvals, approvals_text)?;
    Ok(Exit::Done)
}

fn approvals_text(approvals: &Approvals, _: Look) -> String {
    if approvals.plans.is_empty() {
        return "no plan waits for approvals".to_owned();
    }
    let columns = [
        words("PLAN"),
        words("AUTHOR"),
        numbers("NEEDS"),
        words("APPROVED BY"),
        words("EXPIRES"),
        words("ABOUT"),
    ];
    let rows = approvals.plans.iter().map(|waiting| {
        vec![
            waiting.plan.short(),
            waiting.author.clone(),
            waiting.needs.to_string(),
            waiting.approved_by.join("; "),
            waiting.expires.to_string(),
            plain(&waiting.about),
        ]
    });
    table(&columns, rows)
}

pub(super) async fn hold(args: &args::Hold, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let request = HoldRequest {
        message: args.message.clone(),
    };
    let now = terminal.patiently("holding", client.hold(&request)).await?;
    terminal.answer(&now, status::first_line)?;
    Ok(Exit::Done)
}

pub(super) async fn resume(client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let now = terminal.patiently("resuming", client.resume()).await?;
    terminal.answer(&now, status::first_line)?;
    Ok(Exit::Done)
}

pub(super) async fn break_glass(
    args: &args::BreakGlass,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    let now = if args.end {
        terminal.patiently("shutting", client.mend_glass()).await?
    } else {
        let request = BreakGlassRequest {
            reason: args.message.clone().unwrap_or_default(),
            within: args.within.0,
        };
        terminal.patiently("opening", client.break_glass(&request)).await?
    };
    terminal.answer(&now, status::first_line)?;
    Ok(Exit::Done)
}

pub(super) async fn undelete(
    args: &args::Undelete,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    let request = UndeleteRequest {
        objects: args.objects.clone(),
    };
    let plan = terminal.patiently("planning", client.undelete(&request)).await?.body;
    change::carry_out(plan, args.message.clone(), args.trial, client, terminal).await
}

pub(super) async fn wipe(args: &args::Wipe, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let request = WipeRequest {
        environment: args.environment.clone(),
    };
    let plan = terminal.patiently("planning", client.wipe(&request)).await?.body;
    change::carry_out(plan, args.message.clone(), args.trial, client, terminal).await
}

/// Exit 3 if something stands against it.
pub(super) async fn why_refused(
    args: &args::WhyRefused,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    let path = PathBuf::from(&args.plan);
    let plan = if path.is_file() {
        change::read_plan(&path)?
    } else {
        waiting(&args.plan, client).await?
    };
    let why = terminal
        .patiently("judging", client.why_refused(&WhyRefusedRequest { plan }))
        .await?;
    terminal.answer(&why, why_text)?;
    Ok(if why.body.applicable { Exit::Done } else { Exit::Refused })
}

fn why_text(why: &WhyRefused, look: Look) -> String {
    let mut text = fields([
        ("Plan", why.plan.to_string()),
        ("Applicable now", if why.applicable { "yes" } else { "no" }.to_owned()),
        ("Approvals", format!("{} of {}", why.approved_by.len(), why.needs)),
        ("Approved by", why.approved_by.join("; ")),
    ]);
    if let Some(refusal) = &why.refusal {
        text.push_str("\n\n");
        text.push_str(&super::error::failure_text(refusal, None, look.color));
    }
    if !why.rules.is_empty() {
        let columns = [
            words("RULE"),
            words("WHAT"),
            words("MEASURED"),
            words("LIMIT"),
            words("WHO MAY OVERRIDE"),
        ];
        let rows = why.rules.iter().map(|rule| {
            let finding = &rule.finding;
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            vec![
                finding.code.clone(),
                plain(&finding.message),
                or_dash(&finding.value),
                or_dash(&finding.limit),
                rule.overridden_by.clone(),
            ]
        });
        text.push_str("\n\n");
        text.push_str(&table(&columns, rows));
    }
    text
}
