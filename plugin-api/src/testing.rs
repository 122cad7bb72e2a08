//! A host in memory, for native tests of filters.
//!
//! It answers what the real host answers, refuses what that refuses, and lets the test look at what the filter
//! did. What it cannot show is how the edits look in the mail: `popgate filter --plugin FILE` does that.
//!
//! ```
//! use popgate_plugin::{Finding, Message};
//! use popgate_plugin::testing::Edit;
//!
//! let message = Message::from("From: alice@example.org\nSubject: hello\n\ntext\n")
//!     .with_fact("user", "bob")
//!     .with_finding(Finding::new("SUSPICIOUS", "an earlier filter said so").with_points(2.0));
//! message.remove_header("Subject").unwrap();
//! assert_eq!(message.edits(), [Edit::RemoveHeader { name: "Subject".into() }]);
//! ```

pub(crate) mod host;
mod mime;
pub(crate) mod state;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use crate::{Failure, Filter, Finding, Label, Learning, LearningByToken, Message, Verdict, settings};

pub use state::{commit, discard, set_state_problem, set_state_user};

/// An edit that a filter asked for and the host accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Edit {
    /// A header field was added in front of all others.
    AddHeader {
        /// Its name.
        name: String,
        /// Its value, neither encoded nor folded.
        value: String,
    },
    /// A header field got a new value.
    SetHeader {
        /// Its name.
        name: String,
        /// Its value, neither encoded nor folded.
        value: String,
    },
    /// All header fields of a name were removed.
    RemoveHeader {
        /// Their name.
        name: String,
    },
    /// A text took the place of a part.
    ReplacePart {
        /// The part's position.
        index: u32,
        /// The text.
        text: String,
    },
    /// The text of a part was changed in places.
    EditText {
        /// The part's position.
        index: u32,
        /// The text as it is to be, in UTF-8.
        text: String,
    },
    /// A part was removed.
    RemovePart {
        /// The part's position.
        index: u32,
    },
    /// A new message took the place of the one that came.
    Replace {
        /// What has been written of it.
        message: Vec<u8>,
    },
}

/// One line, as tests like to compare it: `set Subject: hello`, `replace part 2`.
impl fmt::Display for Edit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddHeader { name, value } => write!(formatter, "add {name}: {value}"),
            Self::SetHeader { name, value } => write!(formatter, "set {name}: {value}"),
            Self::RemoveHeader { name } => write!(formatter, "remove {name}"),
            Self::ReplacePart { index, .. } => write!(formatter, "replace part {index}"),
            Self::EditText { index, .. } => write!(formatter, "edit text of part {index}"),
            Self::RemovePart { index } => write!(formatter, "remove part {index}"),
            Self::Replace { message } => write!(formatter, "replace message by {} octets", message.len()),
        }
    }
}

thread_local! {
    static DATA: RefCell<BTreeMap<String, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Makes a filter of its settings, a JSON object (a text or a `serde_json::Value`), as the host does it.
///
/// # Errors
///
/// What the operator would read.
pub fn configure<F: Filter>(json: impl fmt::Display) -> Result<F, String> {
    F::configure(settings::parse(&json.to_string())?)
}

/// Has a filter examine a message as the host does it: what it writes to its state takes effect with a verdict alone.
///
/// # Errors
///
/// The filter's failure.
pub fn examine(filter: &impl Filter, message: &Message) -> Result<Verdict, Failure> {
    settled(filter.filter(message))
}

/// Has a filter learn a message as the host does it: what it writes to its state takes effect if it does not fail.
///
/// # Errors
///
/// The filter's failure.
pub fn learn(filter: &impl Learning, message: &Message, label: Label) -> Result<(), Failure> {
    settled(filter.learn(message, label))
}

/// Has a filter forget a message as the host does it.
///
/// # Errors
///
/// The filter's failure.
pub fn forget(filter: &impl Learning, message: &Message, label: Label) -> Result<(), Failure> {
    settled(filter.forget(message, label))
}

/// Has a filter learn the message of a token, for this user, as the host does it.
///
/// # Errors
///
/// The filter's failure.
pub fn learn_token(
    filter: &impl LearningByToken,
    token: &[u8],
    user: Option<&str>,
    label: Label,
) -> Result<(), Failure> {
    settled(filter.learn_token(token, user, label))
}

/// Has a filter forget the message of a token as the host does it.
///
/// # Errors
///
/// The filter's failure.
pub fn forget_token(
    filter: &impl LearningByToken,
    token: &[u8],
    user: Option<&str>,
    label: Label,
) -> Result<(), Failure> {
    settled(filter.forget_token(token, user, label))
}

fn settled<T>(answer: Result<T, Failure>) -> Result<T, Failure> {
    if answer.is_ok() {
        commit();
    } else {
        discard();
    }
    answer
}

/// Gives filters in this thread a data file.
pub fn set_data(name: &str, content: impl Into<Vec<u8>>) {
    DATA.with_borrow_mut(|data| data.insert(name.to_owned(), content.into()));
}

/// The lines that filters in this thread have logged, each with its level: `warn: no signatures`.
#[must_use]
pub fn log_lines() -> Vec<String> {
    LOG.with_borrow(Clone::clone)
}

/// A message for a test. Bare LF becomes CRLF, so that it can be written as a Rust string; from octets it is
/// taken as it is.
impl From<&str> for Message {
    fn from(text: &str) -> Self {
        text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes().into()
    }
}

/// A message for a test, taken as it is.
impl From<&[u8]> for Message {
    fn from(octets: &[u8]) -> Self {
        octets.to_vec().into()
    }
}

/// A message for a test, taken as it is.
impl From<Vec<u8>> for Message {
    fn from(octets: Vec<u8>) -> Self {
        Self { host: host::Message::new(octets) }
    }
}

/// What a test does with a message; only in native builds.
impl Message {
    /// Sets a fact, for example `user`.
    #[must_use]
    pub fn with_fact(mut self, name: &str, value: &str) -> Self {
        self.host.facts.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds a finding of an earlier filter.
    #[must_use]
    pub fn with_finding(mut self, finding: Finding) -> Self {
        self.host.findings.push(finding);
        self
    }

    /// The edits that the filter under test has made, in their order; also those that a `Hold` would discard.
    #[must_use]
    pub fn edits(&self) -> Vec<Edit> {
        self.host.edits.borrow().clone()
    }

    /// What the filter under test has reported.
    #[must_use]
    pub fn reported(&self) -> Vec<Finding> {
        self.host.reported.borrow().clone()
    }

    /// The token that the filter under test has left; also one that a failure would discard.
    #[must_use]
    pub fn learn_token(&self) -> Option<Vec<u8>> {
        self.host.learn_token.borrow().clone()
    }
}
