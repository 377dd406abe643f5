//! `holdfast why`.

use super::{
    args,
    error::{Error, Exit},
    terminal::{Look, Terminal},
    text::{NONE, Tone, fields, or_none, paint},
};
use crate::api::{
    client::Client,
    model::{Why, WhyQuery},
};

pub(super) async fn why(args: &args::Why, client: &Client, terminal: &mut Terminal<'_>) -> Result<Exit, Error> {
    let query = WhyQuery {
        src: args.src,
        sport: args.sport,
        dst: args.dst,
        dport: args.dport,
        proto: args.proto,
    };
    let why = terminal.patiently("asking the kernel", client.why(&query)).await?;
    terminal.answer(&why, text)?;
    Ok(Exit::Done)
}

pub(super) fn text(why: &Why, look: Look) -> String {
    let head = paint(look.color, Tone::Heading, &why.verdict);
    let chain = if why.chain.is_empty() {
        NONE.to_owned()
    } else {
        why.chain.join(" <- ")
    };
    let body = fields([
        ("VIP", or_none(why.vip.as_ref())),
        ("Pool", or_none(why.pool.as_ref())),
        ("Slot", or_none(why.slot)),
        ("Backend", or_none(why.backend.as_ref())),
        ("Chain", chain),
        ("Generation", format!("{} revision {}", why.generation, why.revision)),
    ]);
    format!("{head}: {}\n{body}", why.meaning)
}
