//! Messages that were read ahead of the client, until it asks for them.

use super::job::Fetched;
use super::patience::Patience;
use super::{Break, Driver};
use crate::pop3::MessageNumber;
use crate::session::{Event, Fetch};

impl Driver {
    /// Reads the message that the upstream has begun to send, and keeps it if it is wanted and can be taken in.
    pub(super) async fn stash(&mut self, number: MessageNumber, keep: bool) -> Result<Event, Break> {
        let kept = match self.read_message(&mut Patience::without_signs()).await? {
            Fetched::Message(message) if keep => {
                self.stash.get_or_insert_default().insert(number, message);
                true
            }
            Fetched::Message(_) => false,
            Fetched::Refused { rest, .. } => {
                self.drain(rest).await?;
                false
            }
        };
        Ok(Event::Stashed { number, wanted: keep, there: kept })
    }

    /// Filters and sends a message that was read ahead.
    pub(super) async fn stashed(&mut self, fetch: Fetch) -> Result<Event, Break> {
        let Some(original) = self.stash.as_mut().and_then(|stash| stash.remove(&fetch.number)) else {
            return Ok(Event::NotFetched("-ERR [SYS/TEMP] the message is not at hand, try again".into()));
        };
        let mut patience = self.patience(&fetch);
        if self.selection.is_empty() {
            self.send_message(&original, fetch.extent, &patience).await?;
            return Ok(Event::Sent);
        }
        self.examine(fetch, &mut patience, original).await
    }

    /// Drops a message that was read ahead, or all.
    pub(super) fn unstash(&mut self, number: Option<MessageNumber>) {
        match (number, &mut self.stash) {
            (Some(number), Some(stash)) => drop(stash.remove(&number)),
            _ => self.stash = None,
        }
    }
}
