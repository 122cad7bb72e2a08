//! What goes into the session's state machine, and what comes out of it.

use bytes::Bytes;

use super::{Exchange, Extent, Fetch, FetchPolicy, Hint, Listing, Login, Scheme, Seen};
use crate::pop3::{Command, LineFault, MessageNumber, Secret, Shape, Status};

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// The client is there (behind implicit TLS: after the handshake).
    Start,
    /// A line of the client, without CRLF, or what was wrong with it.
    Line(Result<Bytes, LineFault>),
    /// The upstream has greeted; the login name is there where one was given to route by.
    Connected {
        /// The status line that the upstream greets with.
        greeting: Status,
        /// The login name for it.
        user: Option<Vec<u8>>,
        /// Whether a timestamp in the greeting stays there for APOP.
        apop: bool,
        /// How to log in.
        scheme: Scheme,
    },
    /// There is no upstream.
    NotConnected {
        /// The reply for the client.
        reply: String,
        /// It is the credential's fault.
        refused: bool,
    },
    /// The client's TLS handshake is done.
    Secured,
    /// The client has shown a trusted certificate of this user.
    Certified(Vec<u8>),
    /// Whether a password was found right.
    Verified(bool),
    /// The login is accepted by the proxy too.
    Admitted(FetchPolicy),
    /// The login is refused by the proxy: the reply for the client.
    NotAdmitted(String),
    /// The delay of a refused credential is over.
    Penalized {
        /// The reply for the client.
        reply: Bytes,
        /// The connection ends with it.
        last: bool,
    },
    /// The upstream's line that answers a command, without CRLF.
    Reply(Purpose, Bytes),
    /// The lines of a multi-line reply, without CRLF and dot-stuffing.
    Collected(Purpose, Vec<Bytes>),
    /// Everything before this command is done.
    Turn(Command),
    /// A reply has been passed on.
    Relayed,
    /// A list has been read through.
    Listed(Listing),
    /// A message has been fetched, filtered and sent.
    Fetched {
        /// Its number.
        number: MessageNumber,
        /// The octets that RETR sends for it.
        size: u64,
        /// It can be answered from memory from now on.
        kept: bool,
    },
    /// A message has been sent from what is kept.
    Sent,
    /// What earlier sessions have found out.
    Recalled(Vec<(MessageNumber, Hint)>),
    /// A message has been read ahead: the octets that RETR sends, and whether it is kept; none if it can't be examined.
    ReadAhead(MessageNumber, Option<(u64, bool)>),
    /// The top of a message has been looked at: the client has its answer, or the whole is needed.
    Peeked(MessageNumber, bool),
    /// A message has been read ahead of the client.
    Stashed {
        /// Its number.
        number: MessageNumber,
        /// Whether it was to be kept.
        wanted: bool,
        /// Whether it is.
        there: bool,
    },
    /// Released messages are gone, or not: the reply to QUIT.
    Discarded(Bytes),
    /// A message is not to be had now: the reply for the client.
    NotFetched(String),
}

