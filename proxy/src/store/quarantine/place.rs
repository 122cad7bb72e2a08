//! Where held mail lies: one way in for all kinds of places.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;

#[cfg(feature = "wasm")]
use super::bucket::Bucket;
use super::folder::Folder;
use super::read::Reader;
use super::{Entry, EntryId, Identity};

/// The octets of a message that is to be stored.
pub trait Original: Send + Sync + 'static {
    /// They are all of these, one after the other.
    fn pieces(&self) -> Box<dyn Iterator<Item = &[u8]> + Send + '_>;
}

impl Original for Vec<u8> {
    fn pieces(&self) -> Box<dyn Iterator<Item = &[u8]> + Send + '_> {
        Box::new(std::iter::once(&**self))
    }
}

/// What takes room.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stored {
    pub(super) id: EntryId,
    /// The key of the identity.
    pub(super) owner: String,
    pub(super) octets: u64,
    /// It was not held longer ago than this; none: not known.
    pub(super) since: Option<SystemTime>,
}

/// A kind of place.
#[derive(Debug)]
pub(super) enum Place {
    /// A folder of this machine.
    Folder(Folder),
    /// A bucket of a server.
    #[cfg(feature = "wasm")]
    Bucket(Bucket),
}

impl Place {
    /// Notes that a message which is there was held once more, so that it is kept for as long as a new one.
    pub(super) async fn held_again(&self, id: &EntryId) -> io::Result<Option<Entry>> {
        let id = id.clone();
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.held_again(&id)).await,
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.held_again(&id).await,
        }
    }

    /// Stores a message whole and for good; the entry that is there, if somebody has stored it just now.
    pub(super) async fn put(&self, entry: Entry, original: Arc<dyn Original>) -> io::Result<Entry> {
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.put(&entry, original.pieces())).await,
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.put(entry, original).await,
        }
    }

    /// The entry of an id; none if there is none or it is not whole.
    pub(super) async fn get(&self, id: &EntryId) -> io::Result<Option<Entry>> {
        let id = id.clone();
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.get(&id)).await,
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.get(&id).await,
        }
    }

    /// The octets of a message.
    pub(super) async fn read(&self, entry: &Entry) -> io::Result<Reader> {
        match self {
            Self::Folder(folder) => Reader::file(&folder.message(&entry.id), entry.size).await,
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => Ok(Reader::object(bucket.read(&entry.id).await?, entry.size)),
        }
    }

    /// Where the message lies, for people.
    pub(super) fn location(&self, entry: &Entry) -> String {
        match self {
            Self::Folder(folder) => folder.message(&entry.id).display().to_string(),
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.location(entry),
        }
    }

    /// What is there, in any order. Of what is `known` nothing need be read.
    pub(super) async fn stored(&self, known: HashMap<EntryId, (String, u64)>) -> io::Result<Vec<Stored>> {
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.stored(&known)).await,
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.stored().await,
        }
    }

    /// Removes a message for good; false if there is none of this id. With `age` it is only removed if it was last held
    /// longer ago, and is not released.
    pub(super) async fn remove(&self, id: &EntryId, age: Option<Duration>) -> io::Result<bool> {
        let id = id.clone();
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.remove(&id, age)).await,
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.remove(&id, age).await,
        }
    }

    /// Marks a message as released to its owner, for good; false if there is no message.
    pub(super) async fn mark(&self, owner: String, id: &EntryId) -> io::Result<bool> {
        let id = id.clone();
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.mark(&owner, &id)).await,
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.mark(&owner, &id).await,
        }
    }

    /// Takes marks away; where that fails, some may be left.
    pub(super) async fn unmark(&self, owner: String, ids: Vec<EntryId>) -> io::Result<()> {
        match self {
            Self::Folder(folder) => blocking(folder, move |folder| folder.unmark(&owner, &ids)).await,
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.unmark(&owner, &ids).await,
        }
    }

    /// The messages that are marked, of an owner or of all.
    pub(super) async fn marks(&self, owner: Option<&Identity>) -> io::Result<Vec<EntryId>> {
        // As a rule, and every login asks.
        if let Self::Folder(folder) = self
            && folder.is_known_unmarked()
        {
            return Ok(Vec::new());
        }
        let owner = owner.map(Identity::key);
        match self {
            Self::Folder(folder) => match folder.known_marks(owner.as_deref()) {
                Some(marks) => Ok(marks),
                None => blocking(folder, move |folder| folder.marks(owner.as_deref())).await,
            },
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.marks(owner.as_deref()).await,
        }
    }

    /// Whether it can be used now.
    pub(super) async fn check(&self) -> io::Result<()> {
        match self {
            // It was made when it was opened.
            Self::Folder(_) => Ok(()),
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.check().await,
        }
    }

    /// Removes what crashes have left.
    pub(super) async fn sweep(&self) -> io::Result<()> {
        match self {
            Self::Folder(folder) => blocking(folder, Folder::sweep).await,
            #[cfg(feature = "wasm")]
            Self::Bucket(bucket) => bucket.sweep().await,
        }
    }
}

/// Does something with a folder where that may block.
async fn blocking<T: Send + 'static>(
    folder: &Folder,
    work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let folder = folder.clone();
    spawn_blocking(move || work(&folder)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
