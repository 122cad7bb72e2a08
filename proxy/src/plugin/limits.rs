//! The bounds of one filter on one message: those that the configuration sets, and those that always hold.

use std::time::Duration;

/// Octets that one call of the host hands over or takes.
pub(super) const CHUNK_MAX: usize = 65_536;

/// Octets of the needle of `find`.
pub(super) const NEEDLE_MAX: usize = 1_024;

/// Header fields that one call hands over.
pub(super) const FIELDS_MAX: usize = 256;

/// Parts of which one call tells.
pub(super) const PARTS_MAX: usize = 256;

/// Octets that a guest may pass in one call: the largest legal argument and room for what stands beside it.
/// Slightly too long arguments are answered with a reason, absurd ones end the guest.
pub(super) const ARGUMENTS_MAX: usize = 2 * CHUNK_MAX;

/// The same where there is a state to write to: a batch of keys and values.
pub(super) const STATE_ARGUMENTS_MAX: usize = 2 * 1024 * 1024;

/// Keys of a batch that count as a call of the host.
pub(super) const KEYS_OF_A_CALL: usize = 16;

/// Calls of the host for one message. A message of 10,000 parts of which everything is asked takes a fifth of it.
pub(super) const CALLS_MAX: u32 = 500_000;

/// Contents of parts that are open and not read to the end, at the same time.
pub(super) const CONTENTS_MAX: usize = 256;

/// Handles that a guest may have at the same time, of all kinds: some more than a message has parts at most.
pub(super) const HANDLES_MAX: usize = 20_000;

/// Streams and the like of WASI that a guest may have at the same time.
pub(super) const WASI_HANDLES_MAX: usize = 1_000;

/// Messages up to this size are parsed and searched where the guest runs; larger ones, where a thread may be busy for long.
pub(super) const AT_ONCE_MAX: u64 = 1024 * 1024;

/// What the configuration grants one filter for one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Wall time.
    pub(super) timeout: Duration,
    /// CPU time in the sandbox.
    pub(super) cpu: Duration,
    /// Octets of all linear memories and tables.
    pub(super) memory: u64,
}

/// Why the host has ended a guest in the middle of its work.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Exceeded {
    /// The CPU time is spent.
    #[error("used more than its {} of CPU time", super::text::duration(*.0))]
    Cpu(Duration),
    /// Too many calls.
    #[error("called the host more than {CALLS_MAX} times")]
    Calls,
    /// Too many contents at the same time.
    #[error("has more than {CONTENTS_MAX} contents of parts open and not read to the end")]
    Contents,
    /// A function of the message without a message; the bindings make this impossible.
    #[error("asked for a message where there is none")]
    NoMessage,
}
