//! Logins that the proxy carries out itself: by the user's route, by APOP, or as a master user.

use super::authorization::{Authorization, refuses_credential};
use super::{Credentials, Effect, Effects, Exchange, Job, Phase, Purpose, Scheme, Session, ask, client, upstream};
use crate::pop3::sasl::{self, Plain};
use crate::pop3::{Capabilities, Secret, Status};

/// What is said of a credential that the proxy itself finds wrong, whatever is wrong with it.
pub(super) const REFUSED: &str = "-ERR [AUTH] login failed";

/// What cannot be said in the one way in which the upstream listens.
const UNSENDABLE: &str = "-ERR [AUTH] the server can't take these credentials";

/// A login that the proxy carries out: what is awaited.
#[derive(Clone, Debug)]
pub struct Login {
    /// Whose maildrop it is.
    user: Vec<u8>,
    /// The upstream knows the proxy's master user, and the client was vouched for.
    as_master: bool,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    /// CAPA, to choose how these are sent.
    Capabilities(Plain),
    /// USER; this password follows.
    User(Secret),
    /// PASS or APOP: the reply decides.
    Decision,
    /// AUTH.
    Sasl {
        /// The responses that were not sent yet, the next one at the end.
        left: Vec<Secret>,
        /// Whether one was sent.
        said: bool,
        /// The mechanism whose further challenges are the client's.
        token: Option<String>,
    },
}

impl Session {
    /// Takes credentials to the upstream: the fixed one, or the one that the user's route names.
    pub(super) fn log_in(&mut self, credentials: Credentials) -> Effects {
        self.phase = Phase::LoggingIn;
        if self.policy.fixed_upstream {
            return self.log_in_with(credentials);
        }
        let user = credentials.user().to_vec();
        self.pending = Some(Box::new(credentials));
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
        self.log_in_with(match user {
            Some(user) => credentials.renamed(user),
            None => *credentials,
        })
    }

    fn log_in_with(&mut self, credentials: Credentials) -> Effects {
        match (&self.scheme, credentials) {
            (Scheme::Relay, Credentials::Password { plain, simple: true }) => self.send_user(plain),
            (Scheme::Relay, Credentials::Password { plain, .. }) => {
                let user = plain.maildrop().to_vec();
                ask("CAPA", login(user, Step::Capabilities(plain)))
            }
            (Scheme::Relay, Credentials::Token { mechanism, response, user }) => {
                authenticate(user, &mechanism.clone(), vec![response], Some(mechanism))
            }
            (Scheme::Apop, Credentials::Password { plain, .. }) if plain.is_own() => self.send_digest(&plain),
            (Scheme::Master(_), Credentials::Certificate(user)) => self.log_in_as_master(user),
            (Scheme::Master(master), Credentials::Password { plain, simple }) => {
                if !master.checks_passwords {
                    return self.refuse("-ERR [AUTH] no passwords are taken for this mailbox; use AUTH EXTERNAL");
                }
                // Nobody may be somebody else: that right is the proxy's alone.
                if !plain.is_own() {
                    return self.penalty(format!("{REFUSED}\r\n").into());
                }
                let (user, password) = (plain.user.clone(), plain.password.clone());
                self.pending = Some(Box::new(Credentials::Password { plain, simple }));
                vec![Effect::Job(Job::Verify { user, password })]
            }
            (Scheme::Relay | Scheme::Apop, Credentials::Certificate(_)) => {
                self.refuse("-ERR [SYS/PERM] the mail server does not know certificates; use a password")
            }
            (Scheme::Apop | Scheme::Master(_), _) => {
                self.refuse("-ERR [SYS/PERM] these credentials do not work for this mailbox; use a name and a password")
            }
        }
    }

    /// The proxy has compared a password with the one that it knows.
    pub(super) fn verified(&mut self, right: bool) -> Effects {
        match self.pending.take() {
            Some(credentials) if right => self.log_in_as_master(credentials.user().to_vec()),
            _ => self.penalty(format!("{REFUSED}\r\n").into()),
        }
    }

    fn log_in_as_master(&mut self, user: Vec<u8>) -> Effects {
        let Scheme::Master(master) = &self.scheme else {
            return vec![Effect::Broken("a master login that is not configured")];
        };
        let plain = Plain { authorization: user.clone(), user: master.user.clone(), password: master.password.clone() };
        let step = Step::Sasl { left: vec![plain.encode()], said: false, token: None };
        ask("AUTH PLAIN", Purpose::OwnLogin(Login { user, as_master: true, step }))
    }

    fn send_digest(&mut self, plain: &Plain) -> Effects {
        // Never in clear instead: that is what the digest is there for.
        let Some(stamp) = &self.stamp else {
            return self.refuse("-ERR [SYS/PERM] the mail server's greeting has no timestamp for APOP");
        };
        // The digest is the word behind the first blank.
        if plain.user.iter().any(u8::is_ascii_whitespace) || plain.user.is_empty() {
            return self.refuse(UNSENDABLE);
        }
        let digest = stamp.digest(&plain.password);
        let line = [b"APOP ", plain.user.as_slice(), b" ", digest.expose()].concat();
        ask(line, login(plain.user.clone(), Step::Decision))
    }

