//! What must hold of a session, whatever is said to it.

use std::collections::VecDeque;

use popgate::pop3::{Capabilities, Command, State};
use popgate::session::{Effect, Event, Job, Policy, Scheme};

use super::client::Said;
use super::reads_upstream;
use crate::reply::assert_clean;

/// How many commands may be under way towards an upstream that announces PIPELINING.
const WINDOW: usize = 16;

/// A line that the client has said; the first one stands for its arrival.
#[derive(Default)]
struct Line {
    /// None where the line was at fault.
    octets: Option<Vec<u8>>,
    /// It answers a challenge, so it is no command.
    response: bool,
    command: Option<Command>,
    answered: bool,
    /// Said before the login.
    before_login: bool,
}

/// A command on its way upstream.
struct Sent {
    serial: usize,
    line: usize,
    /// In capitals; a response has none. AUTH that leaves the upstream nothing to decide on yet has a `?`.
    verb: String,
}

pub(super) struct Rules {
    policy: Policy,
    lines: Vec<Line>,
    pending: VecDeque<Sent>,
    /// The lines that the commands sent so far were due to.
    owners: Vec<usize>,
    /// The verb that the reply at hand answers.
    replied: String,
    secure: bool,
    connected: bool,
    logged_in: bool,
    pipelining: bool,
    /// The client's message numbers need not be the upstream's.
    renumbers: bool,
    /// The client was sent a challenge.
    challenged: bool,
    /// The upstream has sent one.
    upstream_waits: bool,
    /// It has said `+OK` where it can only mean `+`.
    means_plus: bool,
    /// The proxy logs in by other means than the client.
    scheme: Scheme,
    /// The password was found right, or a certificate was shown.
    vouched: bool,
    certified: bool,
    /// The upstream has accepted a user, who may now send a password.
    user: bool,
    /// The upstream has accepted a credential.
    accepted: bool,
    quit: bool,
}

