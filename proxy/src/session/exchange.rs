//! SASL exchanges that are relayed line by line, whatever the mechanism.

use super::{Effect, Effects, Job, Phase, Purpose, Session, ask, client, upstream};
use crate::pop3::{Command, Secret, Status, clean, sasl};

/// A SASL exchange that is relayed line by line: what it shows of the user.
#[derive(Clone, Debug)]
pub struct Exchange {
    mechanism: String,
    /// The login name, once a response has shown it.
    pub user: Option<Vec<u8>>,
    /// Whether a well-formed response was given: a refusal is then one of a credential.
    pub attempted: bool,
    /// Whether any response was given.
    begun: bool,
}

impl Exchange {
    fn new(mechanism: String) -> Self {
        Self { mechanism, user: None, attempted: false, begun: false }
    }

    /// One whose first response, with this user in it, the proxy has sent already.
    pub(super) fn handed_over(mechanism: String, user: Vec<u8>) -> Self {
        Self { mechanism, user: Some(user), attempted: true, begun: true }
    }

    /// Notes the client's response.
    fn answered(&mut self, line: &[u8]) {
        // A name stands in the first response or nowhere: what follows may be a password.
        if !self.begun {
            self.user = sasl::user_of(&self.mechanism, line);
        }
        self.begun = true;
        // A token has been tried once it is there; why it was refused may be in a challenge that the client then cancels.
        let tried = self.attempted && matches!(&*self.mechanism, "XOAUTH2" | "OAUTHBEARER");
        self.attempted = tried || line != b"*" && sasl::decode(line).is_ok();
    }

    /// True if a `+OK` stands for a challenge.
    ///
    /// Exchange 2003 says so in the place of `+`. As an end it would come before the client has said anything, which
    /// these two mechanisms alone could do with.
    pub(super) fn waits_for_a_response(&self) -> bool {
        !self.begun && !matches!(&*self.mechanism, "EXTERNAL" | "ANONYMOUS")
    }
}

impl Session {
    /// AUTH for an upstream that decides about it.
    pub(super) fn relay_auth(&mut self, mechanism: String, initial: Option<Secret>) -> Effects {
        if mechanism.ends_with("-PLUS") {
            return vec![client("-ERR channel binding can't pass a proxy; use the mechanism without -PLUS")];
        }
        let mut exchange = Exchange::new(mechanism.clone());
        if let Some(initial) = &initial {
            exchange.answered(initial.expose());
        }
        self.phase = Phase::LoggingIn;
        ask(Command::Auth { mechanism, initial }.line(), Purpose::Auth(exchange))
    }

    /// The upstream's challenge in a relayed exchange goes to the client.
    pub(super) fn challenge(&mut self, exchange: Exchange, line: &[u8]) -> Effects {
        self.phase = Phase::Exchange(exchange);
        let mut line = clean(line, sasl::MAX_TOKEN + 2);
        line.extend_from_slice(b"\r\n");
        vec![Effect::Client(line.into())]
    }

    /// The client's response in a relayed exchange goes to the upstream, whatever it is.
    pub(super) fn exchange_line(&mut self, mut exchange: Exchange, line: &[u8]) -> Effects {
        exchange.answered(line);
        self.phase = Phase::LoggingIn;
        vec![upstream(line), Effect::Job(Job::Reply(Purpose::Auth(exchange)))]
    }

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
}
