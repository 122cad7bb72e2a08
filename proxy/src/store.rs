//! What outlives a session: mail in quarantine, and which messages filters failed on.
//!
//! Everything here blocks; asynchronous callers use `spawn_blocking`.

mod folder;
mod poison;
mod quarantine;

pub use poison::{Poison, PoisonKey};
pub use quarantine::{Entry, EntryId, Finding, Identity, NewEntry, Quarantine};
