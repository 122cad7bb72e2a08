//! STLS: the client's connection becomes an encrypted one, and nothing that was said before outlives that.

use tokio::time::timeout;

use super::{Break, Client, Driver};

impl Driver {
    /// From here on the connection is encrypted, and nothing said before counts.
    pub(super) async fn secure(mut self: Box<Self>) -> Result<Box<Self>, Break> {
        self.client.flush().await?;
        if self.client.has_input() {
            return Err(Break::Injection);
        }
        let Some(tls) = self.tls.clone() else { return Err(Break::OutOfStep("STLS without a certificate")) };
        let handshake = tls.accept(self.client.into_stream());
        let stream = match timeout(self.services.times.handshake, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Break::Handshake(error.to_string())),
            Err(_) => return Err(Break::Handshake("time is over".into())),
        };
        self.client = Client::new(stream, self.services.times.stall);
        Ok(self)
    }
}
