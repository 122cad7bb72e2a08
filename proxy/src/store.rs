//! What outlives a session: mail in quarantine, which messages filters failed on, and what became of messages that are
//! still on their server, what filters remember.
//!
//! [`State`] is asynchronous, everything else blocks; asynchronous callers use `spawn_blocking`.

mod folder;
mod hints;
mod poison;
mod quarantine;
#[cfg(feature = "wasm")]
mod state;

pub use hints::{Hint, HintKey, Hints};
pub use poison::{Poison, PoisonKey};
pub use quarantine::{Entry, EntryId, Finding, Identity, NewEntry, Quarantine, ReleaseError};
#[cfg(feature = "wasm")]
pub use state::{Changes, Label, Lesson, Owner, PATIENCE, State, StateError, Write, expiry};
