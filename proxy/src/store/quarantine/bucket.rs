//! The quarantine as a bucket of a server that speaks S3.
//!
//! ```text
//! message/OWNER-ID-RANDOM   the octets, written first; each writer's under a name of its own
//! entry/ID.json             what is known of it and which message it is, created only where there is none
//! released/OWNER/ID         a mark, empty
//! ```
//!
//! A bucket knows no renaming and no locks, so the entry is what makes a message be there: whoever creates it has stored the
//! message, and whoever comes second has stored nothing. A message that no entry names is swept a day later.
//!
//! When a message was last held is when its entry was written; holding it again writes the same once more. So that nobody
//! counts on an entry which another node is about to remove, a message whose time is over is not held again until it is
//! removed, and it is removed only a while later.

mod connect;
mod upload;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::warn;

use super::place::{Original, Stored};
use super::{Entry, EntryId};

/// How long a question without much of an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a list may take, or a piece of a message.
const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// After what time a message that no entry names is nobody's any more.
const ORPHANED: Duration = Duration::from_secs(86_400);

/// For how long a message whose time is over is neither held again nor removed, at most.
const MARGIN: Duration = Duration::from_secs(3600);

/// An entry as it is stored.
#[derive(Debug, Deserialize, Serialize)]
struct Record {
    #[serde(flatten)]
    entry: Entry,
    /// The last part of the name of the message.
    message: String,
}

/// An entry that is there.
struct Found {
    record: Record,
    written: SystemTime,
}

/// A bucket. Any number of nodes may use it at once.
#[derive(Debug)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    /// For people.
    name: String,
    keep: Option<Duration>,
}

impl Bucket {
    /// Asks for something that is small.
    pub(super) async fn check(&self) -> io::Result<()> {
        ask(PATIENCE, self.store.list_with_delimiter(Some(&self.path("released", "check")))).await.map(drop)
    }

