//! To the upstream: which one, and what the client is told where that fails.

use std::sync::Arc;

use tracing::warn;

use super::{Break, Driver, Opened, login};
use crate::net::Forbidden;
use crate::session::{Event, REFUSED};
use crate::upstream::{Destination, OpenError, Origin, Server};

impl Driver {
    pub(super) async fn connect(&mut self, user: Option<Vec<u8>>) -> Result<Event, Break> {
        if let Some(passage) = self.passage.clone() {
            return self.follow(&passage).await;
        }
        let fixed = self.server.as_ref().filter(|_| !self.routed);
        let destination = match (&user, fixed) {
            (None, None) => return Err(Break::OutOfStep("nowhere to connect to")),
            (user, Some(server)) => Destination { server: server.clone(), user: user.clone().unwrap_or_default() },
            (Some(user), None) => match self.services.router.find(user) {
                Some(destination) => destination,
                // The same words and the same wait as for a wrong password.
                None => return Ok(Event::NotConnected { reply: REFUSED.into(), refused: true }),
            },
        };
        let services = Arc::clone(&self.services);
        let Destination { server, user: name } = destination;
        let origin = self.origin();
        let open = async {
            match self.upstream.take() {
                // The Kerberos exchange was held over it.
                Some(reached) => services.opener.greet(&server, reached, origin).await,
                None => services.opener.open(&server, origin).await,
            }
        };
        let opened = tokio::select! {
            opened = open => opened,
            gone = self.client.watch() => return Err(gone.into()),
        };
        Ok(self.opened(opened, server, user.map(|_| name)))
    }

    /// Who the client is, for servers that are told.
    pub(super) fn origin(&self) -> Origin {
        Origin { client: self.address, destination: self.destination }
    }

    /// The server has greeted, or it has not; `user` is the name to log in with there.
    pub(super) fn opened(&mut self, opened: Opened, server: Server, user: Option<Vec<u8>>) -> Event {
        match opened {
            Ok((connection, greeting)) => {
                self.upstream = Some(connection);
                let opener = &self.services.opener;
                let apop = opener.rules(&server).apop;
                let scheme = login::scheme(opener, &server, &greeting);
                self.server = Some(server);
                Event::Connected { greeting, user, apop, scheme }
            }
            Err(error) => {
                warn!(upstream = server.name(), %error, "no connection to the upstream");
                not_connected(&error, &server)
            }
        }
    }
}

fn not_connected(error: &OpenError, server: &Server) -> Event {
    let (reply, refused) = match (error, error.forbidden(), server) {
        (_, Some(_), Server::Named(_)) => (REFUSED, true),
        (_, Some(Forbidden::Own), _) => ("-ERR [SYS/PERM] this proxy is configured to be its own mail server", false),
        (OpenError::Full, ..) => {
            ("-ERR [SYS/TEMP] there are too many connections to the mail server, try again later", false)
        }
        _ => ("-ERR [SYS/TEMP] the mail server is not available, try again later", false),
    };
    Event::NotConnected { reply: reply.into(), refused }
}