    /// The upstream wants the next response.
    pub(super) fn own_challenge(&mut self, current: Login) -> Effects {
        let Login { user, as_master, step: Step::Sasl { mut left, token, .. } } = current else {
            return self.unexpected_challenge();
        };
        let Some(response) = left.pop() else { return self.unexpected_challenge() };
        let next = match token {
            Some(mechanism) if left.is_empty() => Purpose::Auth(Exchange::handed_over(mechanism, user)),
            token => Purpose::OwnLogin(Login { user, as_master, step: Step::Sasl { left, said: true, token } }),
        };
        vec![Effect::Upstream(response), Effect::Job(Job::Reply(next))]
    }

    fn unexpected_challenge(&mut self) -> Effects {
        self.phase = Phase::Closing;
        vec![Effect::Broken("a challenge that nobody asked for")]
    }

    /// The upstream has answered a step of the proxy's login.
    pub(super) fn own_login_replied(&mut self, current: Login, status: &Status) -> Effects {
        if !status.ok {
            return self.own_login_refused(current, status);
        }
        match current.step {
            Step::Capabilities(_) => vec![Effect::Job(Job::Collect(Purpose::OwnLogin(current)))],
            Step::User(password) => {
                let line = Secret::new([b"PASS ", password.expose()].concat());
                vec![Effect::Upstream(line), Effect::Job(Job::Reply(login(current.user, Step::Decision)))]
            }
            // Exchange 2003 says `+OK` where it means `+`.
            Step::Sasl { ref left, .. } if !left.is_empty() => self.own_challenge(current),
            Step::Decision | Step::Sasl { .. } => {
                self.welcome = status.relayed();
                vec![Effect::Job(Job::Admit(Some(current.user)))]
            }
        }
    }

    fn own_login_refused(&mut self, current: Login, status: &Status) -> Effects {
        match current.step {
            Step::Capabilities(_) => self.own_login_with(current, &Capabilities::unannounced()),
            // The client's credential was right: it is the operator who has to know.
            _ if current.as_master && refuses_credential(status) => {
                let mut effects = vec![Effect::Warn("the upstream refuses a login of the master user")];
                effects.extend(self.refuse("-ERR [SYS/PERM] the mail server does not let this gateway in for you"));
                effects
            }
            // An unknown mechanism is no refused credential.
            Step::Sasl { said, .. } => self.give_up(status, said),
            Step::User(_) | Step::Decision => self.give_up(status, true),
        }
    }

    /// Chooses how to log in, knowing what the upstream offers.
    pub(super) fn own_login_with(&mut self, current: Login, offered: &Capabilities) -> Effects {
        let (user, Step::Capabilities(plain)) = (current.user, current.step) else {
            return vec![Effect::Broken("capabilities that nobody asked for")];
        };
        let mechanisms = offered.mechanisms();
        let offers = |wanted: &str| mechanisms.iter().any(|name| name == wanted);
        if offers("PLAIN") {
            return authenticate(user, "PLAIN", vec![plain.encode()], None);
        }
        if !plain.is_own() {
            return self.refuse(UNSENDABLE);
        }
        if offers("LOGIN") {
            let responses = vec![sasl::encode(plain.password.expose()), sasl::encode(&plain.user)];
            return authenticate(user, "LOGIN", responses, None);
        }
        self.send_user(plain)
    }

    /// Servers take the blanks around a name away, and then it is another one: such a name can't be sent.
    fn send_user(&mut self, plain: Plain) -> Effects {
        if plain.user.trim_ascii().len() != plain.user.len() || plain.user.is_empty() {
            return self.refuse(UNSENDABLE);
        }
        let line = [b"USER ", plain.user.as_slice()].concat();
        vec![upstream(line), Effect::Job(Job::Reply(login(plain.user, Step::User(plain.password))))]
    }

    /// The upstream will not have it: its words reach the client.
    pub(super) fn give_up(&mut self, status: &Status, attempt: bool) -> Effects {
        let reply = status.relayed();
        if attempt && refuses_credential(status) {
            return self.penalty(reply);
        }
        self.back(Effect::Client(reply))
    }

    /// A credential is wrong.
    pub(super) fn penalty(&mut self, reply: bytes::Bytes) -> Effects {
        self.back(Effect::Job(Job::Penalize(reply)))
    }

    /// There is no login in this way, whatever the credential is worth.
    fn refuse(&mut self, reply: &str) -> Effects {
        self.back(client(reply))
    }

    /// Back to where a login may be tried. The next user may have another upstream.
    fn back(&mut self, answer: Effect) -> Effects {
        self.phase = Phase::Authorization(Authorization::default());
        if self.policy.fixed_upstream { vec![answer] } else { vec![Effect::Job(Job::Disconnect), answer] }
    }
}

fn login(user: Vec<u8>, step: Step) -> Purpose {
    Purpose::OwnLogin(Login { user, as_master: false, step })
}

/// AUTH with the responses, the first one at the end; never with an initial one, which some servers do not take and
/// which may not fit their command line (RFC 5034 section 4).
fn authenticate(user: Vec<u8>, mechanism: &str, left: Vec<Secret>, token: Option<String>) -> Effects {
    ask(format!("AUTH {mechanism}"), login(user, Step::Sasl { left, said: false, token }))
}
