//! A login that the upstream has accepted: limits, filters, and what waits for the user.

use tracing::{Span, debug, error};

use super::Driver;
use crate::session::{Event, FetchPolicy, Released, TopBy};
use crate::store::Entry;
use crate::upstream::{Held, Sizes, Top, TopFetch};

impl Driver {
    /// Checks the user's limits, chooses the filters, and looks for released messages.
    pub(super) async fn admit(&mut self, user: Option<Vec<u8>>) -> Event {
        let name = user.as_deref().map(String::from_utf8_lossy);
        let upstream = self.server_name().to_owned();
        if let Some(name) = &name {
            match self.services.users.admit(&format!("{upstream}/{name}")) {
                Some(permit) => self.permit = Some(permit),
                None => return Event::NotAdmitted("-ERR [SYS/TEMP] too many connections of this user".into()),
            }
        }
        let rules = self.rules();
        self.selection = self.services.chain.select(name.as_deref(), &self.listener, rules.trust_headers);
        let span = Span::current();
        span.record("user", name.as_deref());
        span.record("upstream", &upstream);
        debug!("logged in");
        if let Some(upstream) = &mut self.upstream {
            upstream.authenticated();
        }
        self.user = user;
        let released = self.released_to_user().await;
        Event::Admitted(FetchPolicy {
            filtered: !self.selection.is_empty(),
            top_by: match rules.top_fetch {
                TopFetch::Top => TopBy::Top,
                TopFetch::Retr => TopBy::Retr,
                TopFetch::Auto => TopBy::Either,
            },
            top_of_headers: rules.top == Top::Headers,
            top_max_size: rules.top_max_size,
            retr_once: rules.retr_once,
            read_ahead: (rules.read_ahead, rules.read_ahead_bytes),
            sdps: rules.sdps,
            exact: rules.sizes == Sizes::Exact,
            hide: rules.held == Held::Hide,
            released,
        })
    }

    /// What was released to the user, as it is now: what comes later is for the next session.
    async fn released_to_user(&self) -> Vec<Released> {
        let (quarantine, identity) = (&self.services.quarantine, self.identity());
        if identity.user.is_none() {
            return Vec::new();
        }
        match quarantine.released(&identity).await {
            Ok(released) => {
                let octets = |entry: &Entry| Released { id: entry.id.to_string(), octets: entry.octets() };
                released.iter().map(octets).collect()
            }
            Err(error) => {
                error!(%error, "released messages are not shown: the quarantine can't be read");
                Vec::new()
            }
        }
    }
}
