//! Logins: what a relayed exchange shows of the user, and logins that the proxy carries out itself.

use super::authorization::{Authorization, refuses_credential};
use super::{Effect, Effects, Job, Phase, Purpose, Session, ask, upstream};
use crate::pop3::sasl::{self, Plain, SaslError};
use crate::pop3::{Capabilities, Secret, Status};

/// A SASL exchange that is relayed line by line.
#[derive(Clone, Debug)]
pub struct Exchange {
    mechanism: String,
    /// The login name, once a response has shown it.
    pub user: Option<Vec<u8>>,
    /// Whether a well-formed response was given: a refusal is then one of a credential.
    pub attempted: bool,
}

impl Exchange {
    pub(super) fn new(mechanism: String) -> Self {
        Self { mechanism, user: None, attempted: false }
    }

    /// Notes the client's response.
    pub(super) fn answered(&mut self, line: &[u8]) {
        self.attempted = line != b"*" && sasl::decode(line).is_ok();
        if self.user.is_none() && self.attempted {
            self.user = sasl::user_of(&self.mechanism, line);
        }
    }
}

/// Credentials that the proxy sends on its own.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Name and password.
    Password {
        /// As PLAIN has them.
        plain: Plain,
        /// Given as USER and PASS.
        simple: bool,
    },
    /// The first response of a mechanism that names the user in it.
    Token {
        /// The mechanism in capitals.
        mechanism: String,
        /// The response in base64.
        response: Secret,
        /// The login name in it.
        user: Vec<u8>,
    },
}

impl Credentials {
    pub(super) fn new(user: Vec<u8>, password: Secret) -> Self {
        Self::Password { plain: Plain { authorization: Vec::new(), user, password }, simple: true }
    }

    fn user(&self) -> &[u8] {
        match self {
            Self::Password { plain, .. } => &plain.user,
            Self::Token { user, .. } => user,
        }
    }
}

/// What the client was asked by the proxy itself.
#[derive(Clone, Debug)]
pub enum Prompt {
    /// The response of PLAIN.
    Plain,
    /// The name for LOGIN.
    LoginName,
    /// The password for LOGIN of this user.
    LoginPassword(Vec<u8>),
    /// The response of this mechanism, which names the user.
    Token(String),
}

/// What follows an answer to a prompt.
#[derive(Debug)]
pub(super) enum Answered {
    Complete(Credentials),
    Next(Prompt),
}

impl Prompt {
    /// The challenge before base64.
    pub(super) fn challenge(&self) -> &'static [u8] {
        match self {
            Self::Plain | Self::Token(_) => b"",
            Self::LoginName => b"Username:",
            Self::LoginPassword(_) => b"Password:",
        }
    }

    /// Takes the client's response.
    pub(super) fn answer(self, line: &[u8]) -> Result<Answered, SaslError> {
        let plain = match self {
            Self::Plain => Plain::parse(line)?,
            Self::LoginName => {
                let name = sasl::decode(line)?;
                if name.expose().is_empty() {
                    return Err(SaslError::Malformed);
                }
                return Ok(Answered::Next(Self::LoginPassword(name.expose().to_vec())));
            }
            Self::LoginPassword(user) => Plain { authorization: Vec::new(), user, password: sasl::decode(line)? },
            Self::Token(mechanism) => {
                sasl::decode(line)?;
                let user = sasl::user_of(&mechanism, line).ok_or(SaslError::Malformed)?;
                let response = Secret::new(line.to_vec());
                return Ok(Answered::Complete(Credentials::Token { mechanism, response, user }));
            }
        };
        Ok(Answered::Complete(Credentials::Password { plain, simple: false }))
    }
}

/// A login by name and password that the proxy carries out: what is awaited.
#[derive(Clone, Debug)]
pub struct Login {
    plain: Plain,
    step: Step,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Capabilities,
    User,
    Password,
    Challenge,
    Response,
}

impl Session {
    /// True if a Kerberos exchange comes before everything else.
    pub(super) fn kerberos_first(&self) -> bool {
        self.policy.kpop
    }

    /// True if these octets, the client's next, are not text: RFC 4422 section 3.7 puts a length of four octets before
    /// what a security layer protects, and no mechanism allows one that needs the first of them.
    pub(super) fn is_unreadable(&self, start: &[u8]) -> bool {
        self.layer && self.logged_in() && start.first() == Some(&0)
    }

    /// The upstream has decided about a relayed exchange.
    pub(super) fn exchange_replied(&mut self, exchange: Exchange, status: &Status) -> Effects {
        self.layer = status.ok && sasl::may_have_layer(&exchange.mechanism);
        self.login_replied(exchange.user, status, exchange.attempted)
    }

