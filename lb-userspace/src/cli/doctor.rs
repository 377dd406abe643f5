//! `holdfast doctor`.

use std::path::PathBuf;

use super::{
    args,
    error::{Error, Exit},
    terminal::{Look, Terminal},
    text::{Tone, paint, plain, table, words},
};
use crate::{
    api::{
        client::{Client, ClientError},
        model::{Document, Status},
    },
    config::{self, Config},
    doctor::{
        Diagnosis, Finding, Level,
        facts::{self, Places},
        judge::judge,
    },
};

pub(super) async fn doctor(args: &args::Doctor, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let status = status(client).await?;
    let config = match (&args.config, &status) {
        (Some(file), _) => Some(of_file(file)?),
        (None, Some(status)) if status.generation != 0 => {
            Some(client.generation(status.generation).await?.body.content.config)
        }
        (None, Some(_) | None) => None,
    };
    let pins = status.as_ref().map(|status| PathBuf::from(&status.pins.directory));
    let pins = args.pin_dir.clone().or(pins).unwrap_or_else(|| PathBuf::from(PINS));
    let places = Places {
        state_dir: &args.state_dir,
        pin_dir: &pins,
        socket: client.socket(),
    };
    let gathering = facts::gather(&places, config, status.as_ref());
    let facts = terminal.patiently("looking around", gathering).await;
    let diagnosis = Document::new(judge(&facts));
    terminal.answer(&diagnosis, text)?;
    Ok(match diagnosis.body.worst() {
        Level::Fail => Exit::Failed,
        Level::Ok | Level::Unknown | Level::Warn => Exit::Done,
    })
}

/// Where `holdfastd` pins unless it is told otherwise.
const PINS: &str = "/sys/fs/bpf/holdfast";

/// `None`: no daemon answers, which is a finding and no error.
async fn status(client: &Client) -> Result<Option<Status>, Error> {
    match client.status().await {
        Ok(status) => Ok(Some(status.body)),
        Err(ClientError::Unreachable { .. } | ClientError::NotAllowed { .. } | ClientError::Silent { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn of_file(path: &std::path::Path) -> Result<Config, Error> {
    let loaded = config::load(path).map_err(|errors| Error::Config {
        file: path.display().to_string(),
        errors: Box::new(errors),
    })?;
    Ok(loaded.parsed.config)
}

fn text(diagnosis: &Diagnosis, look: Look) -> String {
    let rows = diagnosis.findings.iter().map(|finding| {
        vec![
            word(finding.level).to_owned(),
            finding.check.to_owned(),
            finding.object.clone(),
            finding.measured.clone(),
        ]
    });
    let columns = [words("LEVEL"), words("CHECK"), words("OF"), words("FOUND")];
    let mut parts = vec![table(&columns, rows)];
    let amiss = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.level > Level::Unknown);
    parts.extend(amiss.map(|finding| advice(finding, look)));
    let count = |level| {
        diagnosis
            .findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    parts.push(format!(
        "{} ok, {} unknown, {} warnings, {} failures",
        count(Level::Ok),
        count(Level::Unknown),
        count(Level::Warn),
        count(Level::Fail)
    ));
    parts.join("\n\n")
}

/// What is amiss, why it matters, and the command.
fn advice(finding: &Finding, look: Look) -> String {
    let tone = if finding.level == Level::Fail {
        Tone::Bad
    } else {
        Tone::Caution
    };
    let head = format!(
        "{} {} {}: {}",
        word(finding.level),
        finding.check,
        finding.object,
        finding.measured
    );
    let mut lines = vec![paint(look.color, tone, &plain(&head))];
    lines.extend(finding.why.as_ref().map(|why| format!("  why: {}", plain(why))));
    lines.extend(finding.fix.as_ref().map(|fix| format!("  fix: {}", plain(fix))));
    lines.join("\n")
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Unknown => "unknown",
        Level::Warn => "WARN",
        Level::Fail => "FAIL",
    }
}
