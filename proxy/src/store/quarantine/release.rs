//! What becomes of messages that an operator gives to their owner.

use std::collections::HashSet;
use std::io;

use tracing::warn;

use super::{Entry, EntryId, Identity, Quarantine};

/// Why a message can't be released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is no entry of this id.
    #[error("there is no message of this id in quarantine")]
    Missing,
    /// The login of its session did not tell the user, so nobody can be given it.
    #[error("it is not known whose message this is; its file can be handed over by other means")]
    Nobody(Box<Entry>),
    /// The place.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Quarantine {
    /// Shows a message to its owner from the next session on, until the owner deletes it. When this returns, that is so
    /// for good.
    ///
    /// # Errors
    ///
    /// See [`ReleaseError`].
    pub async fn release(&self, id: &EntryId) -> Result<Entry, ReleaseError> {
        let entry = self.get(id).await?.ok_or(ReleaseError::Missing)?;
        if entry.identity.user.is_none() {
            return Err(ReleaseError::Nobody(Box::new(entry)));
        }
        match self.place.mark(entry.identity.key(), id).await? {
            true => Ok(entry),
            false => Err(ReleaseError::Missing),
        }
    }

    /// All messages that their owners are shown.
    ///
    /// # Errors
    ///
    /// When the marks can't be read.
    pub async fn all_released(&self) -> io::Result<HashSet<EntryId>> {
        Ok(self.place.marks(None).await?.into_iter().collect())
    }

    /// The messages that are released to this user, the oldest first; none where no user is known.
    ///
    /// # Errors
    ///
    /// When the marks can't be read.
    pub async fn released(&self, identity: &Identity) -> io::Result<Vec<Entry>> {
        if identity.user.is_none() {
            return Ok(Vec::new());
        }
        let mut released = Vec::new();
        for id in self.place.marks(Some(identity)).await? {
            match self.get(&id).await?.filter(|entry| entry.identity == *identity) {
                Some(entry) => released.push(entry),
                None => warn!(%id, "a released message is not in quarantine any more"),
            }
        }
        released.sort_by(|one, other| (one.when, &one.id).cmp(&(other.when, &other.id)));
        Ok(released)
    }

    /// The owner has deleted released messages: they are not shown any more. The entries stay.
    ///
    /// # Errors
    ///
    /// When a mark can't be removed; some of several may be.
    pub async fn collected(&self, identity: &Identity, ids: Vec<EntryId>) -> io::Result<()> {
        self.place.unmark(identity.key(), ids).await
    }
}
