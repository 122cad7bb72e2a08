//! Logins as the driver sees them: how the upstream wants them, and who the client is.

use bytes::Bytes;
use tokio::time::{sleep, sleep_until};
use tracing::warn;

use super::{Break, Driver};
use crate::pop3::{Secret, Stamp, Status};
use crate::session::{Event, Master, Scheme};
use crate::upstream::{Login, Opener, Server};

/// How a session logs in at the upstream that has greeted like this.
pub(super) fn scheme(opener: &Opener, server: &Server, greeting: &Status) -> Scheme {
    match opener.login(server) {
        Login::Relay => Scheme::Relay,
        Login::Apop => {
            if greeting.ok && Stamp::of(&greeting.line).is_none() {
                warn!(
                    upstream = server.name(),
                    "no timestamp for APOP in the greeting, so nobody can log in: see `auth`"
                );
            }
            Scheme::Apop
        }
        Login::Master(master) => Scheme::Master(Box::new(Master {
            user: master.user.clone().into_bytes(),
            password: master.password.clone(),
            checks_passwords: master.users.is_some(),
        })),
    }
}

impl Driver {
    /// Tells the session whom the client's certificate is for, once TLS is there.
    pub(super) fn certify(&mut self) {
        if let Some(user) = self.client.certified_user() {
            // It has no effects: what follows from it, the client says.
            self.session.on(Event::Certified(user.into_bytes()));
        }
    }

    /// Whether this is the password that the proxy knows for the user.
    pub(super) async fn verify(&mut self, user: Vec<u8>, password: Secret) -> Result<bool, Break> {
        let Some(server) = &self.server else { return Ok(false) };
        let Login::Master(master) = self.services.opener.login(server) else { return Ok(false) };
        let Some(users) = master.users.clone() else { return Ok(false) };
        tokio::select! {
            right = users.vouch(user, password) => Ok(right),
            gone = self.client.watch() => Err(gone.into()),
            () = sleep_until(self.deadline) => Err(Break::Login),
        }
    }

    /// Keeps a client waiting whose credentials were refused.
    pub(super) async fn penalize(&mut self, reply: Bytes) -> Result<Event, Break> {
        let verdict = self.services.delays.refused(self.address.ip(), std::time::Instant::now());
        warn!(client = %self.address.ip(), "login refused");
        tokio::select! {
            () = sleep(verdict.delay) => Ok(Event::Penalized { reply, last: verdict.last }),
            gone = self.client.watch() => Err(gone.into()),
        }
    }
}
