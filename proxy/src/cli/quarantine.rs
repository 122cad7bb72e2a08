//! `popgate quarantine`: what is held, for whom and why; release and deletion.

mod show;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::server::{self, StartError};
use super::{DONE, FAILED, USAGE, run};
use crate::store::{Entry, EntryId, Quarantine, ReleaseError};

/// What was typed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    action: Action,
}

/// What to do with the quarantine.
#[derive(Debug, Subcommand)]
enum Action {
    /// One line for each message: id, state, octets, date, owner, subject.
    List {
        /// Only the messages of this user: the login name at the server, or `NAME@UPSTREAM` as the list shows it.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Each message as a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// All that is known about a message.
    Show {
        /// Its id.
        id: String,
        /// The message itself, as it came.
        #[arg(long, conflicts_with = "json")]
        raw: bool,
        /// A JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Give a message to its owner, from the next session on.
    Release {
        /// Its id.
        id: String,
    },
    /// Remove a message for good.
    Delete {
        /// Its id.
        id: String,
    },
    /// Remove what is there for longer than `quarantine.keep` says; the running proxy does so by itself.
    Expire,
}

/// Does what the operator wants with the quarantine of a configuration.
pub(super) async fn main(arguments: Arguments) -> u8 {
    match act(arguments).await {
        Ok(code) => code,
        Err(error) => error.tell(),
    }
}

async fn act(Arguments { config, action }: Arguments) -> Result<u8, StartError> {
    let config = run::configuration(&config)?;
    let quarantine = server::quarantine(&config)?;
    let done = match action {
        Action::List { user, json } => show::list(&quarantine, user.as_deref(), json).await,
        Action::Show { id, raw, json } => match parsed(&id) {
            Ok(id) if raw => show::raw(&quarantine, &id).await,
            Ok(id) => show::one(&quarantine, &id, json).await,
            Err(code) => Ok(code),
        },
        Action::Release { id } => match parsed(&id) {
            Ok(id) => release(&quarantine, &id).await,
            Err(code) => Ok(code),
        },
        Action::Delete { id } => match parsed(&id) {
            Ok(id) => delete(&quarantine, &id).await,
            Err(code) => Ok(code),
        },
        Action::Expire => match config.quarantine.keep {
            Some(_) => expire(&quarantine).await,
            None => told("`quarantine.keep` is 0: everything is kept"),
        },
    };
    match done {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(DONE),
        done => done.map_err(|error| StartError::Running(format!("error: the quarantine: {error}"))),
    }
}

/// The id that was typed, if it is one; else the exit code.
fn parsed(typed: &str) -> Result<EntryId, u8> {
    // As it stands in the maildrop.
    EntryId::parse(typed.strip_prefix("pg-").unwrap_or(typed)).ok_or_else(|| {
        eprintln!(
            "error: `{}` is not an id\nhint: `popgate quarantine list` shows the ids: 32 hexadecimal digits",
            typed.escape_debug()
        );
        USAGE
    })
}

fn missing(id: &EntryId) -> u8 {
    eprintln!("error: there is no message `{id}` in quarantine\nhint: `popgate quarantine list` shows what there is");
    FAILED
}

fn told(text: &str) -> io::Result<u8> {
    writeln!(io::stdout(), "{text}")?;
    Ok(DONE)
}

async fn delete(quarantine: &Quarantine, id: &EntryId) -> io::Result<u8> {
    match quarantine.delete(id).await? {
        true => told(&format!("{id} is deleted")),
        false => Ok(missing(id)),
    }
}

async fn expire(quarantine: &Quarantine) -> io::Result<u8> {
    let expired = quarantine.expire().await?;
    told(&format!("{} messages removed, {} octets", expired.messages, expired.octets))
}

async fn release(quarantine: &Quarantine, id: &EntryId) -> io::Result<u8> {
    match quarantine.release(id).await {
        Ok(entry) => told(&format!("{id} is released: {} gets it with the next session, as pg-{id}", owner(&entry))),
        Err(ReleaseError::Missing) => Ok(missing(id)),
        Err(ReleaseError::Io(error)) => Err(error),
        Err(ReleaseError::Nobody(entry)) => {
            let place = quarantine.location(&entry);
            eprintln!("error: it is not known whose message this is\nhint: hand over the file yourself: {place}");
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
