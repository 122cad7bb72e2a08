//! Mail that was taken from its recipient, as it came: stored for good before anybody gets anything in its place.
//!
//! ```text
//! put:     quotas -> place (whole and on disk, or not at all)
//! release: a mark, by which the next session of the owner finds the message
//! expire:  what was last held too long ago, and is not released
//! ```
//!
//! There is one entry for a message of an identity, however often it is held.

#[cfg(feature = "wasm")]
mod bucket;
mod entry;
mod expiry;
mod folder;
mod glance;
mod place;
mod read;
mod release;
mod room;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use popgate_config as config;

use folder::Folder;
use place::Place;
use room::Room;

pub(super) use entry::hex;
pub use entry::{Entry, EntryId, Finding, Identity, NewEntry};
pub use expiry::Expired;
pub use place::Original;
pub use read::Reader;
pub use release::ReleaseError;
pub use room::PutError;

/// Why there is no quarantine.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder can't be made.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The credentials for the bucket can't be had.
    #[error("{0}")]
    Credentials(String),
    /// What is said of the bucket makes no sense.
    #[error("{0}")]
    Settings(String),
}

/// The quarantine of a configuration.
#[derive(Debug)]
pub struct Quarantine {
    place: Place,
    rules: config::Quarantine,
    room: Room,
}

impl Quarantine {
    /// Opens the place: `state_dir/quarantine`, which is made (0700) if need be and cleared of what a crash has left, or a
    /// bucket, of which nothing is asked yet.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(state_dir: &Path, at: &config::QuarantinePlace, rules: &config::Quarantine) -> Result<Self, OpenError> {
        let place = match at {
            config::QuarantinePlace::Folder => Place::Folder(Folder::open(state_dir.join("quarantine"))?),
            #[cfg(feature = "wasm")]
            config::QuarantinePlace::Bucket(at) => Place::Bucket(bucket::Bucket::open(at, rules.keep)?),
            #[cfg(not(feature = "wasm"))]
            config::QuarantinePlace::Bucket(_) => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
        };
        Ok(Self { place, rules: rules.clone(), room: Room::new(rules) })
    }

    /// Asks whether the place can be used now.
    ///
    /// # Errors
    ///
    /// It can't.
    pub async fn check(&self) -> io::Result<()> {
        self.place.check().await
    }

    /// Stores a message. When this returns, it is there for good. A message that is there already under the same identity
    /// stays as it is, and its first entry is returned; it is kept as long as one that is new.
    ///
    /// # Errors
    ///
    /// When anything at all went wrong, a full disk or a quota included: the message is not stored then.
    pub async fn put(&self, new: NewEntry, original: Arc<dyn Original>) -> Result<Entry, PutError> {
        let entry = Entry::new(new, original.pieces());
        if let Some(there) = self.place.held_again(&entry.id).await? {
            return Ok(there);
        }
        let taken = self.room.take(&self.place, &entry.id, &entry.identity.key(), entry.size).await?;
        let entry = self.place.put(entry, original).await?;
        if let Some(taken) = taken {
            taken.stored();
        }
        Ok(entry)
    }

    /// The entry of an id; none if there is none or it is not whole.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub async fn get(&self, id: &EntryId) -> io::Result<Option<Entry>> {
        self.place.get(id).await
    }

    /// The octets of a message.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub async fn read(&self, entry: &Entry) -> io::Result<Reader> {
        self.place.read(entry).await
    }

    /// Where a message lies, for people.
    #[must_use]
    pub fn location(&self, entry: &Entry) -> String {
        self.place.location(entry)
    }

    /// Every whole entry, the oldest first.
    ///
    /// # Errors
    ///
    /// When they can't be read.
    pub async fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let stored = self.place.stored(Default::default()).await?;
        for id in stored.into_iter().map(|stored| stored.id).collect::<BTreeSet<_>>() {
            // It may be gone since.
            entries.extend(self.place.get(&id).await?);
        }
        entries.sort_by(|one, other| (one.when, &one.id).cmp(&(other.when, &other.id)));
        Ok(entries)
    }

    /// Removes a message for good, released or not; false if there is none of this id.
    ///
    /// # Errors
    ///
    /// When it can't be removed.
    pub async fn delete(&self, id: &EntryId) -> io::Result<bool> {
        self.place.remove(id, None).await
    }
}
