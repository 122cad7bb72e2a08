//! What outlives a session: mail in quarantine, which messages filters failed on, hints about messages that are still on their
//! server, what filters remember, by what they can learn mail that is gone, verdicts that are known, and the history of what
//! became of messages.
//!
//! [`State`] and [`Quarantine`] are asynchronous, everything else blocks; asynchronous callers use `spawn_blocking`.

mod folder;
mod hints;
mod poison;
mod quarantine;
#[cfg(feature = "wasm")]
mod state;

pub use hints::{Hint, HintKey, Hints};
pub use poison::{Poison, PoisonKey};
pub use quarantine::{
    Entry, EntryId, Expired, Finding, Identity, NewEntry, OpenError, Original, PutError, Quarantine, Reader,
    ReleaseError,
};
#[cfg(feature = "wasm")]
pub use state::{
    Arrivals, Changes, HashStart, History, Judgement, Label, LearnToken, LearnTokens, Lesson, Owner, PATIENCE, State,
    StateError, Verdicts, Wanted, Write, expiry,
};
