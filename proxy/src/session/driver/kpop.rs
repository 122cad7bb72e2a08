//! KPOP: the Kerberos exchange that comes before a session, relayed octet for octet.
//!
//! Until it is complete nothing of POP3 is said to the client, an error neither: it would read it as the answer to its
//! ticket. Not a single octet of the greeting is used here, even where it comes with the last octets of the exchange.

use tokio::time::{timeout, timeout_at};
use tracing::warn;

use super::{Break, Driver};
use crate::pop3::kpop::{Refusal, Sendauth, SendauthFault, Turn};
use crate::upstream::{Connection, Fault, OpenError, Origin, Server};

/// Why a client did not get as far as POP3.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no upstream.
    #[error("no connection to the upstream: {0}")]
    Unreachable(#[from] OpenError),
    /// Something else is spoken, or too much.
    #[error(transparent)]
    Malformed(#[from] SendauthFault),
    /// The server has said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server has gone.
    #[error(transparent)]
    Upstream(#[from] Fault),
    /// The server does not answer.
    #[error("the upstream does not answer")]
    Silent,
    /// The client has gone.
    #[error("the client has left")]
    Left,
}

impl Failure {
    /// A client that speaks text reads text.
    pub(super) fn last_words(&self) -> Option<&'static [u8]> {
        match self {
            Self::Malformed(SendauthFault::NotSendauth) => {
                Some(b"-ERR this port speaks KPOP: it begins with Kerberos's sendauth\r\n")
            }
            _ => None,
        }
    }

    /// Whether there is something to do for who runs the proxy.
    fn is_the_servers(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Upstream(_) | Self::Silent => true,
            Self::Malformed(fault) => matches!(fault, SendauthFault::OutOfTurn | SendauthFault::ServerLength(_)),
            Self::Refused(refusal) => *refusal != Refusal::Ticket,
            Self::Left => false,
        }
    }
}

impl Driver {
    /// Connects to the upstream and relays the exchange; the upstream's greeting is what comes next.
    pub(super) async fn authenticate(&mut self) -> Result<(), Break> {
        let Some(server) = self.server.clone() else { return Err(Break::OutOfStep("nowhere to connect to")) };
        let exchanged = match timeout_at(self.deadline, self.exchange(&server)).await {
            Ok(exchanged) => exchanged,
            Err(_) => Err(Break::Login),
        };
        if let Err(Break::Kpop(failure)) = &exchanged
            && failure.is_the_servers()
        {
            warn!(upstream = server.name(), error = %failure, "no KPOP with the upstream");
        }
        self.upstream = Some(exchanged?);
        Ok(())
    }

    async fn exchange(&mut self, server: &Server) -> Result<Connection, Break> {
        let services = &self.services;
        let origin = Origin { client: self.address, destination: self.destination };
        let mut upstream = tokio::select! {
            reached = services.opener.reach(server, origin) => reached.map_err(Failure::from)?,
            gone = self.client.watch() => return Err(gone.into()),
        };
        let mut sendauth = Sendauth::default();
        loop {
            self.pass_on(&mut sendauth, &mut upstream).await?;
            match sendauth.turn() {
                Turn::Greeting => return Ok(upstream),
                Turn::Refused(refusal) => return Err(Failure::from(refusal).into()),
                Turn::Client if self.client.ended() => return Err(Failure::Left.into()),
                // A server that knows no KPOP speaks now; it need not be waited for.
                Turn::Client => tokio::select! {
                    filled = self.client.fill() => filled?,
                    more = upstream.more() => { more.map_err(Failure::from)?; }
                },
                Turn::Server => self.answer(&mut upstream).await?,
            }
        }
    }

    /// Passes on what has come, as far as it belongs to the exchange.
    async fn pass_on(&mut self, sendauth: &mut Sendauth, upstream: &mut Connection) -> Result<(), Break> {
        loop {
            let count = sendauth.client(self.client.received()).map_err(Failure::from)?;
            if count > 0 {
                let octets = self.client.take(count);
                upstream.pass_on(&octets).await.map_err(Failure::from)?;
            }
            let answered = sendauth.server(upstream.input()).map_err(Failure::from)?;
            if answered > 0 {
                self.client.queue(&upstream.input().split_to(answered));
                self.client.flush().await?;
            }
            if count + answered == 0 {
                return Ok(());
            }
        }
    }

    /// Waits for octets of a server whose turn it is.
    async fn answer(&mut self, upstream: &mut Connection) -> Result<(), Break> {
        let more = timeout(self.services.times.handshake, upstream.more());
        tokio::select! {
            more = more => more.map_err(|_| Failure::Silent)?.map_err(Failure::from)?,
            gone = self.client.watch() => return Err(gone.into()),
        };
        Ok(())
    }
}
