//! TLS towards upstreams: whom to trust, and why a server was not trusted.
//!
//! There is no way to switch the checks off; a server whose certificate can't be checked is trusted by its key
//! (`pin_sha256`).

mod examine;
mod stream;
mod trust;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use popgate_config::{Pin, Upstream};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig};

use super::certificate::{CertificateFault, read_chain};
use super::stream::Stream;
use super::tls::provider;

pub(super) use stream::ClientTlsStream;

pub use examine::{Agreed, Examination, Examiner, Presented};
pub use trust::{Reason, Refusal};
use trust::{Trust, Verifier};

/// Whom to trust, before it is known which server is meant.
#[derive(Clone)]
pub struct ClientTrust {
    config: Arc<ClientConfig>,
}

impl ClientTrust {
    /// Trust in the system's roots, or those of `ca` in their place, or the keys of `pins` alone.
    ///
    /// # Errors
    ///
    /// When the file can't be used or the system has no roots.
    pub fn new(ca: Option<&Path>, pins: &[Pin]) -> Result<Self, ClientTlsError> {
        let trust = trust_in(ca, pins)?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(ClientTlsError::Handshake)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(trust)))
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }

    /// TLS towards the server of this name, or IP address.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn towards(&self, name: &str) -> Result<ClientTls, ClientTlsError> {
        Ok(ClientTls { config: Arc::clone(&self.config), name: server_name(name)? })
    }
}

/// TLS 1.2 and 1.3 towards one upstream. Sessions are resumed where the server offers it.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Why there is no TLS towards an upstream.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// The name can't stand in a certificate.
    #[error(
        "`{name}` is neither a host name nor an IP address\nhint: `server_name` is the name in the server's certificate"
    )]
    ServerName {
        /// The name.
        name: String,
    },
    /// The file `ca` can't be used.
    #[error("`ca`: {0}")]
    Authority(Box<CertificateFault>),
    /// A certificate in the file `ca` is broken.
    #[error("`ca`: `{}` holds a certificate that can't be a root: {error}\nhint: take the broken certificate out of the file", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
    /// The system has no roots.
    #[error(
        "the system's trusted certificates can't be loaded: {reason}\nhint: install the package `ca-certificates`, or name a file as `ca`"
    )]
    NoRoots {
        /// What was found instead.
        reason: String,
    },
    /// The server has a certificate that is not trusted.
    #[error("{0}")]
    Untrusted(Box<Refusal>),
    /// The server broke the rules of TLS, or the two have nothing in common.
    #[error("the TLS handshake failed: {0}")]
    Handshake(rustls::Error),
    /// The connection broke.
    #[error("the connection broke in the TLS handshake: {0}")]
    Io(io::Error),
    /// TLS within TLS is not spoken.
    #[error("the connection is encrypted already")]
    Encrypted,
}

impl ClientTls {
    /// TLS as an upstream's section has it: trusting the system's roots, or those of `ca` in their place, or the keys of
    /// `pin_sha256` alone.
    ///
    /// # Errors
    ///
    /// When a file or a name can't be used.
    pub fn new(upstream: &Upstream) -> Result<Self, ClientTlsError> {
        let name = upstream.server_name.as_deref().unwrap_or(&upstream.address.host);
        Self::with(name, upstream.ca.as_deref(), &upstream.pin_sha256)
    }

    fn with(name: &str, ca: Option<&Path>, pins: &[Pin]) -> Result<Self, ClientTlsError> {
        // The name first: it is the cheaper fault.
        server_name(name)?;
        ClientTrust::new(ca, pins)?.towards(name)
    }

    /// The client's part of the handshake. It has no deadline of its own.
    ///
    /// # Errors
    ///
    /// When the server is not trusted or the handshake fails. Nothing but the handshake has been sent then.
    pub async fn connect(&self, stream: Stream) -> Result<Stream, ClientTlsError> {
        let tcp = stream.into_clear().ok_or(ClientTlsError::Encrypted)?;
        let config = Arc::clone(&self.config);
        let tls = ClientTlsStream::connect(config, self.name.clone(), tcp).await.map_err(told_apart)?;
        Ok(Stream::towards_server(tls))
    }
}

/// A name as TLS has it, without the dot of the root.
fn server_name(name: &str) -> Result<ServerName<'static>, ClientTlsError> {
    ServerName::try_from(name.trim_end_matches('.').to_owned())
        .map_err(|_| ClientTlsError::ServerName { name: name.into() })
}

/// The keys, or else the certificates in the file, or else the system's.
fn trust_in(ca: Option<&Path>, pins: &[Pin]) -> Result<Trust, ClientTlsError> {
    match ca {
        _ if !pins.is_empty() => Ok(Trust::pins(pins)),
        Some(path) => {
            let roots = read_chain(path).map_err(|fault| ClientTlsError::Authority(fault.into()))?;
            Trust::roots(roots).map_err(|error| ClientTlsError::Root { path: path.into(), error })
        }
        None => Trust::system(),
    }
}

/// Takes the true reason out of the error that carried it through rustls.
fn told_apart(error: io::Error) -> ClientTlsError {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return ClientTlsError::Io(error);
    };
    if let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = inner
        && let Some(refusal) = other.0.downcast_ref::<Refusal>()
    {
        return ClientTlsError::Untrusted(Box::new(refusal.clone()));
    }
    ClientTlsError::Handshake(inner.clone())
}

#[cfg(test)]
mod tests;