/// What the driver has to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send this to the client.
    Client(Bytes),
    /// Send this line to the upstream, at once; CRLF is added.
    Upstream(Secret),
    /// Do this and answer with its event before anything behind it.
    Job(Job),
    /// Tell the operator.
    Warn(&'static str),
    /// Drop this message that was read ahead of the client; all of them, if none is named.
    Forget(Option<MessageNumber>),
    /// End the session after what was sent: the client's connection, and the upstream's without QUIT.
    Close,
    /// The upstream is out of step: break the session off.
    Broken(&'static str),
}

/// Something that takes time.
#[derive(Debug)]
pub enum Job {
    /// Connect to the upstream, the fixed one or the user's: [`Event::Connected`] or [`Event::NotConnected`].
    Connect(Option<Vec<u8>>),
    /// Drop the connection to the upstream; no event.
    Disconnect,
    /// Do the TLS handshake with the client: [`Event::Secured`].
    Handshake,
    /// Compare a password with the one that the proxy knows for the user: [`Event::Verified`].
    Verify {
        /// The login name.
        user: Vec<u8>,
        /// What was given as the password.
        password: Secret,
    },
    /// Check the limits for this user and choose the filters: [`Event::Admitted`] or [`Event::NotAdmitted`].
    Admit(Option<Vec<u8>>),
    /// Wait as long as a refused credential has to: [`Event::Penalized`].
    Penalize(Bytes),
    /// Nothing: this command waits for all before it: [`Event::Turn`].
    Turn(Command),
    /// Read a line of the upstream: [`Event::Reply`].
    Reply(Purpose),
    /// Read the lines of a short multi-line reply: [`Event::Collected`].
    Collect(Purpose),
    /// Pass the reply that answers a command on as it is: [`Event::Relayed`].
    Pass(Shape),
    /// Read the lines of a list one by one, see [`super::Session::list_line`]: [`Event::Listed`].
    List(Listing),
    /// Read a message, filter it, send it: [`Event::Fetched`] or [`Event::NotFetched`].
    Fetch(Fetch),
    /// Send a message that is kept: [`Event::Sent`].
    Kept(MessageNumber, Extent),
    /// Send a released message by its id: [`Event::Sent`] or [`Event::NotFetched`].
    Released(String, Extent),
    /// Look up what is known about messages: [`Event::Recalled`].
    Recall(Vec<(MessageNumber, Seen)>),
    /// Read a message, filter it and send nothing: [`Event::ReadAhead`].
    Ahead(Fetch),
    /// Read the top of a message, filter its header block, send it: [`Event::Peeked`].
    Peek(Fetch),
    /// Read a message for later, to be kept or not: [`Event::Stashed`].
    Stash {
        /// Its number.
        number: MessageNumber,
        /// Whether the client may still ask for it.
        keep: bool,
    },
    /// Filter and send a message that was read ahead: [`Event::Fetched`], [`Event::Sent`] or [`Event::NotFetched`].
    Stashed(Fetch),
    /// Take these released messages off the list for good; this is the reply if it succeeds: [`Event::Discarded`].
    Discard {
        /// Their ids.
        ids: Vec<String>,
        /// The upstream's reply to QUIT.
        reply: Bytes,
    },
}

impl Job {
    /// True if it reads the lines behind a status line of the upstream.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        let short = matches!(self, Self::Collect(_) | Self::List(_));
        short || matches!(self, Self::Fetch(_) | Self::Ahead(_) | Self::Peek(_) | Self::Stash { .. })
    }
}

/// Why a reply is awaited.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// USER with this name, relayed.
    User(Vec<u8>),
    /// STLS for both connections.
    Stls,
    /// PASS or APOP for this user, relayed.
    Login(Vec<u8>),
    /// A step of a relayed SASL exchange.
    Auth(Exchange),
    /// A login that the proxy itself carries out.
    OwnLogin(Login),
    /// CAPA for the client's CAPA.
    Capa,
    /// CAPA for the client's AUTH without mechanism.
    Mechanisms,
    /// LIST or UIDL without argument, LIST in the place of STAT.
    List(Listing),
    /// LIST of one message.
    ListOne(MessageNumber),
    /// UIDL of one message.
    UidlOne(MessageNumber),
    /// RETR or TOP of a message that filters want to see.
    Fetch(Fetch),
    /// TOP of a message of which filters want to see the header block.
    Peek(Fetch),
    /// TOP or RETR of a message whose size is to be known.
    Ahead(Fetch),
    /// CAPA for the proxy itself, after the login.
    OwnCapa,
    /// RETR of a message that the client has not asked for yet.
    Stash {
        /// Its number.
        number: MessageNumber,
        /// Whether it is still wanted.
        keep: bool,
    },
    /// LIST of a message whose top is wanted.
    Weigh(MessageNumber),
    /// DELE.
    Dele(MessageNumber),
    /// LAST, where numbers are not the upstream's.
    Last,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

impl Purpose {
    /// Whether the reply may be a challenge, which may be longer than others.
    #[must_use]
    pub fn is_exchange(&self) -> bool {
        matches!(self, Self::Auth(_) | Self::OwnLogin(_))
    }
}
