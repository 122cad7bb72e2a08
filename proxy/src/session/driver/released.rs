//! Released messages: sent from quarantine as they came, and discarded once their owner has deleted them.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tracing::{error, info};

use super::patience::Patience;
use super::{Break, Driver};
use crate::message::{BuildError, Builder, Message};
use crate::session::{Event, Extent};
use crate::store::{EntryId, Quarantine};

/// What a client is told when a released message can't be read.
const NOT_READ: &str = "-ERR [SYS/TEMP] the released message can't be read now, try again later";
/// What it is told when one that it has deleted is still there.
const NOT_GONE: &[u8] = b"-ERR [SYS/TEMP] some deleted messages were not removed\r\n";

impl Driver {
    /// Sends a released message. It is not filtered again: somebody has looked at it.
    pub(super) async fn released(&mut self, id: &str, extent: Extent) -> Result<Event, Break> {
        let Some(id) = EntryId::parse(id) else { return Ok(Event::NotFetched(NOT_READ.into())) };
        let quarantine = Arc::clone(&self.services.quarantine);
        let builder = Builder::new(self.services.message.clone(), Arc::clone(&self.services.budget));
        let reading = {
            let id = id.clone();
            async move { read(&quarantine, &id, builder).await }
        };
        let mut patience = Patience::without_signs();
        match self.patiently(&mut patience, reading).await? {
            Ok(message) => {
                info!(%id, "released message sent");
                self.send_message(&message, extent, &patience).await?;
                Ok(Event::Sent)
            }
            Err(error) => {
                error!(%id, %error, "a released message can't be read");
                Ok(Event::NotFetched(NOT_READ.into()))
            }
        }
    }

    /// The upstream has said `+OK` to QUIT: what the client has deleted of released messages is not shown again.
    pub(super) async fn discard(&mut self, ids: Vec<String>, reply: Bytes) -> Event {
        let (quarantine, identity) = (&self.services.quarantine, self.identity());
        let ids: Vec<_> = ids.iter().filter_map(|id| EntryId::parse(id)).collect();
        match quarantine.collected(&identity, ids).await {
            Ok(()) => Event::Discarded(reply),
            Err(error) => {
                error!(%error, "released messages are still shown that were deleted");
                Event::Discarded(Bytes::from_static(NOT_GONE))
            }
        }
    }
}

/// Reads a message within the bounds that every one has.
async fn read(quarantine: &Quarantine, id: &EntryId, mut builder: Builder) -> Result<Message, BuildError> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, "it is not in quarantine any more");
    let entry = quarantine.get(id).await?.ok_or_else(gone)?;
    let mut reader = quarantine.read(&entry).await?;
    while let Some(piece) = reader.next().await? {
        builder.push(&piece)?;
    }
    builder.finish()
}