    /// Stores a message whole, or not at all. A message that is there already stays as it is, but for the time when it was
    /// last held, and its entry is returned; what was uploaded for nothing is removed.
    pub(super) async fn put(&self, entry: Entry, original: Arc<dyn Original>) -> io::Result<Entry> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let message = format!("{}-{}-{}", entry.identity.key(), entry.id, super::hex(&random));
        upload::upload(&*self.store, &self.path("message", &message), &*original, entry.size).await?;
        let record = Record { entry, message };
        let stored = match self.write(&record, PutMode::Create).await {
            Ok(true) => Ok(None),
            // The request was repeated since its answer was lost: what is there is what was just written.
            Ok(false) if self.names(&record).await? => Ok(None),
            // Another node was faster. Or what is there is damaged, and this takes its place.
            Ok(false) => match self.held_again(&record.entry.id).await {
                Ok(None) => {
                    warn!(id = %record.entry.id, "the entry in quarantine is damaged and is stored again");
                    self.write(&record, PutMode::Overwrite).await.map(|_| None)
                }
                other => other,
            },
            Err(error) => Err(error),
        };
        // Where it is not known whether the entry came to be, the message stays, and is swept if it did not.
        let Some(there) = stored? else { return Ok(record.entry) };
        if let Err(error) = self.remove_object("message", &record.message).await {
            warn!(%error, message = record.message, "what was uploaded for nothing is left until it is swept");
        }
        Ok(there)
    }

    /// Whether the entry that is there is this one.
    async fn names(&self, record: &Record) -> io::Result<bool> {
        Ok(self.find(&record.entry.id).await?.is_some_and(|found| found.record.message == record.message))
    }

    /// Notes that a message which is there was held once more.
    pub(super) async fn held_again(&self, id: &EntryId) -> io::Result<Option<Entry>> {
        let Some(found) = self.whole(id).await? else { return Ok(None) };
        if self.keep.is_some_and(|keep| age(found.written) >= keep) {
            let text = "the message was held before and is about to be removed; it can be held again after that";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
        }
        self.write(&found.record, PutMode::Overwrite).await?;
        Ok(Some(found.record.entry))
    }

    /// The entry of an id; none if there is none or it is not whole.
    pub(super) async fn get(&self, id: &EntryId) -> io::Result<Option<Entry>> {
        Ok(self.whole(id).await?.map(|found| found.record.entry))
    }

    async fn whole(&self, id: &EntryId) -> io::Result<Option<Found>> {
        let Some(found) = self.find(id).await? else { return Ok(None) };
        let message = ask(PATIENCE, self.store.head(&self.path("message", &found.record.message))).await;
        let size = there(message)?.map(|message| message.size);
        Ok(Some(found).filter(|found| size == Some(found.record.entry.size)))
    }

    async fn find(&self, id: &EntryId) -> io::Result<Option<Found>> {
        let path = self.path("entry", &format!("{id}.json"));
        let Some(result) = there(ask(PATIENCE, self.store.get(&path)).await)? else { return Ok(None) };
        let written = result.meta.last_modified.into();
        let text = ask(PATIENCE, result.bytes()).await?;
        let record: Option<Record> = serde_json::from_slice(&text).ok();
        let is_name = |name: &str| name.bytes().all(|octet| octet.is_ascii_hexdigit() || octet == b'-');
        let record = record.filter(|record| record.entry.id == *id && is_name(&record.message));
        Ok(record.map(|record| Found { record, written }))
    }

    /// Writes an entry; false if there is one and there should be none.
    async fn write(&self, record: &Record, mode: PutMode) -> io::Result<bool> {
        let path = self.path("entry", &format!("{}.json", record.entry.id));
        let payload = PutPayload::from(serde_json::to_vec_pretty(record)?);
        let options = PutOptions { mode, ..PutOptions::default() };
        match ask(PATIENCE, self.store.put_opts(&path, payload, options)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Some octets of a message; none behind its end.
    pub(super) async fn read(&self, id: &EntryId) -> io::Result<Object> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "it is not in quarantine any more");
        let found = self.find(id).await?.ok_or_else(gone)?;
        let path = self.path("message", &found.record.message);
        Ok(Object { store: Arc::clone(&self.store), path })
    }

    /// Where a message lies, for people.
    pub(super) fn location(&self, entry: &Entry) -> String {
        format!("s3://{}/{}", self.name, self.path("entry", &format!("{}.json", entry.id)))
    }

    /// What is there, in any order; a message twice that two nodes have just stored.
    pub(super) async fn stored(&self) -> io::Result<Vec<Stored>> {
        let messages = self.list("message").await?.into_iter();
        Ok(messages
            .filter_map(|(name, meta)| {
                let mut parts = name.split('-');
                let (owner, id) = (parts.next()?.to_owned(), EntryId::parse(parts.next()?)?);
                Some(Stored { id, owner, octets: meta.size, since: Some(meta.last_modified.into()) })
            })
            .collect())
    }

    /// Removes a message for good; false if there is none of this id. With `age` it is only removed if it was last held
    /// longer ago, and is not released.
    pub(super) async fn remove(&self, id: &EntryId, keep: Option<Duration>) -> io::Result<bool> {
        let Some(found) = self.find(id).await? else { return Ok(false) };
        let Record { entry, message } = &found.record;
        let owner = entry.identity.key();
        if let Some(keep) = keep {
            let mark = self.path("released", &format!("{owner}/{id}"));
            let is_released = there(ask(PATIENCE, self.store.head(&mark)).await)?.is_some();
            if is_released || age(found.written) <= keep + (keep / 10).min(MARGIN) {
                return Ok(false);
            }
        }
        self.remove_object("entry", &format!("{id}.json")).await?;
        self.remove_object("released", &format!("{owner}/{id}")).await?;
        self.remove_object("message", message).await?;
        Ok(true)
    }

    /// Marks a message as released; false if there is no message.
    pub(super) async fn mark(&self, owner: &str, id: &EntryId) -> io::Result<bool> {
        let path = self.path("released", &format!("{owner}/{id}"));
        ask(PATIENCE, self.store.put(&path, PutPayload::new())).await?;
        if self.find(id).await?.is_some() {
            return Ok(true);
        }
        // Its time was over just now.
        self.remove_object("released", &format!("{owner}/{id}")).await?;
        Ok(false)
    }

    /// Takes marks away; where that fails, some may be left.
    pub(super) async fn unmark(&self, owner: &str, ids: &[EntryId]) -> io::Result<()> {
        for id in ids {
            self.remove_object("released", &format!("{owner}/{id}")).await?;
        }
        Ok(())
    }

    /// The messages that are marked, of an owner or of all.
    pub(super) async fn marks(&self, owner: Option<&str>) -> io::Result<Vec<EntryId>> {
        let owners = match owner {
            Some(owner) => vec![self.path("released", owner)],
            None => {
                ask(LONG_PATIENCE, self.store.list_with_delimiter(Some(&self.folder("released"))))
                    .await?
                    .common_prefixes
            }
        };
        let mut marks = Vec::new();
        for owner in owners {
            let listed = ask(PATIENCE, self.store.list_with_delimiter(Some(&owner))).await?;
            marks.extend(listed.objects.iter().filter_map(|meta| EntryId::parse(meta.location.filename()?)));
        }
        Ok(marks)
    }

    /// Removes messages that no entry names, and entries whose message is gone, both a day old.
    pub(super) async fn sweep(&self) -> io::Result<()> {
        // Entries first: a message that is stored meanwhile is too young to be looked at.
        let entries: HashMap<String, ObjectMeta> = self.list("entry").await?.into_iter().collect();
        let messages = self.list("message").await?;
        let is_old = |meta: &ObjectMeta| age(meta.last_modified.into()) > ORPHANED;
        let id = |name: &str| name.split('-').nth(1).and_then(EntryId::parse);
        let mut seen = HashSet::new();
        let twice: HashSet<EntryId> =
            messages.iter().filter_map(|(name, _)| id(name)).filter(|id| !seen.insert(id.clone())).collect();
        for (name, meta) in messages.iter().filter(|(_, meta)| is_old(meta)) {
            let Some(id) = id(name) else { continue };
            let is_named = match entries.contains_key(&format!("{id}.json")) {
                true if twice.contains(&id) => self.find(&id).await?.is_some_and(|found| found.record.message == *name),
                listed => listed || self.find(&id).await?.is_some(),
            };
            if !is_named {
                warn!(%meta.location, "removed from quarantine: no entry names it");
                self.remove_object("message", name).await?;
            }
        }
        for (name, _) in entries.iter().filter(|(_, meta)| is_old(meta)) {
            let Some(id) = name.strip_suffix(".json").and_then(EntryId::parse) else { continue };
            if !seen.contains(&id) && self.whole(&id).await?.is_none() {
                self.remove_object("entry", name).await?;
            }
        }
        Ok(())
    }

    /// The objects of a folder, by the last part of their names.
    async fn list(&self, folder: &str) -> io::Result<Vec<(String, ObjectMeta)>> {
        let listed = ask(LONG_PATIENCE, self.store.list_with_delimiter(Some(&self.folder(folder)))).await?;
        let named = |meta: ObjectMeta| Some((meta.location.filename()?.to_owned(), meta));
        Ok(listed.objects.into_iter().filter_map(named).collect())
    }

    async fn remove_object(&self, folder: &str, name: &str) -> io::Result<()> {
        there(ask(PATIENCE, self.store.delete(&self.path(folder, name))).await).map(drop)
    }

    fn folder(&self, folder: &str) -> Path {
        Path::from(format!("{}/{folder}", self.prefix))
    }

    fn path(&self, folder: &str, name: &str) -> Path {
        Path::from(format!("{}/{folder}/{name}", self.prefix))
    }
}

/// A message that can be read in pieces.
#[derive(Debug)]
pub(super) struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl Object {
    /// The octets from `begin` on to before `end`.
    pub(super) async fn range(&self, begin: u64, end: u64) -> io::Result<bytes::Bytes> {
        ask(LONG_PATIENCE, self.store.get_range(&self.path, begin..end)).await
    }
}

fn age(time: SystemTime) -> Duration {
    SystemTime::now().duration_since(time).unwrap_or_default()
}

/// Waits for an answer, but not for ever.
async fn ask<T>(patience: Duration, answer: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
    match timeout(patience, answer).await {
        Ok(result) => result.map_err(told),
        Err(_) => {
            let text = format!("the bucket's server did not answer within {} seconds", patience.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        }
    }
}

/// None for what is not there.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// The error in one line; it has no credentials.
fn told(error: object_store::Error) -> io::Error {
    use object_store::Error;
    let kind = match &error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } | Error::Precondition { .. } => io::ErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    let text: String = error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
    io::Error::new(kind, format!("the bucket: {text}"))
}
