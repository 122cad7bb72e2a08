//! Sessions of transparent listeners: on to where the client was going.

use std::sync::Arc;

use tracing::warn;

use super::{Break, Driver, Event, Opened};
use crate::net::ClientTlsError;
use crate::upstream::{OpenError, Passage, Server, Target};

impl Driver {
    /// Connects to the server that the client meant.
    pub(super) async fn follow(&mut self, passage: &Passage) -> Result<Event, Break> {
        let name = self.client.server_name();
        let identity = passage.identity(self.destination, name.as_deref());
        let opened = match self.meant(passage, name.as_deref()) {
            Ok(target) => self.reach(&identity, &target).await?,
            Err(error) => Err(error.into()),
        };
        Ok(self.opened(opened, Server::Meant(identity), None))
    }

    fn meant(&self, passage: &Passage, name: Option<&str>) -> Result<Target, ClientTlsError> {
        if self.client.is_encrypted() {
            passage.encrypted(self.destination, name)
        } else {
            Ok(Passage::in_clear(self.destination))
        }
    }

    async fn reach(&mut self, name: &str, target: &Target) -> Result<Opened, Break> {
        let services = Arc::clone(&self.services);
        let origin = self.origin();
        tokio::select! {
            opened = services.opener.open_target(name, target, origin) => Ok(opened),
            gone = self.client.watch() => Err(gone.into()),
        }
    }

    /// STLS, upstream: the server has agreed to it, and the client has said in its handshake whom it means.
    pub(super) async fn secure_upstream(&mut self) -> Result<(), Break> {
        let Some(passage) = self.passage.clone() else { return Ok(()) };
        let Some(connection) = self.upstream.take() else { return Ok(()) };
        let name = self.client.server_name();
        let services = Arc::clone(&self.services);
        let securing = async {
            let tls = passage.tls(self.destination, name.as_deref())?;
            services.opener.secure(&tls, connection).await
        };
        let secured: Result<_, OpenError> = tokio::select! {
            secured = securing => secured,
            gone = self.client.watch() => return Err(gone.into()),
        };
        let identity = passage.identity(self.destination, name.as_deref());
        match secured {
            Ok(connection) => {
                self.upstream = Some(connection);
                self.server = Some(Server::Meant(identity));
                Ok(())
            }
            Err(error) => {
                warn!(upstream = identity, %error, "no TLS to the upstream");
                Err(Break::Unsecured)
            }
        }
    }
}
