//! `popgate plugin inspect`: a plugin file in a few lines, or as JSON.

use serde::Serialize;

use super::{DONE, InspectArguments, USAGE};
use crate::plugin::{self, Inspection, Kind, hex};

/// The lines of a list that people get to see; JSON has all.
const LISTED_MAX: usize = 40;

/// An inspection as JSON. The names are part of the command's contract.
#[derive(Serialize)]
struct Json<'a> {
    file: String,
    kind: &'static str,
    track: Option<&'a str>,
    size: u64,
    sha256: String,
    imports: &'a [String],
    exports: &'a [String],
    learns: bool,
    grants: Vec<&'static str>,
    refused: Option<&'a str>,
}

/// Runs the command. A plugin that would be refused is no failure: it was looked at.
pub(super) fn main(arguments: &InspectArguments) -> u8 {
    let found = match plugin::inspect(&arguments.file) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            return USAGE;
        }
    };
    let file = plugin::printable(&arguments.file.display().to_string(), 4096);
    let text = if arguments.json { json(file, &found) } else { text(&file, &found) };
    println!("{text}");
    DONE
}

/// The grants that it could use, as the configuration names them.
fn grants(found: &Inspection) -> Vec<&'static str> {
    let grants = [(found.connects, "connect"), (found.keeps_state, "kv")];
    grants.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name).collect()
}

fn json(file: String, found: &Inspection) -> String {
    let json = Json {
        file,
        kind: found.kind.words(),
        track: found.track.as_deref(),
        size: found.size,
        sha256: hex(&found.sha256),
        imports: &found.imports,
        exports: &found.exports,
        learns: found.learns,
        grants: grants(found),
        refused: found.refused.as_deref(),
    };
    // Only maps with other keys than strings could fail, and there is none.
    serde_json::to_string(&json).unwrap_or_default()
}

fn text(file: &str, found: &Inspection) -> String {
    let mut lines = vec![format!("file     {file}"), format!("kind     {}", found.kind.words())];
    match (&found.track, found.kind) {
        (Some(track), _) => lines.push(format!("track    popgate:filter {track}")),
        (None, Kind::Command | Kind::ModuleCommand) => lines.push("track    none, commands have none".into()),
        (None, _) => {}
    }
    lines.push(format!("size     {} octets", found.size));
    lines.push(format!("sha256   {}", hex(&found.sha256)));
    let learns = if found.learns { "yes" } else { "no" };
    lines.push(format!("learns   {learns}"));
    lines.push(format!("grants   {}", granted(found)));
    list(&mut lines, "imports", &found.imports);
    list(&mut lines, "exports", &found.exports);
    lines.push(match &found.refused {
        Some(reason) => format!("refused  {reason}"),
        None => "refused  no, popgate loads it if it takes its settings".into(),
    });
    lines.join("\n")
}

fn granted(found: &Inspection) -> String {
    let mut grants = Vec::new();
    if found.connects {
        grants.push("`connect` where it is to reach a service (it brings sockets along)");
    }
    if found.keeps_state {
        grants.push("`kv` where it is to keep state (it imports it)");
    }
    if grants.is_empty() { "none".into() } else { grants.join(", ") }
}

fn list(lines: &mut Vec<String>, title: &str, names: &[String]) {
    if names.is_empty() {
        lines.push(format!("{title:<8} none"));
    }
    for (index, name) in names.iter().take(LISTED_MAX).enumerate() {
        let title = if index == 0 { title } else { "" };
        lines.push(format!("{title:<8} {name}"));
    }
    if names.len() > LISTED_MAX {
        lines.push(format!("         and {} more", names.len() - LISTED_MAX));
    }
}
