//! Messages that are fetched and filtered before the client asks for them, to know how large they are.

use tracing::debug;

use super::job::Fetched;
use super::patience::Patience;
use super::{Break, Driver};
use crate::session::{Event, Fetch};

impl Driver {
    /// Reads the message that the upstream has begun to send, filters it and keeps the result if there is room.
    pub(super) async fn ahead(&mut self, fetch: Fetch) -> Result<Event, Break> {
        let mut patience = Patience::without_signs();
        let number = fetch.number;
        let original = match self.read_message(&mut patience).await? {
            Fetched::Message(message) => message,
            Fetched::Refused { rest, .. } => {
                self.drain(rest).await?;
                return Ok(Event::ReadAhead(number, None));
            }
        };
        let result = match self.filter(&fetch, &mut patience, original.clone()).await? {
            Ok(result) => result,
            Err(reply) => {
                debug!(%number, reply, "not read ahead");
                return Ok(Event::ReadAhead(number, None));
            }
        };
        let size = super::job::wire_size(&result.message);
        self.remember(&fetch, &original, &result, size);
        let kept = self.keep(number, &original, result);
        Ok(Event::ReadAhead(number, Some((size, kept))))
    }
}
