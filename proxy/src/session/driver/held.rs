//! What is taken from the client is durable first.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::error;

use super::Driver;
use crate::filter::Finding;
use crate::message::Message;
use crate::message::notice::Notice;
use crate::store::{self, Entry, Identity, NewEntry, Original};

/// A finding as the store keeps it.
fn finding(finding: &Finding) -> store::Finding {
    let Finding { filter, symbol, points, value, text } = finding.clone();
    store::Finding { filter, symbol, points, value, text }
}

/// A message as the store takes it.
struct Octets(Message);

impl Original for Octets {
    fn pieces(&self) -> Box<dyn Iterator<Item = &[u8]> + Send + '_> {
        Box::new(self.0.segments())
    }
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
            sha256: super::job::hash(original).await,
            when: SystemTime::now(),
            filter,
            reason,
            from: original.header("From"),
            subject: original.header("Subject"),
            findings: findings.iter().map(finding).collect(),
        };
        quarantine.put(entry, Arc::new(Octets(original.clone()))).await.map_err(|error| {
            error!(%error, "nothing can be held: the quarantine does not take it");
            NOT_STORED.into()
        })
    }

    /// What the client gets in the place of a held message: the same octets each time.
    pub(super) fn notice(&self, entry: &Entry, original: &Message) -> Message {
        let notice = Notice {
            template: &self.services.notice,
            original,
            user: entry.identity.user.as_deref().unwrap_or_default(),
            upstream: &entry.identity.upstream,
            date: entry.when,
            held: entry.id.as_str(),
            filter: &entry.filter,
            reason: &entry.reason,
        };
        notice.message()
    }
}
