//! How much may be held: by all users together, and by each.
//!
//! What is there is looked up now and then, and before anybody is refused, since other processes store and remove as well.
//! What several of them store at the same moment may exceed a quota by just that.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use popgate_config as config;

use super::EntryId;
use super::place::Place;

/// For how long what is known counts.
const FRESH: Duration = Duration::from_secs(60);

/// Why a message is not held.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// There is no room.
    #[error("{whose} would have {octets} octets, and `{key}` allows {max}")]
    Full {
        /// Who has so much, in words.
        whose: &'static str,
        /// Octets that there would be.
        octets: u64,
        /// Octets that there may be.
        max: u64,
        /// The key of the configuration.
        key: &'static str,
    },
    /// The place.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The quotas, and what is known of their use.
#[derive(Debug)]
pub(super) struct Room {
    total: u64,
    per_user: u64,
    known: Mutex<Known>,
    /// One looks it up at a time.
    looking: tokio::sync::Mutex<()>,
}

/// Owners and octets of messages.
type Messages = HashMap<EntryId, (String, u64)>;

#[derive(Debug, Default)]
struct Known {
    stored: Messages,
    /// What is being stored.
    coming: Messages,
    looked: Option<Instant>,
}

/// Room that is taken; given back when dropped.
pub(super) struct Taken<'a> {
    room: &'a Room,
    id: EntryId,
}

impl Room {
    pub(super) fn new(rules: &config::Quarantine) -> Self {
        let (known, looking) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { total: rules.total, per_user: rules.per_user, known, looking }
    }

    /// Takes room for a message, unless it is there already.
    pub(super) async fn take(
        &self,
        place: &Place,
        id: &EntryId,
        owner: &str,
        octets: u64,
    ) -> Result<Option<Taken<'_>>, PutError> {
        if self.total == 0 && self.per_user == 0 {
            return Ok(None);
        }
        let begun = Instant::now();
        self.look(place, begun.checked_sub(FRESH)).await?;
        if let Err(PutError::Full { .. }) = self.try_take(id, owner, octets) {
            self.look(place, Some(begun)).await?;
            self.try_take(id, owner, octets)?;
        }
        Ok(Some(Taken { room: self, id: id.clone() }))
    }

    fn try_take(&self, id: &EntryId, owner: &str, octets: u64) -> Result<(), PutError> {
        let mut known = self.known();
        if !known.stored.contains_key(id) {
            let (mut all, mut own) = (octets, octets);
            for (other, (of, octets)) in known.stored.iter().chain(&known.coming) {
                if other != id {
                    all = all.saturating_add(*octets);
                    own = own.saturating_add(if of == owner { *octets } else { 0 });
                }
            }
            let limits = [
                ("all held mail", all, self.total, "quarantine.total"),
                ("the user's held mail", own, self.per_user, "quarantine.per_user"),
            ];
            for (whose, octets, max, key) in limits {
                if max > 0 && octets > max {
                    return Err(PutError::Full { whose, octets, max, key });
                }
            }
        }
        known.coming.insert(id.clone(), (owner.to_owned(), octets));
        Ok(())
    }

    /// Looks up what is there, unless somebody has done so since.
    async fn look(&self, place: &Place, since: Option<Instant>) -> io::Result<()> {
        let _turn = self.looking.lock().await;
        let known = {
            let known = self.known();
            if known.looked.is_some_and(|looked| since.is_none_or(|since| looked >= since)) {
                return Ok(());
            }
            known.stored.clone()
        };
        let looked = Instant::now();
        let stored = place.stored(known).await?;
        let mut known = self.known();
        known.stored = stored.into_iter().map(|stored| (stored.id, (stored.owner, stored.octets))).collect();
        known.looked = Some(looked);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken<'_> {
    /// The message is there.
    pub(super) fn stored(self) {
        let mut known = self.room.known();
        if let Some(message) = known.coming.remove(&self.id) {
            known.stored.insert(self.id.clone(), message);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.room.known().coming.remove(&self.id);
    }
}
