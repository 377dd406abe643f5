//! A journal as lines of JSON: what `journal export` writes, and what can be
//! judged without a daemon, or by hand.
//!
//! ```text
//! {"journal":{"apiVersion":…,"from":1,"host":…,"storeId":…}}    the first line
//! {"entry":{"author":…,"hash":…,"kind":…,"payload":"…","previous":…,"seq":1,"time":…}}
//! {"head":{"fingerprint":…,"signature":…,"statement":{…}}}      after the entry it is of
//! {"end":{"hash":…,"seq":…}}                                    the last line
//! ```

use std::io::{self, BufRead, Read as _, Write};

use serde::{Deserialize, Serialize};

use super::{
    Damage, JournalDamage, Page,
    audit::{Audit, Audited, Terms},
    chain::{Head, Row},
    head::SignedHead,
};
use crate::{
    config::API_VERSION,
    digest::{Digest, canonical_json},
};

/// A line may have this many bytes: far more than the API takes in a message.
const LONGEST_LINE: u64 = 32 << 20;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Journal(Header),
    Entry(Row),
    Head(SignedHead),
    End(Head),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Header {
    api_version: String,
    store_id: String,
    host: String,
    /// The first entry here.
    from: u64,
    /// The hash of the entry before; zeros before the first.
    previous: Digest,
    /// Fingerprint of the key in force before the first entry here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// Writes pages out; it holds no more than the one it is given.
pub struct Exporter<'a> {
    to: &'a mut dyn Write,
    begun: bool,
}

impl<'a> Exporter<'a> {
    pub fn new(to: &'a mut dyn Write) -> Self {
        Self { to, begun: false }
    }

    /// The next page; the last one has no `next`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn page(&mut self, page: Page) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            let first = page.entries.first();
            self.line(&Line::Journal(Header {
                api_version: API_VERSION.to_owned(),
                store_id: page.store_id,
                host: page.host,
                from: first.map_or(page.end.seq + 1, |row| row.seq),
                previous: first.map_or(page.end.hash, |row| row.previous.parse().unwrap_or(Digest([0; 32]))),
                key: page.key,
            }))?;
        }
        let mut heads = page.heads.into_iter().peekable();
        for row in page.entries {
            let seq = row.seq;
            self.line(&Line::Entry(row))?;
            while let Some(head) = heads.next_if(|head| head.statement.seq <= seq) {
                self.line(&Line::Head(head))?;
            }
        }
        for head in heads {
            self.line(&Line::Head(head))?;
        }
        if page.next.is_none() {
            self.line(&Line::End(page.end))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        writeln!(self.to, "{}", canonical_json(line))
    }
}

/// Why a file is not looked at as an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("cannot be read")]
    Read(#[from] io::Error),
    #[error("its first line is not that of an export of this version")]
    NoHeader,
    #[error(transparent)]
    Damaged(#[from] JournalDamage),
}

/// Judges an export; contents of generations are not in it.
///
/// # Errors
/// [`ExportError::Damaged`] with the first entry that is not sound.
pub fn verify_export(
    reader: &mut dyn BufRead,
    trusted: Option<String>,
    kept: Vec<Head>,
) -> Result<Audited, ExportError> {
    let mut buffer = Vec::new();
    let Some(Line::Journal(header)) = next(reader, &mut buffer)?.flatten() else {
        return Err(ExportError::NoHeader);
    };
    if header.api_version != API_VERSION || header.from == 0 || i64::try_from(header.from).is_err() {
        return Err(ExportError::NoHeader);
    }
    let before = Head {
        seq: header.from - 1,
        hash: header.previous,
    };
    let mut audit = Audit::new(Terms {
        store_id: header.store_id,
        host: header.host,
        trusted,
        kept: kept.into_iter().filter(|kept| kept.seq >= header.from).collect(),
        begin: Some((before, header.key)),
    });
    let mut end = None;
    while let Some(line) = next(reader, &mut buffer)? {
        let seq = audit.at().seq + 1;
        let damage = |what| JournalDamage { seq, what };
        match line {
            // Nothing comes after the end.
            Some(_) if end.is_some() => return Err(damage(Damage::Added).into()),
            Some(Line::Entry(row)) => audit.row(&row)?,
            Some(Line::Head(head)) => audit.head(&head)?,
            Some(Line::End(head)) => end = Some(head),
            Some(Line::Journal(_)) | None => return Err(damage(Damage::Unreadable).into()),
        }
    }
    let (seq, what) = (audit.at().seq + 1, Damage::CutOff);
    let end = end.ok_or(JournalDamage { seq, what })?;
    Ok(audit.finish(end)?)
}

/// The next line, and what it says, if it can be read as one of ours.
#[expect(
    clippy::option_option,
    reason = "no line, and a line that is none of ours, are two things"
)]
fn next(reader: &mut dyn BufRead, buffer: &mut Vec<u8>) -> io::Result<Option<Option<Line>>> {
    buffer.clear();
    let read = reader.take(LONGEST_LINE).read_until(b'\n', buffer)?;
    Ok((read > 0).then(|| serde_json::from_slice(buffer).ok()))
}
