//! To the upstream: which one, and what the client is told where that fails.

use std::sync::Arc;

use tracing::warn;

use super::{Break, Driver, login};
use crate::net::Forbidden;
use crate::session::{Event, REFUSED};
use crate::upstream::{Destination, OpenError, Origin, Server};

impl Driver {
    pub(super) async fn connect(&mut self, user: Option<Vec<u8>>) -> Result<Event, Break> {
        let fixed = self.upstream_name.as_ref().filter(|_| !self.routed);
        let destination = match (&user, fixed) {
            (None, None) => return Err(Break::OutOfStep("nowhere to connect to")),
            (user, Some(name)) => {
                let server = Server::Configured(name.clone());
                Destination { server, user: user.clone().unwrap_or_default() }
            }
            (Some(user), None) => match self.services.router.find(user) {
                Some(destination) => destination,
                // The same words and the same wait as for a wrong password.
                None => return Ok(Event::NotConnected { reply: REFUSED.into(), refused: true }),
            },
        };
        let services = Arc::clone(&self.services);
        let origin = Origin { client: self.address, destination: self.destination };
        let open = async {
            match self.upstream.take() {
                // The Kerberos exchange was held over it.
                Some(reached) => services.opener.greet(&destination.server, reached, origin).await,
                None => services.opener.open(&destination.server, origin).await,
            }
        };
        let opened = tokio::select! {
            opened = open => opened,
            gone = self.client.watch() => return Err(gone.into()),
        };
        let name = destination.server.name();
        match opened {
            Ok((connection, greeting)) => {
                self.upstream = Some(connection);
                let apop = services.opener.rules(name).apop;
                let scheme = login::scheme(&services.opener, name, &greeting);
                self.upstream_name = Some(name.to_owned());
                Ok(Event::Connected { greeting, user: user.map(|_| destination.user), apop, scheme })
            }
            Err(error) => {
                warn!(upstream = name, %error, "no connection to the upstream");
                Ok(not_connected(&error, &destination.server))
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
