//! The client's session as a state machine: events in, effects out.
//!
//! It decides and never waits: no socket, no clock, no task. [`driver`] is the one place that awaits; it executes
//! effects in their order and answers every [`Job`] with the event that belongs to it. Replies leave in the
//! order of the commands because effects do.

mod authorization;
mod capabilities;
pub mod driver;
mod event;
mod exchange;
mod fetch;
mod lazy;
mod login;
mod maildrop;
mod prefetch;
mod preparation;
mod prompt;
mod released;
mod scheme;
mod transaction;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use crate::pop3::{Command, CommandError, LineFault, Secret, Shape, Stamp, Status, line_limit, sasl};

use authorization::Authorization;
pub use capabilities::{Standing, offered_capabilities};
pub use event::{Effect, Event, Job, Purpose};
pub use exchange::Exchange;
pub use fetch::{Announced, Extent, Fetch, FetchPolicy, TopBy};
use lazy::Lazy;
pub use login::Login;
use login::REFUSED;
pub use maildrop::{Hint, Listing, Maildrop, Released, Seen};
use prefetch::Prefetch;
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
    /// Where filters want to see the user's mail; elsewhere nothing of it matters.
    fetch: Lazy<FetchPolicy>,
    phase: Phase,
    /// It has been in its transaction state; what is still to be answered at the end belongs there.
    admitted: bool,
    secure: bool,
    /// Credentials that wait for [`Event::Connected`] or [`Event::Verified`].
    pending: Option<Box<Credentials>>,
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
    maildrop: Lazy<Maildrop>,
    /// Where messages are read ahead.
    prefetch: Option<Box<Prefetch>>,
}

/// The maildrop of a session that has found nothing out about it.
static UNTOUCHED: LazyLock<Maildrop> = LazyLock::new(Maildrop::default);

/// How messages are fetched that nobody looks at.
static UNFILTERED: LazyLock<FetchPolicy> = LazyLock::new(FetchPolicy::default);

type Effects = Vec<Effect>;

impl Session {
    /// A session that has not started.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            secure: policy.implicit_tls,
            policy,
            fetch: Lazy::new(&UNFILTERED),
            phase: Phase::Connecting,
            admitted: false,
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
            maildrop: Lazy::new(&UNTOUCHED),
            prefetch: None,
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
        self.admitted
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
            Event::Stashed { number, wanted, there } => self.stashed(number, wanted, there),
            Event::Discarded(reply) => vec![Effect::Client(reply), Effect::Close],
            Event::Relayed | Event::Sent => Vec::new(),
        };
        let effects = self.behind_prefetch(effects);
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
            Purpose::Capa | Purpose::Mechanisms | Purpose::OwnCapa if status.ok => {
                vec![Effect::Job(Job::Collect(purpose))]
            }
            Purpose::Capa | Purpose::Mechanisms => self.capabilities_are(&purpose, None),
            Purpose::OwnCapa => Vec::new(),
            purpose => self.transaction_replied(purpose, &status),
        }
    }

    fn collected(&mut self, purpose: Purpose, lines: &[Bytes]) -> Effects {
        let list = crate::pop3::Capabilities::parse(lines.iter().map(|line| &line[..]));
        self.pipelining |= list.offers("PIPELINING");
        self.lacks_top = !list.offers("TOP");
        match purpose {
            Purpose::OwnLogin(login) => self.own_login_with(login, &list),
            Purpose::OwnCapa => Vec::new(),
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
fn upstream(line: impl Into<Vec<u8>>) -> Effect {
    Effect::Upstream(Secret::new(line.into()))
}

/// A command to the upstream and the wait for its reply.
fn ask(line: impl Into<Vec<u8>>, purpose: Purpose) -> Effects {
    vec![upstream(line), Effect::Job(Job::Reply(purpose))]
}

/// A command to the upstream whose reply is the client's as it comes.
fn pass(line: impl Into<Vec<u8>>, shape: Shape) -> Effects {
    vec![upstream(line), Effect::Job(Job::Pass(shape))]
}

#[cfg(test)]
mod tests;
