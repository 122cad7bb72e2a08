//! What is in quarantine, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::{missing, owner, plain};
use crate::cli::DONE;
use crate::message::notice::date;
use crate::store::{Entry, EntryId, Finding, Quarantine};

/// An entry as JSON has it.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    state: &'static str,
}

impl<'a> Record<'a> {
    fn new(entry: &'a Entry, released: bool) -> Self {
        Self { entry, state: if released { "released" } else { "held" } }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }
}

/// Every message, the oldest first, or those of one user.
pub(super) async fn list(quarantine: &Quarantine, user: Option<&str>, json: bool) -> io::Result<u8> {
    let released = quarantine.all_released().await?;
    let is_wanted = |entry: &Entry| {
        user.is_none_or(|user| entry.identity.user.as_deref() == Some(user) || owner(entry) == plain(user))
    };
    let entries = quarantine.entries().await?;
    let mut out = io::stdout().lock();
    for entry in entries.iter().filter(|entry| is_wanted(entry)) {
        let record = Record::new(entry, released.contains(&entry.id));
        if json {
            record.write(&mut out)?;
            continue;
        }
        let subject = entry.subject.as_deref().unwrap_or("(no subject)");
        let (id, state, size) = (&entry.id, record.state, entry.size);
        writeln!(out, "{id} {state:<8} {size:>9} {} {} {}", date(entry.when), owner(entry), plain(subject))?;
    }
    Ok(DONE)
}

/// One message: what is known of it.
pub(super) async fn one(quarantine: &Quarantine, id: &EntryId, json: bool) -> io::Result<u8> {
    let Some(entry) = quarantine.get(id).await? else { return Ok(missing(id)) };
    let record = Record::new(&entry, quarantine.all_released().await?.contains(id));
    let mut out = io::stdout().lock();
    if json {
        record.write(&mut out)?;
        return Ok(DONE);
    }
    let mut facts = vec![
        ("state", record.state.to_owned()),
        ("owner", owner(&entry)),
        ("when", date(entry.when)),
        ("filter", entry.filter.clone()),
        ("reason", entry.reason.clone()),
        ("from", entry.from.clone().unwrap_or_default()),
        ("subject", entry.subject.clone().unwrap_or_default()),
        ("octets", entry.size.to_string()),
        ("sha256", entry.sha256.clone()),
        ("file", quarantine.location(&entry)),
    ];
    let found = |finding: &Finding| format!("{} {}: {}", finding.filter, finding.symbol, finding.text);
    facts.extend(entry.findings.iter().map(|finding| ("finding", found(finding))));
    for (name, value) in facts {
        writeln!(out, "{name:<8} {}", plain(&value))?;
    }
    Ok(DONE)
}

/// One message, octet for octet.
pub(super) async fn raw(quarantine: &Quarantine, id: &EntryId) -> io::Result<u8> {
    let Some(entry) = quarantine.get(id).await? else { return Ok(missing(id)) };
    let mut reader = quarantine.read(&entry).await?;
    while let Some(piece) = reader.next().await? {
        io::stdout().write_all(&piece)?;
    }
    io::stdout().flush()?;
    Ok(DONE)
}