    /// Takes credentials to the upstream that the user's route names.
    pub(super) fn log_in(&mut self, credentials: Credentials) -> Effects {
        self.phase = Phase::LoggingIn;
        let user = credentials.user().to_vec();
        self.pending = Some(credentials);
        vec![Effect::Job(Job::Connect(Some(user)))]
    }

    /// The user's upstream has greeted; `user` is the name to log in with.
    pub(super) fn own_login_connected(&mut self, greeting: &Status, user: Option<Vec<u8>>) -> Effects {
        let Some(credentials) = self.pending.take() else {
            return vec![Effect::Broken("a greeting that nobody waits for")];
        };
        if !greeting.ok {
            return self.give_up(greeting, false);
        }
        match credentials {
            Credentials::Password { mut plain, simple } => {
                if let Some(user) = user {
                    if plain.authorization == plain.user {
                        plain.authorization.clone_from(&user);
                    }
                    plain.user = user;
                }
                if simple { send_user(plain) } else { ask("CAPA", login(plain, Step::Capabilities)) }
            }
            // The name stands inside of the token: no rewriting reaches it.
            Credentials::Token { mechanism, response, user } => {
                let line = Secret::new([b"AUTH ", mechanism.as_bytes(), b" ", response.expose()].concat());
                let exchange = Exchange { mechanism, user: Some(user), attempted: true };
                vec![Effect::Upstream(line), Effect::Job(Job::Reply(Purpose::Auth(exchange)))]
            }
        }
    }

    /// The upstream wants the response of PLAIN.
    pub(super) fn own_challenge(&mut self, current: Login) -> Effects {
        if current.step != Step::Challenge {
            self.phase = Phase::Closing;
            return vec![Effect::Broken("a challenge that nobody asked for")];
        }
        let response = current.plain.encode();
        vec![Effect::Upstream(response), Effect::Job(Job::Reply(login(current.plain, Step::Response)))]
    }

    /// The upstream has answered a step of the proxy's login.
    pub(super) fn own_login_replied(&mut self, current: Login, status: &Status) -> Effects {
        match (current.step, status.ok) {
            (Step::Capabilities, true) => vec![Effect::Job(Job::Collect(Purpose::OwnLogin(current)))],
            (Step::Capabilities, false) => self.own_login_with(current, &Capabilities::unannounced()),
            (Step::User, true) => {
                let password = [b"PASS ", current.plain.password.expose()].concat();
                let next = login(current.plain, Step::Password);
                vec![Effect::Upstream(Secret::new(password)), Effect::Job(Job::Reply(next))]
            }
            (Step::Password | Step::Response, true) => {
                self.welcome = status.relayed();
                vec![Effect::Job(Job::Admit(Some(current.plain.user)))]
            }
            (Step::Challenge, true) => {
                self.phase = Phase::Closing;
                vec![Effect::Broken("+OK to AUTH before any credentials")]
            }
            (_, false) => self.give_up(status, true),
        }
    }

    /// Chooses how to log in, knowing what the upstream offers.
    pub(super) fn own_login_with(&mut self, current: Login, offered: &Capabilities) -> Effects {
        let plain = current.plain;
        if offered.mechanisms().iter().any(|name| name == "PLAIN") {
            return ask("AUTH PLAIN", login(plain, Step::Challenge));
        }
        let own_behalf = plain.authorization.is_empty() || plain.authorization == plain.user;
        if own_behalf && plain.fits_lines() {
            return send_user(plain);
        }
        self.phase = Phase::Authorization(Authorization::default());
        vec![Effect::Job(Job::Disconnect), super::client("-ERR [AUTH] the server can't take these credentials")]
    }

    /// The upstream will not have it: its words reach the client, and the next user may have another upstream.
    pub(super) fn give_up(&mut self, status: &Status, attempt: bool) -> Effects {
        self.phase = Phase::Authorization(Authorization::default());
        let reply = status.relayed();
        let penalty = attempt && refuses_credential(status);
        let answer = if penalty { Effect::Job(Job::Penalize(reply)) } else { Effect::Client(reply) };
        vec![Effect::Job(Job::Disconnect), answer]
    }
}

fn login(plain: Plain, step: Step) -> Purpose {
    Purpose::OwnLogin(Login { plain, step })
}

fn send_user(plain: Plain) -> Effects {
    let line = [b"USER ", plain.user.as_slice()].concat();
    vec![upstream(line), Effect::Job(Job::Reply(login(plain, Step::User)))]
}
