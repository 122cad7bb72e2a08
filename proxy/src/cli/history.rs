//! `popgate history`: what became of messages.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use popgate_config::{Database, parse_duration};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::server::StartError;
use super::{DONE, run};
use crate::store::{Judgement, State, Wanted};

/// What was typed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only the messages of this login name.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What happened within this time, as in `7d` or `12h`.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_duration)]
    since: Duration,
    /// The latest so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    count: u32,
    /// Each as a JSON object.
    #[arg(long)]
    json: bool,
}

/// Shows what became of messages, the oldest first.
pub(super) async fn main(arguments: Arguments) -> u8 {
    match show(arguments).await {
        Ok(()) => DONE,
        Err(error) => error.tell(),
    }
}

async fn show(arguments: Arguments) -> Result<(), StartError> {
    let Arguments { config, user, since, count, json } = arguments;
    let config = run::configuration(&config)?;
    if config.store.history.is_none() {
        eprintln!("nothing is noted: `store.history` is 0");
    }
    // It would be made otherwise, and be this user's.
    if config.store.database == Database::Sqlite && !config.state_dir.join("state.db").exists() {
        return Ok(());
    }
    let told = |error: &dyn std::fmt::Display| StartError::Running(format!("error: the history: {error}"));
    let state = State::new(&config.store, &config.state_dir).map_err(|error| told(&error))?.read_only();
    let since = SystemTime::now().checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH);
    let judged = state.history(&Wanted { user, since, count }).await.map_err(|error| told(&error))?;
    let mut out = io::stdout().lock();
    for judged in &judged {
        let line = if json { object(judged) } else { line(judged) };
        match writeln!(out, "{line}") {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written.map_err(|error| told(&error))?,
        }
    }
    Ok(())
}

fn date(judged: &Judgement) -> String {
    OffsetDateTime::from(judged.when).format(&Rfc3339).unwrap_or_default()
}

fn line(judged: &Judgement) -> String {
    let user = judged.identity.user.as_deref().unwrap_or("(unknown)");
    let (upstream, octets) = (&judged.identity.upstream, judged.octets);
    let mut line = format!("{} {user}@{upstream} {:<6} {octets} octets", date(judged), judged.verdict);
    for (name, value) in
        [("uidl", &judged.uidl), ("filter", &judged.filter), ("reason", &judged.reason), ("subject", &judged.subject)]
    {
        if !value.is_empty() {
            line.push_str(&format!(" {name}={value:?}"));
        }
    }
    // Nothing that a terminal would obey.
    line.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn object(judged: &Judgement) -> String {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let sha256: String = judged.sha256.iter().map(|octet| format!("{octet:02x}")).collect();
    json!({
        "when": date(judged),
        "upstream": judged.identity.upstream,
        "user": judged.identity.user,
        "verdict": judged.verdict,
        "filter": text(&judged.filter),
        "reason": text(&judged.reason),
        "uidl": text(&judged.uidl),
        "octets": judged.octets,
        "sha256": sha256,
        "subject": text(&judged.subject),
    })
    .to_string()
}
