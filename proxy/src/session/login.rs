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
pub struct Credentials {
    plain: Plain,
    /// Given as USER and PASS.
    simple: bool,
}

impl Credentials {
    pub(super) fn new(user: Vec<u8>, password: Secret) -> Self {
        Self { plain: Plain { authorization: Vec::new(), user, password }, simple: true }
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
            Self::Plain => b"",
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
        };
        Ok(Answered::Complete(Credentials { plain, simple: false }))
    }
}

/// A login that the proxy carries out: what is awaited.
#[derive(Clone, Debug)]
pub struct Login {
    credentials: Credentials,
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
    /// Takes credentials to the upstream that the user's route names.
    pub(super) fn log_in(&mut self, credentials: Credentials) -> Effects {
        self.phase = Phase::LoggingIn;
        let user = credentials.plain.user.clone();
        self.pending = Some(credentials);
        vec![Effect::Job(Job::Connect(Some(user)))]
    }

    /// The user's upstream has greeted; `user` is the name to log in with.
    pub(super) fn own_login_connected(&mut self, greeting: &Status, user: Option<Vec<u8>>) -> Effects {
        let Some(mut credentials) = self.pending.take() else {
            return vec![Effect::Broken("a greeting that nobody waits for")];
        };
        if !greeting.ok {
            return self.give_up(greeting);
        }
        if let Some(user) = user {
            if credentials.plain.authorization == credentials.plain.user {
                credentials.plain.authorization.clone_from(&user);
            }
            credentials.plain.user = user;
        }
        if credentials.simple {
            return send_user(credentials);
        }
        ask("CAPA", Purpose::OwnLogin(Login { credentials, step: Step::Capabilities }))
    }

    /// The upstream wants the response of PLAIN.
    pub(super) fn own_challenge(&mut self, login: Login) -> Effects {
        if login.step != Step::Challenge {
            self.phase = Phase::Closing;
            return vec![Effect::Broken("a challenge that nobody asked for")];
        }
        let response = login.credentials.plain.encode();
        let next = Login { step: Step::Response, ..login };
        vec![Effect::Upstream(response), Effect::Job(Job::Reply(Purpose::OwnLogin(next)))]
    }

    /// The upstream has answered a step of the proxy's login.
    pub(super) fn own_login_replied(&mut self, login: Login, status: &Status) -> Effects {
        match (login.step, status.ok) {
            (Step::Capabilities, true) => vec![Effect::Job(Job::Collect(Purpose::OwnLogin(login)))],
            (Step::Capabilities, false) => self.own_login_with(login.credentials, &Capabilities::unannounced()),
            (Step::User, true) => {
                let password = [b"PASS ", login.credentials.plain.password.expose()].concat();
                let next = Login { step: Step::Password, ..login };
                vec![Effect::Upstream(Secret::new(password)), Effect::Job(Job::Reply(Purpose::OwnLogin(next)))]
            }
            (Step::Password | Step::Response, true) => {
                self.welcome = status.relayed();
                vec![Effect::Job(Job::Admit(Some(login.credentials.plain.user)))]
            }
            (Step::Challenge, true) => {
                self.phase = Phase::Closing;
                vec![Effect::Broken("+OK to AUTH before any credentials")]
            }
            (_, false) => self.give_up(status),
        }
    }

    /// Chooses how to log in, knowing what the upstream offers.
    pub(super) fn own_login_with(&mut self, credentials: Credentials, offered: &Capabilities) -> Effects {
        if offered.mechanisms().iter().any(|name| name == "PLAIN") {
            return ask("AUTH PLAIN", Purpose::OwnLogin(Login { credentials, step: Step::Challenge }));
        }
        let own_behalf =
            credentials.plain.authorization.is_empty() || credentials.plain.authorization == credentials.plain.user;
        if own_behalf && credentials.plain.fits_lines() {
            return send_user(credentials);
        }
        self.phase = Phase::Authorization(Authorization::default());
        vec![Effect::Job(Job::Disconnect), super::client("-ERR [AUTH] the server can't take these credentials")]
    }

    /// The upstream will not have it: its words reach the client, and the next user may have another upstream.
    fn give_up(&mut self, status: &Status) -> Effects {
        self.phase = Phase::Authorization(Authorization::default());
        let reply = status.relayed();
        let answer = if refuses_credential(status) { Effect::Job(Job::Penalize(reply)) } else { Effect::Client(reply) };
        vec![Effect::Job(Job::Disconnect), answer]
    }
}

fn send_user(credentials: Credentials) -> Effects {
    let line = [b"USER ", credentials.plain.user.as_slice()].concat();
    vec![upstream(line), Effect::Job(Job::Reply(Purpose::OwnLogin(Login { credentials, step: Step::User })))]
}

impl Login {
    /// The credentials under way.
    pub(super) fn into_credentials(self) -> Credentials {
        self.credentials
    }
}
