//! TLS towards clients.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use tokio_rustls::TlsAcceptor;

use super::certificate::CertificateSource;
use super::client_certificate::{ClientCaError, verifier};
use super::made::{MadeCertificates, StandIn};
use super::opening::{Opening, Stranger};
use super::stream::Stream;
use super::tls::provider;

/// The name of POP3 in ALPN. Source: RFC 7301 and IANA's registry (RFC 2595 registers it).
const ALPN: &[u8] = b"pop3";

/// TLS 1.2 and 1.3 towards clients, with the certificate of a [`CertificateSource`], whatever name the client asks for, or
/// with [`MadeCertificates`].
///
/// A client that offers protocols (ALPN) without `pop3` among them is refused with alert 120: it takes this server for
/// another one. A client that offers none is accepted.
#[derive(Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// None where certificates are made.
    source: Option<Arc<CertificateSource>>,
}

/// Why a client's handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// TLS within TLS is not spoken.
    #[error("the connection is encrypted already")]
    Encrypted,
    /// Something else than TLS came, and was not answered.
    #[error("the client begins with {0}")]
    Stranger(Stranger),
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
        Ok(Self { config: Arc::new(config(Arc::<CertificateSource>::clone(&source))?), source: Some(source) })
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
        let mut config = builder
            .with_client_cert_verifier(verifier(authorities)?)
            .with_cert_resolver(Arc::clone(&self.config.cert_resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), source: self.source.clone() })
    }

    /// The server's part of the handshake. It has no deadline of its own. If the certificate's files have changed, they
    /// are read again first.
    ///
    /// # Errors
    ///
    /// When the handshake fails; the client has been told by an alert if it was still there.
    pub async fn accept(&self, stream: Stream) -> Result<Stream, AcceptError> {
        let tcp = stream.into_clear().ok_or(AcceptError::Encrypted)?;
        let mut first = [0; 8];
        let seen = tcp.peek(&mut first).await?;
        if let Some(stranger) = Opening::default().feed(&first[..seen]).filter(|stranger| *stranger != Stranger::Tls) {
            return Err(AcceptError::Stranger(stranger));
        }
        let now = Instant::now();
        if let Some(source) = self.source.as_ref().filter(|source| source.is_due(now)) {
            let source = Arc::clone(source);
            // Reading files may block. Should the task fail, the certificate in use stays.
            let _ = tokio::task::spawn_blocking(move || source.reload_if_changed(now)).await;
        }
        let tls = TlsAcceptor::from(Arc::clone(&self.config)).accept(tcp).await?;
        Ok(Stream::encrypted(tls))
    }
}

/// TLS with certificates that are made as clients ask for them, for transparent listeners.
#[derive(Debug)]
pub struct MakingTls {
    config: ServerConfig,
    certificates: Arc<MadeCertificates>,
}

impl MakingTls {
    /// TLS with certificates of the own authority.
    ///
    /// # Errors
    ///
    /// When the machine gives no random numbers.
    pub fn new(certificates: Arc<MadeCertificates>) -> Result<Self, rustls::Error> {
        let address = IpAddr::from([0; 4]);
        let config = config(Arc::new(StandIn { certificates: Arc::clone(&certificates), address }))?;
        Ok(Self { config, certificates })
    }

    /// TLS for a client that was going to this address: its certificate is shown where no name is asked for.
    #[must_use]
    pub fn towards(&self, address: IpAddr) -> ServerTls {
        let mut config = self.config.clone();
        config.cert_resolver = Arc::new(StandIn { certificates: Arc::clone(&self.certificates), address });
        ServerTls { config: Arc::new(config), source: None }
    }
}

fn config(certificates: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.ticketer = ticketer()?;
    Ok(config)
}

/// What makes the tickets of the process, with keys that change every six hours. They outlive a reload: a client that was
/// here before has nothing new to learn.
fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    static TICKETER: OnceLock<Arc<dyn ProducesTickets>> = OnceLock::new();
    if let Some(ticketer) = TICKETER.get() {
        return Ok(Arc::clone(ticketer));
    }
    let new = Ticketer::new()?;
    Ok(Arc::clone(TICKETER.get_or_init(|| new)))
}
