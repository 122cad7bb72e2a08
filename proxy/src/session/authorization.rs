//! The AUTHORIZATION state (RFC 1939 section 4): who is there, and over what.
//!
//! Towards a fixed upstream commands and SASL exchanges are relayed ([`super::exchange`]); without one, or where the proxy
//! logs in by other means ([`super::scheme`]), it prompts for itself and [`super::login`] carries the credentials on.

use super::login::REFUSED;
use super::prefetch::Prefetch;
use super::prompt::Answered;
use super::scheme::EXTERNAL;
use super::{Credentials, Effect, Effects, Job, Phase, Prompt, Purpose, REFUSALS, Scheme, Session, ask, client, pass};
use crate::pop3::{Command, MAX_GREETING, Secret, Stamp, State, Status, clean, sasl, timestamp};

/// What was said before a login; nothing of it outlives STLS.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    user: Option<Vec<u8>>,
}

impl Session {
    /// The upstream has greeted.
    pub(super) fn connected(&mut self, greeting: &Status, user: Option<Vec<u8>>, apop: bool) -> Effects {
        self.stamp = matches!(self.scheme, Scheme::Apop).then(|| Stamp::of(&greeting.line)).flatten();
        if !self.policy.fixed_upstream {
            return self.own_login_connected(greeting, user);
        }
        if !greeting.ok {
            self.phase = Phase::Closing;
            return vec![Effect::Client(greeting.relayed()), Effect::Close];
        }
        // Clients act on the greeting's text (RFC 1939 section 7: APOP), so it stays what it is.
        let mut text = clean(&greeting.line, MAX_GREETING);
        if let Some(stamp) = timestamp(&text) {
            // A digest of the client's would be of no use to a proxy that logs in by itself.
            self.apop = apop && self.relays_logins();
            if !self.apop {
                text.drain(stamp);
                text.truncate(text.trim_ascii_end().len());
            }
        }
        self.phase = Phase::Authorization(Authorization::default());
        text.extend_from_slice(b"\r\n");
        vec![Effect::Client(text.into())]
    }

    /// There is no upstream to talk to.
    pub(super) fn not_connected(&mut self, reply: String, refused: bool) -> Effects {
        if self.policy.fixed_upstream {
            return self.last_words(reply);
        }
        self.phase = Phase::Authorization(Authorization::default());
        let reply = format!("{reply}\r\n").into();
        if refused { vec![Effect::Job(Job::Penalize(reply))] } else { vec![Effect::Client(reply)] }
    }

    /// A command before login.
    pub(super) fn authorization(&mut self, command: Command) -> Effects {
        let fixed = self.policy.fixed_upstream;
        match command {
            Command::Quit if fixed => {
                self.phase = Phase::Closing;
                ask("QUIT", Purpose::Quit)
            }
            Command::Quit => self.last_words("+OK bye".into()),
            Command::Capa if fixed => ask("CAPA", Purpose::Capa),
            Command::Capa => vec![self.capability_reply(&self.unrouted_capabilities())],
            Command::Mechanisms if fixed => ask("CAPA", Purpose::Mechanisms),
            Command::Mechanisms => vec![self.mechanisms_reply(&self.unrouted_capabilities())],
            Command::Stls => self.stls(),
            Command::User(_) | Command::Auth { .. } | Command::Apop { .. } | Command::Pass(_) => {
                self.credential(command)
            }
            Command::Extension { line, extension } if fixed && extension.state != State::Transaction => {
                pass(line, extension.shape)
            }
            _ => self.bad("log in first".into()),
        }
    }

    fn stls(&mut self) -> Effects {
        if !self.offers_stls() {
            let why = if self.secure { "the connection is encrypted already" } else { "STLS is not offered here" };
            return self.bad(why.into());
        }
        self.phase = Phase::LoggingIn;
        if self.policy.passes_stls {
            return ask("STLS", Purpose::Stls);
        }
        Self::handshake()
    }

    /// The upstream has decided about STLS for both connections.
    pub(super) fn stls_replied(&mut self, status: &Status) -> Effects {
        if status.ok {
            return Self::handshake();
        }
        self.phase = Phase::Authorization(Authorization::default());
        vec![Effect::Client(status.relayed())]
    }

    fn handshake() -> Effects {
        vec![client("+OK begin TLS negotiation"), Effect::Job(Job::Handshake)]
    }

    /// The client's connection is encrypted now: a fresh start (RFC 2595 section 4).
    pub(super) fn secured(&mut self) -> Effects {
        self.secure = true;
        self.phase = Phase::Authorization(Authorization::default());
        Vec::new()
    }

    /// A command that carries a credential or a part of one.
    fn credential(&mut self, command: Command) -> Effects {
        // A digest may travel in clear (RFC 1939 section 7), unless the listener asks for encryption anyhow.
        let digest = matches!(command, Command::Apop { .. }) && !self.policy.encryption_required;
        // Kerberos has proved who the client is; USER repeats the name, and what PASS says is no password.
        let proved = matches!(command, Command::User(_) | Command::Pass(_)) && self.policy.kpop;
        if !digest && !proved && !self.may_log_in() {
            let hint = if self.offers_stls() { "use STLS first" } else { "use TLS" };
            return vec![client(format!("-ERR [AUTH] no login over an unencrypted connection; {hint}"))];
        }
        match command {
            Command::User(name) => self.user(name),
            Command::Pass(password) => self.password(password),
            Command::Apop { ref name, .. } if self.apop => {
                let user = name.clone();
                self.send_login(&command.line(), user)
            }
            Command::Apop { .. } => self.bad("APOP is not offered here".into()),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            _ => self.bad("log in first".into()),
        }
    }

