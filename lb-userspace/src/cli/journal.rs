//! `holdfast journal list|verify|export`. A copy or an export is checked here,
//! without a daemon; the pure half of that is the store's.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
};

use serde_json::Value;
use ssh_key::PublicKey;

use super::{
    args,
    error::{Error, Exit},
    terminal::{Look, Terminal},
    text::{NONE, Tone, count, numbers, paint, plain, table, words},
};
use crate::{
    api::{
        client::{Client, ClientError},
        model::{Document, Journal, JournalVerify, VerifyQuery},
    },
    store::{self, Audited, ExportError, Exporter, Head, JournalDamage, StoreError},
};

pub(super) async fn journal(
    command: &args::Journal,
    client: impl Fn() -> Result<Client, ClientError>,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    match command {
        args::Journal::List => {
            let client = client()?;
            let journal = terminal.patiently("reading the journal", client.journal()).await?;
            terminal.answer(&journal, |journal, _| journal_text(journal))?;
            Ok(Exit::Done)
        }
        args::Journal::Verify(args) => {
            let verify = verify(args, client, terminal).await?;
            terminal.answer(&verify, verify_text)?;
            Ok(if verify.body.ok { Exit::Done } else { Exit::Failed })
        }
        args::Journal::Export(args) => export(*args, &client()?, terminal).await,
    }
}

async fn verify(
    args: &args::JournalVerify,
    client: impl Fn() -> Result<Client, ClientError>,
    terminal: &Terminal<'_>,
) -> Result<Document<JournalVerify>, Error> {
    let key = args.key.as_deref().map(read_key).transpose()?;
    let kept: Vec<Head> = args.head.into_iter().collect();
    let audited = match (&args.file, &args.export) {
        (Some(file), _) => verify_copy(file, key, kept)?,
        (None, Some(export)) => verify_export(export, key, kept)?,
        (None, None) => {
            let head = args.head.map(|head| head.to_string());
            let (client, query) = (client()?, VerifyQuery { key, head });
            return Ok(terminal
                .patiently("checking the journal", client.journal_verify(&query))
                .await?);
        }
    };
    Ok(Document::new(audited.into()))
}

/// Page by page: neither side holds all of it.
async fn export(args: args::JournalExport, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let mut after = Some(args.from - 1);
    let mut exporter = Exporter::new(&mut *terminal.out.to);
    while let Some(from) = after {
        let page = client.journal_export(from).await?.body;
        after = page.next;
        exporter.page(page).map_err(Error::Output)?;
    }
    Ok(Exit::Done)
}

/// The fingerprint of a public key.
fn read_key(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let key = PublicKey::from_openssh(text.trim()).map_err(|cause| Error::NotAKey {
        path: path.to_owned(),
        cause,
    })?;
    Ok(store::fingerprint(&key))
}

fn verify_copy(path: &Path, key: Option<String>, kept: Vec<Head>) -> Result<Result<Audited, JournalDamage>, Error> {
    match store::Copy::open(path).and_then(|copy| copy.verify(key, kept)) {
        Ok(audited) => Ok(Ok(audited)),
        Err(StoreError::Journal(damage)) => Ok(Err(damage)),
        Err(error) => Err(Error::Store(Box::new(error))),
    }
}

fn verify_export(path: &Path, key: Option<String>, kept: Vec<Head>) -> Result<Result<Audited, JournalDamage>, Error> {
    let failed = |source| Error::Export {
        path: path.to_owned(),
        source,
    };
    let mut reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(|error| failed(error.into()))?))
    };
    match store::verify_export(&mut *reader, key, kept) {
        Ok(audited) => Ok(Ok(audited)),
        Err(ExportError::Damaged(damage)) => Ok(Err(damage)),
        Err(error @ (ExportError::Read(_) | ExportError::NoHeader)) => Err(failed(error)),
    }
}

fn verify_text(verify: &JournalVerify, look: Look) -> String {
    if let Some(damage) = &verify.damage {
        let line = format!("▲ NOT VERIFIED ({}): {}", damage.code, damage.message);
        return paint(look.color, Tone::Bad, &plain(&line));
    }
    let entries = count(verify.entries);
    let (tone, line) = match verify.warnings.len() {
        0 => (
            Tone::Good,
            format!("● VERIFIED: {entries} entries, each as it was written"),
        ),
        warnings => (
            Tone::Caution,
            format!("● VERIFIED: {entries} entries, each as it was written; {warnings} warnings"),
        ),
    };
    let mut lines = vec![
        paint(look.color, tone, &line),
        format!(
            "{} signed heads, the last one of entry {}",
            count(verify.heads),
            verify.signed
        ),
    ];
    if let Some(hash) = verify.hash {
        let seq = verify.entries;
        lines.push(format!("head to keep elsewhere: {}", Head { seq, hash }));
    }
    let warnings = verify.warnings.iter();
    lines.extend(warnings.map(|warning| paint(look.color, Tone::Caution, &plain(&format!("▲ {warning}")))));
    if !verify.keys.is_empty() {
        let columns = [words("KEY"), numbers("SINCE ENTRY"), words("HANDED OVER")];
        let rows = verify.keys.iter().map(|key| {
            let handed_over = key.handed_over.map_or(NONE, super::objects::yes_no);
            vec![key.fingerprint.clone(), key.since.to_string(), handed_over.to_owned()]
        });
        lines.push(format!("\n{}", table(&columns, rows)));
    }
    lines.join("\n")
}

/// One line an entry: the store decides what an entry has, so its fields are
/// shown by their names.
fn journal_text(journal: &Journal) -> String {
    let lines: Vec<_> = journal.entries.iter().map(entry_text).collect();
    if lines.is_empty() {
        NONE.to_owned()
    } else {
        lines.join("\n")
    }
}

fn entry_text(entry: &Value) -> String {
    let Value::Object(entry) = entry else {
        return entry.to_string();
    };
    let fields = entry.iter().filter(|(_, value)| !value.is_null());
    let fields = fields.map(|(name, value)| match value.as_str() {
        Some(text) if !text.contains(char::is_whitespace) => format!("{name}={text}"),
        Some(_) | None => format!("{name}={value}"),
    });
    plain(&fields.collect::<Vec<_>>().join(" "))
}
