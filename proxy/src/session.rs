//! The client's session as a state machine: events in, effects out.
//!
//! It decides and never waits: no socket, no clock, no task. [`driver`] is the one place that awaits; it executes
//! effects in their order and answers every [`Job`] with the event that belongs to it. Replies leave in the
//! order of the commands because effects do.

mod authorization;
mod capabilities;
pub mod driver;
mod exchange;
mod fetch;
mod login;
mod maildrop;
mod preparation;
mod prompt;
mod released;
mod scheme;
mod transaction;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::pop3::{Command, CommandError, LineFault, MessageNumber, Secret, Stamp, Status, line_limit, sasl};

use authorization::Authorization;
pub use capabilities::{Standing, offered_capabilities};
pub use exchange::Exchange;
pub use fetch::{Announced, Extent, Fetch, FetchPolicy, TopBy};
pub use login::Login;
use login::REFUSED;
pub use maildrop::{Hint, Listing, Maildrop, Released, Seen};
use preparation::Deferred;
pub use prompt::{Credentials, Prompt};
pub use scheme::{Master, Scheme};

/// How many commands may be under way towards an upstream that announces PIPELINING (RFC 2449 section 6.6).
const WINDOW: usize = 16;
/// How many malformed, unknown or misplaced commands end a session before login.
const BAD_BEFORE_LOGIN: u32 = 5;
/// How many refused credentials end a session.
const REFUSALS: u32 = 5;

/// What a session is told at its start and keeps to.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The client's address.
    pub client: IpAddr,
    /// Whether the client's connection is encrypted from its first octet.
    pub implicit_tls: bool,
    /// Whether STLS is offered.
    pub stls: bool,
    /// Whether no login is accepted without encryption, wherever it comes from.
    pub encryption_required: bool,
    /// Whether passwords are accepted over an unencrypted connection that is not loopback.
    pub allow_cleartext: bool,
    /// Whether the upstream is connected to, and greets, before the user is known.
    pub fixed_upstream: bool,
    /// Whether a Kerberos exchange comes first, which proves to the upstream who the client is.
    pub kpop: bool,
    /// The SASL mechanisms that are offered where it is not.
    pub sasl: Arc<[&'static str]>,
    /// Whether STLS is the upstream's to grant, whose connection is encrypted with the client's.
    pub passes_stls: bool,
    /// How many bad commands end a session after login.
    pub bad_commands: u32,
}

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
    /// A multi-line reply has been passed on.
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
    /// Pass the lines of a multi-line reply on as they are: [`Event::Relayed`].
    Relay,
    /// Read the lines of a list one by one, see [`Session::list_line`]: [`Event::Listed`].
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
        matches!(self, Self::Collect(_) | Self::Relay | Self::List(_) | Self::Fetch(_) | Self::Ahead(_) | Self::Peek(_))
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
    /// A command whose reply of one line is passed on.
    Single,
    /// A command whose reply of many lines is passed on.
    Multi,
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

/// Where the session stands.
#[derive(Debug)]
enum Phase {
    /// A fixed upstream has not greeted yet.
    Connecting,
    /// RFC 1939 section 4.
    Authorization(Authorization),
    /// The client's next line belongs to a SASL exchange with the upstream.
    Exchange(Exchange),
    /// The client's next line answers a prompt of the proxy's own.
    Prompt(Prompt),
    /// Credentials are on their way; nothing is expected of the client.
    LoggingIn,
    /// RFC 1939 section 5.
    Transaction,
    /// Nothing more is expected of the client.
    Closing,
}

/// A client's session.
#[derive(Debug)]
pub struct Session {
    policy: Policy,
    fetch: FetchPolicy,
    phase: Phase,
    secure: bool,
    /// Credentials that wait for [`Event::Connected`] or [`Event::Verified`].
    pending: Option<Credentials>,
    /// The reply to the login that waits for [`Event::Admitted`].
    welcome: Bytes,
    /// The upstream's greeting has a timestamp for APOP of the client's own.
    apop: bool,
    /// How to log in at the upstream.
    scheme: Scheme,
    /// The timestamp for APOP of the proxy's own.
    stamp: Option<Stamp>,
    /// The user of the client's certificate.
    certificate: Option<Box<[u8]>>,
    pipelining: bool,
    /// Whether the upstream has listed its capabilities without TOP.
    lacks_top: bool,
    /// The login may have negotiated a security layer, and nothing was said since.
    layer: bool,
    /// Jobs without their event.
    running: usize,
    deferred: Deferred,
    bad: u32,
    refusals: u32,
    maildrop: Maildrop,
}

