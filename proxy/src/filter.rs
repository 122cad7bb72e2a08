//! Filters as the rest of the program sees them: a message and facts go in, a verdict and edits come out.
//!
//! Knows nothing of WebAssembly, of connections or of where held mail is kept. [`Chain`] runs the configured
//! filters over a message and turns what they say, or how they fail, into one [`Outcome`].

mod breaker;
mod chain;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use breaker::{Breaker, BreakerPolicy};
pub use chain::{
    Chain, Disposition, FilterReport, LearnToken, Link, OnFailure, Only, Outcome, Oversize, Poison, Report, Selection,
    UserPredicate,
};

use crate::message::{Edit, Message};

/// One filter, ready to examine messages.
///
/// Each call is independent of every other: no state of one message may reach the next.
pub trait Filter: Send + Sync {
    /// Examines one message.
    ///
    /// The future may be dropped at any time (a deadline, a client that is gone); the filter then has no effect.
    fn examine(&self, input: Input) -> Pin<Box<dyn Future<Output = Result<Decision, Failure>> + Send + '_>>;

    /// A hash of everything that decides what it does with a message: code, settings, limits. A filter with another one is
    /// another filter, and its failures start anew.
    fn fingerprint(&self) -> [u8; 32];

    /// Whether it may note something about a message, which then is to count once.
    fn remembers(&self) -> bool {
        false
    }

    /// Whether it learns from messages of which people say what they are.
    fn learns(&self) -> bool {
        false
    }

    /// Whether it leaves tokens, by which it learns messages that are gone.
    fn learns_by_token(&self) -> bool {
        false
    }

    /// Learns a message, or forgets it: all of it or nothing, and nothing twice.
    fn learn(&self, _: Lesson) -> Pin<Box<dyn Future<Output = Result<Learned, Failure>> + Send + '_>> {
        Box::pin(async { Err(Failure::Message("does not learn".into())) })
    }
}

/// What people say that a message is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Label {
    /// Mail that nobody wants.
    Spam,
    /// Mail that somebody wants.
    Ham,
}

/// A message to be learned.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// The message; none: it is gone, and the filter knows what it has left of it.
    pub message: Option<Message>,
    /// By what it is known again: the hash of its octets as they came.
    pub id: [u8; 32],
    /// Whose it is.
    pub facts: Arc<Facts>,
    /// What it is; none: it is to be forgotten.
    pub label: Option<Label>,
}

/// What came of a lesson.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Learned {
    /// It was learned, or forgotten.
    New,
    /// It was known, or not known, already.
    Known,
    /// The message is gone, and the filter has left no token of it, or none for this user.
    NoToken,
}

/// What a filter gets.
#[derive(Clone, Debug)]
pub struct Input {
    /// The message as the filters before this one have left it.
    pub message: Message,
    /// What is known about the session and the message.
    pub facts: Arc<Facts>,
    /// What the filters before this one have reported.
    pub findings: Arc<[Finding]>,
}

/// Facts about the session in which a message is fetched.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The login name after rewriting; not known for mechanisms that do not carry one.
    pub user: Option<String>,
    /// The client's address, the PROXY header's where that is trusted.
    pub client: IpAddr,
    /// The name of the listener.
    pub listener: String,
    /// The name of the upstream.
    pub upstream: String,
    /// Whether the client's connection is encrypted.
    pub tls: bool,
    /// The command that asks for the message.
    pub command: FetchCommand,
    /// The upstream's unique id of the message, where the session has seen it.
    pub uidl: Option<String>,
    /// The envelope's sender, where the upstream has told it; `<>` for none.
    pub sdps_sender: Option<String>,
    /// The envelope's recipient, where the upstream has told it.
    pub sdps_recipient: Option<String>,
    /// The same filters have noted something about the message in this session before, and that counts.
    pub examined_before: bool,
}

/// The command that made the proxy fetch a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FetchCommand {
    /// RETR: the client downloads the message.
    Retr,
    /// TOP: the client looks at its beginning.
    Top,
}

impl Facts {
    /// The names that [`Self::by_name`] knows.
    pub const NAMES: &[&str] =
        &["user", "client", "listener", "upstream", "tls", "command", "uidl", "sdps-sender", "sdps-recipient"];

    /// The fact of this name as filters read it; none when the name is unknown or the fact is.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<String> {
        match name {
            "user" => self.user.clone(),
            "client" => Some(self.client.to_string()),
            "listener" => Some(self.listener.clone()),
            "upstream" => Some(self.upstream.clone()),
            "tls" => Some(self.tls.to_string()),
            "command" => Some(match self.command {
                FetchCommand::Retr => "RETR".into(),
                FetchCommand::Top => "TOP".into(),
            }),
            "uidl" => self.uidl.clone(),
            "sdps-sender" => self.sdps_sender.clone(),
            "sdps-recipient" => self.sdps_recipient.clone(),
            _ => None,
        }
    }
}

/// What a filter found out about a message.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Finding {
    /// The configured name of the filter that reported it.
    pub filter: String,
    /// A short name in capitals.
    pub symbol: String,
    /// Spam points; 0 for a finding that is no evidence of spam.
    pub points: f64,
    /// A measured value, for example a probability.
    pub value: Option<f64>,
    /// One line for people.
    pub text: String,
}

/// What a filter wants to be done with the message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Verdict {
    /// Deliver it, with the edits.
    Pass,
    /// Keep it from the client, for this reason (one line for people).
    Hold(String),
}

/// The result of one filter over one message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Decision {
    /// What is to be done.
    pub verdict: Verdict,
    /// What is to be changed, in order; of no effect with a hold.
    pub edits: Vec<Edit>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// By what the filter can learn the message when it is gone.
    pub learn_token: Option<Vec<u8>>,
    /// Whether the filter has noted something about the message, which then is to count once.
    #[serde(skip)]
    pub noted: bool,
}

/// Why a filter could not decide. Whose fault it is decides what happens next.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// Something that the filter needs is out of order: a daemon, a store, the network.
    #[error("{0}")]
    Service(String),
    /// The filter fails on this very message: a trap, a limit, output that is no mail.
    #[error("{0}")]
    Message(String),
}
