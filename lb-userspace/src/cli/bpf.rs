//! `holdfast bpf dump|verify`: what is in the kernel.

use super::{
    args,
    error::{Error, Exit},
    status::pins,
    terminal::{Look, Terminal},
    text::{Tone, numbers, paint, table, words},
};
use crate::api::{
    client::Client,
    model::{BpfDump, BpfVerify},
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
