//! What a session takes over from earlier ones about messages, and leaves to later ones.

use std::collections::HashMap;
use std::sync::Arc;

use super::job::Filtered;
use super::{Driver, Services};
use crate::message::Message;
use crate::pop3::MessageNumber;
use crate::session::{Event, Fetch, Hint, Seen};
use crate::store::{self, HintKey, Identity};

/// The hints of the user whose session it is.
pub(super) struct Memory {
    identity: Identity,
    filters: [u8; 32],
    hints: HashMap<HintKey, store::Hint>,
    changed: bool,
}

impl Memory {
    /// Leaves to later sessions what this one has found out.
    pub(super) async fn save(self: Box<Self>, services: &Services) {
        if !self.changed {
            return;
        }
        let hints = Arc::clone(&services.hints);
        // A panic in there is reported where it happens; nothing else can go wrong with the task.
        let _ = tokio::task::spawn_blocking(move || hints.save(&self.identity, &self.filters, &self.hints)).await;
    }
}

impl Driver {
    /// Looks up what is known about these messages, which are all that there are.
    pub(super) async fn recall(&mut self, seen: Vec<(MessageNumber, Seen)>) -> Event {
        let identity = self.identity();
        // Nothing is kept of users whom nobody knows.
        if identity.user.is_none() {
            return Event::Recalled(Vec::new());
        }
        let filters = self.selection.fingerprint();
        let hints = Arc::clone(&self.services.hints);
        let owner = identity.clone();
        let loaded = tokio::task::spawn_blocking(move || hints.load(&owner, &filters)).await.unwrap_or_default();
        let keyed = seen.into_iter().map(|(number, seen)| (number, key(&seen)));
        let known: Vec<_> = keyed.filter_map(|(number, key)| Some((number, key, *loaded.get(&key)?))).collect();
        let hints = known.iter().map(|(_, key, hint)| (*key, *hint)).collect();
        self.memory = Some(Box::new(Memory { identity, filters, hints, changed: false }));
        let hint = |hint: store::Hint| Hint { octets: hint.octets, held: hint.held };
        Event::Recalled(known.into_iter().map(|(number, _, known)| (number, hint(known))).collect())
    }

    /// Notes what became of a message.
    pub(super) fn remember(&mut self, fetch: &Fetch, original: &Message, result: &Filtered, octets: u64) {
        let (Some(memory), Some(seen)) = (&mut self.memory, &fetch.seen) else { return };
        let hint = store::Hint { sha256: original.sha256(), octets, held: result.held };
        memory.changed |= memory.hints.insert(key(seen), hint) != Some(hint);
    }

    /// Something that was remembered is wrong: the next session starts anew.
    pub(super) fn forget_all(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.hints.clear();
            memory.changed = true;
        }
    }
}

fn key(seen: &Seen) -> HintKey {
    HintKey::new(&seen.uidl, seen.octets)
}
