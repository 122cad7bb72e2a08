//! What a filter is and what it answers.

use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Message;

/// A mail filter.
///
/// It is configured once, and each message gets a fresh copy of it: what `filter` changes inside the filter is
/// gone with the message. Random numbers, clock readings and `HashMap` seeds that are drawn in `configure` are
/// the same for all messages, so secrets are drawn in `filter`.
pub trait Filter: Sized + 'static {
    /// The settings, `[filter.config]` of the configuration. With serde's `deny_unknown_fields` a misspelt key
    /// is an error that names it. [`NoSettings`] for a filter without any.
    type Settings: DeserializeOwned;

    /// Makes the filter. It can read data files ([`crate::data`]) and write log lines; it must not print.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings; the operator reads it.
    fn configure(settings: Self::Settings) -> Result<Self, String>;

    /// Examines one message. Its edits take effect when the answer is [`Verdict::Pass`].
    ///
    /// # Errors
    ///
    /// Why the filter could not decide; the configuration's `on_error` and `on_poison` say what happens then.
    fn filter(&self, message: &Message) -> Result<Verdict, Failure>;
}

/// The settings of a filter that has none: every key is an error.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// What is to be done with a message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum Verdict {
    /// Deliver it, with the edits.
    Pass,
    /// Keep it from the client, with one line for people that says why: the original goes to quarantine, the
    /// client gets a notice.
    Hold(String),
}

impl Verdict {
    /// Holds the message for this reason, one line for people.
    pub fn hold(reason: impl Into<String>) -> Self {
        Self::Hold(reason.into())
    }
}

/// Why a filter could not decide.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Something that the filter depends on is out of order; the same message may pass later.
    #[error("service: {0}")]
    Service(String),
    /// This message can't be examined.
    #[error("message: {0}")]
    Message(String),
}

/// An edit or a finding that the host refused, with the reason; nothing of it is kept.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub(crate) String);

/// Something is longer than the filter was ready to read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} is longer than {limit} octets")]
pub struct TooLarge {
    /// What is too long, for people.
    pub what: String,
    /// The limit in octets.
    pub limit: usize,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Message(refused.0)
    }
}

impl From<TooLarge> for Failure {
    fn from(fault: TooLarge) -> Self {
        Self::Message(fault.to_string())
    }
}

impl From<TooLarge> for String {
    fn from(fault: TooLarge) -> Self {
        fault.to_string()
    }
}

impl From<io::Error> for Failure {
    fn from(fault: io::Error) -> Self {
        Self::Message(fault.to_string())
    }
}