    fn user(&mut self, name: Vec<u8>) -> Effects {
        if self.relays_logins() {
            let line = Command::User(name.clone());
            self.phase = Phase::Authorization(Authorization::default());
            return ask(line.line(), Purpose::User(name));
        }
        if !self.takes_passwords() {
            return vec![client("-ERR [AUTH] no passwords are taken here; use AUTH EXTERNAL")];
        }
        // Held back until the password is there: whether the name has a route stays unknown until then.
        self.phase = Phase::Authorization(Authorization { user: Some(name) });
        vec![client("+OK send the password")]
    }

    pub(super) fn user_replied(&mut self, name: Vec<u8>, status: &Status) -> Effects {
        self.phase = Phase::Authorization(Authorization { user: status.ok.then_some(name) });
        vec![Effect::Client(status.relayed())]
    }

    fn password(&mut self, password: Secret) -> Effects {
        let Phase::Authorization(authorization) = &mut self.phase else { return self.bad("log in first".into()) };
        let Some(user) = authorization.user.take() else {
            return self.bad("send USER first".into());
        };
        if self.relays_logins() {
            return self.send_login(&Command::Pass(password).line(), user);
        }
        self.log_in(Credentials::new(user, password))
    }

    fn send_login(&mut self, line: &[u8], user: Vec<u8>) -> Effects {
        self.phase = Phase::LoggingIn;
        ask(line, Purpose::Login(user))
    }

    fn auth(&mut self, mechanism: String, initial: Option<Secret>) -> Effects {
        if self.relays_logins() { self.relay_auth(mechanism, initial) } else { self.prompt(&mechanism, initial) }
    }

    /// The upstream has decided about credentials that were relayed.
    pub(super) fn login_replied(&mut self, user: Option<Vec<u8>>, status: &Status, attempt: bool) -> Effects {
        if status.ok {
            self.welcome = status.relayed();
            return vec![Effect::Job(Job::Admit(user))];
        }
        self.give_up(status, attempt)
    }

    /// A refused credential has waited its time.
    pub(super) fn penalized(&mut self, reply: bytes::Bytes, last: bool) -> Effects {
        self.refusals += 1;
        if last || self.refusals >= REFUSALS {
            self.phase = Phase::Closing;
            return vec![Effect::Client(reply), Effect::Close];
        }
        vec![Effect::Client(reply)]
    }

    /// The proxy lets the user in.
    pub(super) fn admitted(&mut self, mut fetch: super::FetchPolicy) -> Effects {
        let released = std::mem::take(&mut fetch.released);
        fetch.exact &= fetch.filtered;
        fetch.hide &= fetch.filtered;
        if fetch.exact || fetch.hide || !released.is_empty() {
            self.maildrop.begin_view(released);
        }
        let (messages, octets) = fetch.read_ahead;
        if messages > 0 && !fetch.exact && !fetch.sdps {
            self.maildrop.note_sizes();
            self.prefetch = Some(Box::new(Prefetch::new(messages, octets)));
        }
        if fetch.filtered {
            *self.fetch = fetch;
        }
        self.phase = Phase::Transaction;
        self.admitted = true;
        self.bad = 0;
        vec![Effect::Client(std::mem::take(&mut self.welcome))]
    }

    /// AUTH where the proxy asks for the credentials.
    fn prompt(&mut self, mechanism: &str, initial: Option<Secret>) -> Effects {
        let prompt = match (mechanism, &self.certificate) {
            _ if !self.own_mechanisms().contains(&mechanism) => {
                return vec![client("-ERR this mechanism is not offered here")];
            }
            ("PLAIN", _) => Prompt::Plain,
            ("LOGIN", _) => Prompt::LoginName,
            (EXTERNAL, Some(user)) => Prompt::External(user.to_vec()),
            _ => Prompt::Token(mechanism.to_owned()),
        };
        match initial {
            Some(initial) => self.prompt_line(prompt, initial.expose()),
            None => self.ask_client(prompt),
        }
    }

    fn ask_client(&mut self, prompt: Prompt) -> Effects {
        let challenge = sasl::encode(prompt.challenge());
        let line = String::from_utf8_lossy(challenge.expose()).into_owned();
        self.phase = Phase::Prompt(prompt);
        vec![client(format!("+ {line}"))]
    }

    /// The client answers a prompt of the proxy's own.
    pub(super) fn prompt_line(&mut self, prompt: Prompt, line: &[u8]) -> Effects {
        self.phase = Phase::Authorization(Authorization::default());
        if line == b"*" {
            return vec![client("-ERR cancelled")];
        }
        match prompt.answer(line) {
            Ok(Answered::Complete(credentials)) => self.log_in(credentials),
            Ok(Answered::Next(prompt)) => self.ask_client(prompt),
            Ok(Answered::Refused) => vec![Effect::Job(Job::Penalize(format!("{REFUSED}\r\n").into()))],
            Err(error) => vec![client(format!("-ERR {error}"))],
        }
    }
}

/// True if the refusal is about the credential, not about the server or the maildrop being busy (RFC 2449 section 8,
/// RFC 3206).
pub(super) fn refuses_credential(status: &Status) -> bool {
    let text = status.text().to_ascii_uppercase();
    ![&b"[SYS/"[..], b"[IN-USE]", b"[LOGIN-DELAY]"].iter().any(|code| text.starts_with(code))
}
