//! A handshake that looks and does not judge: what a server presents, and what the checks say about it.
//!
//! The connection that comes of it is with anybody. Nothing secret may be sent over it; mail is never fetched this way.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature_with_raw_key;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::trust::{Reason, Refusal, Verifier, verify_by_key};
use super::{ClientTlsError, server_name, told_apart, trust_in};
use crate::net::stream::Stream;
use crate::net::tls::{provider, public_key};

/// What a server presented, and what the checks of [`super::ClientTls`] would have said.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The certificates in DER, the server's own first.
    pub chain: Vec<Vec<u8>>,
    /// Why it would not be trusted; none if it would.
    pub refusal: Option<Refusal>,
}

/// What both ends agreed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Agreed {
    /// The version: `TLS 1.3`.
    pub version: String,
    /// The cipher suite by its registered name.
    pub cipher: String,
    /// The group of the key exchange.
    pub key_exchange: String,
}

/// A handshake that is over.
pub struct Examination {
    /// What the server presented; none if it did not get so far.
    pub presented: Option<Presented>,
    /// The encrypted connection, or why there is none.
    pub outcome: Result<(Stream, Agreed), ClientTlsError>,
}

/// Looks at servers.
pub struct Examiner {
    name: ServerName<'static>,
    /// None where nothing can be checked, with the reason.
    judge: Result<Arc<Verifier>, String>,
}

impl Examiner {
    /// Checks for this name, against the certificates in the file `ca` or else the system's. A system without any is
    /// a finding of the examination, not an error here.
    ///
    /// # Errors
    ///
    /// When the file or the name can't be used.
    pub fn new(name: &str, ca: Option<&Path>) -> Result<Self, ClientTlsError> {
        let judge = match trust_in(ca, &[]) {
            Ok(trust) => Ok(Arc::new(Verifier::new(trust))),
            Err(ClientTlsError::NoRoots { reason }) => {
                Err(format!("there are no trusted certificates to check it by: {reason}"))
            }
            Err(error) => return Err(error),
        };
        Ok(Self { name: server_name(name)?, judge })
    }

    /// The client's part of the handshake. It has no deadline of its own.
    pub async fn examine(&self, stream: Stream) -> Examination {
        let recorder = Arc::new(Recorder { judge: self.judge.clone(), seen: Mutex::default() });
        let outcome = self.handshake(stream, &recorder).await;
        let presented = recorder.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        Examination { presented, outcome }
    }

    async fn handshake(&self, stream: Stream, recorder: &Arc<Recorder>) -> Result<(Stream, Agreed), ClientTlsError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(ClientTlsError::Handshake)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(recorder) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        let tcp = stream.into_clear().ok_or(ClientTlsError::Encrypted)?;
        let connector = TlsConnector::from(Arc::new(config));
        let tls = connector.connect(self.name.clone(), tcp).await.map_err(told_apart)?;
        let agreed = agreed(tls.get_ref().1);
        Ok((Stream::encrypted(tls), agreed))
    }
}

fn agreed(tls: &ClientConnection) -> Agreed {
    let version = tls.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default();
    let cipher = tls.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"));
    let group = tls.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
    Agreed {
        version: version.replace("TLSv", "TLS ").replace('_', "."),
        cipher: cipher.unwrap_or_default(),
        key_exchange: group.unwrap_or_default(),
    }
}

/// Accepts every certificate and notes what the true checks say.
#[derive(Debug)]
struct Recorder {
    judge: Result<Arc<Verifier>, String>,
    seen: Mutex<Option<Presented>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = match &self.judge {
            Ok(judge) => judge.judge(end_entity, intermediates, server_name, now),
            Err(reason) => Err(Reason::Other(reason.clone())),
        };
        let refusal = judged.err().map(|reason| Refusal::new(end_entity, reason));
        let chain = std::iter::once(end_entity).chain(intermediates).map(|one| one.to_vec()).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Presented { chain, refusal });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        verify_by_key(message, &key, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        verify_tls13_signature_with_raw_key(message, &key, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
