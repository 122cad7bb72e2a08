//! Released messages: sent from quarantine as they came, and discarded once their owner has deleted them.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tracing::{error, info};

use super::patience::Patience;
use super::{Break, Driver};
use crate::message::{Budget, BuildError, Builder, Limits, Message};
use crate::session::{Event, Extent};
use crate::store::EntryId;

/// What a client is told when a released message can't be read.
const NOT_READ: &str = "-ERR [SYS/TEMP] the released message can't be read now, try again later";
/// What it is told when one that it has deleted is still there.
const NOT_GONE: &[u8] = b"-ERR [SYS/TEMP] some deleted messages were not removed\r\n";
/// How much is read at once, in octets.
const PIECE: usize = 64 * 1024;

impl Driver {
    /// Sends a released message. It is not filtered again: somebody has looked at it.
    pub(super) async fn released(&mut self, id: &str, extent: Extent) -> Result<Event, Break> {
        let Some(id) = EntryId::parse(id) else { return Ok(Event::NotFetched(NOT_READ.into())) };
        let path = self.services.quarantine.message(&id);
        let (limits, budget) = (self.services.message.clone(), Arc::clone(&self.services.budget));
        let reading = tokio::task::spawn_blocking(move || read(&path, limits, budget));
        let mut patience = Patience::without_signs();
        match self.patiently(&mut patience, reading).await? {
            Ok(Ok(message)) => {
                info!(%id, "released message sent");
                self.send_message(&message, extent, &patience).await?;
                Ok(Event::Sent)
            }
            Ok(Err(error)) => {
                error!(%id, %error, "a released message can't be read");
                Ok(Event::NotFetched(NOT_READ.into()))
            }
            Err(_) => Ok(Event::NotFetched(NOT_READ.into())),
        }
    }

    /// The upstream has said `+OK` to QUIT: what the client has deleted of released messages is not shown again.
    pub(super) async fn discard(&mut self, ids: Vec<String>, reply: Bytes) -> Event {
        let (quarantine, identity) = (Arc::clone(&self.services.quarantine), self.identity());
        let ids: Vec<_> = ids.iter().filter_map(|id| EntryId::parse(id)).collect();
        let discarded = tokio::task::spawn_blocking(move || quarantine.collected(&identity, &ids)).await;
        match discarded {
            Ok(Ok(())) => Event::Discarded(reply),
            Ok(Err(error)) => {
                error!(%error, "released messages are still shown that were deleted");
                Event::Discarded(Bytes::from_static(NOT_GONE))
            }
            Err(_) => Event::Discarded(Bytes::from_static(NOT_GONE)),
        }
    }
}

/// Reads a file within the bounds that every message has.
fn read(path: &Path, limits: Limits, budget: Arc<Budget>) -> Result<Message, BuildError> {
    let mut builder = Builder::new(limits, budget);
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return builder.finish(),
            count => builder.push(&piece[..count])?,
        }
    }
}