impl Rules {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            secure: policy.implicit_tls,
            policy,
            lines: vec![Line { before_login: true, ..Line::default() }],
            pending: VecDeque::new(),
            owners: Vec::new(),
            replied: String::new(),
            connected: false,
            logged_in: false,
            pipelining: false,
            renumbers: false,
            challenged: false,
            upstream_waits: false,
            means_plus: false,
            scheme: Scheme::Relay,
            vouched: false,
            certified: false,
            user: false,
            accepted: false,
            quit: false,
        }
    }

    /// The client says a line; gives its number.
    pub(super) fn said(&mut self, said: &Said) -> usize {
        let response = std::mem::take(&mut self.challenged);
        let octets = said.line.as_ref().ok().map(|line| line.to_vec());
        let command = octets.as_deref().filter(|_| !response).and_then(|line| Command::parse(line).ok());
        self.lines.push(Line { octets, response, command, answered: false, before_login: !self.logged_in });
        self.lines.len() - 1
    }

    /// The client has shown a certificate.
    pub(super) fn certified(&mut self) {
        self.certified = true;
    }

    /// The proxy carries logins out by itself.
    fn logs_in(&self) -> bool {
        !self.policy.fixed_upstream || !matches!(self.scheme, Scheme::Relay)
    }

    /// The session hears of this.
    pub(super) fn happens(&mut self, event: &Event) {
        self.accepted = false;
        match event {
            Event::Connected { scheme, .. } => {
                self.connected = true;
                self.scheme = scheme.clone();
                self.vouched = false;
            }
            Event::Verified(right) => self.vouched = *right,
            Event::Secured => {
                self.secure = true;
                self.user = false;
            }
            Event::Admitted(fetch) => {
                self.logged_in = true;
                self.upstream_waits = false;
                self.renumbers = fetch.filtered && fetch.hide || !fetch.released.is_empty();
            }
            Event::Collected(_, lines) => {
                self.pipelining |= Capabilities::parse(lines.iter().map(|line| &line[..])).offers("PIPELINING");
            }
            Event::Reply(_, line) => {
                let ok = line.starts_with(b"+OK");
                self.means_plus = ok && self.replied == "AUTH?";
                // A response of the proxy's own may have been the first of two.
                let more = self.replied.is_empty() && self.logs_in() && !self.logged_in;
                self.upstream_waits = line.starts_with(b"+") && (!ok || self.means_plus || more);
                self.user |= ok && self.replied == "USER";
                self.accepted = ok && matches!(self.replied.as_str(), "PASS" | "APOP" | "AUTH" | "");
            }
            _ => {}
        }
    }

    /// The session wants this to be done in its turn.
    pub(super) fn due(&mut self, effect: &Effect) {
        match effect {
            Effect::Client(octets) => {
                let means_plus = std::mem::take(&mut self.means_plus);
                self.challenged = octets.starts_with(b"+") && (means_plus || !octets.starts_with(b"+OK"));
            }
            Effect::Job(Job::Admit(_)) => assert!(self.accepted, "let in without the upstream's consent"),
            Effect::Job(Job::Connect(user)) => {
                assert_eq!(user.is_none(), self.policy.fixed_upstream);
                assert!(user.is_none() || self.may_log_in(), "a credential in clear");
            }
            _ => {}
        }
    }

    /// The session sends this line, due to that one of the client's; so many jobs are before it.
    pub(super) fn sent(&mut self, sent: &[u8], line: usize, before: usize) {
        let shown = sent.escape_ascii().to_string();
        assert!(!sent.iter().any(|octet| b"\r\n\0".contains(octet)), "{shown} is no line");
        assert!(self.connected && !self.quit, "{shown} goes nowhere");
        let window = if self.logged_in && self.pipelining { WINDOW } else { 1 };
        assert!(self.pending.len() < window && before < window, "{shown} is sent ahead");
        let verb = if std::mem::take(&mut self.upstream_waits) {
            self.check_response(sent, line);
            String::new()
        } else {
            self.check_command(sent, line);
            let verb = sent.split(|&octet| octet == b' ').next().unwrap_or_default();
            let verb = String::from_utf8_lossy(verb).to_ascii_uppercase();
            if waits_for_a_response(sent) { verb + "?" } else { verb }
        };
        if verb == "QUIT" {
            assert_eq!(before, 0, "QUIT before the client has everything");
            self.quit = true;
        }
        self.owners.push(line);
        self.pending.push_back(Sent { serial: self.owners.len() - 1, line, verb });
    }

    fn check_response(&self, sent: &[u8], line: usize) {
        let line = &self.lines[line];
        let relayed = line.response && (sent == b"*" || line.octets.as_deref() == Some(sent));
        let own = self.logs_in() && sent.iter().all(u8::is_ascii_graphic);
        let master = matches!(self.scheme, Scheme::Master(_));
        assert!(!master || self.vouched || self.certified, "a master login for a stranger");
        assert!(relayed || own, "{} answers no challenge of the client's", sent.escape_ascii());
    }

    fn check_command(&mut self, sent: &[u8], line: usize) {
        let shown = sent.escape_ascii();
        let own = self.logs_in() && !self.logged_in;
        let asked = self.lines[line].command.as_ref();
        let command = Command::parse(sent).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let fits = match (&command, asked) {
            (Command::List(None), Some(Command::Stat)) | (Command::Capa, Some(Command::Mechanisms)) => true,
            (Command::Retr(n) | Command::Top { number: n, .. }, Some(Command::Top { number, .. })) => {
                n == number || self.renumbers
            }
            (Command::User(_) | Command::Pass(_), _) if own => matches!(self.scheme, Scheme::Relay),
            (Command::Auth { .. } | Command::Capa, _) if own => true,
            (Command::Apop { .. }, _) if own => matches!(self.scheme, Scheme::Apop),
            // Which messages there are, and how large they are once filtered.
            (Command::List(None) | Command::Uidl(None), Some(asked)) if self.logged_in && needs_messages(asked) => true,
            (Command::Top { .. } | Command::Retr(_), Some(Command::Stat | Command::List(_))) => true,
            (Command::List(Some(_)), Some(Command::Top { .. })) => true,
            // The envelope of a message that filters are to see.
            (Command::Envelope(_), Some(Command::Retr(_) | Command::Top { .. } | Command::Stat | Command::List(_))) => {
                true
            }
            (command, Some(asked)) if self.renumbers => {
                std::mem::discriminant(command) == std::mem::discriminant(asked)
            }
            (command, asked) => asked == Some(command),
        };
        assert!(fits, "{shown} was not asked for");
        let credential = matches!(command, Command::User(_) | Command::Pass(_) | Command::Auth { .. });
        // Kerberos has proved who the client is; USER and PASS behind it prove nothing.
        let proved = self.policy.kpop && matches!(command, Command::User(_) | Command::Pass(_));
        assert!(!credential || proved || self.may_log_in(), "{shown} in clear");
        let before_login = match &command {
            Command::Extension { extension, .. } => extension.state != State::Transaction,
            Command::Apop { .. } => self.secure || !self.policy.encryption_required,
            Command::Stls => self.policy.passes_stls && !self.secure,
            command => credential || matches!(command, Command::Capa | Command::Quit),
        };
        assert!(self.logged_in || before_login, "{shown} before the login");
        match command {
            Command::User(_) => self.user = false,
            Command::Pass(_) => assert!(std::mem::take(&mut self.user), "{shown} without a user"),
            _ => {}
        }
    }

    /// Whether a Kerberos exchange came first.
    pub(super) fn speaks_kerberos(&self) -> bool {
        self.policy.kpop
    }

    /// Whether the client's numbers may be others than the upstream's.
    pub(super) fn renumbers(&self) -> bool {
        self.renumbers
    }

    fn may_log_in(&self) -> bool {
        let Policy { client, encryption_required, allow_cleartext, .. } = &self.policy;
        self.secure || !encryption_required && (*allow_cleartext || client.is_loopback())
    }

    /// This job begins, due to that line.
    pub(super) fn begins(&mut self, job: &Job, line: usize) {
        let expected = match job {
            Job::List(listing) => listing.is_shown(),
            Job::Handshake => true,
            Job::Connect(_) => {
                assert!(!self.connected, "connected twice");
                false
            }
            Job::Disconnect => {
                self.connected = false;
                self.upstream_waits = false;
                self.scheme = Scheme::Relay;
                return;
            }
            // What was found out meanwhile may have been the answer.
            Job::Turn(_) => return,
            _ => false,
        };
        assert_eq!(self.lines[line].answered, expected, "{job:?} out of place");
        assert!(!reads_upstream(job) || self.connected, "{job:?} without an upstream");
        if matches!(job, Job::Reply(_) | Job::Pass(_)) {
            assert_eq!(self.pending.front().map(|sent| sent.line), Some(line), "{job:?} of another command");
        }
    }

    /// The oldest command upstream gets its reply: a mark for it.
    pub(super) fn oldest(&mut self) -> String {
        let sent = self.pending.pop_front().expect("a reply that nothing asked for");
        self.replied = sent.verb;
        format!("#{};", sent.serial)
    }

    /// The client gets a reply, due to that line.
    pub(super) fn answered(&mut self, octets: &[u8], line: usize) {
        let shown = octets.escape_ascii();
        let text = octets.strip_suffix(b"\r\n").unwrap_or_else(|| panic!("{shown} ends without CRLF"));
        let text = String::from_utf8_lossy(text);
        let mut lines = text.split("\r\n");
        let status = lines.next().unwrap_or_default();
        assert_clean(status.as_bytes());
        let word = status.split(' ').next().unwrap_or_default();
        // A challenge is relayed whatever stands behind its sign.
        let challenge = word.starts_with('+') && self.in_exchange(line);
        assert!(matches!(word, "+OK" | "-ERR") || challenge, "{shown} is no reply");
        let lines: Vec<&str> = lines.collect();
        if let Some((last, lines)) = lines.split_last() {
            assert!(word == "+OK" && *last == "." && !lines.contains(&"."), "{shown} is no list");
            for listed in lines {
                assert_clean(listed.as_bytes());
                let early = ["STLS", "SASL", "USER"].iter().any(|tag| listed.starts_with(tag));
                assert!(self.lines[line].before_login || !early, "{listed} after the login");
            }
        }
        if let Some(serial) = mark(status) {
            assert_eq!(self.owners[serial], line, "{shown} answers another command");
        }
        self.driver_answers(line);
    }

    /// Whether a challenge may answer this line.
    fn in_exchange(&self, line: usize) -> bool {
        let line = &self.lines[line];
        line.response || matches!(line.command, Some(Command::Auth { .. }))
    }

    /// The client gets its answer to that line.
    pub(super) fn driver_answers(&mut self, line: usize) {
        let next = self.lines.iter().position(|line| !line.answered);
        assert_eq!(next, Some(line), "out of order");
        self.lines[line].answered = true;
    }

    /// The session ends in order.
    pub(super) fn closes(&self) {
        assert!(self.lines.iter().all(|line| line.answered), "the end comes before an answer");
    }

    /// Nothing is left to do.
    pub(super) fn rests(&self) {
        self.closes();
        assert!(self.pending.is_empty(), "a reply that nobody reads");
    }
}

/// Whether a command is about messages.
fn needs_messages(command: &Command) -> bool {
    matches!(
        command,
        Command::Stat
            | Command::List(_)
            | Command::Uidl(_)
            | Command::Retr(_)
            | Command::Top { .. }
            | Command::Dele(_)
            | Command::Envelope(_)
            | Command::Extension { .. }
    )
}

/// Whether this is AUTH without a response, of a mechanism in which the client has something to say.
fn waits_for_a_response(sent: &[u8]) -> bool {
    let Ok(Command::Auth { mechanism, initial: None }) = Command::parse(sent) else { return false };
    !matches!(mechanism.as_str(), "EXTERNAL" | "ANONYMOUS")
}

/// The number of the command that this reply answers.
fn mark(status: &str) -> Option<usize> {
    let (_, mark) = status.rsplit_once('#')?;
    mark.strip_suffix(';')?.parse().ok()
}
