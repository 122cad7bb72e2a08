//! TLS towards clients.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::NoServerSessionStorage;
use tokio_rustls::TlsAcceptor;

use super::certificate::CertificateSource;
use super::client_certificate::{ClientCaError, verifier};
use super::stream::Stream;
use super::tls::provider;

/// The name of POP3 in ALPN. Source: RFC 7301 and IANA's registry (RFC 2595 registers it).
const ALPN: &[u8] = b"pop3";

/// TLS 1.2 and 1.3 towards clients, with the certificate of a [`CertificateSource`].
///
/// A client that offers protocols (ALPN) without `pop3` among them is refused with alert 120: it takes this server for
/// another one. A client that offers none is accepted.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    source: Arc<CertificateSource>,
}

/// Why a client's handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// TLS within TLS is not spoken.
    #[error("the connection is encrypted already")]
    Encrypted,
    /// The client and the server did not come to terms, or the client went away.
    #[error("{0}")]
    Handshake(#[from] io::Error),
}

impl ServerTls {
    /// TLS with the certificate of `source`, for any number of listeners.
    ///
    /// # Errors
    ///
    /// When the machine gives no random numbers.
    pub fn new(source: Arc<CertificateSource>) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<CertificateSource>::clone(&source));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.ticketer = Ticketer::new()?;
        Ok(Self { config: Arc::new(config), source })
    }

    /// The same, for clients who must show a certificate of an authority in the file.
    ///
    /// Nothing is resumed: each handshake looks at the certificate anew.
    ///
    /// # Errors
    ///
    /// When the file can't be used.
    pub fn for_clients_of(&self, authorities: &Path) -> Result<Self, ClientCaError> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder =
            builder.map_err(|error| ClientCaError::Root { path: authorities.into(), reason: error.to_string() })?;
        let mut config =
            builder
                .with_client_cert_verifier(verifier(authorities)?)
                .with_cert_resolver(Arc::<CertificateSource>::clone(&self.source));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), source: Arc::clone(&self.source) })
    }

    /// Where the certificate comes from.
    #[must_use]
    pub fn source(&self) -> &Arc<CertificateSource> {
        &self.source
    }

    /// The server's part of the handshake. It has no deadline of its own. If the certificate's files have changed, they
    /// are read again first.
    ///
    /// # Errors
    ///
    /// When the handshake fails; the client has been told by an alert if it was still there.
    pub async fn accept(&self, stream: Stream) -> Result<Stream, AcceptError> {
        let tcp = stream.into_clear().ok_or(AcceptError::Encrypted)?;
        let now = Instant::now();
        if self.source.is_due(now) {
            let source = Arc::clone(&self.source);
            // Reading files may block. Should the task fail, the certificate in use stays.
            let _ = tokio::task::spawn_blocking(move || source.reload_if_changed(now)).await;
        }
        let tls = TlsAcceptor::from(Arc::clone(&self.config)).accept(tcp).await?;
        Ok(Stream::encrypted(tls))
    }
}