type Effects = Vec<Effect>;

impl Session {
    /// A session that has not started.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            secure: policy.implicit_tls,
            policy,
            fetch: FetchPolicy::default(),
            phase: Phase::Connecting,
            pending: None,
            welcome: Bytes::new(),
            apop: false,
            scheme: Scheme::default(),
            stamp: None,
            certificate: None,
            pipelining: false,
            lacks_top: false,
            layer: false,
            running: 0,
            deferred: Deferred::Nothing,
            bad: 0,
            refusals: 0,
            maildrop: Maildrop::default(),
        }
    }

    /// True if the client's next line may be read and handed over.
    #[must_use]
    pub fn takes_line(&self) -> bool {
        let free = match self.phase {
            Phase::Connecting | Phase::LoggingIn | Phase::Closing => false,
            // Before login one command is outstanding: some servers lose what is pipelined behind PASS.
            Phase::Authorization(_) | Phase::Exchange(_) | Phase::Prompt(_) => self.running == 0,
            Phase::Transaction => self.running < if self.pipelining { WINDOW } else { 1 },
        };
        free && self.deferred == Deferred::Nothing
    }

    /// The longest line that may come next, given how it starts; in octets, CRLF included.
    #[must_use]
    pub fn line_limit(&self, start: &[u8]) -> usize {
        match self.phase {
            Phase::Exchange(_) | Phase::Prompt(_) => sasl::MAX_TOKEN + 2,
            _ => line_limit(start),
        }
    }

    /// True from the login on.
    #[must_use]
    pub fn logged_in(&self) -> bool {
        matches!(self.phase, Phase::Transaction)
    }

    /// One line of a list that is being read: what the client gets for it.
    pub fn list_line(&mut self, listing: &mut Listing, line: Bytes) -> Option<Bytes> {
        self.maildrop.list_line(listing, line)
    }

    /// What the client gets behind the last line of a list.
    pub fn last_lines(&self, listing: &mut Listing) -> Vec<Bytes> {
        self.maildrop.last_lines(listing)
    }

    /// Takes an event in and says what is to be done.
    pub fn on(&mut self, event: Event) -> Effects {
        if !matches!(event, Event::Start | Event::Line(_) | Event::Certified(_)) {
            self.running = self.running.saturating_sub(1);
        }
        let effects = match event {
            Event::Start => self.start(),
            Event::Line(Ok(line)) => self.line(&line),
            Event::Line(Err(fault)) => self.line_fault(fault),
            Event::Connected { greeting, user, apop, scheme } => {
                self.scheme = scheme;
                self.connected(&greeting, user, apop)
            }
            Event::NotConnected { reply, refused } => self.not_connected(reply, refused),
            Event::Secured => self.secured(),
            Event::Certified(user) => {
                self.certificate = Some(user.into());
                Vec::new()
            }
            Event::Verified(right) => self.verified(right),
            Event::Admitted(fetch) => self.admitted(fetch),
            Event::NotAdmitted(reply) => self.last_words(reply),
            Event::Turn(command) => self.turn(command),
            Event::Penalized { reply, last } => self.penalized(reply, last),
            Event::Reply(purpose, line) => self.reply(purpose, line),
            Event::Collected(purpose, lines) => self.collected(purpose, &lines),
            Event::Listed(listing) => self.listed(listing),
            Event::Fetched { number, size, kept } => self.fetched(number, size, kept),
            Event::NotFetched(reply) => vec![client(reply)],
            Event::Recalled(hints) => self.recalled(&hints),
            Event::ReadAhead(number, size) => self.read_ahead_is(number, size),
            Event::Peeked(number, answered) => self.peeked(number, answered),
            Event::Discarded(reply) => vec![Effect::Client(reply), Effect::Close],
            Event::Relayed | Event::Sent => Vec::new(),
        };
        let jobs =
            effects.iter().filter(|effect| matches!(effect, Effect::Job(job) if !matches!(job, Job::Disconnect)));
        self.running += jobs.count();
        effects
    }

    fn start(&mut self) -> Effects {
        if self.policy.fixed_upstream {
            return vec![Effect::Job(Job::Connect(None))];
        }
        self.phase = Phase::Authorization(Authorization::default());
        vec![client("+OK POP3 ready")]
    }

    fn line(&mut self, line: &[u8]) -> Effects {
        self.layer = false;
        match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::Exchange(exchange) => self.exchange_line(exchange, line),
            Phase::Prompt(prompt) => self.prompt_line(prompt, line),
            phase => {
                self.phase = phase;
                match Command::parse(line) {
                    Ok(command) if self.logged_in() => self.transaction(command),
                    Ok(command) => self.authorization(command),
                    Err(error) => self.bad_command(&error),
                }
            }
        }
    }

    fn line_fault(&mut self, fault: LineFault) -> Effects {
        match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::Exchange(_) | Phase::Prompt(_) if fault == LineFault::TooLong => {
                self.last_words(format!("-ERR {fault}"))
            }
            // The server waits for a response: the one that can't be forwarded becomes a cancellation.
            Phase::Exchange(exchange) => self.exchange_line(exchange, b"*"),
            Phase::Prompt(prompt) => self.prompt_line(prompt, b"*"),
            phase => {
                self.phase = phase;
                self.bad(fault.to_string())
            }
        }
    }

    fn bad_command(&mut self, error: &CommandError) -> Effects {
        self.bad(error.to_string())
    }

    /// Answers a command that is the client's fault, and ends the session when there were too many.
    fn bad(&mut self, text: String) -> Effects {
        self.bad += 1;
        let limit = if self.logged_in() { self.policy.bad_commands } else { BAD_BEFORE_LOGIN };
        if self.bad >= limit {
            return self.last_words(format!("-ERR {text}; too many bad commands"));
        }
        vec![client(format!("-ERR {text}"))]
    }

    fn last_words(&mut self, reply: String) -> Effects {
        self.phase = Phase::Closing;
        vec![client(reply), Effect::Close]
    }

    fn reply(&mut self, purpose: Purpose, line: Bytes) -> Effects {
        let (accepted, asked) = (line.starts_with(b"+OK"), line.starts_with(b"+"));
        let purpose = match purpose {
            Purpose::Auth(exchange) if asked && (!accepted || exchange.waits_for_a_response()) => {
                return self.challenge(exchange, &line);
            }
            Purpose::OwnLogin(login) if asked && !accepted => return self.own_challenge(login),
            purpose => purpose,
        };
        let Ok(status) = Status::parse(line) else {
            self.phase = Phase::Closing;
            return vec![Effect::Broken("a reply that is neither +OK nor -ERR")];
        };
        match purpose {
            Purpose::User(name) => self.user_replied(name, &status),
            Purpose::Stls => self.stls_replied(&status),
            Purpose::Login(user) => self.login_replied(Some(user), &status, true),
            Purpose::Auth(exchange) => self.exchange_replied(exchange, &status),
            Purpose::OwnLogin(login) => self.own_login_replied(login, &status),
            Purpose::Capa | Purpose::Mechanisms if status.ok => vec![Effect::Job(Job::Collect(purpose))],
            Purpose::Capa | Purpose::Mechanisms => self.capabilities_are(&purpose, None),
            purpose => self.transaction_replied(purpose, &status),
        }
    }

    fn collected(&mut self, purpose: Purpose, lines: &[Bytes]) -> Effects {
        let list = crate::pop3::Capabilities::parse(lines.iter().map(|line| &line[..]));
        self.pipelining |= list.offers("PIPELINING");
        self.lacks_top = !list.offers("TOP");
        match purpose {
            Purpose::OwnLogin(login) => self.own_login_with(login, &list),
            purpose => self.capabilities_are(&purpose, Some(list)),
        }
    }
}

/// A reply of the proxy's own; CRLF is added.
fn client(reply: impl Into<String>) -> Effect {
    let mut line: String = reply.into();
    line.push_str("\r\n");
    Effect::Client(line.into())
}

/// A line to the upstream.
fn upstream(line: impl AsRef<[u8]>) -> Effect {
    Effect::Upstream(Secret::new(line.as_ref().to_vec()))
}

/// A command to the upstream and the wait for its reply.
fn ask(line: impl AsRef<[u8]>, purpose: Purpose) -> Effects {
    vec![upstream(line), Effect::Job(Job::Reply(purpose))]
}

#[cfg(test)]
mod tests;
