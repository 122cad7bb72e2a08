//! What is held for too long is removed, by the running proxy now and then, and by an operator's command.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::Quarantine;

/// How often the running proxy looks.
const EVERY: Duration = Duration::from_secs(3600);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Expired {
    /// How many messages.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
}

impl Quarantine {
    /// Removes what was last held longer ago than the configuration keeps it, and what crashes have left. What is
    /// released stays until its owner has fetched and deleted it.
    ///
    /// # Errors
    ///
    /// When something can't be read or removed; some messages may have been removed.
    pub async fn expire(&self) -> io::Result<Expired> {
        self.place.sweep().await?;
        let mut expired = Expired::default();
        let Some(keep) = self.rules.keep else { return Ok(expired) };
        let now = SystemTime::now();
        for stored in self.place.stored(Default::default()).await? {
            let is_young = |since| now.duration_since(since).is_ok_and(|age| age <= keep);
            if stored.since.is_some_and(is_young) {
                continue;
            }
            if self.place.remove(&stored.id, Some(keep)).await? {
                info!(id = %stored.id, octets = stored.octets, "removed from quarantine: its time is over");
                expired.messages += 1;
                expired.octets += stored.octets;
            }
        }
        Ok(expired)
    }

    /// Expires now and then, for as long as the quarantine is in use or the task is not aborted.
    pub async fn keep_expired(quarantine: Weak<Self>) {
        while let Some(quarantine) = Weak::upgrade(&quarantine) {
            if let Err(error) = quarantine.expire().await {
                warn!(%error, "what is in quarantine for too long can't be removed");
            }
            drop::<Arc<_>>(quarantine);
            tokio::time::sleep(EVERY).await;
        }
    }
}
