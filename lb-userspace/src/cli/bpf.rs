//! `holdfast bpf dump|verify` and `holdfast journal list`: what is in the
//! kernel, and what is in the store.

use serde_json::Value;

use super::{
    args,
    error::{Error, Exit},
    status::pins,
    terminal::{Look, Terminal},
    text::{NONE, Tone, numbers, paint, plain, table, words},
};
use crate::api::{
    client::Client,
    model::{BpfDump, BpfVerify, Journal},
};

pub(super) async fn bpf(command: args::Bpf, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    match command {
        args::Bpf::Dump => {
            let dump = terminal.patiently("reading chunks", client.bpf_dump()).await?;
            terminal.answer(&dump, |dump, _| dump_text(dump))?;
            Ok(Exit::Done)
        }
        args::Bpf::Verify => {
            let verify = terminal.patiently("comparing chunks", client.bpf_verify()).await?;
            terminal.answer(&verify, verify_text)?;
            Ok(if verify.body.ok { Exit::Done } else { Exit::Failed })
        }
    }
}

pub(super) async fn journal(
    command: args::Journal,
    client: &Client,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Error> {
    match command {
        args::Journal::List => {
            let journal = terminal.patiently("reading the journal", client.journal()).await?;
            terminal.answer(&journal, |journal, _| journal_text(journal))?;
            Ok(Exit::Done)
        }
    }
}

fn dump_text(dump: &BpfDump) -> String {
    let columns = [
        numbers("SLOT"),
        numbers("MAP ID"),
        words("CHUNK"),
        words("OF"),
        words("FROZEN"),
        words("NAMED BY"),
        words("DIGEST"),
    ];
    let rows = dump.chunks.iter().map(|chunk| {
        vec![
            chunk.slot.to_string(),
            chunk.map_id.to_string(),
            chunk.kind.clone(),
            chunk.of.clone(),
            super::objects::yes_no(chunk.frozen).to_owned(),
            chunk.named_by.clone(),
            chunk.digest.short(),
        ]
    });
    format!(
        "ACTIVE {}\n{} of {} chunk slots in use\n\n{}\n\n{}",
        dump.active,
        dump.chunks.len(),
        dump.chunk_slots,
        table(&columns, rows),
        pins(&dump.pins)
    )
}

fn verify_text(verify: &BpfVerify, look: Look) -> String {
    let (tone, line) = if verify.ok {
        (Tone::Good, "● VERIFIED: the kernel serves what the journal says")
    } else {
        (
            Tone::Bad,
            "▲ NOT VERIFIED: the kernel does not serve what the journal says",
        )
    };
    let columns = [words("OK"), words("CHECK"), words("FOUND")];
    let rows = verify.checks.iter().map(|check| {
        let ok = super::objects::yes_no(check.ok).to_owned();
        vec![ok, check.name.clone(), check.detail.clone()]
    });
    format!(
        "{}\ngeneration {} revision {}\n\n{}",
        paint(look.color, tone, line),
        verify.generation,
        verify.revision,
        table(&columns, rows)
    )
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
