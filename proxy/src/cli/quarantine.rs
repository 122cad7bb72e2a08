//! `popgate quarantine`: what is held, for whom and why; release and deletion.

use std::io::{self, Write};
use std::path::Path;

use super::server::StartError;
use super::{DONE, FAILED, QuarantineAction, USAGE, run};
use crate::message::notice::date;
use crate::store::{Entry, EntryId, Quarantine};

/// Does what the operator wants with the quarantine of a configuration.
pub(super) fn main(path: &Path, action: QuarantineAction) -> u8 {
    let config = match run::configuration(path) {
        Ok(config) => config,
        Err(error) => return error.tell(),
    };
    let told = |error: io::Error| StartError::Running(format!("error: the quarantine: {error}"));
    match Quarantine::open(&config.state_dir).and_then(|quarantine| act(&quarantine, action)) {
        Ok(code) => code,
        Err(error) => told(error).tell(),
    }
}

fn act(quarantine: &Quarantine, action: QuarantineAction) -> io::Result<u8> {
    match action {
        QuarantineAction::List => list(quarantine),
        QuarantineAction::Show { id } => with(&id, |id| show(quarantine, id)),
        QuarantineAction::Release { id } => with(&id, |id| release(quarantine, id)),
        QuarantineAction::Delete { id } => with(&id, |id| match quarantine.delete(id)? {
            true => {
                println!("{id} is deleted");
                Ok(DONE)
            }
            false => Ok(missing(id)),
        }),
    }
}

/// Does something with the id that was typed, if it is one.
fn with(typed: &str, action: impl FnOnce(&EntryId) -> io::Result<u8>) -> io::Result<u8> {
    match EntryId::parse(typed) {
        Some(id) => action(&id),
        None => {
            eprintln!(
                "error: `{}` is not an id\nhint: `popgate quarantine list` shows the ids: 32 hexadecimal digits",
                typed.escape_debug()
            );
            Ok(USAGE)
        }
    }
}

fn missing(id: &EntryId) -> u8 {
    eprintln!("error: there is no message `{id}` in quarantine\nhint: `popgate quarantine list` shows what there is");
    FAILED
}

fn list(quarantine: &Quarantine) -> io::Result<u8> {
    for entry in quarantine.entries()? {
        let state = if quarantine.is_released(&entry) { "released" } else { "held" };
        let subject = entry.subject.as_deref().unwrap_or("(no subject)");
        println!("{} {state:<8} {} {} {}", entry.id, date(entry.when), owner(&entry), plain(subject));
    }
    Ok(DONE)
}

fn show(quarantine: &Quarantine, id: &EntryId) -> io::Result<u8> {
    let Some(entry) = quarantine.get(id)? else { return Ok(missing(id)) };
    let state = if quarantine.is_released(&entry) { "released" } else { "held" };
    let mut facts = vec![
        ("state", state.to_owned()),
        ("owner", owner(&entry)),
        ("when", date(entry.when)),
        ("filter", entry.filter.clone()),
        ("reason", entry.reason.clone()),
        ("from", entry.from.clone().unwrap_or_default()),
        ("subject", entry.subject.clone().unwrap_or_default()),
        ("octets", entry.size.to_string()),
        ("sha256", entry.sha256.clone()),
        ("file", quarantine.message(id).display().to_string()),
    ];
    let found = |finding: &crate::store::Finding| format!("{} {}: {}", finding.filter, finding.symbol, finding.text);
    facts.extend(entry.findings.iter().map(|finding| ("finding", found(finding))));
    let mut out = io::stdout().lock();
    for (name, value) in facts {
        writeln!(out, "{name:<8} {}", plain(&value))?;
    }
    Ok(DONE)
}

fn release(quarantine: &Quarantine, id: &EntryId) -> io::Result<u8> {
    use crate::store::ReleaseError;
    match quarantine.release(id) {
        Ok(entry) => {
            println!("{id} is released: {} gets it with the next session, as pg-{id}", owner(&entry));
            Ok(DONE)
        }
        Err(ReleaseError::Missing) => Ok(missing(id)),
        Err(ReleaseError::Io(error)) => Err(error),
        Err(error @ ReleaseError::Nobody) => {
            eprintln!("error: {error}\nhint: {}", quarantine.message(id).display());
            Ok(FAILED)
        }
    }
}

fn owner(entry: &Entry) -> String {
    plain(&format!("{}@{}", entry.identity.user.as_deref().unwrap_or("(unknown)"), entry.identity.upstream))
}

/// A text from a mail on one line, without anything that a terminal would obey.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
