//! What is taken from the client is durable first.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::error;

use super::Driver;
use crate::filter::Finding;
use crate::message::Message;
use crate::message::notice::Notice;
use crate::store::{self, Entry, Identity, NewEntry};

/// A finding as the store keeps it.
fn finding(finding: &Finding) -> store::Finding {
    let Finding { filter, symbol, points, value, text } = finding.clone();
    store::Finding { filter, symbol, points, value, text }
}

/// What a client is told when the original can't be stored.
const NOT_STORED: &str = "-ERR [SYS/TEMP] the message can't be stored safely now, it stays on the server";

impl Driver {
    /// Who the mail belongs to.
    pub(super) fn identity(&self) -> Identity {
        let user = self.user.as_deref().map(|name| String::from_utf8_lossy(name).into_owned());
        Identity { upstream: self.server_name().to_owned(), user }
    }

    /// Stores an original; the reply for the client where that fails.
    pub(super) async fn hold(
        &self,
        original: &Message,
        filter: String,
        reason: String,
        findings: &[Finding],
    ) -> Result<Entry, String> {
        let quarantine = Arc::clone(&self.services.quarantine);
        let entry = NewEntry {
            identity: self.identity(),
            sha256: original.sha256(),
            when: SystemTime::now(),
            filter,
            reason,
            from: original.header("From"),
            subject: original.header("Subject"),
            findings: findings.iter().map(finding).collect(),
        };
        let original = original.clone();
        let stored = tokio::task::spawn_blocking(move || quarantine.put(&entry, original.segments())).await;
        match stored {
            Ok(Ok(entry)) => Ok(entry),
            Ok(Err(error)) => {
                error!(%error, "nothing can be held: the quarantine does not take it");
                Err(NOT_STORED.into())
            }
            Err(error) => {
                error!(%error, "nothing can be held");
                Err(NOT_STORED.into())
            }
        }
    }

    /// What the client gets in the place of a held message: the same octets each time.
    pub(super) fn notice(&self, entry: &Entry, original: &Message) -> Message {
        let user = self.user.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let to = if user.contains('@') { user.into_owned() } else { format!("{user}@localhost") };
        let id = entry.id.to_string();
        let text = format!(
            "A message for you was held and is not delivered.\n\n\
             Reason: {}\nFound by: {}\nId: {}\n\n\
             The message is kept as it came. Whoever runs this mail gateway can look at it and release it; tell them the id.\n",
            entry.reason, entry.filter, id,
        );
        let notice = Notice {
            original,
            from: "popgate <postmaster@localhost>",
            to: &to,
            date: entry.when,
            message_id: &format!("<pg-{id}@popgate.invalid>"),
            held: &id,
            text: &text,
        };
        notice.message()
    }
}
