//! How messages are fetched, and which one is under way.

use std::sync::Arc;

use bytes::Bytes;

use super::maildrop::{Released, Seen};
use crate::pop3::{Envelope, MessageNumber};

/// By which command the whole message is fetched when a client asks for its top.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TopBy {
    /// TOP with all lines, which no server counts as a delivery.
    Top,
    /// RETR.
    Retr,
    /// TOP, and RETR where the upstream lists its capabilities without TOP.
    #[default]
    Either,
}

/// How messages of an upstream are fetched, and what the client sees of its maildrop; known once the upstream is.
#[derive(Clone, Debug, Default)]
pub struct FetchPolicy {
    /// Whether a filter wants to see this user's mail.
    pub filtered: bool,
    /// How a message is fetched for TOP.
    pub top_by: TopBy,
    /// Filters see no more than the header block when a client asks for the top of a message.
    pub top_of_headers: bool,
    /// They see no more of messages that LIST says have more octets.
    pub top_max_size: Option<u64>,
    /// Answer RETR of what TOP has fetched without asking again.
    pub retr_once: bool,
    /// The upstream tells envelopes.
    pub sdps: bool,
    /// How many messages are read ahead of the client, and how many octets of them; none: 0.
    pub read_ahead: (usize, u64),
    /// STAT and LIST tell what RETR will send.
    pub exact: bool,
    /// Messages that were held in earlier sessions are not there for the client.
    pub hide: bool,
    /// Messages that stand behind the upstream's.
    pub released: Vec<Released>,
}

/// A message under way.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// Its number.
    pub number: MessageNumber,
    /// How much of it the client wants.
    pub extent: Extent,
    /// The upstream's unique id of it, where the session has seen it.
    pub uidl: Option<Bytes>,
    /// As what it can be known again in later sessions.
    pub seen: Option<Seen>,
    /// What the client was told of its size, where it may rely on that.
    pub announced: Option<Announced>,
    /// Its envelope, where the upstream has told it.
    pub envelope: Option<Arc<Envelope>>,
}

/// What a client was told of a message's size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Announced {
    /// The octets that RETR was to send.
    pub octets: u64,
    /// They are those of the filtered message, not the upstream's because it could not be examined.
    pub examined: bool,
}

/// How much of a message the client wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extent {
    /// RETR: all of it.
    Whole,
    /// TOP: the headers and this many lines of the body.
    Top(u64),
}
